"""``pause-reader``: all members of a reader stop reading while publishers go on, and read again ``resume_after`` later.

What comes meanwhile waits in the broker (and, up to its prefetch, in the client library): a backlog, which is drained
under load afterwards. The clients stay connected.
"""

from __future__ import annotations

from typing import Protocol


class Members(Protocol):
    """The members of a reader, as far as they can be told to stand still."""

    def pause(self) -> int:
        """Tell all to stop reading; returns CLOCK_MONOTONIC nanoseconds of the word."""
        ...

    def resume(self) -> None:
        """Tell all to read again. Does not wait."""
        ...

    def paused(self) -> bool:
        """Whether every member said that it stands still."""
        ...

    def reading(self) -> bool:
        """Whether every member said that it reads."""
        ...


class PauseReader:
    """Confirmed when every member said that it stands still; healed when every one reads again."""

    def __init__(self, members: Members, *, resume_after_s: float) -> None:
        self.heal_after_s = resume_after_s
        self._members = members

    def inject(self) -> int:
        """Pause; returns when the word was given."""
        return self._members.pause()

    def confirmed(self) -> bool:
        """Whether all stand still."""
        return self._members.paused()

    def heal(self) -> None:
        """Let them go on."""
        self._members.resume()

    def healed(self) -> bool:
        """Whether all read again."""
        return self._members.reading()
