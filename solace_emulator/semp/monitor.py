"""The monitor interface: state and counters, read only.

An attribute that the emulator does not keep is absent, as the document allows; rates are among those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final, TypeVar

from ..core.broker import Broker
from ..core.client import Client
from ..core.entry import Entry
from ..core.flow import ConsumerFlow
from ..core.log import Unreadable
from ..core.queue import Queue
from ..core.replay import Logged, ReplayLog, ReplicationGroupMessageId
from ..core.vpn import Vpn
from . import replay_log, schema
from .errors import not_found
from .paths import Step

Values = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """One object: its identifiers, how to read its attributes, and the sizes of the collections below it."""

    identifiers: tuple[str, ...]
    attributes: Callable[[], Values]
    collections: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Members:
    """What a collection has, made as far as it is read: a queue may have a million messages.

    ``rows`` goes over what is there when it is called; ``find`` returns one object by its identifier, or None.
    """

    size: int
    rows: Callable[[], Iterator[Row]]
    find: Callable[[str], Row | None]


@dataclass(frozen=True, slots=True)
class Collection:
    """A resolved path: the collection's members, the identifiers of the one asked for, every attribute's name."""

    members: Members
    wanted: tuple[str, ...] | None
    names: frozenset[str]
    label: str

    def found(self) -> Row:
        """Return the one asked for. Raises SempError."""
        assert self.wanted is not None  # noqa: S101 - the caller has looked
        row = self.members.find(self.wanted[0]) if len(self.wanted) == 1 else None
        if row is None:
            raise not_found(f"{self.label.removesuffix('s')} {','.join(self.wanted)} does not exist")
        return row


def locate(broker: Broker, steps: tuple[Step, ...]) -> Collection | None:
    """Resolve a path; None when there is no such collection. Raises SempError when a parent does not exist."""
    chain = tuple(step.collection for step in steps)
    reader = _READERS.get(chain)
    if reader is None or any(step.identifiers is None for step in steps[:-1]):
        return None
    parents = [step.identifiers[0] for step in steps[:-1] if step.identifiers]
    return Collection(reader(broker, parents), steps[-1].identifiers, _NAMES[chain], chain[-1])


def named(objects: Mapping[str, T], row: Callable[[str, T], Row]) -> Members:
    """Return the members of a collection that stands in the core by name."""

    def find(name: str) -> Row | None:
        return row(name, objects[name]) if name in objects else None

    return Members(len(objects), lambda: (row(name, value) for name, value in list(objects.items())), find)


def _vpn(broker: Broker, name: str) -> Vpn:
    if name not in broker.vpns:
        raise not_found(f"message VPN {name} does not exist")
    return broker.vpns[name]


def _queue(broker: Broker, parents: list[str]) -> Queue:
    vpn = _vpn(broker, parents[0])
    if parents[1] not in vpn.queues:
        raise not_found(f"queue {parents[1]} does not exist")
    return vpn.queues[parents[1]]


def _vpns(broker: Broker, _: list[str]) -> Members:
    def row(name: str, vpn: Vpn) -> Row:
        sizes = {"clients": len(vpn.clients), "queues": len(vpn.queues), "replayLogs": int(vpn.replay_log is not None)}
        return Row((name,), partial(_vpn_values, vpn), sizes)

    return named(broker.vpns, row)


def _vpn_values(vpn: Vpn) -> Values:
    traffic = vpn.traffic()
    return schema.MESSAGE_VPN.describe(vpn.settings) | {
        "msgVpnName": vpn.name,
        "state": "up" if vpn.settings.enabled else "down",
        "dataRxMsgCount": traffic.data_rx_msg_count,
        "dataRxByteCount": traffic.data_rx_byte_count,
        "dataTxMsgCount": traffic.data_tx_msg_count,
        "dataTxByteCount": traffic.data_tx_byte_count,
        "discardedRxMsgCount": traffic.rx_discarded_msg_count,
        "discardedTxMsgCount": traffic.tx_discarded_msg_count,
        "msgSpoolMsgCount": vpn.spooled_count,
        "msgSpoolUsage": vpn.spool_usage,
    }


def _queues(broker: Broker, parents: list[str]) -> Members:
    vpn = _vpn(broker, parents[0])

    def row(name: str, queue: Queue) -> Row:
        sizes = {"msgs": len(queue), "subscriptions": len(queue.subscriptions), "txFlows": len(queue.flows)}
        return Row((name,), partial(_queue_values, vpn, queue), sizes)

    return named(vpn.queues, row)


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
        | replay_log.queue_values(queue)
    )


def _subscriptions(broker: Broker, parents: list[str]) -> Members:
    queue = _queue(broker, parents)

    def row(topic: str, _: object) -> Row:
        values = {"msgVpnName": parents[0], "queueName": queue.name, "subscriptionTopic": topic}
        return Row((topic,), values.copy, {})

    return named(queue.subscriptions, row)


def _flows(broker: Broker, parents: list[str]) -> Members:
    queue = _queue(broker, parents)

    def row(number: str, flow: ConsumerFlow) -> Row:
        return Row((number,), partial(_flow_values, parents[0], queue, flow), {})

    return named({str(flow.number): flow for flow in queue.flows}, row)


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


def _messages(broker: Broker, parents: list[str]) -> Members:
    queue = _queue(broker, parents)

    def row(entry: Entry) -> Row:
        return Row((str(entry.id),), partial(_message_values, broker, parents[0], queue, entry), {})

    def find(identifier: str) -> Row | None:
        entry = queue.find(message_id(identifier))
        return row(entry) if entry is not None else None

    return Members(len(queue), lambda: (row(entry) for entry in list(queue.entries)), find)


def message_id(identifier: str) -> int:
    """Read a message's identifier; 0, which no message has, for what is none."""
    return int(identifier) if identifier.isdecimal() and len(identifier) < 20 else 0


def _message_values(broker: Broker, vpn: str, queue: Queue, entry: Entry) -> Values:
    try:
        message = entry.spooled.message
        of_message = {"attachmentSize": len(message.body), "priority": message.priority}
    except Unreadable:  # the queue finds that out when it delivers
        of_message = {}
    return of_message | {
        "msgVpnName": vpn,
        "queueName": queue.name,
        "msgId": entry.id,
        "dmqEligible": entry.spooled.dmq_eligible,
        "expiryTime": entry.expires_at_ms // 1000,
        "redeliveryCount": max(0, entry.count - 1),
        "replicationGroupMsgId": str(ReplicationGroupMessageId(broker.spool_id, entry.id)),
        "spooledTime": entry.spooled.spooled_at_ms // 1000,
        "undelivered": entry.count == 0,
    }


def _clients(broker: Broker, parents: list[str]) -> Members:
    vpn = _vpn(broker, parents[0])

    def row(name: str, client: Client) -> Row:
        sizes = {"subscriptions": len(client.subscriptions)}
        return Row((name,), partial(_client_values, broker, vpn, client), sizes)

    return named(vpn.clients, row)


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


def _client_subscriptions(broker: Broker, parents: list[str]) -> Members:
    vpn, name = _vpn(broker, parents[0]), parents[1]
    if name not in vpn.clients:
        raise not_found(f"client {name} does not exist")

    def row(topic: str, _: object) -> Row:
        values = {"msgVpnName": vpn.name, "clientName": name, "subscriptionTopic": topic}
        return Row((topic,), values.copy, {})

    return named(vpn.clients[name].subscriptions, row)


def _replay_logs(broker: Broker, parents: list[str]) -> Members:
    vpn = _vpn(broker, parents[0])

    def row(name: str, log: ReplayLog) -> Row:
        sizes = {"msgs": len(log), "topicFilterSubscriptions": len(log.subscriptions)}
        return Row((name,), partial(replay_log.log_values, vpn, log), sizes)

    return named({vpn.replay_log.name: vpn.replay_log} if vpn.replay_log is not None else {}, row)


def _logged_messages(broker: Broker, parents: list[str]) -> Members:
    vpn = _vpn(broker, parents[0])
    log = replay_log.log_of(vpn, parents[1])

    def row(logged: Logged) -> Row:
        return Row((str(logged.id),), partial(replay_log.message_values, broker, vpn, log, logged), {})

    def find(identifier: str) -> Row | None:
        logged = log.find(message_id(identifier))
        return row(logged) if logged is not None else None

    return Members(len(log), lambda: (row(logged) for logged in list(log.messages)), find)


def _topic_filter(broker: Broker, parents: list[str]) -> Members:
    log = replay_log.log_of(_vpn(broker, parents[0]), parents[1])

    def row(topic: str, _: object) -> Row:
        values = {"msgVpnName": parents[0], "replayLogName": log.name, "topicFilterSubscription": topic}
        return Row((topic,), values.copy, {})

    return named(log.subscriptions, row)


def _camel(values: dict[str, int]) -> Values:
    """Counter fields under their SEMP names: ``spooled_msg_count`` is ``spooledMsgCount``."""
    named: Values = {}
    for name, value in values.items():
        first, *rest = name.split("_")
        named[first + "".join(part.capitalize() for part in rest)] = value
    return named


_READERS: Final[dict[tuple[str, ...], Callable[[Broker, list[str]], Members]]] = {
    ("msgVpns",): _vpns,
    ("msgVpns", "queues"): _queues,
    ("msgVpns", "queues", "subscriptions"): _subscriptions,
    ("msgVpns", "queues", "txFlows"): _flows,
    ("msgVpns", "queues", "msgs"): _messages,
    ("msgVpns", "clients"): _clients,
    ("msgVpns", "clients", "subscriptions"): _client_subscriptions,
    ("msgVpns", "replayLogs"): _replay_logs,
    ("msgVpns", "replayLogs", "msgs"): _logged_messages,
    ("msgVpns", "replayLogs", "topicFilterSubscriptions"): _topic_filter,
}
#: Every attribute of the vendor's document, kept here or not.
_NAMES: Final[dict[tuple[str, ...], frozenset[str]]] = {
    ("msgVpns",): schema.MESSAGE_VPN.names | schema.MESSAGE_VPN_STATE.names,
    ("msgVpns", "queues"): schema.QUEUE.names | schema.QUEUE_STATE.names,
    ("msgVpns", "queues", "subscriptions"): schema.QUEUE_SUBSCRIPTION.names,
    ("msgVpns", "queues", "txFlows"): schema.QUEUE_FLOW.names,
    ("msgVpns", "queues", "msgs"): schema.QUEUE_MESSAGE.names,
    ("msgVpns", "clients"): schema.CLIENT.names,
    ("msgVpns", "clients", "subscriptions"): schema.CLIENT_SUBSCRIPTION.names,
    ("msgVpns", "replayLogs"): schema.REPLAY_LOG.names | schema.REPLAY_LOG_STATE.names,
    ("msgVpns", "replayLogs", "msgs"): schema.REPLAY_LOG_MESSAGE.names,
    ("msgVpns", "replayLogs", "topicFilterSubscriptions"): schema.REPLAY_LOG_SUBSCRIPTION.names,
}
