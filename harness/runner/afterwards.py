"""What is looked at after the drain, while everything of a run still stands, and kept in its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from crep.harness.checks.tally import ChannelTally
from crep.harness.deployment.archivist import Archivist
from crep.harness.runner.dead_letters import read_places
from crep.harness.runner.prepare import Site
from crep.harness.runner.record import Record
from crep.harness.runner.replays import read_replays
from crep.harness.runner.whereabouts import find_missing, in_words
from crep.harness.runs.dead_letters import write_dead_letters
from crep.harness.runs.read import read_run
from crep.harness.runs.replays import write_replayed
from crep.harness.scenario.plan import Plan

Note = Callable[[str, str], None]
"""Shows a line, in a style, to who waits for the run to end."""


def keep_dead_letters(record: Record, sites: Sequence[Site], plan: Plan, note: Note) -> None:
    """What was given up, from where it lies: the ledger counts what is there, not what should be."""
    parts = []
    for place in read_places(sites, plan, int(record.document.run_id, 16)):
        part = place.part
        if part.read:
            write_dead_letters(record.folder.ledger, part.channel, part.reader, place.letters, place.reasons)
        if part.trouble or not part.complete:
            why = part.trouble or f"more than {part.read:,} messages"
            note(f"the dead letters of {part.channel}.{part.reader} are not known: {why}", "yellow")
        parts.append(part)
    if parts:
        record.change(dead_letters=tuple(parts))


def keep_replays(
    record: Record, sites: Sequence[Site], plan: Plan, archivists: Mapping[str, Archivist], t0_ns: int
) -> None:
    """What came again, from where it lies, as the dead letters."""
    found = read_replays(sites, plan, record.document.run_id, archivists, lambda at_ns: (at_ns - t0_ns) / 1e9)
    for came in found:
        write_replayed(record.folder.ledger, came.channel, came.records)
    record.change(replays=tuple(part for came in found for part in came.parts))


def keep_whereabouts(record: Record, sites: Sequence[Site], tallies: Mapping[str, ChannelTally], note: Note) -> None:
    """Where was it lost? ``tallies`` are whole, and the drain was clean."""
    given_up = read_run(record.folder.path).given_up
    found = find_missing(sites, tallies, given_up, int(record.document.run_id, 16))
    if found:
        record.folder.write_whereabouts(found)
        note(in_words(found), "yellow")
