"""Systems by name. Adding a broker is one line here; its client library is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from crep.harness.brokers.contract import Adapter, NotSupported
from crep.harness.brokers.streams import SinkSpec, SourceSpec
from crep.harness.brokers.transactions import Transactions
from crep.harness.config.errors import UsageError

ADAPTERS = {
    "kafka": "crep.harness.brokers.kafka:KafkaAdapter",
    "solace": "crep.harness.brokers.solace:SolaceAdapter",
}
TRANSACTIONS = {"kafka": "crep.harness.brokers.kafka.transactions:KafkaTransactions"}
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


def transactions(
    source: SourceSpec, sink: SinkSpec, transactional_id: str, interrupted: Callable[[], bool] = lambda: False
) -> Transactions:
    """Read and write as one, where the system can; both specs are of one cluster.

    Args:
        source: where to read.
        sink: how to write.
        transactional_id: of this process alone.
        interrupted: whether to give up waiting for a broker that does not answer.

    Raises:
        NotSupported: the system has no transactions over what was read and written.
    """
    system = source.endpoint.system
    path = TRANSACTIONS.get(system)
    if path is None:
        raise NotSupported(f"{system} cannot commit what was read and what was written together")
    module, name = path.split(":")
    return cast(Transactions, getattr(import_module(module), name)(source, sink, transactional_id, interrupted))
