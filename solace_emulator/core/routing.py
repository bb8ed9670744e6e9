"""Which direct subscribers and which queues a published topic goes to.

What was found for a topic is kept until a subscription changes, so that a message costs one look-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from . import topics

if TYPE_CHECKING:
    from .client import Client
    from .queue import Queue

QUEUE_TOPIC: Final = "#P2P/QUE/"
TEMPORARY_QUEUE_TOPIC: Final = "#P2P/QTMP/"
_SHARE: Final = "#share/"
_NO_EXPORT: Final = "#noexport/"
_ROUTES_KEPT: Final = 10_000


class ShareGroup:
    """The members of one shared subscription take turns."""

    def __init__(self) -> None:
        self.members: list[Client] = []
        self._turn = 0

    def deliver(self, frame: bytes) -> None:
        """Deliver to the next member."""
        self._turn += 1
        self.members[self._turn % len(self.members)].deliver(frame)


DirectTarget: TypeAlias = "Client | ShareGroup"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a topic goes: direct subscribers; the queues that it is subscribed to, or the name of the one addressed."""

    targets: tuple[DirectTarget, ...]
    queues: tuple[Queue, ...]
    addressed: str | None


class Routing:
    """The subscriptions of clients and queues."""

    def __init__(self) -> None:
        self._direct: topics.TopicTrie[DirectTarget] = topics.TopicTrie()
        self._shares: dict[str, ShareGroup] = {}
        self._queues: topics.TopicTrie[Queue] = topics.TopicTrie()
        self._wanted: dict[tuple[Queue, str], set[str]] = {}  # each topic's subscriptions, with prefixes and without
        self._kept_away: topics.TopicTrie[Queue] = topics.TopicTrie()
        self._routes: dict[str, Route] = {}

    def find(self, topic: str) -> Route | None:
        """Return where a published topic goes; None when it is none."""
        route = self._routes.get(topic)
        if route is None and topics.is_valid(topic):
            if len(self._routes) >= _ROUTES_KEPT:
                self._routes.clear()
            route = self._routes[topic] = self._found(topic)
        return route

    def _found(self, topic: str) -> Route:
        targets = self._direct.match(topic)
        if topic.startswith((QUEUE_TOPIC, TEMPORARY_QUEUE_TOPIC)):
            return Route(targets, (), topic.removeprefix(QUEUE_TOPIC))
        kept_away = self._kept_away.match(topic)
        return Route(targets, tuple(queue for queue in self._queues.match(topic) if queue not in kept_away), None)

    def add(self, client: Client, share: str | None, topic: str) -> None:
        """Add a direct subscription."""
        self._routes.clear()
        if share is None:
            self._direct.add(topic, client)
            return
        key = f"{share}/{topic}"
        group = self._shares.get(key)
        if group is None:
            group = self._shares[key] = ShareGroup()
            self._direct.add(topic, group)
        group.members.append(client)

    def remove(self, client: Client, share: str | None, topic: str) -> None:
        """Undo :meth:`add`."""
        self._routes.clear()
        if share is None:
            self._direct.remove(topic, client)
            return
        group = self._shares[f"{share}/{topic}"]
        group.members.remove(client)
        if not group.members:
            del self._shares[f"{share}/{topic}"]
            self._direct.remove(topic, group)

    def attract(self, queue: Queue, subscription: str) -> None:
        """Attract a topic to a queue; ``!topic`` keeps one away. Doing it again changes nothing."""
        self._routes.clear()
        if subscription.startswith("!"):
            self._kept_away.add(subscription[1:], queue)
        else:
            topic = split_share(subscription)[1]
            self._wanted.setdefault((queue, topic), set()).add(subscription)
            self._queues.add(topic, queue)

    def release(self, queue: Queue, subscription: str) -> None:
        """Undo :meth:`attract`."""
        self._routes.clear()
        if subscription.startswith("!"):
            self._kept_away.remove(subscription[1:], queue)
        else:
            topic = split_share(subscription)[1]
            wanted = self._wanted.get((queue, topic), set())
            wanted.discard(subscription)
            if not wanted:
                self._wanted.pop((queue, topic), None)
                self._queues.remove(topic, queue)


def split_share(subscription: str) -> tuple[str | None, str]:
    """Return (share name or None, topic) of a subscription with its prefixes."""
    plain = subscription.removeprefix(_NO_EXPORT)
    if not plain.startswith(_SHARE):
        return None, plain
    share, _, topic = plain.removeprefix(_SHARE).partition("/")
    return share, topic
