"""Brokers and clients keep to their own cores where there are four or more, and a run says what was done."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from crep.harness.runner import pinning
from crep.harness.runner.pinning import available_cores, pin, plan_pinning


def test_the_cores_are_halved_and_stated() -> None:
    found = plan_pinning([7, 4, 5, 6, 8], "auto", local_broker=True)
    assert (found.brokers, found.clients) == ((4, 5), (6, 7, 8))
    assert found.text == "brokers on cores 4, 5, clients on cores 6, 7, 8"


@pytest.mark.parametrize(
    ("cores", "asked", "local", "text"),
    [
        ((0, 1), "auto", True, "not pinned: 2 cores"),
        ((0,), "auto", True, "not pinned: 1 core"),
        (range(8), "off", True, "not pinned: the scenario says so"),
        (range(8), "auto", False, "not pinned: no process of a broker is on this host"),
    ],
)
def test_nobody_is_pinned_where_it_makes_no_sense(cores: range, asked: str, local: bool, text: str) -> None:
    found = plan_pinning(list(cores), asked, local_broker=local)  # type: ignore[arg-type]
    assert (found.brokers, found.clients, found.text) == ((), (), text)


_THREADS = """
import threading, time
for _ in range(3):
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
print("ready", flush=True)
time.sleep(30)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux pins processes")
def test_every_thread_of_a_running_process_is_pinned_and_let_go_again() -> None:
    every = available_cores()
    with subprocess.Popen([sys.executable, "-S", "-c", _THREADS], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            threads = [int(name) for name in os.listdir(f"/proc/{child.pid}/task")]  # noqa: PTH208
            assert len(threads) == 4
            pin([child.pid], every[:1])
            assert {frozenset(os.sched_getaffinity(thread)) for thread in threads} == {frozenset(every[:1])}
            pin([child.pid], every)
            assert {frozenset(os.sched_getaffinity(thread)) for thread in threads} == {frozenset(every)}
        finally:
            child.kill()


def test_a_process_that_has_ended_is_no_trouble() -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", "pass"])
    child.wait(20)
    pin([child.pid], available_cores())


class OneBroker:
    """A deployment whose only node has this process id."""

    nodes = ("node-1",)

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def node_pid(self, node: str) -> int | None:
        return self.pid


@pytest.mark.skipif(len(available_cores()) < 2, reason="two halves need two cores")
def test_a_node_that_was_started_again_is_pinned_again_and_let_go_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinning, "LEAST_CORES", 2)
    every = available_cores()
    children = [subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(30)"]) for _ in range(3)]
    first, again, client = (child.pid for child in children)
    try:
        broker = OneBroker(first)
        cores = pinning.Cores(every, "auto", {"bus": broker})  # type: ignore[dict-item]
        cores.hold([client])
        broker.pid = again
        cores.hold()
        brokers = frozenset(every[: len(every) // 2])
        assert os.sched_getaffinity(first) == os.sched_getaffinity(again) == brokers
        assert os.sched_getaffinity(client) == frozenset(every) - brokers
        cores.release()
        assert os.sched_getaffinity(again) == frozenset(every)
    finally:
        for child in children:
            child.kill()
            child.wait(20)
