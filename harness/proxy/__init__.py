"""The TCP fault proxy: a process of its own between clients and nodes, and between nodes. Without root.

::

    party ──► listener (node, plane) ──► who is it? (source port → process → CREP_PARTY) ──► node
                                              │
              rules (party, node, plane, direction → effect), changed live by JSON lines

Imports ``config.errors`` and ``processes`` only. Reading order: ``rules`` (what may be done; pure) → ``links`` (what
others see) → ``process`` and ``orders`` (the maker's side) → ``delay`` (pure) → ``pump`` → ``connection`` → ``party`` →
``loop`` → ``server`` → ``control`` (the proxy's own side).
"""

from crep.harness.proxy.links import (
    PARTY_VARIABLE,
    Applied,
    Links,
    LinkSpec,
    LinkState,
    ProxyFailed,
    ProxyState,
    port_of,
)
from crep.harness.proxy.process import ProxyProcess, standing_links, start_standing
from crep.harness.proxy.rules import (
    OTHERS,
    Bandwidth,
    Direction,
    Effect,
    HalfOpen,
    Latency,
    Link,
    Plane,
    Refuse,
    Reset,
    Rule,
    Stall,
)

__all__ = [
    "OTHERS",
    "PARTY_VARIABLE",
    "Applied",
    "Bandwidth",
    "Direction",
    "Effect",
    "HalfOpen",
    "Latency",
    "Link",
    "LinkSpec",
    "LinkState",
    "Links",
    "Plane",
    "ProxyFailed",
    "ProxyProcess",
    "ProxyState",
    "Refuse",
    "Reset",
    "Rule",
    "Stall",
    "port_of",
    "standing_links",
    "start_standing",
]
