"""Work that is too much for one turn of the loop: it goes on for a step in each, so that others are served between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

_DONE: Final = object()


class Tasks:
    """Tasks that are done one after the other. A task is an iterator whose every step is short.

    ``wake`` asks for :meth:`go_on` to be called in the next turn.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._tasks: deque[Iterator[None]] = deque()

    @property
    def busy(self) -> bool:
        """Whether tasks are under way."""
        return bool(self._tasks)

    def begin(self, task: Iterator[None]) -> None:
        """Do a task, behind those under way: a step now, and one in each turn."""
        self._tasks.append(task)
        self.go_on()

    def afterwards(self, follow: Callable[[], None]) -> None:
        """Have something done when the tasks under way are through; never, if they are dropped before."""

        def task() -> Iterator[None]:
            follow()
            yield from ()

        self.begin(task())

    def go_on(self) -> bool:
        """Do a step. True: the tasks are through."""
        while self._tasks:
            if next(self._tasks[0], _DONE) is not _DONE:
                self._wake()
                return False
            self._tasks.popleft()
        return True

    def finish(self) -> None:
        """Do the tasks to their end, where nothing else can be done before."""
        while not self.go_on():
            pass

    def drop(self) -> None:
        """Forget the tasks."""
        self._tasks.clear()
