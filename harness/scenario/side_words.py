"""The words that say whose end of a connection a network fault means. What they mean is decided when it happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crep.harness.scenario.node_words import FORMS as NODE_FORMS
from crep.harness.scenario.node_words import parse_node

Kind = Literal["publishers", "subscribers", "clients", "brokers", "quorum", "followers-of", "rest", "everybody", "node"]

OF_CLIENTS: tuple[Kind, ...] = ("publishers", "subscribers", "clients")
"""Clients of the scenario; ``clients`` are both."""
ALONE: tuple[Kind, ...] = (*OF_CLIENTS, "brokers", "quorum", "rest", "everybody")
"""Words that stand by themselves. ``quorum``: all controllers; ``rest``: every node and client but the other side;
``everybody``: the rest, and crep's own look at the broker."""
FORMS = ", ".join(f"'{word}'" for word in ALONE) + f", 'followers-of CHANNEL', {NODE_FORMS}"


@dataclass(frozen=True)
class SideWord:
    """One side of a connection. ``text``: a word for nodes, where ``kind`` is ``node``; a channel for ``followers-of``.

    ``channel``: the channel that the choice depends on.
    """

    kind: Kind
    text: str = ""
    channel: str | None = None

    @property
    def clients(self) -> bool:
        """Whether it means clients alone, who never connect to each other."""
        return self.kind in OF_CLIENTS


def parse_side(text: str) -> SideWord:
    """The meaning of a side.

    Raises:
        ValueError: it is none of the words.
    """
    words = text.split()
    for kind in ALONE:
        if words == [kind]:
            return SideWord(kind)
    if len(words) == 2 and words[0] == "followers-of":
        return SideWord("followers-of", words[1], words[1])
    if words == ["all"]:
        return SideWord("brokers")
    try:
        node = parse_node(text)
    except ValueError:
        raise ValueError(f"{text!r} is not understood; write {FORMS}") from None
    if node.kind == "only":
        raise ValueError(f"is empty; write {FORMS}")
    return SideWord("node", text, node.channel)
