"""Workers in processes of their own, as other machines would run them; what a test leaves behind is ended by pid."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from crep.harness.config.address import Address
from crep.harness.workers.clock import PLANTED
from crep.harness.workers.fleet import Fleet

CHECKOUT = Path(__file__).parents[2]
AHEAD_S = 3600


class Machines:
    """A fleet and its workers."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet, self._folder = fleet, folder
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def join(self, name: str, *, planted: str | None = None, before: Sequence[str] = ()) -> None:
        environment = os.environ | {"PYTHONPATH": str(CHECKOUT)} | ({} if planted is None else {PLANTED: planted})
        with (self._folder / f"{name}.log").open("wb") as log:
            self.workers[name] = subprocess.Popen(
                [
                    *before,
                    sys.executable,
                    "-m",
                    "crep",
                    "worker",
                    "--master",
                    f"127.0.0.1:{self.fleet.port}",
                    "--name",
                    name,
                ],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def said(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()


@functools.cache
def really_ahead() -> tuple[str, ...]:
    """What starts a program whose CLOCK_MONOTONIC is ``AHEAD_S`` ahead (time_namespaces(7)); where we may not: ()."""
    command = ("unshare", "--time", "--monotonic", str(AHEAD_S))
    if shutil.which("unshare") is None:
        return ()
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if tried.returncode == 0 else ()


@contextlib.contextmanager
def two_machines(folder: Path, *, planted: str) -> Iterator[Machines]:
    """Workers that are started, and still to be assembled.

    The clock of ``a`` is said to be ahead by ``planted``, that of ``b`` is really ahead by an hour where that can be.
    """
    with Fleet(2, Address("127.0.0.1", 0)) as fleet:
        machines = Machines(fleet, folder)
        try:
            machines.join("a", planted=planted)
            machines.join("b", before=really_ahead())
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
