"""A broker is killed under load and comes back: the run is valid and nothing that was acknowledged is lost."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from crep.harness.checks.results import ChannelLedger, ReaderLedger, RunResults
from soak.claim import Verdict, broken
from soak.crep_outside import crep_in, left_behind, runs_in

_RUN_WITHIN_S = 300.0
_SCENARIO = """\
scenario: kill
durability: {{copies: 1, sync: disk}}
channels:
  orders:
    topics: "orders/{{region:eu,us}}/{{type:new,paid}}"
    keys: 20
    readers:
      billing: {{share: group, members: 2, delivery: at-least-once}}
      screen: {{share: all, delivery: at-most-once}}
load:
  - to: orders
    publishers: 2
    mode: guaranteed
    message: {{size: 256 B}}
    rate: {{total: [{{hold: 200/s, for: {measured_s} s}}]}}
timeline:
  - {{at: {at_s} s, do: kill-broker, node: leader-of orders, restart_after: {down_s} s}}
measure: {{warm_up: 1 s, drain: 30 s, repeat: 1, seed: {seed}, lateness: 10 s}}
expect:
  - billing.lost == 0
"""
"""The lateness limit is wide: a client may be blocked while the broker is down, and the claim is about messages."""


@dataclass(frozen=True)
class Kill:
    """``crep run`` with one kill at a random time, down for a random time, profile quick."""

    name: str
    target: str
    measured_s: int  # long enough to see the recovery
    count: int = 50
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            f"a `crep run` on `{self.target}` (profile quick) in which the broker is killed under load and restarted "
            "is valid, loses no acknowledged message, accounts for every send (handed over = acknowledged + rejected + "
            "unknown), sees nothing corrupt, foreign or unexpected, is confirmed by `crep verify`, and leaves no "
            "process."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One run."""
        chance = random.Random(f"{self.name} {seed}")  # noqa: S311 - a trial is to be repeatable
        at_s, down_s = round(chance.uniform(0.5, 5.0), 2), round(chance.uniform(0.1, 3.0), 2)
        with crep_in(folder) as crep:
            name = crep.scenario(
                _SCENARIO.format(at_s=at_s, down_s=down_s, measured_s=self.measured_s, seed=seed), "kill.yaml"
            )
            words = ("run", name, "--on", self.target, "--profile", "quick", "--no-report")
            done = crep(*words, timeout=_RUN_WITHIN_S)
            left = left_behind(crep)
            (folder / "output.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
            runs = [run for run in runs_in(folder / "results") if run.document.kind == "measured"]
            if not runs or runs[0].document.results is None:
                return Verdict((f"no results, exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}",))
            verified = crep("verify", str(runs[0].path))
        results = runs[0].document.results
        why = [f"rule broken: {rule.text}" for rule in results.rules if not rule.holds]
        why += [words for ledger in results.channels for words in channel_faults(ledger)]
        why += [words for ledger in results.readers for words in reader_faults(ledger)]
        why += broken(exit_code_0=done.returncode == 0, confirmed_by_verify=verified.returncode == 0)
        if left:
            why.append(left)
        return Verdict(tuple(why), _figures(results) | {"kill at s": at_s, "down s": down_s})


def channel_faults(ledger: ChannelLedger) -> list[str]:
    """Where the ledger of sends does not add up."""
    accounted = ledger.acknowledged + ledger.rejected + ledger.unknown + ledger.sent
    return [
        f"{ledger.channel}: {words}"
        for words in broken(
            **{
                f"{ledger.handed_over} handed over = {accounted} accounted for": ledger.handed_over == accounted,
                f"{ledger.contradictions} contradictions": ledger.contradictions == 0,
                f"{ledger.unscheduled} never handed over": ledger.unscheduled == 0,
                "something was sent": ledger.handed_over > 0,
            }
        )
    ]


def reader_faults(ledger: ReaderLedger) -> list[str]:
    """What a reader must never see, and a ledger of receipts that does not add up."""
    missing = ledger.lost + ledger.pending + ledger.missing_allowed + ledger.missing_unknown
    again = ledger.duplicates_flagged + ledger.duplicates_unflagged + ledger.duplicates_flag_not_offered
    strange = ledger.rejected_received + ledger.corrupt + ledger.foreign + ledger.unexpected
    never = ("lost", "pending", "corrupt", "foreign", "unexpected", "rejected_received", "reordered")
    sums = {
        f"expected {ledger.expected} = {ledger.received + missing}": ledger.expected == ledger.received + missing,
        f"receipts {ledger.receipts} = {ledger.received + again + strange}": ledger.receipts
        == ledger.received + again + strange,
    }
    found = [f"{getattr(ledger, kind)} {kind}" for kind in never if getattr(ledger, kind)]
    return [f"{ledger.channel}.{ledger.reader}: {words}" for words in (*found, *broken(**sums))]


def _figures(results: RunResults) -> dict[str, float]:
    figures: dict[str, float | None] = {}
    for fault in results.faults:
        figures["publish outage s"] = None if fault.publish is None else fault.publish.outage_s
        if fault.healed_s is not None and fault.injected_s is not None:
            figures["broker back after s"] = fault.healed_s - fault.injected_s
        figures["recovered after s"] = fault.time_to_recover_s
        figures["noticed after s"] = fault.detected_s
    figures["unknown"] = sum(ledger.unknown for ledger in results.channels)
    figures["duplicates"] = sum(
        ledger.duplicates_flagged + ledger.duplicates_unflagged + ledger.duplicates_flag_not_offered
        for ledger in results.readers
    )
    return {name: value for name, value in figures.items() if value is not None}
