"""``exec``: commands of the user's own start a fault, confirm it and heal it: for brokers that crep has no hand on.

For example ``docker pause``, ``kubectl delete pod``, ``tc qdisc add``: whatever a target's ``exec:`` names.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence

from crep.harness.brokers.contract import NotSupported
from crep.harness.config.suggest import nearest
from crep.harness.deployment.contract import DeploymentError
from crep.harness.faults.contract import Fault, Stage
from crep.harness.faults.undo import COMMAND_WITHIN_S, Undo, run_command
from crep.harness.processes import Completed, run


class ExecHook(Fault):
    """Confirmed when the hook's ``confirm`` says so, by exit code 0; healed when it says so no more."""

    def __init__(self, stage: Stage) -> None:
        self.heal_after_s = stage.event.heal_after_s
        name, target = str(stage.event.parameters["hook"]), stage.target
        if name not in target.exec:
            text = f"target {target.name!r} has no 'exec: {name}'{nearest(name, target.exec) if target.exec else ''}"
            raise NotSupported(text, hint="give its entry the commands: exec: {NAME: {start: …, confirm: …, heal: …}}")
        self._name, self._target, self._hook = name, target.name, target.exec[name]

    @property
    def subject(self) -> str:
        """The hook."""
        return f"hook {self._name}"

    def undo(self) -> tuple[Undo, ...]:
        """The healing command."""
        return () if self._hook.heal is None else (run_command(self._hook.heal),)

    def inject(self) -> int:
        """Run ``start``; returns when it was begun."""
        at_ns = time.monotonic_ns()
        self._must(self._hook.start)
        return at_ns

    def confirmed(self) -> bool:
        """Whether ``confirm`` ends with 0."""
        return self._run(self._hook.confirm).code == 0

    def heal(self) -> None:
        """Run ``heal``."""
        if self._hook.heal is not None:
            self._must(self._hook.heal)

    def healed(self) -> bool:
        """Whether ``confirm`` ends with another code."""
        return not self.confirmed()

    def _must(self, command: Sequence[str]) -> None:
        done = self._run(command)
        if done.code:
            told = f": {done.output.strip()[-300:]}" if done.output.strip() else ""
            raise DeploymentError(f"hook {self._name}: {command[0]!r} ended with code {done.code}{told}")

    def _run(self, command: Sequence[str]) -> Completed:
        try:
            return run(command, timeout_s=COMMAND_WITHIN_S, env={**os.environ, "CREP_TARGET": self._target})
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DeploymentError(f"hook {self._name}: {command[0]!r} cannot be run: {error}") from error
