"""All SMF connections together: who has not logged in yet, who is in the middle of a frame, who has fallen silent.

These are the bounds on what bad clients can hold between them. Each of them ends the connection that has stood in its
state the longest, so that those who behave, and are soon through, go on.
"""

from collections.abc import Callable
from typing import Final, Protocol

#: A client is silent when it has sent nothing for three of its keep-alive intervals, and for this long at the least.
#: Assumed, not verified: three. The document says only that there is such a time (``keepaliveEffectiveTimeout``).
KEEP_ALIVES_MISSED: Final = 3
LEAST_SILENCE_SECONDS: Final = 9.0
_STALL_SECONDS: Final = 1.0


class Member(Protocol):
    """A connection. ``silence_seconds`` is how long it may send nothing, None for ever."""

    @property
    def heard_at(self) -> float:
        """When it sent something last, by the crowd's clock."""
        ...

    @property
    def silence_seconds(self) -> float | None:
        """How long it may send nothing; None while nobody listens, or for a client without keep-alives."""
        ...

    def close(self, reason: str) -> None:
        """Close it; the reason goes to the log."""
        ...


class Crowd:
    """The connections that are open. ``clock`` is in seconds and never goes back.

    At most ``most`` are open, at most ``newcomers`` of them wait for their login; half frames come to at most
    ``half_bytes`` in all, and each of them to its end within ``half_seconds``.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        most: int = 100_000,
        newcomers: int = 256,
        half_bytes: int = 256 * 1024 * 1024,
        half_seconds: float = 120.0,
    ) -> None:
        self._clock = clock
        self._most = most
        self._most_newcomers = newcomers
        self._most_half_bytes = half_bytes
        self._half_seconds = half_seconds
        self._members: dict[Member, None] = {}
        self._newcomers: dict[Member, None] = {}
        self._halves: dict[Member, tuple[int, float]] = {}  # bytes and since when
        self._half_bytes = 0
        self._ticked_at = self._awake_since = clock()

    @property
    def half_bytes(self) -> int:
        """What is held of frames that are not whole."""
        return self._half_bytes

    def join(self, member: Member) -> None:
        """A connection was opened."""
        self._members[member] = None
        self._newcomers[member] = None
        if len(self._members) > self._most:
            member.close(f"{self._most} connections are open; this process can have no more files")
        if len(self._newcomers) > self._most_newcomers:
            oldest = next(iter(self._newcomers))
            del self._newcomers[oldest]
            oldest.close(f"more than {self._most_newcomers} connections have not logged in")

    def known(self, member: Member) -> None:
        """It has logged in."""
        self._newcomers.pop(member, None)

    def leave(self, member: Member) -> None:
        """It is closed."""
        self._members.pop(member, None)
        self._newcomers.pop(member, None)
        self.holds(member, 0)

    def holds(self, member: Member, size: int, *, anew: bool = False) -> None:
        """It holds so many bytes of a frame that is not whole, ``anew`` of another than before; 0: of none."""
        former, since = self._halves.pop(member, (0, self._clock()))
        self._half_bytes += size - former
        if size:
            self._halves[member] = (size, self._clock() if anew else since)
        while self._half_bytes > self._most_half_bytes:
            self._end_half(self._oldest(), f"half frames come to more than {self._most_half_bytes} bytes")

    def tick(self) -> None:
        """End what has taken too long. A stall of this process, such as SIGSTOP, is nobody else's silence."""
        now = self._clock()
        if now - self._ticked_at > _STALL_SECONDS:
            self._awake_since = now
        self._ticked_at = now
        for member, (_, since) in list(self._halves.items()):
            if now - max(since, self._awake_since) > self._half_seconds:
                self._end_half(member, f"a frame was not whole after {self._half_seconds:g} s")
        for member in list(self._members):
            allowed = member.silence_seconds
            if allowed is not None and now - max(member.heard_at, self._awake_since) > allowed:
                member.close(f"silent for {allowed:g} s, keep-alives included")

    def _oldest(self) -> Member:
        return min(self._halves, key=lambda member: self._halves[member][1])

    def _end_half(self, member: Member, reason: str) -> None:
        self._half_bytes -= self._halves.pop(member)[0]
        member.close(reason)
