"""When a message of a replay is due. Pure: the clock is always an argument.

The loop is open, as everywhere in crep: what could not be sent when it was due is sent as soon as possible, and the
schedule does not move. A pause moves it, and a change of pace begins a new one at the message that is next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from crep.harness.config.units import format_rate, parse_rate

_SPEED = re.compile(r"(?:[x×]\s*)?(\d+(?:\.\d+)?)\s*[x×]?")
_NS = 1_000_000_000
_NS_PER_US = 1000
PACE_FORMS = (
    "a pace is 'original' (as it was), 'x10' (ten times as fast), 'x0.5', a rate such as '2000/s', or 'fastest'"
)


@dataclass(frozen=True)
class Pace:
    """``speed``: original timing times that; ``rate``: messages per second; neither: as fast as possible."""

    speed: float | None = None
    rate: float | None = None

    @classmethod
    def parse(cls, text: object) -> Pace:
        """``original``, ``x10``, ``2000/s`` or ``fastest``; a pace is returned as it is.

        Raises:
            ValueError: it is none of these.
        """
        if isinstance(text, Pace):
            return text
        word = text.strip().lower() if isinstance(text, str) else ""
        if word == "original":
            return cls(speed=1.0)
        if word == "fastest":
            return cls()
        if "/" in word and (rate := parse_rate(word)) > 0:
            return cls(rate=rate)
        found = _SPEED.fullmatch(word)
        if found is not None and word != found[1] and float(found[1]) > 0:
            return cls(speed=float(found[1]))
        raise ValueError(f"{PACE_FORMS}, not {text!r}")

    def __str__(self) -> str:
        if self.rate is not None:
            return format_rate(self.rate)
        if self.speed is None:
            return "fastest"
        return "original" if self.speed == 1 else f"x{self.speed:.12g}"

    @property
    def timed(self) -> bool:
        """Whether messages have a time at all."""
        return self.speed is not None or self.rate is not None


class Schedule:
    """The due times of messages that are asked for one after the other.

    Times of messages are Unix microseconds and need not rise: one that stands before its forerunner is due with it.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._began: tuple[int, int] | None = None  # clock (ns) and time (µs) of the first message
        self._sent = 0
        self._latest_us = 0
        self._paused_ns: int | None = None

    def due_ns(self, at_us: int, now_ns: int) -> int:
        """When the next message, originally of ``at_us``, is due by the clock of ``now_ns``; the first one is at once.

        Asking again before ``sent`` changes nothing.
        """
        if self._began is None:
            self._began = now_ns, at_us
            self._latest_us = at_us
        began_ns, first_us = self._began
        if self.pace.rate is not None:
            return began_ns + int(self._sent * _NS / self.pace.rate)
        if self.pace.speed is not None:
            return began_ns + int((max(at_us, self._latest_us) - first_us) * _NS_PER_US / self.pace.speed)
        return now_ns

    def sent(self, at_us: int) -> None:
        """The message that was asked for is on its way."""
        self._sent += 1
        self._latest_us = max(self._latest_us, at_us)

    def pause(self, now_ns: int) -> None:
        """Time stands still from now on."""
        if self._paused_ns is None:
            self._paused_ns = now_ns

    def resume(self, now_ns: int) -> None:
        """It goes on: everything is due as much later as the pause was long."""
        if self._paused_ns is not None and self._began is not None:
            began_ns, first_us = self._began
            self._began = began_ns + now_ns - self._paused_ns, first_us
        self._paused_ns = None

    def change(self, pace: Pace, now_ns: int) -> None:
        """From now on at another pace. What was overdue is forgiven, and a gap under way ends by the new pace."""
        if self._began is not None:
            now_ns = self._paused_ns if self._paused_ns is not None else now_ns
            self._began = now_ns, self._reached_us(now_ns)
        self.pace, self._sent = pace, 0

    def _reached_us(self, now_ns: int) -> int:
        """The original time that the replay has come to: of the latest message, and what has passed since."""
        began_ns, first_us = self._began or (now_ns, 0)
        if self.pace.speed is None:
            return self._latest_us
        return max(self._latest_us, first_us + int((now_ns - began_ns) * self.pace.speed / _NS_PER_US))
