"""What is done to connections: an effect, and a rule that says whose connections have it. Pure, with a JSON form.

A connection is opened by a *party* (a node's name, ``publishers``, ``subscribers``, ``others``) to a *node* on a
*plane* (its clients, its fellow brokers, the quorum). Several rules may cover one connection: delays add up, each
bandwidth limits, and one stall is enough to hold the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

Plane: TypeAlias = Literal["client", "inter-node", "quorum"]
Way: TypeAlias = Literal["to-node", "from-node"]
"""Where bytes go, as seen from the party that opened the connection."""
Direction: TypeAlias = Literal["both", "to-node", "from-node"]

OTHERS = "others"
"""The party of a process that carries no ``CREP_PARTY``, or that cannot be looked at."""

PLANES: tuple[Plane, ...] = get_args(Plane)
WAYS: tuple[Way, ...] = get_args(Way)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

MOST_DELAY_S = 60.0
"""Longer than any client waits for a reply by default; a longer delay is a stall."""

MOST_BYTES_PER_S = 1e12
"""More than any machine moves: that is no limit."""


@dataclass(frozen=True)
class Latency:
    """Every byte arrives ``s`` seconds later, give or take at most ``jitter_s`` (uniform); order is kept.

    One way: with direction ``both`` a round trip takes ``2 * s`` longer.
    """

    s: float
    jitter_s: float = 0.0

    def __post_init__(self) -> None:
        _between("latency s", self.s, 0.0, MOST_DELAY_S)
        _between("latency jitter_s", self.jitter_s, 0.0, self.s)


@dataclass(frozen=True)
class Bandwidth:
    """All connections that the rule covers share this many bytes a second, in each direction."""

    bytes_per_s: float

    def __post_init__(self) -> None:
        _between("bandwidth bytes_per_s", self.bytes_per_s, 1.0, MOST_BYTES_PER_S)


@dataclass(frozen=True)
class Stall:
    """A black hole: nothing passes, not even the end of a connection; nothing is lost when it ends.

    The sender is not read from, so it feels its window fill up. New connections are accepted (the system does that)
    and reach the node when the stall ends.
    """


@dataclass(frozen=True)
class Reset:
    """Open connections end with RST on both sides, once, when the rule is applied; new ones are left alone."""


@dataclass(frozen=True)
class Refuse:
    """New connections are refused; open ones are left alone.

    A rule for all parties closes the listener (``ECONNREFUSED``). One for some parties must accept to see who it is:
    those connections end with RST before the node hears of them.
    """


@dataclass(frozen=True)
class HalfOpen:
    """The sender of the rule's direction believes that the connection lives, but its peer is gone without a FIN.

    ``to-node``: the party believes, the node's side is reset. ``from-node``: the reverse (a member that vanished,
    whose broker waits for it). ``both``: each believes. Who believes is neither read from nor answered. New connections
    are accepted and never reach the node, unless the direction is ``from-node``, which leaves them alone. When the
    rule is cleared the believers get RST, as from a host that has started anew.
    """


Effect: TypeAlias = Latency | Bandwidth | Stall | Reset | Refuse | HalfOpen

_EFFECTS: Mapping[str, type[Effect]] = {
    "latency": Latency,
    "bandwidth": Bandwidth,
    "stall": Stall,
    "reset": Reset,
    "refuse": Refuse,
    "half-open": HalfOpen,
}
_NAMES = {kind: name for name, kind in _EFFECTS.items()}


@dataclass(frozen=True)
class Link:
    """From whom to whom: what rules match and what connections are counted by."""

    party: str
    node: str
    plane: Plane


@dataclass(frozen=True)
class Rule:
    """An effect on the connections of some parties to some nodes. ``parties`` or ``planes`` None: all of them.

    Raises:
        ValueError: no node, an unknown word, or a direction that means nothing for the effect.
    """

    id: str
    parties: frozenset[str] | None
    nodes: frozenset[str]
    planes: frozenset[Plane] | None
    direction: Direction
    effect: Effect

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a rule needs an id")
        if not self.nodes:
            raise ValueError(f"rule {self.id!r} names no node")
        for what, words, known in (
            ("plane", self.planes or (), PLANES),
            ("direction", (self.direction,), DIRECTIONS),
        ):
            for word in words:
                if word not in known:
                    raise ValueError(f"rule {self.id!r}: unknown {what} {word!r}; write one of: {', '.join(known)}")
        if isinstance(self.effect, Reset | Refuse) and self.direction != "both":
            raise ValueError(f"rule {self.id!r}: {_NAMES[type(self.effect)]} has no direction; write 'both'")

    def covers(self, link: Link) -> bool:
        """Whether connections of that link have the effect."""
        return (
            link.node in self.nodes
            and (self.parties is None or link.party in self.parties)
            and (self.planes is None or link.plane in self.planes)
        )

    def acts(self, way: Way) -> bool:
        """Whether bytes that go that way have the effect."""
        return self.direction in ("both", way)


@dataclass(frozen=True)
class Flow:
    """What one way of a connection is subject to. ``buckets``: ids of the bandwidth rules."""

    latencies: tuple[Latency, ...] = ()
    buckets: tuple[str, ...] = ()
    stalled: bool = False


FREE = Flow()
"""Bytes pass at once."""


def flow(rules: Iterable[Rule], link: Link, way: Way) -> Flow:
    """The effects that the rules add up to, for one way of a link's connections."""
    acting = [rule for rule in rules if rule.covers(link) and rule.acts(way)]
    return Flow(
        latencies=tuple(rule.effect for rule in acting if isinstance(rule.effect, Latency)),
        buckets=tuple(rule.id for rule in acting if isinstance(rule.effect, Bandwidth)),
        stalled=any(isinstance(rule.effect, Stall) for rule in acting),
    )


def haunting(rules: Iterable[Rule], link: Link) -> str | None:
    """The half-open rule that leaves a new connection of the link unanswered; None: there is none."""
    return next(
        (one.id for one in rules if isinstance(one.effect, HalfOpen) and one.covers(link) and one.acts("to-node")), None
    )


def refused(rules: Iterable[Rule], link: Link) -> bool:
    """Whether a new connection of the link is to be refused."""
    return any(isinstance(rule.effect, Refuse) and rule.covers(link) for rule in rules)


def closed(rules: Iterable[Rule], node: str, plane: Plane) -> bool:
    """Whether nobody at all may connect, so that the listener itself can close."""
    return any(
        isinstance(rule.effect, Refuse) and rule.parties is None and rule.covers(Link(OTHERS, node, plane))
        for rule in rules
    )


def rule_to_json(rule: Rule) -> dict[str, Any]:
    """Plain data, with sets sorted."""
    return {
        "id": rule.id,
        "parties": None if rule.parties is None else sorted(rule.parties),
        "nodes": sorted(rule.nodes),
        "planes": None if rule.planes is None else sorted(rule.planes),
        "direction": rule.direction,
        "effect": {"kind": _NAMES[type(rule.effect)], **asdict(rule.effect)},
    }


def rule_from_json(data: object) -> Rule:
    """The rule that `rule_to_json` wrote.

    Raises:
        ValueError: it is not one; the text says what is wrong.
    """
    found = _mapping("a rule", data)
    _keys("a rule", found, {one.name for one in fields(Rule)})
    parties, planes = found["parties"], found["planes"]
    return Rule(
        id=_text("id", found["id"]),
        parties=None if parties is None else _texts("parties", parties),
        nodes=_texts("nodes", found["nodes"]),
        planes=None if planes is None else _texts("planes", planes),  # type: ignore[arg-type]  # Rule looks at the words
        direction=_text("direction", found["direction"]),  # type: ignore[arg-type]  # Rule looks at the word
        effect=_effect_from_json(found["effect"]),
    )


def _effect_from_json(data: object) -> Effect:
    found = dict(_mapping("an effect", data))
    kind = _EFFECTS.get(str(found.pop("kind", None)))
    if kind is None:
        raise ValueError(f"an effect needs 'kind', one of: {', '.join(_EFFECTS)}")
    _keys(f"effect {_NAMES[kind]}", found, {one.name for one in fields(kind)})
    return kind(**{key: _number(key, value) for key, value in found.items()})


def _between(what: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{what} must lie between {least:g} and {most:g}, not {value!r}")


def _mapping(what: str, data: object) -> Mapping[str, object]:
    if not isinstance(data, dict):
        raise ValueError(f"{what} must be an object, not {data!r}")
    return data


def _keys(what: str, found: Mapping[str, object], wanted: set[str]) -> None:
    if found.keys() != wanted:
        raise ValueError(f"{what} has the keys {', '.join(sorted(wanted)) or '(none)'}, not {', '.join(found)}")


def _text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a text, not {value!r}")
    return value


def _number(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} must be a number, not {value!r}")
    return value


def _texts(what: str, value: object) -> frozenset[str]:
    if not isinstance(value, list):
        raise ValueError(f"{what} must be a list of texts, not {value!r}")
    return frozenset(_text(what, one) for one in value)
