"""Marks that a run earns on a machine that is too small for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.end_to_end.outside import Crep

pytestmark = [pytest.mark.end_to_end, pytest.mark.emulator]

_BURN = "import os, time\nos.nice(19)\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"


@contextmanager
def burning(processes: int) -> Iterator[None]:
    """So many busy processes for a minute at most, at the lowest priority: whoever else wants a core gets it."""
    with ExitStack() as stack:
        for _ in range(processes):
            child = stack.enter_context(subprocess.Popen([sys.executable, "-S", "-c", _BURN]))
            stack.callback(child.kill)  # before the wait of the context
        yield


def only_document(crep: Crep) -> dict[str, Any]:
    [path] = [p for p in (crep.folder / "results").rglob("run.json") if "latest" not in p.parts]
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_a_run_on_a_busy_host_is_labelled_co_located(crep: Crep) -> None:
    with burning(os.cpu_count() or 1):
        done = crep("run", crep.scenario(), "--on", "solace-emulator")
    document = only_document(crep)
    assert document["status"] == "complete", done.stdout + done.stderr
    [label] = [label for label in document["labels"] if label["code"] == "co-located"]
    assert "no verdict on rates" in label["text"]
