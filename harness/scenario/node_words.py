"""The words that say which nodes a fault means. What they mean on a broker is decided when the fault is injected."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["only", "name", "leader-of", "follower-of", "controller", "random", "minority", "majority", "all"]

ALONE: tuple[Kind, ...] = ("controller", "random", "minority", "majority", "all")
"""Words that stand by themselves."""
OF_CHANNEL: tuple[Kind, ...] = ("leader-of", "follower-of")
"""Words that a channel's name follows."""
FORMS = "a node's name, 'leader-of CHANNEL', 'follower-of CHANNEL', " + ", ".join(f"'{word}'" for word in ALONE)


@dataclass(frozen=True)
class NodeWord:
    """What ``node:`` says. ``name`` is a node's or a channel's; ``only`` (nothing was said) means the only node."""

    kind: Kind
    name: str = ""

    @property
    def channel(self) -> str | None:
        """The channel that the choice depends on."""
        return self.name if self.kind in OF_CHANNEL else None


def parse_node(text: str | None) -> NodeWord:
    """The meaning of ``node:``.

    Raises:
        ValueError: it is none of the words.
    """
    words = (text or "").split()
    if not words:
        return NodeWord("only")
    for kind in OF_CHANNEL:
        if words[0] == kind and len(words) == 2:
            return NodeWord(kind, words[1])
    if len(words) > 1 or not re.fullmatch(r"[A-Za-z0-9._-]+", words[0]) or words[0] in OF_CHANNEL:
        raise ValueError(f"{text!r} is not understood; write {FORMS}")
    for kind in ALONE:
        if words[0] == kind:
            return NodeWord(kind)
    return NodeWord("name", words[0])
