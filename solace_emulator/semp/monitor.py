"""The monitor interface: state and counters, read only.

An attribute that the emulator does not keep is absent, as the document allows; rates are among those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from ..core.broker import Broker
from ..core.client import Client
from ..core.entry import Entry
from ..core.flow import ConsumerFlow
from ..core.queue import Queue
from ..core.vpn import Vpn
from . import schema
from .errors import not_found
from .paths import Step

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One object: its identifiers, how to read its attributes, and the sizes of the collections below it.

    Attributes are read for the rows of a page only: a queue may have a million messages.
    """

    identifiers: tuple[str, ...]
    attributes: Callable[[], Values]
    collections: dict[str, int]


@dataclass(frozen=True, slots=True)
class Collection:
    """A resolved path: all rows of the collection, the identifiers of the one asked for, every attribute's name."""

    rows: tuple[Row, ...]
    wanted: tuple[str, ...] | None
    names: frozenset[str]
    label: str


def locate(broker: Broker, steps: tuple[Step, ...]) -> Collection | None:
    """Resolve a path; None when there is no such collection. Raises SempError when a parent does not exist."""
    chain = tuple(step.collection for step in steps)
    reader = _READERS.get(chain)
    if reader is None or any(step.identifiers is None for step in steps[:-1]):
        return None
    parents = [step.identifiers[0] for step in steps[:-1] if step.identifiers]
    rows = tuple(reader(broker, parents))
    names = _NAMES[chain] | (frozenset(rows[0].attributes()) if rows else frozenset())
    return Collection(rows, steps[-1].identifiers, names, chain[-1])


def _vpn(broker: Broker, name: str) -> Vpn:
    if name not in broker.vpns:
        raise not_found(f"message VPN {name} does not exist")
    return broker.vpns[name]


def _queue(broker: Broker, parents: list[str]) -> Queue:
    vpn = _vpn(broker, parents[0])
    if parents[1] not in vpn.queues:
        raise not_found(f"queue {parents[1]} does not exist")
    return vpn.queues[parents[1]]


def _vpns(broker: Broker, _: list[str]) -> Iterable[Row]:
    for vpn in broker.vpns.values():
        sizes = {"clients": len(vpn.clients), "queues": len(vpn.queues)}
        yield Row((vpn.name,), partial(_vpn_values, vpn), sizes)


def _vpn_values(vpn: Vpn) -> Values:
    return schema.MESSAGE_VPN.describe(vpn.settings) | {
        "msgVpnName": vpn.name,
        "state": "up" if vpn.settings.enabled else "down",
        "msgSpoolMsgCount": vpn.spooled_count,
        "msgSpoolUsage": vpn.spool_usage,
    }


def _queues(broker: Broker, parents: list[str]) -> Iterable[Row]:
    vpn = _vpn(broker, parents[0])
    for queue in vpn.queues.values():
        sizes = {"msgs": len(queue), "subscriptions": len(queue.subscriptions), "txFlows": len(queue.flows)}
        yield Row((queue.name,), partial(_queue_values, vpn, queue), sizes)


def _queue_values(vpn: Vpn, queue: Queue) -> Values:
    return (
        schema.QUEUE.describe(queue.settings)
        | _camel(asdict(queue.stats))
        | {
            "msgVpnName": vpn.name,
            "queueName": queue.name,
            "durable": queue.durable,
            "createdByManagement": queue.created_by_management,
            "msgSpoolUsage": queue.spool_usage,
            "txUnackedMsgCount": queue.unacked_count,
        }
    )


def _subscriptions(broker: Broker, parents: list[str]) -> Iterable[Row]:
    queue = _queue(broker, parents)
    for subscription in queue.subscriptions:
        values = {"msgVpnName": parents[0], "queueName": queue.name, "subscriptionTopic": subscription}
        yield Row((subscription,), values.copy, {})


def _flows(broker: Broker, parents: list[str]) -> Iterable[Row]:
    queue = _queue(broker, parents)
    for flow in queue.flows:
        yield Row((str(flow.number),), partial(_flow_values, parents[0], queue, flow), {})


def _flow_values(vpn: str, queue: Queue, flow: ConsumerFlow) -> Values:
    state = "active-browser" if flow.browser else "active-consumer" if flow.active else "inactive"
    return {
        "msgVpnName": vpn,
        "queueName": queue.name,
        "flowId": flow.number,
        "clientName": flow.owner.client_name,
        "activityState": state,
        "bindTime": flow.bound_at_ms // 1000,
        "ackedMsgCount": flow.acked_msg_count,
        "redeliveredMsgCount": flow.redelivered_msg_count,
        "unackedMsgCount": len(flow.unacked),
        "windowSize": flow.window_size,
        "usedWindowSize": flow.used_window,
    }


def _messages(broker: Broker, parents: list[str]) -> Iterable[Row]:
    queue = _queue(broker, parents)
    for entry in queue.entries:
        yield Row((str(entry.id),), partial(_message_values, parents[0], queue, entry), {})


def _message_values(vpn: str, queue: Queue, entry: Entry) -> Values:
    message = entry.spooled.message
    return {
        "msgVpnName": vpn,
        "queueName": queue.name,
        "msgId": entry.id,
        "attachmentSize": len(message.body),
        "dmqEligible": message.dmq_eligible,
        "expiryTime": entry.expires_at_ms // 1000,
        "priority": message.priority,
        "redeliveryCount": max(0, entry.count - 1),
        "spooledTime": entry.spooled.spooled_at_ms // 1000,
        "undelivered": entry.count == 0,
    }


def _clients(broker: Broker, parents: list[str]) -> Iterable[Row]:
    vpn = _vpn(broker, parents[0])
    for client in vpn.clients.values():
        values = partial(_client_values, broker, vpn, client)
        yield Row((client.name,), values, {"subscriptions": len(client.subscriptions)})


def _client_values(broker: Broker, vpn: Vpn, client: Client) -> Values:
    return _camel(asdict(client.stats)) | {
        "msgVpnName": vpn.name,
        "clientName": client.name,
        "clientUsername": client.username,
        "clientAddress": client.address,
        "clientId": client.number,
        "clientProfileName": client.profile_name,
        "aclProfileName": client.acl_name,
        "description": client.description,
        "platform": client.platform,
        "softwareVersion": client.software_version,
        "uptime": (broker.now_ms() - client.connected_at_ms) // 1000,
    }


def _client_subscriptions(broker: Broker, parents: list[str]) -> Iterable[Row]:
    vpn = _vpn(broker, parents[0])
    if parents[1] not in vpn.clients:
        raise not_found(f"client {parents[1]} does not exist")
    for subscription in vpn.clients[parents[1]].subscriptions:
        values = {"msgVpnName": vpn.name, "clientName": parents[1], "subscriptionTopic": subscription}
        yield Row((subscription,), values.copy, {})


def _camel(values: dict[str, int]) -> Values:
    """Counter fields under their SEMP names: ``spooled_msg_count`` is ``spooledMsgCount``."""
    named: Values = {}
    for name, value in values.items():
        first, *rest = name.split("_")
        named[first + "".join(part.capitalize() for part in rest)] = value
    return named


_READERS: Final[dict[tuple[str, ...], Callable[[Broker, list[str]], Iterable[Row]]]] = {
    ("msgVpns",): _vpns,
    ("msgVpns", "queues"): _queues,
    ("msgVpns", "queues", "subscriptions"): _subscriptions,
    ("msgVpns", "queues", "txFlows"): _flows,
    ("msgVpns", "queues", "msgs"): _messages,
    ("msgVpns", "clients"): _clients,
    ("msgVpns", "clients", "subscriptions"): _client_subscriptions,
}
#: Names that exist also where no row has shown them.
_NAMES: Final[dict[tuple[str, ...], frozenset[str]]] = {
    ("msgVpns",): schema.MESSAGE_VPN.names | {"msgVpnName"},
    ("msgVpns", "queues"): schema.QUEUE.names | {"msgVpnName", "queueName", "msgSpoolUsage", "txUnackedMsgCount"},
    ("msgVpns", "queues", "subscriptions"): frozenset({"msgVpnName", "queueName", "subscriptionTopic"}),
    ("msgVpns", "queues", "txFlows"): frozenset({"msgVpnName", "queueName", "flowId", "clientName", "activityState"}),
    ("msgVpns", "queues", "msgs"): frozenset({"msgVpnName", "queueName", "msgId"}),
    ("msgVpns", "clients"): frozenset({"msgVpnName", "clientName", "clientUsername"}),
    ("msgVpns", "clients", "subscriptions"): frozenset({"msgVpnName", "clientName", "subscriptionTopic"}),
}
