"""The engine process by itself: how it starts, and that it never outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crep.harness.brokers.contract import ReaderSpec, SubscriberSpec
from crep.harness.load.orders import ORPHANED
from crep.harness.load.protocol import ChildTask, SubscriberTask
from tests.fakes.lying_broker import LyingBroker

CHECKOUT = Path(__file__).parents[2]
CHILD = [sys.executable, "-m", "crep.harness.load.child"]


@pytest.fixture
def ready_child(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A subscriber that has said that it is ready."""
    reader = ReaderSpec("billing", "group", 1, "at-least-once")
    with LyingBroker() as broker:
        spec = SubscriberSpec(broker.endpoint, "billing-0", "orders", reader, 0, {"topics": ["t"]}, {}, 1.0)
        child = subprocess.Popen(
            CHILD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
            cwd=tmp_path,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        with child:
            child.stdin.write(ChildTask(SubscriberTask(spec), 1, "payload", tmp_path).to_line())
            child.stdin.flush()
            assert "ready" in json.loads(child.stdout.readline())
            yield child
            child.kill()


def test_it_ends_at_once_when_its_parent_is_gone(ready_child: subprocess.Popen[bytes]) -> None:
    assert ready_child.stdin is not None
    ready_child.stdin.close()
    assert ready_child.wait(5) == ORPHANED


def test_it_leaves_ctrl_c_to_its_parent(ready_child: subprocess.Popen[bytes]) -> None:
    assert ready_child.stdin is not None
    ready_child.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert ready_child.poll() is None
    ready_child.stdin.write(b'{"finish":1}\n')
    ready_child.stdin.flush()
    assert ready_child.wait(5) == 0


def test_it_ends_when_it_is_given_no_task() -> None:
    assert subprocess.run(CHILD, stdin=subprocess.DEVNULL, cwd=CHECKOUT, check=False).returncode == ORPHANED


def test_it_loads_nothing_heavy() -> None:
    heavy = "{'pandas', 'duckdb', 'matplotlib', 'rich', 'httpx', 'confluent_kafka', 'solace'}"
    code = f"import sys, crep.harness.load.child; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=True)
    assert found.stdout.strip() == "[]"
