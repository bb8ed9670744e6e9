"""Workers in processes of their own, as other machines would run them; what a test leaves behind is ended by pid."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crep.harness.workers.clock import PLANTED
from crep.harness.workers.fleet import Address, Fleet

CHECKOUT = Path(__file__).parents[2]


class Machines:
    """A fleet and its workers."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet, self._folder = fleet, folder
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def join(self, name: str, *, planted: str | None = None) -> None:
        environment = os.environ | {"PYTHONPATH": str(CHECKOUT)} | ({} if planted is None else {PLANTED: planted})
        with (self._folder / f"{name}.log").open("wb") as log:
            self.workers[name] = subprocess.Popen(
                [sys.executable, "-m", "crep", "worker", "--master", f"127.0.0.1:{self.fleet.port}", "--name", name],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def said(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()


@contextlib.contextmanager
def two_machines(folder: Path, *, planted: str | None = None) -> Iterator[Machines]:
    """Workers ``a``, whose clock is said to be ahead by ``planted``, and ``b``; started, and still to be assembled."""
    with Fleet(2, Address("127.0.0.1", 0)) as fleet:
        machines = Machines(fleet, folder)
        try:
            machines.join("a", planted=planted)
            machines.join("b")
            yield machines
        except BaseException:
            for worker in machines.workers.values():
                worker.kill()
                worker.wait(10)
            raise
    for worker in machines.workers.values():
        worker.wait(20)


@pytest.fixture(autouse=True)
def _children_find_the_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
