"""Clients, their links and a pair of brokers fail: each stock scenario ends as theory demands, on one broker or two."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from crep.harness.checks.results import ReaderLedger, Whereabouts
from crep.harness.config.errors import CrepError
from soak.claim import Verdict, broken
from soak.cluster import Seen, seen_in
from soak.crep_outside import crep_in, left_behind
from soak.kill import channel_faults, reader_faults
from tests.end_to_end.outside import Crep

KAFKA, OFTEN = "kafka-local", "kafka-local-commits-often"
EMULATOR, PAIR = "solace-emulator", "solace-emulator-pair"

_RUN_WITHIN_S = 400.0
_SESSION = {"session.timeout.ms": 6000}
"""Kafka gives a dead member's partitions to others when its session has ended: 45 s by default."""
_OF_TARGET: Mapping[str, Mapping[str, int]] = {KAFKA: _SESSION, OFTEN: {**_SESSION, "auto.commit.interval.ms": 100}}
"""Client settings of the trials."""

Theory = Callable[[Seen], Mapping[str, bool]]
"""What must hold beside that the run is valid and its ledger adds up: in words → whether it does."""


def duplicates(ledger: ReaderLedger) -> int:
    """Of all kinds."""
    return ledger.duplicates_flagged + ledger.duplicates_unflagged + ledger.duplicates_flag_not_offered


def reader(seen: Seen, name: str) -> ReaderLedger:
    """The ledger of one reader."""
    return next(ledger for ledger in seen.results.readers if ledger.reader == name)


def places_of(seen: Seen, name: str) -> Whereabouts | None:
    """Where what one reader misses was found."""
    return next((one for one in seen.results.whereabouts if one.reader == name), None)


def comes_again(seen: Seen) -> Mapping[str, bool]:
    """What a dead consumer had not acknowledged is delivered again, and marked where the broker has a mark."""
    billing = reader(seen, "billing")
    return {
        f"{duplicates(billing)} come twice": duplicates(billing) >= 1,
        f"{billing.duplicates_unflagged} of them without the mark": billing.duplicates_unflagged == 0,
    }


def careless_alone_loses(states: set[str], reason: str) -> Theory:
    """Who acknowledges first loses at most what each of its members held; the storage has it in these states.

    Args:
        states: all that occur.
        reason: what is said of each; empty: nothing.
    """

    def theory(seen: Seen) -> Mapping[str, bool]:
        careful, careless = reader(seen, "careful"), reader(seen, "careless")
        places = places_of(seen, "careless")
        found = None if places is None else (places.looked_for, dict(places.states), dict(places.reasons))
        return {
            f"careful loses {careful.lost}": careful.lost == 0,
            f"careless loses {careless.lost} with {careless.members} members": 0 < careless.lost <= careless.members,
            f"looked for all: {found}": places is not None and places.looked_for == careless.lost,
            f"found as {states}: {found}": places is not None and set(places.states) == states,
            f"for the reason {reason!r}: {found}": places is not None
            and places.reasons == ({reason: careless.lost} if reason else {}),
        }

    return theory


def nobody_else_notices(seen: Seen) -> Mapping[str, bool]:
    """The reader that is slow or cut off has a backlog, which it drains; the other has none of either."""
    [fault] = seen.faults
    peaks = {one.where: one.peak for one in fault.backlogs}
    audit = reader(seen, "audit")
    return {
        f"billing has a backlog: {peaks}": peaks.get("orders.billing", 0) > 300,
        f"audit has none: {peaks}": peaks.get("orders.audit", 0) < 0.5 * peaks.get("orders.billing", 0),
        f"audit gets {duplicates(audit)} twice": duplicates(audit) == 0,
        f"publishers are not refused: {seen.given_up}": seen.given_up == 0,
    }


def the_other_takes_over(seen: Seen) -> Mapping[str, bool]:
    """Publishing goes on while the dead node is still away; what comes twice is marked."""
    [fault] = seen.faults
    meanwhile = seen.acknowledged_of(fault.confirmed_s, fault.heal_started_s)
    unmarked = sum(ledger.duplicates_unflagged for ledger in seen.results.readers)
    return {
        f"{meanwhile} are acknowledged by the other node": meanwhile > 0,
        f"{unmarked} come twice without the mark": unmarked == 0,
        f"nothing is refused: {seen.given_up}": seen.given_up == 0,
    }


def all_is_as_before(seen: Seen) -> Mapping[str, bool]:
    """Publishers felt every fault of their links, and came back from it."""
    _, stall, _, cut = seen.faults
    felt = {fault.action: fault.publish.longest_s for fault in (stall, cut) if fault.publish}
    afterwards = seen.acknowledged_of(cut.healed_s, float("inf"))
    return {
        f"publishers wait while their links fail: {felt}": len(felt) == 2 and min(felt.values()) > 2.0,
        f"{afterwards} are acknowledged afterwards": afterwards > 0,
    }


@dataclass(frozen=True)
class StockTrial:
    """``crep run SCENARIO --on TARGET``, profile quick, with shorter times; every expectation of the scenario holds."""

    name: str
    scenario: str
    target: str
    theory: Theory
    words: str
    params: Mapping[str, str] = field(default_factory=dict)
    count: int = 5
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        client = "".join(f", {key}={value}" for key, value in _OF_TARGET.get(self.target, {}).items())
        return (
            f"the scenario `{self.scenario}` on `{self.target}` (profile quick{client}): {self.words}; every send is "
            "accounted for, every fault confirmed and healed, and no process left."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One run with its control run."""
        with crep_in(folder) as crep:
            return self.judged(crep, seed)

    def judged(self, crep: Crep, seed: int) -> Verdict:
        """Run it and look at what came of it."""
        if self.target in _OF_TARGET:
            target = {"system": "kafka", "source": "local", "client": _OF_TARGET[self.target]}
            (crep.folder / "crep-targets.yaml").write_text(json.dumps({"targets": {self.target: target}}))
        words = ["run", self.scenario, "--on", self.target, "--profile", "quick", "--repeat", "1", "--no-report"]
        for name, value in {**self.params, "seed": str(seed)}.items():
            words += ["-p", f"{name}={value}"]
        done = crep(*words, timeout=_RUN_WITHIN_S)
        (crep.folder / "output.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
        left = left_behind(crep)
        if done.returncode in (2, 3):
            raise CrepError(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
        seen = seen_in(crep.folder / "results")
        why = [*broken_by(self.theory, seen), *broken(exit_code_0=done.returncode == 0), *([left] if left else [])]
        return Verdict(tuple(why), dict(_figures(seen)))


def broken_by(theory: Theory, seen: Seen) -> Iterator[str]:
    """What of a run is against the theory, in words. What a reader may lose is the theory's part."""
    results = seen.results
    yield from (f"rule broken: {rule.text}" for rule in results.rules if not rule.holds)
    yield from (
        f"not met: {one.text} ({one.value})" for one in results.expectations if one.verdict in ("failed", "no-data")
    )
    yield from (words for ledger in results.channels for words in channel_faults(ledger))
    for ledger in results.readers:
        yield from (words for words in reader_faults(ledger) if not words.endswith(f"{ledger.lost} lost"))
        if ledger.lost and ledger.reader != "careless":
            yield f"{ledger.reader}: {ledger.lost} lost"
    yield from broken(**theory(seen))


def _figures(seen: Seen) -> Iterator[tuple[str, float]]:
    for ledger in seen.results.readers:
        yield f"{ledger.reader} lost", ledger.lost
        yield f"{ledger.reader} duplicates", duplicates(ledger)
    outages = [fault.publish.longest_s for fault in seen.faults if fault.publish]
    yield "publish outage s", max(outages, default=0.0)
    if (recovered_s := seen.faults[-1].time_to_recover_s) is not None:
        yield "recovered after s", recovered_s


_AGAIN = "what a consumer had received and not acknowledged when it crashed comes again, at least one message twice"
_SLOW = "its reader alone has a backlog, which it drains; the other one and the publishers do not notice"
_LINKS = "publishers wait while their links are stalled or cut, and no longer; nothing is lost or refused"
_SHORT = {"at": "4 s", "length": "14 s"}

STOCK_TRIALS: tuple[StockTrial, ...] = (
    StockTrial(
        "consumer-crashed-kafka", "ext-f4-crashed-consumer", KAFKA, comes_again, f"{_AGAIN}, and none is lost", _SHORT
    ),
    StockTrial(
        "consumer-crashed-solace",
        "ext-f4-crashed-consumer",
        EMULATOR,
        comes_again,
        f"{_AGAIN}, marked as redelivered, and none is lost",
        _SHORT,
    ),
    StockTrial(
        "acknowledged-too-early-kafka",
        "ext-f4-acknowledged-too-early",
        OFTEN,
        careless_alone_loses({"stored"}, "the reader committed past it before it was processed"),
        "the reader that commits before it has processed loses what its members held when they crashed; the ledger "
        "finds each, and the partition still has it, stored, not delivered; the one that commits afterwards loses none",
        {"rate": "20/s", "at": "4 s", "length": "7 s"},
    ),
    StockTrial(
        "slow-consumer-kafka", "ext-n3-slow-consumer", KAFKA, nobody_else_notices, _SLOW, {**_SHORT, "slow": "4 s"}
    ),
    StockTrial(
        "slow-consumer-solace", "ext-n3-slow-consumer", EMULATOR, nobody_else_notices, _SLOW, {**_SHORT, "slow": "4 s"}
    ),
    StockTrial(
        "egress-shut-beside-another",
        "ext-n3-egress-shut",
        EMULATOR,
        nobody_else_notices,
        f"nothing is lost; {_SLOW}",
        {**_SHORT, "shut": "3 s"},
    ),
    StockTrial(
        "pair-fails-over",
        "int-n2-failover",
        PAIR,
        the_other_takes_over,
        "the standby acknowledges while the node that was killed is away; nothing is lost, and what comes twice is "
        "marked as redelivered",
        {"at": "6 s", "down": "10 s", "length": "26 s"},
    ),
    StockTrial("links-fail-kafka", "int-n2-client-links", KAFKA, all_is_as_before, _LINKS),
    StockTrial("links-fail-solace-pair", "int-n2-client-links", PAIR, all_is_as_before, _LINKS),
)
