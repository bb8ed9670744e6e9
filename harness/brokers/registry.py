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
    """The adapter of ``system``.

    Raises:
        UsageError: no such system.
    """
    try:
        module, name = ADAPTERS[system].split(":")
    except KeyError:
        raise UsageError(f"no broker system {system!r}; there are: {', '.join(sorted(ADAPTERS))}") from None
    return cast(Adapter, getattr(import_module(module), name)())
