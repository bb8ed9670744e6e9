"""The fault proxy before a broker on this machine: everything that the broker sends arrives a stated time later.

Requests pass at once; answers wait. So an acknowledge comes later by the delay, and so does a message, whether its
consumer was waiting for it or not. What is on its way is not held up by what was sent before: the line is long, not
narrow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crep.harness.deployment.ports import LOOPBACK
from crep.harness.proxy import Latency, LinkSpec, ProxyProcess, Rule


@contextmanager
def delayed(port: int, upstream: int, delay_s: float) -> Iterator[None]:
    """While this lasts, ``port`` leads to ``upstream``."""
    proxy = ProxyProcess()
    try:
        proxy.start([LinkSpec("broker", "client", port, (LOOPBACK, upstream))])
        proxy.links().apply(Rule("later", None, frozenset({"broker"}), None, "from-node", Latency(delay_s)))
        yield
    finally:
        proxy.stop()
