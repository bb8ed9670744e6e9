"""Which client a service takes on each side, by the environment: ``CREP_FROM_SYSTEM`` and ``CREP_TO_SYSTEM``."""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module
from types import ModuleType
from typing import Any


def client(side: str) -> ModuleType:
    """``solace_bus`` or ``kafka_bus``; both offer ``Reader``, ``Writer`` and ``Order``."""
    return import_module(f"{os.environ[f'{side}_SYSTEM']}_bus")


class Stop:
    """SIGTERM and Ctrl-C end a service after what it has in hand."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


def say(**what: Any) -> None:
    """One line of JSON on standard output; ``ready=True`` is what a run of crep waits for."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()
