"""What the suite covers: the features by area, in the order of the matrix, and who drives them. Closed lists.

A test says what it proves with ``@feature("direct: wildcards")``; a name that is not listed here is an error, and a
feature that no test names stays visible in the matrix.
"""

from __future__ import annotations

from typing import Final

import pytest

PYTHON: Final = "python client"
SEMP: Final = "SEMP"
CLIENTS: Final = (PYTHON, SEMP)
"""The columns of the matrix. SEMP stands for what no client offers, and for what the broker says of itself."""

_BY_AREA: Final = {
    "connection": ("connect", "TLS", "keep-alive", "takeover", "reconnect and re-bind", "host lists", "refusals"),
    "access": (
        "basic none",
        "basic internal",
        "client certificate",
        "client username",
        "client profile",
        "ACL connect",
        "ACL publish",
        "ACL subscribe",
        "ACL share names",
        "ACL revocation",
    ),
    "direct": (
        "delivery",
        "contents",
        "wildcards",
        "topic limits",
        "shared subscriptions",
        "request/reply",
        "discard indication",
    ),
    "guaranteed": (
        "acknowledgement",
        "contents",
        "durable queues",
        "temporary queues",
        "exclusive queues",
        "non-exclusive queues",
        "partitioned queues",
        "subscriptions",
        "windows",
        "settlement",
        "maximum redelivery",
        "time to live",
        "dead message queue",
        "quotas",
        "reject to sender",
        "bind count",
        "permissions and owner",
        "ingress and egress",
        "browser",
    ),
    "order": (
        "exclusive queue",
        "partition",
        "exception: failed settlement",
        "exception: non-exclusive queue",
        "exception: message without a key",
        "exception: priority",
    ),
    "replay": ("by the broker", "by the client", "from a date", "after a message", "failures", "trimming"),
    "SEMP": ("envelope and errors", "config", "monitor", "action", "paging and filters", "counters", "about"),
    "health": ("health check",),
}
FEATURES: Final = tuple(f"{area}: {name}" for area, names in _BY_AREA.items() for name in names)


def feature(*names: str, client: str = PYTHON) -> pytest.MarkDecorator:
    """Mark a test with the features that it proves and the client that drives them."""
    return pytest.mark.feature(*names, client=client)


def misnamed(names: tuple[str, ...], client: str) -> str:
    """Return what is wrong with a test's marker, empty when nothing is."""
    unknown = [name for name in names if name not in FEATURES]
    if not names or unknown:
        return f"unknown feature {unknown[0]!r}" if unknown else "no feature"
    return "" if client in CLIENTS else f"unknown client {client!r}"
