"""What ``Inspect`` finds in a dead letter place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DeadLetter:
    """A message in a dead letter place. ``reason`` in the broker's words, empty where none comes with it."""

    body: bytes
    stamp: bytes | None  # carrier ``property``
    reason: str = ""
    deliveries: int | None = None  # None: not told


@dataclass(frozen=True)
class DeadLetters:
    """What was given up of one reader's messages."""

    place: str | None  # the native object; None where the reader has none, and what is given up is discarded
    letters: tuple[DeadLetter, ...]
    complete: bool  # False: there are more than could be read
    counted: dict[str, int]  # by the broker itself, in its own names
    expired_discarded: int | None = None  # expired, and in no place; None: the broker does not count them
