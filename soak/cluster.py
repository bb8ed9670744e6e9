"""Nodes and links of a cluster fail: each stock scenario ends on three real brokers as theory demands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crep.harness.checks.channel import ChannelRun, channel_runs
from crep.harness.checks.history import NEVER
from crep.harness.checks.results import FaultResult, RunResults
from crep.harness.cli.judge import plan_of
from crep.harness.config.errors import CrepError
from crep.harness.runner.whereabouts import LIMIT
from crep.harness.runs.read import Run
from soak.claim import Verdict, broken
from soak.crep_outside import crep_in, left_behind, runs_in
from soak.kill import channel_faults, reader_faults
from tests.end_to_end.outside import Crep

_RUN_WITHIN_S = 400.0
ALL, LEADER = "kafka-local-3", "kafka-local-3-acks-1"
"""Publishers wait for every replica in sync (acks=all), or for the leader alone (acks=1)."""

_SESSION_S = {"quick": 3.0, "default": 9.0}
"""``broker.session.timeout.ms`` of the profiles: so long a broker that says nothing is taken for alive."""
_ELECTION_S = 5.0
"""What may pass on a busy machine from the end of a session until publishers have the new leader's acknowledgement."""
_STALL_S = 1.0
"""A key that waits longer was kept waiting by somebody: usual are milliseconds."""
_BEGUN_S = 0.6
"""After an injection: a key that waits has a send that waits by then, and what was on its way has come."""


@dataclass(frozen=True)
class Seen:
    """One measured run: what its results say, and its only channel message by message."""

    run: Run
    results: RunResults

    @cached_property
    def channel(self) -> ChannelRun:
        """The channel of the stock scenarios."""
        return channel_runs(self.run, plan_of(self.run))["orders"]

    @property
    def faults(self) -> tuple[FaultResult, ...]:
        """In the order of their injection."""
        return self.results.faults

    @property
    def lost(self) -> int:
        """Acknowledged, and never received."""
        return sum(ledger.lost for ledger in self.results.readers)

    @property
    def given_up(self) -> int:
        """Rejected or unknown."""
        return sum(ledger.rejected + ledger.unknown for ledger in self.results.channels)

    @cached_property
    def waits(self) -> NDArray[np.float64]:
        """For each key the longest wait for an acknowledgement: rows of begin and end, seconds relative to t0."""
        found = self.channel.publish_silences
        longest = np.lexsort((found.from_ns - found.to_ns, found.key))  # of each key the longest first
        first = longest[np.unique(found.key[longest], return_index=True)[1]]
        return np.stack([found.from_ns[first], found.to_ns[first]], axis=1) / 1e9

    @property
    def outage_s(self) -> float:
        """The longest of them."""
        return longest(self.waits)

    @property
    def stalled(self) -> float:
        """The share of keys that were kept waiting, by whomever: on a busy machine by nobody."""
        return float(np.mean(self.waits[:, 1] - self.waits[:, 0] > _STALL_S))

    def silent(self, after_s: float, until_s: float) -> float:
        """The share of keys that nothing was acknowledged of between two moments, seconds from the first injection."""
        found, since_s = self.channel.publish_silences, self.faults[0].injected_s or 0.0
        through = (found.from_ns <= (since_s + after_s) * 1e9) & (found.to_ns >= (since_s + until_s) * 1e9)
        return len(np.unique(found.key[through])) / len(self.waits)

    def acknowledged_of(self, from_s: float | None, to_s: float | None) -> int:
        """How many of the messages handed over between two moments were acknowledged by the second one.

        Raises:
            CrepError: one of the moments was not seen.
        """
        if from_s is None or to_s is None:
            raise CrepError("the fault was not confirmed, or not healed, so there is nothing between the two")
        sends, t0_ns = self.channel.sends, self.channel.t0_ns
        sent_s, at_s = (sends.sent_ns - t0_ns) / 1e9, (sends.acknowledged_ns - t0_ns) / 1e9
        known = sends.acknowledged_ns != NEVER
        return int(np.count_nonzero(known & (sent_s > from_s) & (at_s < to_s)))

    def figures(self) -> Iterator[tuple[str, float | None]]:
        """What is worth keeping of each trial."""
        yield "publish outage s", self.outage_s
        yield "keys stalled %", round(100 * self.stalled, 1)
        yield "recovered after s", self.faults[-1].time_to_recover_s
        yield "lost", self.lost
        yield "rejected or unknown", self.given_up


def longest(waits: NDArray[np.float64]) -> float:
    """Of some waits; 0 of none."""
    return float((waits[:, 1] - waits[:, 0]).max(initial=0.0))


Theory = Callable[[Seen], Mapping[str, bool]]
"""What must hold beside that the run is valid and its ledger adds up: in words → whether it does."""


def _waits_for_an_election(session_s: float) -> Theory:
    def theory(seen: Seen) -> Mapping[str, bool]:
        within = f"{seen.outage_s:.1f} s of outage follow the session of {session_s:g} s"
        # A session is renewed by heartbeats: the last one may have come some time before the failure.
        return {within: 0.5 * session_s < seen.outage_s < session_s + _ELECTION_S}

    return theory


def _every_key_waits_for(session_s: float) -> Theory:
    def theory(seen: Seen) -> Mapping[str, bool]:
        [fault] = seen.faults
        led_by_others = seen.waits[seen.waits[:, 1] < (fault.heal_started_s or 0.0)]
        last_s, silent = longest(led_by_others), seen.silent(_BEGUN_S, 0.5 * session_s)
        within = f"{last_s:.1f} s of outage of keys that others lead follow the session of {session_s:g} s"
        return {
            f"every key waits: {silent:.0%}": silent == 1.0,
            f"two brokers of three lead more keys: {len(led_by_others)}": len(led_by_others) > 0.3 * len(seen.waits),
            within: 0.5 * session_s < last_s < session_s + _ELECTION_S,
        }

    return theory


def _only_the_paused_leads_wait(seen: Seen) -> Mapping[str, bool]:
    [fault] = seen.faults
    paused_s = (fault.heal_started_s or 0.0) - (fault.injected_s or 0.0)
    of_it, soon = seen.silent(_BEGUN_S, paused_s), seen.silent(_BEGUN_S, 0.5 * _SESSION_S["quick"])
    return {
        # Two partitions of six; keys are spread by their hash.
        f"keys that it leads wait until it goes on: {of_it:.0%}": 0.1 < of_it < 0.6,
        f"no others wait: {soon:.0%}": soon == of_it,
    }


def _waits_for_the_lag(lag_s: float) -> Theory:
    def theory(seen: Seen) -> Mapping[str, bool]:
        # Kafka looks every half of that time, and counts from when the follower last had all.
        within = f"{seen.outage_s:.1f} s of outage follow the replica lag of {lag_s:g} s"
        silent = seen.silent(_BEGUN_S, lag_s - 1.0)
        return {
            within: lag_s - 1.0 < seen.outage_s < 1.5 * lag_s + _ELECTION_S,
            f"keys of the two wait, of the third broker not: {silent:.0%}": 0.3 < silent < 0.95,
        }

    return theory


def _nobody_waits(seen: Seen) -> Mapping[str, bool]:
    silent = seen.silent(_BEGUN_S, _BEGUN_S + 2.0)
    return {f"no key waits: {silent:.0%}": silent == 0.0}


def _lost_for_want_of_replication(seen: Seen) -> Mapping[str, bool]:
    cut, kill = seen.faults
    found = seen.run.whereabouts
    states, reasons = {one.state for one in found}, {one.why.partition(":")[0] for one in found}
    moments = [one.at_s for one in found if one.at_s is not None]
    cut_s, kill_s = cut.injected_s or 0.0, kill.injected_s or 0.0
    # What was on its way to the followers at the cut was intended before: a moment, on a busy machine a second or two.
    after = sum(at_s > cut_s for at_s in moments)
    return {
        f"the storage was searched for all of them: {len(found)} of {seen.lost}": len(found) == min(seen.lost, LIMIT),
        f"none was stored: {states}": states == {"never-stored"},
        f"because of missing replication: {reasons}": reasons == {"never replicated"},
        f"most are from after the cut: {after} of {len(moments)}": after > 0.5 * len(moments),
        "none is from after the kill": max(moments, default=0.0) < kill_s,
        "the cost of the two": sum(group.cost["lost"] for group in seen.results.fault_groups) == seen.lost,
    }


def _stops_until_two_are_back(seen: Seen) -> Mapping[str, bool]:
    [fault] = seen.faults
    # What came before may be on two brokers, one of them dead: that is acknowledged when the third's session has ended.
    alone = seen.acknowledged_of(fault.confirmed_s, fault.heal_started_s)
    after = seen.acknowledged_of(fault.healed_s, np.inf)
    return {
        f"nothing that one broker alone can have is acknowledged: {alone}": alone == 0,
        f"every key waits: {seen.stalled:.0%}": seen.stalled == 1.0,
        f"sends are given up: {seen.given_up}": seen.given_up > 0,
        f"publishing goes on afterwards: {after}": after > 0,
    }


def _goes_on(seen: Seen) -> Mapping[str, bool]:
    return {f"all that was sent is acknowledged, but for {seen.given_up}": seen.given_up == 0}


def _ended_of_it_and_came_back(seen: Seen) -> Mapping[str, bool]:
    [fault] = seen.faults
    told = f"the report says what became of the broker: {fault.subject}"
    return {told: "(ended when it could not write)" in (fault.subject or ""), **_goes_on(seen)}


def seen_in(folder: Path) -> Seen:
    """The only measured run below a results folder.

    Raises:
        CrepError: it has no results.
    """
    [run] = [run for run in runs_in(folder) if run.document.kind == "measured"]
    if run.document.results is None:
        raise CrepError(f"{run.path}: no results: {run.failure}")
    return Seen(run, run.document.results)


@dataclass(frozen=True)
class StockFailure:
    """``crep run SCENARIO --on TARGET``, with shorter times.

    ``settings``: of the brokers, beside the profile's. ``loses``: theory demands that acknowledged messages are lost,
    and with them the expectation; the exit code is then 1. None: it allows that.
    """

    name: str
    scenario: str
    target: str
    theory: Theory
    words: str
    params: Mapping[str, str]
    profile: str = "quick"
    settings: Mapping[str, str] = field(default_factory=dict)
    loses: bool | None = False
    count: int = 5
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        settings = "".join(f", {key}={value}" for key, value in self.settings.items())
        lost = {
            True: "acknowledged messages are lost",
            False: "no acknowledged message is lost",
            None: "acknowledged messages may be lost, and are then found",
        }[self.loses]
        return (
            f"the scenario `{self.scenario}` on `{self.target}` (profile {self.profile}{settings}): {self.words}; "
            f"{lost}, every send is accounted for, every fault confirmed and healed, and no process left."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One run with its control run."""
        with crep_in(folder) as crep:
            return self.judged(crep, seed)

    def judged(self, crep: Crep, seed: int) -> Verdict:
        """Run it and look at what came of it."""
        if self.settings:
            target = {"system": "kafka", "source": "local", "topology": "three-nodes", "settings": dict(self.settings)}
            (crep.folder / "crep-targets.yaml").write_text(json.dumps({"targets": {self.target: target}}))
        words = ["run", self.scenario, "--on", self.target, "--profile", self.profile, "--repeat", "1", "--no-report"]
        for name, value in {**self.params, "seed": str(seed)}.items():
            words += ["-p", f"{name}={value}"]
        done = crep(*words, timeout=_RUN_WITHIN_S)
        (crep.folder / "output.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
        left = left_behind(crep)
        if done.returncode in (2, 3):
            raise CrepError(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
        seen = seen_in(crep.folder / "results")
        why = [*self.broken_by(seen), *([left] if left else [])]
        if done.returncode != int(seen.lost > 0):
            why.append(f"exit code {done.returncode} with {seen.lost} lost")
        return Verdict(tuple(why), {name: value for name, value in seen.figures() if value is not None})

    def broken_by(self, seen: Seen) -> Iterator[str]:
        """What of a run is against the theory, in words."""
        results = seen.results
        yield from (f"rule broken: {rule.text}" for rule in results.rules if not rule.holds)
        yield from (words for ledger in results.channels for words in channel_faults(ledger))
        yield from (words for ledger in results.readers for words in reader_faults(ledger) if not self._due(words))
        yield from broken(
            **{
                f"{seen.lost} lost as theory demands": self.loses is None or (seen.lost > 0) == self.loses,
                **self.theory(seen),
            }
        )

    def _due(self, words: str) -> bool:
        return self.loses is not False and words.endswith(" lost")


STOCK_FAILURES: tuple[StockFailure, ...] = (
    StockFailure(
        "leader-killed",
        "int-n2-leader-killed",
        ALL,
        _waits_for_an_election(_SESSION_S["quick"]),
        "publishing goes on when the dead leader's session has ended",
        {"at": "4 s", "down": "7 s", "length": "24 s"},
    ),
    StockFailure(
        "leader-cut-off-and-killed-acks-1",
        "int-n2-leader-cut-off-and-killed",
        LEADER,
        _lost_for_want_of_replication,
        "what it acknowledged between the two is lost; the ledger finds it, and the storage names as the reason that "
        "it was never replicated",
        {"cut": "4 s", "kill": "7 s", "apart": "6 s", "down": "8 s", "length": "26 s"},
        loses=True,
    ),
    StockFailure(
        "leader-cut-off-and-killed",
        "int-n2-leader-cut-off-and-killed",
        ALL,
        _goes_on,
        "it acknowledges nothing that its followers do not have",
        {"cut": "4 s", "kill": "7 s", "apart": "6 s", "down": "8 s", "length": "30 s"},
    ),
    StockFailure(
        "majority-down",
        "int-n2-majority-down",
        ALL,
        _stops_until_two_are_back,
        "the broker that is left acknowledges nothing, sends are rejected or unknown, and publishing goes on when the "
        "others are back",
        {"at": "4 s", "down": "14 s", "length": "56 s"},
    ),
    StockFailure(
        "follower-paused",
        "int-n2-follower-paused",
        ALL,
        _every_key_waits_for(_SESSION_S["quick"]),
        "every key waits, those that others lead until the session of the paused broker has ended",
        {"at": "4 s", "paused": "8 s", "length": "24 s"},
    ),
    StockFailure(
        "follower-paused-default",
        "int-n2-follower-paused",
        ALL,
        _every_key_waits_for(_SESSION_S["default"]),
        "every key waits, those that others lead until the session of the paused broker has ended",
        {"at": "4 s", "paused": "16 s", "length": "32 s"},
        profile="default",
    ),
    StockFailure(
        "follower-paused-acks-1",
        "int-n2-follower-paused",
        LEADER,
        _only_the_paused_leads_wait,
        "keys wait that the paused broker itself leads, no others; what it takes as if it still led may be gone",
        {"at": "4 s", "paused": "8 s", "length": "24 s"},
        loses=None,
    ),
    StockFailure(
        "follower-cut-off",
        "int-n2-follower-cut-off",
        ALL,
        _waits_for_the_lag(6.0),
        "keys of the two brokers wait until one drops the other from those in sync",
        {"at": "4 s", "cut": "14 s", "length": "28 s"},
        settings={"replica.lag.time.max.ms": "6000"},
    ),
    StockFailure(
        "follower-cut-off-acks-1",
        "int-n2-follower-cut-off",
        LEADER,
        _nobody_waits,
        "no publisher waits",
        {"at": "4 s", "cut": "10 s", "length": "24 s"},
    ),
    StockFailure(
        "rolling-restart",
        "int-n2-rolling-restart",
        ALL,
        _goes_on,
        "each broker hands over before it ends",
        {"at": "4 s", "length": "60 s"},
    ),
    StockFailure(
        "cut-from-quorum",
        "int-n2-cut-from-quorum",
        ALL,
        _goes_on,
        "publishing stands still for a while that is measured, and goes on",
        {"at": "4 s", "cut": "9 s", "length": "30 s"},
    ),
    StockFailure(
        "disk-full-on-the-leader",
        "int-n2-disk-full",
        ALL,
        _ended_of_it_and_came_back,
        "the report says that the broker ended when it could not write, and it comes back when there is room",
        {"at": "4 s", "full": "8 s", "length": "34 s"},
    ),
)
