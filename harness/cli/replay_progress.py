"""What ``crep replay`` shows while it works: a line redrawn on a terminal, a plain one now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

PLAIN_EVERY_S = 5.0
_REDRAWN_EVERY_S = 0.2


class ProgressLine:
    """A context manager; a thread of its own asks ``line`` what there is to say.

    Args:
        line: the text as of now.
    """

    def __init__(self, line: Callable[[], str], console: Console | None = None) -> None:
        self._line, self._console = line, console or Console(stderr=True)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> ProgressLine:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _show(self) -> None:
        if not self._console.is_terminal:
            said_s = time.monotonic()
            while not self._over.wait(_REDRAWN_EVERY_S):
                if time.monotonic() - said_s >= PLAIN_EVERY_S:
                    said_s = time.monotonic()
                    self.say(self._line())
            return
        with Live(console=self._console, transient=True, auto_refresh=False) as live:
            while not self._over.wait(_REDRAWN_EVERY_S):
                live.update(Text(self._line()), refresh=True)
