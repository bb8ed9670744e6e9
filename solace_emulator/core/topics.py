"""Topics and subscriptions: validity, and matching by a trie.

Rules: levels are split at ``/``; in a subscription ``*`` at the end of a level matches any rest of that level (``ab*``
also matches ``ab``), a last level ``>`` matches one or more levels; elsewhere both are plain characters. In a published
topic neither has a meaning. Assumed, not verified against a real broker: wildcards in the first level do not match
reserved topics, which begin with ``#``.
"""

from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

MAX_BYTES: Final = 250
MAX_LEVELS: Final = 128
_CACHED_TOPICS: Final = 10_000

T = TypeVar("T", bound=Hashable)


def is_valid(topic: str) -> bool:
    """Whether a topic or subscription can be one: 1 to 250 bytes, at most 128 levels, none of them empty."""
    levels = topic.split("/")
    return len(topic.encode()) <= MAX_BYTES and len(levels) <= MAX_LEVELS and all(levels)


def covers(outer: str, inner: str) -> bool:
    """Whether a subscription matches every topic that another one matches."""
    outside, inside = outer.split("/"), inner.split("/")
    for index, level in enumerate(outside):
        if index >= len(inside):
            return False
        if _is_rest(outside, index):
            return index > 0 or not inside[0].startswith("#")
        if _is_rest(inside, index) or not _level_covers(level, inside[index], first=index == 0):
            return False
    return len(outside) == len(inside)


def overlap(one: str, other: str) -> bool:
    """Whether two subscriptions have a topic in common."""
    left, right = one.split("/"), other.split("/")
    for index in range(min(len(left), len(right))):
        here, there, first = left[index], right[index], index == 0
        if _is_rest(left, index):
            return not (first and there.startswith("#"))
        if _is_rest(right, index):
            return not (first and here.startswith("#"))
        if not (_level_covers(here, there, first=first) or _level_covers(there, here, first=first)):
            return False
    return len(left) == len(right)


def _is_rest(levels: list[str], index: int) -> bool:
    return levels[index] == ">" and index == len(levels) - 1


def _level_covers(outer: str, inner: str, *, first: bool) -> bool:
    if not outer.endswith("*") or (first and inner.startswith("#")):
        return outer == inner
    return inner.removesuffix("*").startswith(outer[:-1])


class _Node(Generic[T]):
    __slots__ = ("below", "children", "prefixes", "targets")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.prefixes: dict[str, _Node[T]] = {}  # "ab" for a level ab*
        self.targets: dict[T, None] = {}
        self.below: dict[T, None] = {}  # targets of a last level >

    def is_empty(self) -> bool:
        return not (self.children or self.prefixes or self.targets or self.below)


class TopicTrie(Generic[T]):
    """Subscriptions and their targets. A match names each target once, in no promised order."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._cache: dict[str, tuple[T, ...]] = {}

    def add(self, subscription: str, target: T) -> None:
        """Add a target; adding it again changes nothing."""
        node = self._root
        levels = subscription.split("/")
        for index, level in enumerate(levels):
            if level == ">" and index == len(levels) - 1:
                node.below[target] = None
                break
            table, key = (node.prefixes, level[:-1]) if level.endswith("*") else (node.children, level)
            node = table.setdefault(key, _Node())
        else:
            node.targets[target] = None
        self._cache.clear()

    def remove(self, subscription: str, target: T) -> None:
        """Remove a target; unknown ones are ignored. Nodes that hold nothing any more go with it."""
        node = self._root
        trail: list[tuple[dict[str, _Node[T]], str, _Node[T]]] = []
        levels = subscription.split("/")
        for index, level in enumerate(levels):
            if level == ">" and index == len(levels) - 1:
                node.below.pop(target, None)
                break
            table, key = (node.prefixes, level[:-1]) if level.endswith("*") else (node.children, level)
            if key not in table:
                return
            node = table[key]
            trail.append((table, key, node))
        else:
            node.targets.pop(target, None)
        for table, key, child in reversed(trail):
            if child.is_empty():
                del table[key]
        self._cache.clear()

    def match(self, topic: str) -> tuple[T, ...]:
        """Return the targets whose subscriptions match a published topic."""
        found = self._cache.get(topic)
        if found is None:
            targets: dict[T, None] = {}
            for node_targets in self._walk(topic.split("/")):
                targets.update(node_targets)
            found = tuple(targets)
            if len(self._cache) >= _CACHED_TOPICS:
                self._cache.clear()
            self._cache[topic] = found
        return found

    def _walk(self, levels: list[str]) -> Iterator[dict[T, None]]:
        nodes = [self._root]
        for index, level in enumerate(levels):
            wildcards = index > 0 or not level.startswith("#")
            following: list[_Node[T]] = []
            for node in nodes:
                if wildcards and node.below:
                    yield node.below
                child = node.children.get(level)
                if child is not None:
                    following.append(child)
                if wildcards and node.prefixes:
                    following += [below for prefix, below in node.prefixes.items() if level.startswith(prefix)]
            nodes = following
        for node in nodes:
            yield node.targets
