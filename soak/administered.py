"""What a broker's administration, or its resources, do to messages under load: each ends as theory demands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from soak.claim import Verdict, broken
from soak.crep_outside import crep_in, left_behind, runs_in
from soak.kill import channel_faults, reader_faults

_RUN_WITHIN_S = 300.0
_SCENARIO = """\
scenario: administered
durability: {{copies: 1, sync: disk}}
channels:
  orders:
    topics: "orders/{{region:eu,us}}"
    keys: 20
    readers:
      billing: {{share: group, members: 2, delivery: at-least-once}}
load:
  - to: orders
    publishers: 2
    message: {{size: 2 KiB}}
    rate: {{total: [{{hold: 300/s, for: 16 s}}]}}
timeline:
{timeline}
measure: {{warm_up: 1 s, drain: 60 s, repeat: 1, seed: {seed}, lateness: 10 s}}
"""
"""The lateness limit is wide: a client may be blocked while it is refused, and the claim is about messages."""

_FULL = (
    "{at: 2 s, do: pause-reader, reader: billing, resume_after: 6 s}",
    "{at: 2 s, do: limit-queue, reader: billing, quota: 1 MB, tell_publishers: TOLD, for: 7 s}",
)
FULL_AND_TOLD = tuple(entry.replace("TOLD", "always") for entry in _FULL)
FULL_AND_TOLD_WHEN_ENABLED = tuple(entry.replace("TOLD", "when-queue-enabled") for entry in _FULL)
FULL_AND_SILENT = tuple(entry.replace("TOLD", "never") for entry in _FULL)
SHUT_AND_SILENT = ("{at: 3 s, do: shut-queue, reader: billing, gate: in, for: 2 s}",)
SHUT_AND_TOLD = ("{at: 3 s, do: shut-queue, reader: billing, gate: in, tell_publishers: always, for: 2 s}",)
EGRESS_SHUT = ("{at: 3 s, do: shut-queue, reader: billing, gate: out, for: 2 s}",)
REVOKED = (
    "{at: 3 s, do: revoke-permission, channel: orders, right: publish, for: 2 s}",
    "{at: 8 s, do: revoke-permission, channel: orders, right: receive, for: 2 s}",
)
DISK_FULL = ("{at: 3 s, do: fill-disk, for: 2 s}",)


@dataclass(frozen=True)
class Administered:
    """``crep run`` with these faults, profile quick. ``lost``, ``rejected``: whether there must be such messages."""

    name: str
    target: str
    timeline: tuple[str, ...]
    lost: bool = False
    rejected: bool | None = False  # None: as it comes
    count: int = 5
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        acts = ", ".join(entry.split("do: ")[1].split(",")[0] for entry in self.timeline)
        refused = {True: "refuses messages", False: "refuses no message", None: "may refuse messages"}[self.rejected]
        lost = "loses acknowledged messages, which the ledger finds" if self.lost else "loses no acknowledged message"
        return (
            f"a `crep run` on `{self.target}` (profile quick) with {acts} {refused}, {lost}, accounts for every send, "
            "has every fault confirmed and healed, and leaves no process."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One run."""
        with crep_in(folder) as crep:
            entries = "\n".join(f"  - {entry}" for entry in self.timeline)
            name = crep.scenario(_SCENARIO.format(timeline=entries, seed=seed), "administered.yaml")
            done = crep("run", name, "--on", self.target, "--profile", "quick", "--no-report", timeout=_RUN_WITHIN_S)
            left = left_behind(crep)
            (folder / "output.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
            runs = [run for run in runs_in(folder / "results") if run.document.kind == "measured"]
        if not runs or runs[0].document.results is None:
            return Verdict((f"no results, exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}",))
        document, results = runs[0].document, runs[0].document.results
        lost = sum(ledger.lost for ledger in results.readers)
        rejected = sum(ledger.rejected for ledger in results.channels)
        why = [f"rule broken: {rule.text}" for rule in results.rules if not rule.holds]
        why += [words for ledger in results.channels for words in channel_faults(ledger)]
        why += [words for ledger in results.readers for words in reader_faults(ledger) if not words.endswith(" lost")]
        why += [
            f"{fault.action} {fault.subject}: {fault.error or 'not every step was seen'}"
            for fault in document.faults
            if None in (fault.injected_s, fault.confirmed_s, fault.healed_s) or fault.error
        ]
        why += broken(
            **{f"{lost} lost as expected": (lost > 0) == self.lost},
            **{f"{rejected} rejected as expected": self.rejected is None or (rejected > 0) == self.rejected},
        )
        return Verdict((*why, *([left] if left else [])), {"lost": lost, "rejected": rejected})
