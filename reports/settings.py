"""Equal chances (METHOD rule 13): the client settings that decide detection and recovery, side by side per target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crep.reports.blocks import NOTHING, Block, Cell, Column, Heading, Table, declared
from crep.reports.comparison import ScenarioComparison, Subject
from crep.reports.wording import tone_of

_DECIDING: Mapping[str, tuple[str, ...]] = {
    "How often and how long it connects again": (
        "reconnect.backoff.ms",
        "reconnect.backoff.max.ms",
        "solace.messaging.transport.connection-retries",
        "solace.messaging.transport.reconnection-attempts",
        "solace.messaging.transport.reconnection-attempts-wait-interval",
    ),
    "When it takes a connection for dead": (
        "socket.timeout.ms",
        "request.timeout.ms",
        "socket.connection.setup.timeout.ms",
        "connections.max.idle.ms",
        "solace.messaging.transport.connection-attempts-timeout",
        "solace.messaging.transport.keep-alive-interval",
        "solace.messaging.transport.keep-alive-without-response-limit",
    ),
    "When it gives up a send": (
        "delivery.timeout.ms",
        "message.timeout.ms",
        "retries",
        "retry.backoff.ms",
    ),
    "When a group moves on without a member": (
        "session.timeout.ms",
        "heartbeat.interval.ms",
        "max.poll.interval.ms",
        "partition.assignment.strategy",
    ),
    "What may be on its way": (
        "acks",
        "enable.idempotence",
        "max.in.flight.requests.per.connection",
        "queue.buffering.max.messages",
        "linger.ms",
        "publisher window",
    ),
    "When it settles what it received": ("enable.auto.commit", "auto.commit.interval.ms", "acknowledge events"),
}
"""Subject → names of settings of any client library; a name that a client did not set keeps the library's default."""


def chances(scenario: ScenarioComparison) -> list[Block]:
    """The reconnect budget, the same for all, and under each subject what every target's clients were set to."""
    rows = [("Every client tries to connect again for", [_budget(scenario)] * len(scenario.subjects))]
    for title, names in _DECIDING.items():
        cells = [_settings(subject, names) for subject in scenario.subjects]
        if any(cells):
            rows.append((title, [cell or NOTHING for cell in cells]))
    table = Table(
        "Client settings that decide detection and recovery, as they were in effect. What a client does not name keeps "
        f"its library's default; {NOTHING}: nothing of that kind was set.",
        (Column("", "left", 2), *(Column(s.title, "left", 3, tone_of(s)) for s in scenario.subjects)),
        tuple(
            (Cell(name), *(Cell(text, tone_of(s)) for text, s in zip(texts, scenario.subjects, strict=True)))
            for name, texts in rows
        ),
    )
    return [Heading(2, "Equal chances"), table]


def _budget(scenario: ScenarioComparison) -> str:
    return NOTHING if scenario.reconnect_s is None else declared(scenario.reconnect_s)


def _settings(subject: Subject, names: Sequence[str]) -> str:
    """Each setting once; where clients differ, each value with the readers (or publishers) that have it."""
    found: dict[str, dict[str, list[str]]] = {}
    for group in subject.clients:
        for name in names:
            if name in group.settings:
                who = found.setdefault(name, {}).setdefault(group.settings[name], [])
                if (group.reader or "publishers") not in who:
                    who.append(group.reader or "publishers")
    parts = []
    for name, values in found.items():
        short = name.removeprefix("solace.messaging.")
        if len(values) == 1:
            parts.append(f"{short} = {next(iter(values))}")
        else:
            parts += [f"{short} = {value} ({', '.join(who)})" for value, who in values.items()]
    return "; ".join(parts)
