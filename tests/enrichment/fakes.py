"""A source and a sink in memory that misbehave by a seed: late, out of order, rejected, unknown, full, redelivered."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from crep.harness.brokers.contract import ClientEvent, Message, Outcome
from crep.harness.brokers.streams import GiveBack, Sent


class MemorySource:
    """Hands each message out until it is accepted; now and then it takes some back and hands them out again."""

    def __init__(self, messages: Sequence[Message], random: Random, *, takes_back: float = 0.0) -> None:
        self._random, self._takes_back = random, takes_back
        self._stored = deque(replace(message, token=number) for number, message in enumerate(messages))
        self._out: dict[object, Message] = {}
        self.accepted: set[object] = set()
        self.accepted_order: list[object] = []
        self.most_out = 0
        self.open_now = False

    def open(self, give_back: GiveBack | None = None) -> None:
        self.open_now = True

    def receive(self, max_messages: int, timeout_s: float) -> list[Message]:
        if self._out and self._random.random() < self._takes_back:
            for token in self._random.sample(sorted(self._out, key=str), min(3, len(self._out))):
                self._stored.appendleft(replace(self._out.pop(token), redelivered=True))
        count = min(max_messages, len(self._stored), self._random.randint(0, 50))
        taken = [self._stored.popleft() for _ in range(count)]
        self._out.update((message.token, message) for message in taken)
        self.most_out = max(self.most_out, len(self._out))
        return taken

    def accept(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.token not in self.accepted:
                self.accepted_order.append(message.token)
            self.accepted.add(message.token)
            self._out.pop(message.token, None)
            self._stored = deque(one for one in self._stored if one.token != message.token)

    def fail(self, messages: Sequence[Message]) -> None:
        raise AssertionError("a bridge never asks for redelivery: it keeps what it has taken")

    def backlog(self) -> int | None:
        return len(self._stored)

    @property
    def finished(self) -> bool:
        """Everything was handed out, and accepted."""
        return not self._stored and not self._out

    def events(self) -> list[ClientEvent]:
        return []

    def effective_settings(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        self.open_now = False


class MemorySink:
    """Stores what it is given; tells outcomes late and in any order. A topic with ``bad`` in it is rejected."""

    def __init__(self, random: Random, *, unknown: float = 0.0, full: float = 0.0) -> None:
        self._random, self._unknown, self._full = random, unknown, full
        self._open: list[tuple[int, Message, Outcome]] = []
        self.acknowledged: list[Message] = []
        self.stored: list[Message] = []
        self.offered: Counter[str] = Counter()

    def open(self) -> None:
        """Nothing to do."""

    def send(self, message: Message, token: int) -> bool:
        if self._random.random() < self._full:
            return False
        self.offered[message.topic] += 1
        outcome = Outcome.ACKNOWLEDGED
        if "bad" in message.topic:
            outcome = Outcome.REJECTED
        elif self._random.random() < self._unknown:
            outcome = Outcome.UNKNOWN
        if outcome is Outcome.ACKNOWLEDGED or (outcome is Outcome.UNKNOWN and self._random.random() < 0.5):
            self.stored.append(message)  # an unknown outcome may hide a stored message
        self._open.append((token, message, outcome))
        return True

    def poll(self, timeout_s: float) -> list[Sent]:
        self._random.shuffle(self._open)
        told = [self._open.pop() for _ in range(self._random.randint(0, len(self._open)))]
        self.acknowledged += [message for _, message, outcome in told if outcome is Outcome.ACKNOWLEDGED]
        return [
            Sent(token, outcome, None if outcome is Outcome.ACKNOWLEDGED else "so it is") for token, _, outcome in told
        ]

    def drain(self, timeout_s: float) -> list[Sent]:
        return self.poll(0.0)

    @property
    def pending(self) -> int:
        return len(self._open)

    def events(self) -> list[ClientEvent]:
        return []

    def effective_settings(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        """Nothing to do."""
