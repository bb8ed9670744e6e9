"""What a member does with its messages, as far as a measurement needs it: it takes its time, one by one. Pure."""

from __future__ import annotations

_TOGETHER_NS = 1_000_000  # messages that take less than this together are taken together
_TIMER_NS = 1_000_000  # a sleep may end so much late; that is no idle time
_MOST = 4096


class Processing:
    """A server that is busy for ``per_message_ns`` with each message, and free in between.

    It goes by the clock: where messages wait, one begins when the one before was to end, not when a sleep happened to
    be over, so that the rate is right however coarse the timer.
    """

    def __init__(self, per_message_ns: int) -> None:
        self.per_message_ns = per_message_ns
        self._free_ns = 0

    @property
    def most(self) -> int:
        """Messages that may be taken at once: what is taken waits for its turn where no other member can have it."""
        return _MOST if not self.per_message_ns else min(_MOST, max(1, _TOGETHER_NS // self.per_message_ns))

    def ends_ns(self, came_ns: int, messages: int) -> int:
        """When so many messages, which came at that time, are processed."""
        waited = 0 <= came_ns - self._free_ns <= _TIMER_NS
        self._free_ns = (self._free_ns if waited else came_ns) + messages * self.per_message_ns
        return self._free_ns
