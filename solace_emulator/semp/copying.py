"""Copying one message behind what a queue has, whatever its subscriptions: from a replay log or another queue."""

from __future__ import annotations

from typing import Any

from ..core.broker import Broker
from ..core.entry import SpooledMessage
from ..core.log import Unreadable
from ..core.vpn import Vpn
from .errors import failed, not_allowed, not_found
from .replay_log import check_disk, log_of, message_id

Values = dict[str, Any]


def from_replay_log(broker: Broker, vpn: Vpn, name: str, given: Values) -> None:
    """Copy a message of a replay log. Raises SempError."""
    log = log_of(vpn, given["sourceReplayLogName"])
    wanted = message_id("replicationGroupMsgId", given["replicationGroupMsgId"])
    logged = log.find(wanted.message) if wanted.spool == broker.spool_id else None
    if logged is None:
        raise not_found(f"message {wanted} is not in replay log {log.name}")
    _copy(broker, vpn, name, logged.spooled)


def from_queue(broker: Broker, vpn: Vpn, name: str, given: Values) -> None:
    """Copy a message of another queue. Raises SempError."""
    source = vpn.queues.get(given["sourceQueueName"])
    if source is None:
        raise not_found(f"queue {given['sourceQueueName']} does not exist")
    wanted = message_id("replicationGroupMsgId", given["replicationGroupMsgId"])
    entry = source.find(wanted.message) if wanted.spool == broker.spool_id else None
    if entry is None:
        raise not_found(f"message {wanted} is not in queue {source.name}")
    _copy(broker, vpn, name, entry.spooled)


def _copy(broker: Broker, vpn: Vpn, name: str, spooled: SpooledMessage) -> None:
    queue = vpn.queues[name]
    check_disk(broker)
    objection = queue.objection(spooled.size)
    if objection is not None:
        raise not_allowed(f"queue {name} does not take the message: {objection[0].text}")
    try:
        message = spooled.message
    except Unreadable as error:
        raise failed(str(error)) from None
    broker.spool(vpn, message, [queue], None, 0)
