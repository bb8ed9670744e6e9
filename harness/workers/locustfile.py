"""For Locust files of your own: a user that carries out a scenario; Locust shows what is measured (docs/workers.md).

The scenario runs in a process of its own, ``crep run --stream``: gevent patches this one, which no broker's client
library would survive. Results, ledger and report are those of any other run.
"""

from __future__ import annotations

import json
import sys
import time

import gevent
from gevent.fileobject import FileObjectPosix
from locust import User, task
from locust.exception import StopUser

from crep.harness import processes
from crep.harness.load.protocol import Client, window_from_json
from crep.harness.workers.entries import report

_END_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.1


class RunFailed(Exception):
    """``crep run`` ended with another exit code than 0."""


class CrepUser(User):  # type: ignore[misc]  # Locust is not looked into
    """One user is one ``crep run``, and stops when that has ended.

    Attributes:
        quits: Locust ends when the run has.
        arguments: of ``crep run``: scenarios, ``--on``, ``-p`` …
    """

    abstract = True
    quits = False
    arguments: tuple[str, ...] = ()

    @task  # type: ignore[untyped-decorator]
    def carry_out(self) -> None:
        """Start the run, show its windows, and count as one request (RUN) how it ended."""
        name, began_s = " ".join(self.arguments), time.monotonic()
        child = processes.spawn(
            [sys.executable, "-m", "crep", "run", *self.arguments, "--stream"], stdout=processes.PIPE
        )
        error: Exception | None = None
        try:
            self._follow(child)
            code = self._exit_code(child)
            if code != 0:
                error = RunFailed(f"exit code {code}")
        finally:
            child.terminate(_END_WITHIN_S)  # Locust stops: what was measured is kept
        self.environment.events.request.fire(
            request_type="RUN",
            name=name,
            response_time=(time.monotonic() - began_s) * 1e3,
            response_length=0,
            exception=error,
            context=self.context(),
        )
        if self.quits:
            gevent.spawn(self.environment.runner.quit)
        raise StopUser

    def _follow(self, child: processes.Child) -> None:
        assert child.stdout is not None  # noqa: S101 - asked for above
        for line in FileObjectPosix(child.stdout.fileno(), "rb", closefd=False):
            message = json.loads(line)
            report(self.environment, window_from_json(message["window"], Client(**message["client"])))

    @staticmethod
    def _exit_code(child: processes.Child) -> int:
        deadline = time.monotonic() + _END_WITHIN_S
        while (code := child.poll()) is None and time.monotonic() < deadline:
            gevent.sleep(_LOOK_EVERY_S)
        return child.terminate(0.0) if code is None else code
