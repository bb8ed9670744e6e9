"""When to ask for a new flow after the broker has ended one: at once, then at an interval, for so long. Pure."""

from __future__ import annotations

EVERY_S = 3.0
"""As the library does where it binds again by itself (``FLOW_RECONNECT_RETRY_INTERVAL_MS``)."""


class BindAgain:
    """Times are of any one clock, in seconds.

    Args:
        for_s: how long to try; 0: not at all.
    """

    def __init__(self, for_s: float) -> None:
        self.allowed = for_s > 0
        self.reason = ""
        self._for_s = for_s
        self._since_s: float | None = None
        self._next_s: float | None = None  # None while an answer is awaited

    @property
    def going_on(self) -> bool:
        """Whether there was a flow, and is none."""
        return self._since_s is not None

    def failed(self, reason: str, now_s: float) -> None:
        """The flow was ended, or a new one was refused."""
        self._next_s = now_s if self._since_s is None else now_s + EVERY_S
        self._since_s = now_s if self._since_s is None else self._since_s
        self.reason = reason

    def due(self, now_s: float) -> bool:
        """Whether to ask now."""
        return self._next_s is not None and now_s >= self._next_s

    def over(self, now_s: float) -> bool:
        """Whether it has been tried for long enough; then it is not due any more."""
        ended = self._since_s is not None and now_s - self._since_s > self._for_s
        if ended:
            self._next_s = None
        return ended

    def asked(self) -> None:
        """The broker will answer."""
        self._next_s = None

    def succeeded(self) -> None:
        """There is a flow again."""
        self._since_s = self._next_s = None
