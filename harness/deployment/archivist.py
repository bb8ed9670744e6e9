"""The replay service of a run: a process that captures one channel and, when it is asked to, sends some of it again.

The program is ``crep.replay.on_demand``; orders are files in its folder, and what became of them it says in its log.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crep.harness.config.errors import EnvironmentFailure
from crep.harness.deployment.service import Service

_KEPT_LONGER_S = 60.0
"""Segments are kept so much longer than the longest window: the order comes, and is carried out, later."""


@dataclass(frozen=True)
class Order:
    """One that was given: what was captured from ``from_ns`` on (CLOCK_MONOTONIC) is sent again. ``number`` from 1."""

    number: int
    from_ns: int
    until_ns: int  # when it was given
    pace: str


class Archivist(Service):
    """One capture. Methods may be called from any thread.

    Args:
        name, environment, log: as for ``Service``.
        folder: of its own, for archive and orders; it need not be there.
        keep_s: the longest window that will be asked for.
    """

    def __init__(self, name: str, environment: Mapping[str, str], folder: Path, log: Path, keep_s: float) -> None:
        folder = folder.resolve()
        command = [sys.executable, "-m", "crep.replay.on_demand", str(folder), str(keep_s + _KEPT_LONGER_S)]
        self._orders_folder = folder / "orders"
        self._orders_folder.mkdir(parents=True, exist_ok=True)
        self._giving = threading.Lock()
        self.orders: tuple[Order, ...] = ()
        super().__init__(name, command, environment, folder, log)

    def ask(self, last_s: float, pace: str) -> Order:
        """Ask for what was captured in the last ``last_s`` seconds. Does not wait.

        Raises:
            EnvironmentFailure: the process does not run, or the disk does not take the order.
        """
        self._running()
        with self._giving:
            now_ns, now_us = time.monotonic_ns(), time.time_ns() // 1000
            order = Order(len(self.orders) + 1, now_ns - round(last_s * 1e9), now_ns, pace)
            written = self._orders_folder / f"{order.number}.json"
            draft = written.with_suffix(".new")
            try:
                draft.write_text(json.dumps({"from_us": now_us - round(last_s * 1e6), "pace": pace}))
                draft.rename(written)
            except OSError as error:
                raise EnvironmentFailure(f"{written} cannot be written: {error.strerror}") from None
            self.orders = (*self.orders, order)
        return order

    def playing(self, order: Order) -> bool:
        """Whether the capture is closed, and sending has begun (or is over)."""
        return self.last_of(f"playing-{order.number}") is not None

    def ledger(self, order: Order) -> dict[str, Any] | None:
        """What the player says of it at its end; None before."""
        return self.last_of(f"replay-{order.number}")
