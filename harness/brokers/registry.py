"""Systems by name. Adding a broker is one line here; its client library is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from crep.harness.brokers.contract import Adapter
from crep.harness.config.errors import UsageError

ADAPTERS = {
    "kafka": "crep.harness.brokers.kafka:KafkaAdapter",
    "solace": "crep.harness.brokers.solace:SolaceAdapter",
}
DEFAULT_MAPPINGS = {"kafka": "kafka/topic-per-channel", "solace": "solace/queue-per-reader"}


def adapter(system: str) -> Adapter:
    """The adapter of ``system``: a name of ``ADAPTERS``, or ``module:Class`` for one that lives elsewhere.

    Raises:
        UsageError: no such system.
    """
    path = system if ":" in system else ADAPTERS.get(system)
    if path is None:
        raise UsageError(f"no broker system {system!r}; there are: {', '.join(sorted(ADAPTERS))}")
    module, name = path.split(":")
    return cast(Adapter, getattr(import_module(module), name)())
