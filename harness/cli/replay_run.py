"""``crep replay run``: send again what an archive or a broker's own history holds."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import rich_click as click
from rich.console import Console

from crep.harness.cli.options import ARCHIVES, TARGETS
from crep.harness.cli.replay_capture import archive_path
from crep.harness.cli.replay_progress import ProgressLine
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import find_target, load_targets
from crep.harness.config.units import format_duration, parse_duration
from crep.harness.config.yaml import attempt, load_yaml, validate
from crep.harness.deployment.reach import endpoint_of
from crep.harness.runner import Stop
from crep.replay.control import Control, Progress
from crep.replay.job import WINDOW, Job
from crep.replay.ledger import Ledger
from crep.replay.marking import time_text
from crep.replay.opening import open_replay, replay_folder
from crep.replay.selection import Summary

_MICRO = 1_000_000
_FILE = (".yaml", ".yml", ".json")
_MOST_TOPICS = 10


def _moment(_: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    """A time with its zone, or how long ago."""
    if text is None:
        return None
    if text.strip().endswith("ago"):
        try:
            return datetime.now(UTC) - timedelta(seconds=parse_duration(text.strip().removesuffix("ago")))
        except (ValueError, OverflowError) as error:
            raise UsageError(f"{parameter.opts[0]} {text}: {error}") from None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise UsageError(
            f"{parameter.opts[0]} {text}: a time needs its zone",
            hint="write for example 2026-11-30T14:00:00Z, 2026-11-30T14:00+01:00 or '10 min ago'",
        )
    return found


def _pairs(texts: tuple[str, ...], option: str, example: str) -> list[tuple[str, str]]:
    found = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {text}: write it {example}")
        found.append((name, value))
    return found


@click.command("run")
@click.argument("what", metavar="[ARCHIVE|JOB.yaml]", required=False)
@click.option("--native", metavar="TARGET", help="instead of an archive: what this target's broker itself has kept")
@click.option(
    "--native-topic", "native_topics", multiple=True, metavar="TOPIC", help="Kafka: topic; Solace: subscription"
)
@click.option("--native-vpn", metavar="VPN", help="Solace: message VPN to read, instead of the target's")
@click.option("--offset", "offsets", multiple=True, metavar="PARTITION=OFFSET", help="Kafka: where to begin; repeat")
@click.option("--after", metavar="ID", help="Solace: begin behind this replication group message id")
@click.option("--to", metavar="TARGET", help="where to; a local target must stand already")
@click.option("--to-vpn", metavar="VPN", help="Solace: message VPN, instead of the target's")
@click.option("--to-topic", metavar="TOPIC", help="Kafka: all into this topic …")
@click.option("--topic-header", metavar="NAME", help="… and each one's own topic into this header")
@click.option("--id", "replay_id", metavar="ID", help="names the replay; the same id goes on where it ended")
@click.option("--since", callback=_moment, metavar="TIME", help="of this time or later: ISO 8601, or '10 min ago'")
@click.option("--until", callback=_moment, metavar="TIME", help="before this time")
@click.option("--topic", metavar="PATTERN", help="orders/*/new, orders/> or orders.*")
@click.option("--key", metavar="KEY", help="this key alone")
@click.option("--property", "properties", multiple=True, metavar="NAME=VALUE", help="a property has this value; repeat")
@click.option("--payload", metavar="REGEX", help="found in a payload that is text (RE2)")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="the first so many of these")
@click.option(
    "--times",
    type=click.Choice(["captured", "broker"]),
    default="captured",
    show_default=True,
    help="which time counts, for --since, --until and the pace",
)
@click.option("--pace", metavar="PACE", help="original (default), x10, 2000/s or fastest")
@click.option("--remap", "remaps", multiple=True, metavar="PATTERN=TOPIC", help="'orders/*/>=again/{1}/{2}'; repeat")
@click.option(
    "--window", type=click.IntRange(1, 1_000_000), metavar="N", help=f"what a kill may double; default {WINDOW}"
)
@click.option("--dry-run", is_flag=True, help="tell count, time span, bytes and topics; send nothing")
@click.option("--json", "as_json", is_flag=True, help="the ledger, or the dry run, as JSON on standard output")
@ARCHIVES
@TARGETS
def run(what: str | None, root: Path, targets: Path | None, dry_run: bool, as_json: bool, **options: Any) -> int:
    """Send messages again: of an ARCHIVE (a name in the archives' folder, or a path), of a job file, or --native.

    The ledger at the end says what became of each selected message. Exit codes: 0 all acknowledged; 1 some were
    rejected, or removed by retention before they were read; 130 interrupted (the same --id goes on).
    """
    job, known = _job(what, root, options), load_targets(targets)
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    folder = replay_folder(root, job.id)
    with Stop() as stop, open_replay(job, lambda name: endpoint_of(find_target(name, known)), folder) as replay:
        control = Control(stop.requested.is_set)
        if dry_run:
            plan = replay.plan(control)
            click.echo(orjson.dumps(_plan_document(plan)).decode() if as_json else "\n".join(_told(plan, job)))
            return 0
        say(f"replay {job.id} to {job.to.target}, pace {job.pace}; Ctrl-C ends it, the same --id goes on")
        with ProgressLine(lambda: _line(replay.progress()), console):
            ledger = replay.run(control)
    if as_json:
        click.echo(orjson.dumps(ledger.document()).decode())
    for line in _closed(ledger, folder):
        say(line)
    if ledger.state != "done":
        return 130
    return 0 if ledger.selected == ledger.acknowledged else 1


def _job(what: str | None, root: Path, options: dict[str, Any]) -> Job:
    if what is not None and what.endswith(_FILE):
        return _job_of_file(Path(what), options)
    if (what is None) == (options["native"] is None):
        raise UsageError(
            "replay what? Name an archive or a job file, or --native TARGET",
            hint="'crep replay archives' lists the archives",
        )
    if options["to"] is None:
        raise UsageError("replay to where? Add --to TARGET", hint="'crep list targets' shows those there are")
    origin: dict[str, Any] = {"archive": str(archive_path(root, str(what)))}
    if what is None:
        offsets = _pairs(options["offsets"], "--offset", "PARTITION=OFFSET, for example 0=1500")
        origin = {
            "target": options["native"],
            "topics": options["native_topics"],
            "vpn": options["native_vpn"],
            "offsets": dict(offsets),
            "after": options["after"],
        }
    data = {
        "id": options["replay_id"] or _new_id(what or options["native"]),
        "from": origin,
        "to": {
            "target": options["to"],
            "vpn": options["to_vpn"],
            "topic": options["to_topic"],
            "topic_header": options["topic_header"],
        },
        "select": {
            "from": options["since"],
            "until": options["until"],
            "topic": options["topic"],
            "key": options["key"],
            "properties": dict(_pairs(options["properties"], "--property", "NAME=VALUE, for example region=eu")),
            "payload": options["payload"],
            "limit": options["limit"],
            "times": options["times"],
        },
        "remap": [
            {"topic": pattern, "to": topic}
            for pattern, topic in _pairs(
                options["remaps"], "--remap", "PATTERN=TOPIC, for example 'orders/>=again/{1}'"
            )
        ],
        "pace": options["pace"] or "original",
        "window": options["window"] or WINDOW,
    }
    job, problems = attempt(Job, data)
    if job is None:
        lines = (f"{'.'.join(map(str, one.loc))}: {one.text}" for one in problems)
        raise UsageError("\n".join(lines))
    return job


def _job_of_file(path: Path, options: dict[str, Any]) -> Job:
    beside = [name for name, value in options.items() if value and name not in ("pace", "window", "times")]
    if beside:
        raise UsageError(
            f"{path} says all that is to be replayed; beside it go --pace, --window, --dry-run and --json only",
            hint=f"write the others into the file: {', '.join(sorted(beside))}",
        )
    data, positions = load_yaml(path)
    job = validate(Job, data, positions, path)
    job = job.model_copy(update={"window": options["window"] or job.window})
    if options["pace"] is None:
        return job
    changed, problems = attempt(Job, {**data, "pace": options["pace"], "window": job.window})
    if changed is None:
        raise UsageError(f"--pace: {problems[0].text}")
    return changed


def _new_id(source: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", Path(source).name.lower()).strip("-")[:40]
    return f"{name or 'replay'}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"


def _line(progress: Progress) -> str:
    if progress.state == "fetching":
        return f"reading the broker's own history: {progress.selected or 0:,} messages"
    if progress.selected is None:
        return "looking at what is selected"
    parts = [f"{progress.acknowledged:,} of {progress.selected:,} acknowledged", f"{progress.rate:,.0f}/s"]
    if progress.position_us:
        parts.append(f"at {time_text(progress.position_us)[:-8]}Z")
    if progress.rejected:
        parts.append(f"{progress.rejected:,} rejected ({progress.reason})")
    if progress.unknown:
        parts.append(f"{progress.unknown:,} under way")
    return " · ".join(parts)


def _closed(ledger: Ledger, folder: Path) -> list[str]:
    head = {"done": "done", "stopped": "interrupted", "cancelled": "cancelled"}.get(ledger.state, ledger.state)
    lines = [
        f"{head}: {ledger.selected:,} selected = {ledger.acknowledged:,} acknowledged + {ledger.rejected:,} rejected"
        + (f" + {ledger.open:,} still to come" if ledger.open else "")
        + (f" + {ledger.removed:,} removed before they were read" if ledger.removed else "")
    ]
    if ledger.maybe_doubled:
        lines.append(f"{ledger.maybe_doubled:,} were sent again and may have arrived twice")
    lines += [f"rejected {count:,} ×: {reason}" for reason, count in ledger.reasons.items()]
    if ledger.reasons:
        lines.append(f"each rejected message: {folder / 'rejected.jsonl'}")
    if ledger.state == "stopped":
        lines.append(f"go on with the same command and --id {ledger.id}")
    return lines


def _told(plan: Summary, job: Job) -> list[str]:
    lines = [f"{plan.count:,} messages, {plan.bytes:,} bytes of payload; nothing was sent"]
    if plan.first_us is not None and plan.last_us is not None:
        span = (plan.last_us - plan.first_us) / _MICRO
        lines.append(f"from {time_text(plan.first_us)} to {time_text(plan.last_us)}: {format_duration(round(span, 3))}")
        if job.pace.speed is not None:
            lines.append(f"at pace {job.pace}: {format_duration(round(span / job.pace.speed, 3))}")
    if job.pace.rate is not None:
        lines.append(f"at pace {job.pace}: {format_duration(round(plan.count / job.pace.rate, 3))}")
    lines += [f"  {topic}: {count:,}" for topic, count in plan.topics[:_MOST_TOPICS]]
    if len(plan.topics) > _MOST_TOPICS:
        lines.append(f"  and {len(plan.topics) - _MOST_TOPICS:,} more topics")
    return lines


def _plan_document(plan: Summary) -> dict[str, Any]:
    return {
        "count": plan.count,
        "bytes": plan.bytes,
        "first_us": plan.first_us,
        "last_us": plan.last_us,
        "topics": dict(plan.topics),
    }
