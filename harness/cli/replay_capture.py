"""``crep replay capture``: from a broker into an archive, until Ctrl-C or a limit."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import rich_click as click
from pydantic import ValidationError
from rich.console import Console

from crep.harness.cli.options import ARCHIVES, TARGETS
from crep.harness.cli.replay_progress import ProgressLine
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import find_target, load_targets
from crep.harness.config.units import parse_duration, parse_size
from crep.harness.deployment.reach import endpoint_of
from crep.harness.runner import Stop
from crep.replay.archive import Rolling
from crep.replay.capture import Progress
from crep.replay.capturing import CaptureLimits, CaptureOrigin, open_capture

_MICRO = 1_000_000


def quantity(parse: Callable[[object], float]) -> Callable[[click.Context, click.Parameter, str | None], float | None]:
    """An option that is a quantity with its unit."""

    def read(_: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise UsageError(f"{parameter.opts[0]}: {error}") from None

    return read


def archive_path(root: Path, name: str) -> Path:
    """An archive by its name in ``root``, or by a path."""
    return Path(name) if os.sep in name else root / name


def complaints(error: ValidationError) -> str:
    """What a model does not take, for people."""
    return "; ".join(str(one.get("ctx", {}).get("error", one["msg"])) for one in error.errors())


@click.command("capture")
@click.argument("archive", metavar="ARCHIVE")
@click.option("--from", "target", required=True, metavar="TARGET", help="where from; a local target must stand already")
@click.option("--topic", "topics", multiple=True, metavar="TOPIC", help="Kafka: a topic; repeat for more")
@click.option("--queue", metavar="QUEUE", help="Solace: a queue; what is captured is taken out of it")
@click.option("--vpn", metavar="VPN", help="Solace: message VPN, instead of the target's")
@click.option("--group", metavar="GROUP", help="Kafka: consumer group; default: one of the archive's own")
@click.option("--topic-header", metavar="NAME", help="Kafka: the header that holds a message's topic")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="end after so many new messages")
@click.option("--idle", callback=quantity(parse_duration), metavar="TIME", help="end when nothing came for so long")
@click.option(
    "--roll-size", default="64 MiB", show_default=True, callback=quantity(parse_size), help="a segment of at most this"
)
@click.option(
    "--roll-time", default="5 min", show_default=True, callback=quantity(parse_duration), help="or of this time"
)
@click.option("--keep", callback=quantity(parse_duration), metavar="TIME", help="remove segments older than this")
@click.option("--keep-size", callback=quantity(parse_size), metavar="SIZE", help="remove the oldest ones above this")
@ARCHIVES
@TARGETS
def capture(
    archive: str,
    target: str,
    topics: tuple[str, ...],
    queue: str | None,
    vpn: str | None,
    group: str | None,
    topic_header: str | None,
    limit: int | None,
    idle: float | None,
    roll_size: float,
    roll_time: float,
    keep: float | None,
    keep_size: float | None,
    root: Path,
    targets: Path | None,
) -> int:
    """Capture messages into ARCHIVE, a name in the archives' folder or a path, until Ctrl-C or a limit.

    A message is accepted at its source when it is on the disk. A capture that was ended or killed goes on when it is
    started again. Exit code 130 when Ctrl-C came before a limit that was asked for.
    """
    known = load_targets(targets)
    try:
        origin = CaptureOrigin(
            target=target, topics=topics, queue=queue, vpn=vpn, group=group, topic_header=topic_header
        )
    except ValidationError as error:
        raise UsageError(complaints(error), hint="write --topic TOPIC (Kafka) or --queue QUEUE (Solace)") from None
    limits = CaptureLimits.model_validate({"limit": limit, "idle": None if idle is None else f"{idle:f} s"})
    rolling = Rolling(int(roll_size), roll_time, keep, None if keep_size is None else int(keep_size))
    folder, console = archive_path(root, archive), Console(stderr=True)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    with Stop() as stop:
        running, _ = open_capture(
            origin, limits, lambda name: endpoint_of(find_target(name, known)), folder, rolling=rolling, say=say
        )
        say(f"capturing {', '.join(topics) or queue} of {target} into {folder}; Ctrl-C ends it")
        with ProgressLine(lambda: _line(running.progress), console):
            progress = running.run(stop.requested.is_set)
    early = stop.requested.is_set() and (limit is not None or idle is not None)
    say(f"{'interrupted; kept' if early else 'captured'}: {_line(progress)} in {folder}")
    return 130 if early else 0


def _line(progress: Progress) -> str:
    again = f", {progress.doubled:,} came again and were there already" if progress.doubled else ""
    return f"{progress.stored:,} messages{again}"
