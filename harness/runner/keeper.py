"""Keeps the ledger while the run goes on, behind the clients' backs: a thread that yields to everything else."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import Literal

from crep.harness.checks.tally import ChannelTally
from crep.harness.config.errors import CrepError, EnvironmentFailure
from crep.harness.runs.ledger import LedgerFolder
from crep.harness.scenario.plan import Plan

PAUSE_S = 0.25
"""Nothing can be folded yet: look again after this."""
STOP_WITHIN_S = 60.0
_NICE = 10


def keeps_records(plan: Plan, kind: Literal["measured", "control"], asked: bool) -> bool:
    """Whether each message's times stay in the run folder.

    Outage and recovery (METHOD rule 13) are a matter of single messages' times, in a run with faults and in the
    control run that it is compared with; elsewhere only who asks for them gets them.
    """
    return asked or kind == "control" or bool(plan.timeline)


class LedgerKeeper:
    """Folds records as they come. ``check`` now and then, ``finish`` when every engine has ended (again: no effect)."""

    def __init__(self, ledger: LedgerFolder) -> None:
        self._ledger = ledger
        self._stop = threading.Event()
        self._finished = False
        self.failure: CrepError | None = None
        self._thread = threading.Thread(target=self._keep, name="ledger", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what stopped it: EnvironmentFailure (full disk) or UsageError (damaged records)."""
        if self.failure is not None:
            raise self.failure

    def finish(self) -> None:
        """Fold all that is left and write the ledger as it stays. Raises like ``check``."""
        if self._finished:
            return
        self._stop.set()
        self._thread.join(STOP_WITHIN_S)
        if self._thread.is_alive():
            raise EnvironmentFailure(f"the ledger's last write has not ended within {STOP_WITHIN_S:.0f} s")
        self.check()
        self._ledger.finish()
        self._finished = True

    @property
    def tallies(self) -> dict[str, ChannelTally]:
        """What every message came to, by channel; complete after ``finish``."""
        return self._ledger.tallies

    def _keep(self) -> None:
        if sys.platform == "linux":  # there a thread has a priority of its own
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            while not self._stop.is_set():
                if not self._ledger.step():
                    self._stop.wait(PAUSE_S)
        except CrepError as error:
            self.failure = error
