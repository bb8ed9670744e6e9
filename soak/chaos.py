"""Faults at random: the run ends by itself, every fault is confirmed and healed, nothing is left, the ledger holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from crep.harness.cli.judge import plan_of
from crep.harness.config.errors import CrepError
from crep.harness.config.resources import resource
from crep.harness.runs.document import RunDocument
from crep.harness.runs.read import Run
from crep.harness.scenario.load import parse_scenario
from crep.harness.scenario.plan import plan
from soak.claim import Verdict
from soak.crep_outside import crep_in, left_behind, runs_in
from tests.end_to_end.outside import Crep

_ENDS_WITHIN_S = 300.0


@dataclass(frozen=True)
class Chaos:
    """The scenario ``chaos`` with another seed each time."""

    name: str
    target: str
    count: int = 100
    allowed: int = 0

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            f"The scenario `chaos` on `{self.target}`, faults drawn anew each time: the run ends by itself, each "
            "fault is confirmed and healed, no process and no open fault is left, no acknowledged one is lost, and the "
            "timeline in `run.json`, written into the scenario in place of `chaos`, is the same to the millisecond."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One run, with its control run."""
        with crep_in(folder) as crep:
            return self.judged(crep, seed)

    def judged(self, crep: Crep, seed: int) -> Verdict:
        """Run it and look at what came of it."""
        name = crep.scenario(resource("scenarios/chaos.yaml").read_text(encoding="utf-8"), "chaos.yaml")
        state = crep.folder / "state"
        words = ("run", name, "--on", self.target, "--profile", "quick", "--repeat", "1", "-p", f"seed={seed}")
        done = crep(*words, "--no-report", env={"XDG_STATE_HOME": str(state)}, timeout=_ENDS_WITHIN_S)
        if done.returncode in (2, 3):
            raise CrepError(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
        [run] = [run for run in runs_in(crep.folder / "results") if run.document.kind == "measured"]
        measured = run.document
        why = [*_broken(measured), *_not_to_be_repeated(run)]
        if left := left_behind(crep):
            why.append(left)
        why += [f"an open fault is left: {path.name}" for path in (state / "crep" / "faults").glob("*.json")]
        return Verdict(tuple(why), {"faults": len(measured.faults)})


def _broken(run: RunDocument) -> list[str]:
    """What the run says against the claim. Lateness is not its matter: crashed publishers send late."""
    if run.status != "complete" or run.results is None:
        return [f"the run is {run.status}: {run.failure}"]
    why = []
    for fault in run.faults:
        what = f"{fault.action} of {fault.subject} at {fault.declared_s} s"
        if fault.error:
            why.append(f"{what}: {fault.error}")
        steps = {"confirmed": fault.confirmed_s, "healed": fault.healed_s}
        why += [f"{what} was not {step}" for step, at_s in steps.items() if at_s is None]
    for reader in run.results.readers:
        counts = {"lost": reader.lost, "corrupt": reader.corrupt, "unexpected": reader.unexpected}
        why += [f"{reader.reader}: {count:,} {what}" for what, count in counts.items() if count]
    return why + [rule.text for rule in run.results.rules if not rule.holds and rule.name != "lateness"]


def _not_to_be_repeated(run: Run) -> list[str]:
    """Where the timeline that the run has written down is not the one that it was to carry out."""
    planned = plan_of(run).timeline
    written = run.document.scenario
    scenario: dict[str, Any] = YAML(typ="safe").load(written.text)
    scenario |= {"timeline": list(run.document.timeline)}
    del scenario["chaos"], scenario["params"]
    text = json.dumps(scenario)  # JSON is YAML
    used = {name: value for name, value in written.params.items() if f"${name}" in text}
    text = json.dumps({"params": used, **scenario})
    again = plan(parse_scenario(text, Path(written.file))).timeline
    why = [] if again == planned else [f"written down, the timeline is another one: {again}, not {planned}"]
    happened = [(fault.action, fault.declared_s) for fault in run.document.faults]
    drawn = [(event.action, event.at_s) for event in planned]
    return why if happened == drawn else [*why, f"drawn were {drawn}, carried out {happened}"]
