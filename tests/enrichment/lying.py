"""A broker in memory, for both guarantees, whose every choice is drawn: what it hands out, when it tells an outcome and
which, when it takes partitions away. It holds each flow to its promises at every call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from crep.enrichment.forwarding import Forwarding
from crep.harness.brokers.contract import ClientEvent, Message, Outcome
from crep.harness.brokers.streams import GiveBack, Sent
from crep.harness.brokers.transactions import Refused, TransactionAborted

Identity = tuple[str, str]  # topic, message id (and part)
DEAD = "dead"


def identity(message: Message) -> Identity:
    """What a stored message is known by: its topic's kind, its id, and the part that it is."""
    part = "" if message.topic == DEAD else message.payload.decode().strip()
    return message.topic, f"{message.message_id} {part}"


class Chance:
    """How often each lie is told, from 0 to 1, and the die."""

    def __init__(self, seed: int, **often: float) -> None:
        self._random, self._often = Random(seed), often

    def is_so(self, what: str) -> bool:
        """Whether it happens now."""
        return self._random.random() < self._often.get(what, 0.0)

    def be_honest(self) -> None:
        """No lies from now on."""
        self._often.clear()

    def up_to(self, most: int) -> int:
        """A number from 0."""
        return self._random.randint(0, most)


class Life:
    """One process of the bridge: it is stopped by chance, in order or at once, or when all is done. Deterministic."""

    def __init__(self, flow: Forwarding, chance: Chance) -> None:
        self._flow, self._chance, self._steps = flow, chance, 0

    def step(self, *, finished: bool) -> None:
        """Between two calls of the flow, where its ledger must add up."""
        self._flow.ledger.check(self._flow.in_flight)
        self._steps += 1
        assert self._steps < 20_000, "it does not come to an end"
        if finished:
            self._flow.stop()
        elif self._chance.is_so("stop"):
            self._flow.stop(at_once=self._chance.is_so("at once"))


class LyingSource:
    """A group's partition: messages in order, committed by number, taken away and handed out again.

    Args:
        messages: all that there will be.
        chance: ``rebalance`` gives the partition to somebody else and back; ``vanish`` does so without a word before.
        sees: is told of each message that is accepted, and raises where it must not be.
    """

    def __init__(self, messages: Sequence[Message], chance: Chance, sees: Callable[[Message], None]) -> None:
        self._messages, self._chance, self._sees = messages, chance, sees
        self._give_back: GiveBack = lambda: None
        self._generation = 0
        self._next = 0
        self.accepted: set[int] = set()
        self.life: Life | None = None

    def open(self, give_back: GiveBack | None = None) -> None:
        self._give_back = give_back or self._give_back
        self._take_away()

    def _take_away(self) -> None:
        self._generation += 1
        self._next = 0

    def receive(self, max_messages: int, timeout_s: float) -> list[Message]:
        assert self.life is not None
        self.life.step(finished=self.finished)
        if self._chance.is_so("rebalance"):
            self._give_back()
            self.life.step(finished=self.finished)
            self._take_away()
        elif self._chance.is_so("vanish"):
            self._take_away()
        taken: list[Message] = []
        most = min(max_messages, self._chance.up_to(20))
        while len(taken) < most and self._next < len(self._messages):
            if self._next not in self.accepted:
                taken.append(replace(self._messages[self._next], token=(self._generation, self._next)))
            self._next += 1
        return taken

    def accept(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._sees(message)
            generation, number = message.token  # type: ignore[misc]
            if generation == self._generation:
                self.accepted.add(number)

    def fail(self, messages: Sequence[Message]) -> None:
        raise AssertionError("a bridge never asks for redelivery: it keeps what it has taken")

    def backlog(self) -> int | None:
        return None

    @property
    def finished(self) -> bool:
        return len(self.accepted) == len(self._messages)

    def events(self) -> list[ClientEvent]:
        return []

    def effective_settings(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        self._give_back = lambda: None


class LyingSink:
    """Stores what it is given; ``full``, ``late`` and ``unknown`` by chance. A topic with ``bad`` in it is rejected."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._open: list[tuple[int, Message, Outcome]] = []
        self.stored: Counter[Identity] = Counter()
        self.told: Counter[Identity] = Counter()  # acknowledged, and the flow knows it

    def open(self) -> None:
        self._open.clear()

    def send(self, message: Message, token: int) -> bool:
        if self._chance.is_so("full"):
            return False
        outcome = Outcome.ACKNOWLEDGED
        if "bad" in message.topic:
            outcome = Outcome.REJECTED
        elif self._chance.is_so("unknown"):
            outcome = Outcome.UNKNOWN
        if outcome is Outcome.ACKNOWLEDGED or (outcome is Outcome.UNKNOWN and self._chance.is_so("stored unknown")):
            self.stored[identity(message)] += 1
        self._open.append((token, message, outcome))
        return True

    def poll(self, timeout_s: float) -> list[Sent]:
        told, late = [], []
        for one in self._open:
            (late if self._chance.is_so("late") else told).append(one)
        self._open = late
        self.told.update(identity(message) for _, message, outcome in told if outcome is Outcome.ACKNOWLEDGED)
        return [Sent(token, outcome, None) for token, _, outcome in told]

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
        """What is open stays without an outcome."""


class LyingTransactions:
    """One partition and a log of what is committed: ``abort`` and ``late abort`` by chance, besides the rest.

    A rejected topic is found out at the commit, as a broker does it, or at once (``refused early``).
    """

    def __init__(self, messages: Sequence[Message], chance: Chance) -> None:
        self._messages, self._chance = messages, chance
        self._give_back: GiveBack = lambda: None
        self._next = self._open_at = 0
        self._sent: list[tuple[int, Message]] = []
        self.committed = 0  # the next number to read
        self.stored: Counter[Identity] = Counter()  # of committed messages
        self.life: Life | None = None

    def open(self, give_back: GiveBack | None = None) -> None:
        self._give_back = give_back or self._give_back
        self._undo()

    def _undo(self) -> None:
        self._sent.clear()
        self._next = self.committed

    def receive(self, max_messages: int, timeout_s: float) -> list[Message]:
        assert self.life is not None
        self.life.step(finished=self.finished)
        if self._chance.is_so("rebalance"):
            self._give_back()
            self.life.step(finished=self.finished)
            self._undo()
        most = min(max_messages, self._chance.up_to(20), len(self._messages) - self._next)
        taken = [replace(self._messages[self._next + n], position=str(self._next + n)) for n in range(most)]
        self._next += most
        return taken

    def send(self, message: Message, token: int) -> bool:
        if self._chance.is_so("full"):
            return False
        if self._chance.is_so("abort"):
            raise self.abort("so it is")
        if "bad" in message.topic and self._chance.is_so("refused early"):
            raise Refused("so it is")
        self._sent.append((token, message))
        return True

    def commit(self) -> None:
        rejected = {token: "so it is" for token, message in self._sent if "bad" in message.topic}
        if rejected or self._chance.is_so("late abort"):
            self._undo()
            raise TransactionAborted("so it is", rejected)
        self.stored.update(identity(message) for _, message in self._sent)
        self._sent.clear()
        self.committed = self._next

    def abort(self, reason: str) -> TransactionAborted:
        self._undo()
        return TransactionAborted(reason)

    @property
    def finished(self) -> bool:
        return self.committed == len(self._messages)

    def events(self) -> list[ClientEvent]:
        return []

    def effective_settings(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        self._give_back = lambda: None
        self._undo()
