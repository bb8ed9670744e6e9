"""Ctrl-C and SIGTERM, as the wish to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from crep.harness.config.errors import Interrupted


class Stop:
    """The wish to end: the first Ctrl-C (or SIGTERM) ends the run in order, the second at once.

    As a context manager it takes SIGINT and SIGTERM over (main thread only) and gives them back. The second signal
    raises ``Interrupted`` wherever the main thread is; children end with us, whatever is left undone (``processes``).
    """

    def __init__(self) -> None:
        self.requested = threading.Event()
        self.at_once = threading.Event()
        self._before: dict[int, object] = {}
        self._impatient = False

    def __enter__(self) -> Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested.is_set():
            self.at_once.set()
            raise Interrupted("interrupted at once; what was written so far is kept")
        self.requested.set()
        if self._impatient:
            raise Interrupted("interrupted before anything was measured")

    @contextmanager
    def impatiently(self) -> Iterator[None]:
        """In its body the first signal raises ``Interrupted`` too: nothing is there yet for an orderly end to keep."""
        self.check()
        self._impatient = True
        try:
            yield
        finally:
            self._impatient = False

    def check(self) -> None:
        """Raise Interrupted once the end is wished for."""
        if self.requested.is_set():
            raise Interrupted("interrupted")
