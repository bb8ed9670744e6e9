"""A standing service: what it says, how it is ended, and what is told when it ends by itself."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.deployment.service import Service
from crep.harness.processes import ProcessIdentity

ORDERLY = """
import json, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print(json.dumps({"ledger": {"received": 3}}), flush=True), sys.exit(0)))
print("beginning", flush=True)
print(json.dumps({"ready": True}), flush=True)
for _ in range(1200):
    time.sleep(0.05)  # briefly: a signal between Python's look for signals and a long sleep would wait for its end
"""
STUBBORN = ORDERLY.replace("lambda *_: (print", "lambda *_: None and (print")
Make = Callable[[str], Service]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Make]:
    services = []

    def make(text: str) -> Service:
        services.append(
            Service("the service", [sys.executable, "-c", text], os.environ, tmp_path, tmp_path / "logs" / "log")
        )
        return services[-1]

    yield make
    for service in services:
        service.end(0.0)


def _gone(pid: int | None) -> bool:
    return pid is not None and ProcessIdentity.of(pid) is None


def test_it_is_ready_when_it_says_so_and_ends_in_order(made: Make) -> None:
    service = made(ORDERLY)
    service.start()
    service.await_ready(20)
    pid = service.pid
    service.check()
    assert service.end(20)
    assert _gone(pid)
    assert service.last_of("ledger") == {"received": 3}
    service.check()  # an end that was asked for is no trouble


def test_one_that_does_not_follow_is_ended_by_force(made: Make) -> None:
    service = made(STUBBORN)
    service.start()
    service.await_ready(20)
    pid = service.pid
    assert not service.end(0.2)
    assert _gone(pid)


def test_a_killed_one_is_ready_only_when_its_next_life_says_so(made: Make) -> None:
    service = made(ORDERLY)
    service.start()
    service.await_ready(20)
    before_ns = time.monotonic_ns()
    assert before_ns <= service.kill() <= time.monotonic_ns()
    assert service.pid is None
    assert not service.ready
    service.check()
    service.start()
    service.await_ready(20)
    assert service.lives == 2


def test_a_paused_one_stands_still_and_goes_on(made: Make) -> None:
    service = made(ORDERLY)
    service.start()
    service.await_ready(20)
    service.pause()
    _until(lambda: service.stands_still)
    service.resume()
    _until(lambda: not service.stands_still)
    service.pause()
    assert service.end(20)  # a stopped process would follow no SIGTERM


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_that_ends_by_itself_is_told_with_its_last_words(made: Make) -> None:
    service = made("import sys; print('no such queue'); sys.exit(3)")
    service.start()
    with pytest.raises(EnvironmentFailure, match=r"the service ended with 3: no such queue"):
        service.await_ready(20)


def test_one_that_never_gets_ready_is_not_waited_for_for_ever(made: Make) -> None:
    service = made("import time; print('{half', flush=True); time.sleep(60)")
    service.start()
    with pytest.raises(EnvironmentFailure, match=r"did not print \{\"ready\": true\} within 1 s: \{half"):
        service.await_ready(1)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    service = Service("the service", ["no-such-program"], os.environ, tmp_path, tmp_path / "log")
    with pytest.raises(EnvironmentFailure, match="cannot be started: no program 'no-such-program'"):
        service.start()
