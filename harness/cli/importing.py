"""``crep import``: results of other tools, to be shown beside crep's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import rich_click as click
from rich.console import Console

from crep.harness.runs.importing import Imported, keep, read_omb, read_sdkperf

_READERS: dict[str, Callable[[Path, str], Imported]] = {"omb": read_omb, "sdkperf": read_sdkperf}


@click.command("import")
@click.argument("tool", type=click.Choice(sorted(_READERS)))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results/imported"),
    show_default=True,
    metavar="DIR",
    help="where imported results are kept",
)
def command(tool: str, files: tuple[Path, ...], out: Path) -> int:
    """Import result files of the OpenMessaging Benchmark (omb: its JSON) or of sdkperf (what it printed).

    'crep report' shows them, marked imported, beside crep's own runs. They take part in no verdict: their messages were
    not checked, and their latency does not begin at the intended time.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    results = [_READERS[tool](path, now) for path in files]  # all are read before one is kept
    console = Console()
    for imported in results:
        place = keep(imported, out)
        first = ", ".join(f"{one.name} {one.value:,.4g} {one.unit}".strip() for one in imported.figures[:3])
        console.print(f"{imported.file}: {first}; kept in {place}", highlight=False, markup=False, soft_wrap=True)
    return 0
