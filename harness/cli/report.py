"""``crep report``: a report from run folders, whole or incomplete."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from rich.console import Console

from crep.harness.config.errors import UsageError
from crep.harness.runs.disk import require_writable
from crep.harness.runs.folder import DOCUMENT
from crep.harness.runs.importing import find_imported
from crep.harness.runs.read import find_runs
from crep.reports import compile_comparison, render, summary_lines
from crep.reports.render import FORMATS


@click.command("report")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULTS…")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="where the report goes; default: the first RESULTS"
)
@click.option("--format", "formats", multiple=True, type=click.Choice(FORMATS), help="repeat it; default: all of them")
def command(results: tuple[Path, ...], out: Path | None, formats: tuple[str, ...]) -> int:
    """Compile every run found under RESULTS into one report.

    Runs that were killed or interrupted are shown as such and never counted in. Results that 'crep import' kept there
    are shown beside them, as imported.
    """
    imported = {path: find_imported([path]) for path in results}
    runs = find_runs(path for path in results if not imported[path] or any(path.resolve().rglob(DOCUMENT)))
    if not runs:
        raise UsageError(
            "there is nothing but imported results",
            hint="name a folder of crep's own runs as well",
        )
    out_dir = out or results[0]
    require_writable(out_dir)
    comparison = compile_comparison(runs).model_copy(update={"imported": tuple(find_imported(results))})
    written = render(comparison, out_dir, tuple(dict.fromkeys(formats)) or FORMATS)
    console = Console()
    for line in summary_lines(comparison, written):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0
