"""One ``Crep`` for each test, in a folder of its own; what it may have left behind is ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.outside import Crep


@pytest.fixture
def crep(tmp_path: Path) -> Iterator[Crep]:
    command = Crep(tmp_path)
    yield command
    for pid in command.processes():
        os.kill(pid, 9)
