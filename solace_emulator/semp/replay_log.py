"""Replay logs in the three interfaces: configuring them, looking into them, and replaying from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core import configuration, replay, topics
from ..core.broker import Broker
from ..core.log import ConfigDeleted, ConfigSet, Unreadable
from ..core.queue import Queue
from ..core.refusal import Refused
from ..core.replay import Logged, ReplayLog, ReplicationGroupMessageId
from ..core.settings import ReplayLogSettings
from ..core.vpn import Vpn
from . import schema
from .errors import failed, invalid_parameter, not_allowed, not_found
from .objects import Ids, InVpn, ObjectType, Values


def log_of(vpn: Vpn, name: str) -> ReplayLog:
    """Return a message VPN's replay log by its name. Raises SempError."""
    if vpn.replay_log is None or vpn.replay_log.name != name:
        raise not_found(f"replay log {name} does not exist")
    return vpn.replay_log


# -- config


class ReplayLogStore(InVpn):
    """Replay logs: at most one per message VPN."""

    def list(self, parents: Ids) -> Iterable[Ids]:
        """Return its name."""
        log = self.vpn(parents[0]).replay_log
        return [(*parents, log.name)] if log is not None else []

    def read(self, ids: Ids) -> ReplayLogSettings | None:
        """Return its settings."""
        log = self.vpn(ids[0]).replay_log
        return log.settings if log is not None and log.name == ids[1] else None

    def write(self, ids: Ids, fields: Values, *, new: bool) -> None:
        """Create or change it."""
        vpn = self.vpn(ids[0])
        settings = ReplayLogSettings(**fields)
        if vpn.replay_log is None:
            configuration.create_replay_log(self.broker, vpn, ids[1], settings)
        elif new:
            raise not_allowed(f"message VPN {ids[0]} has the replay log {vpn.replay_log.name}; there can be only one")
        else:
            configuration.change_replay_log(self.broker, vpn, vpn.replay_log, settings)

    def delete(self, ids: Ids) -> None:
        """Delete it with its messages; replays that are not through fail."""
        configuration.configure(self.broker, ConfigDeleted(configuration.REPLAY_LOG, ids))


class TopicFilterStore(InVpn):
    """The topics that a replay log takes where its filter is enabled; ``!topic`` is an exception."""

    def list(self, parents: Ids) -> Iterable[Ids]:
        """Return the subscriptions."""
        return [(*parents, subscription) for subscription in log_of(self.vpn(parents[0]), parents[1]).subscriptions]

    def read(self, ids: Ids) -> Any:
        """Return whether there is such a subscription."""
        return True if ids[2] in log_of(self.vpn(ids[0]), ids[1]).subscriptions else None

    def write(self, ids: Ids, fields: Values, *, new: bool) -> None:
        """Add a subscription."""
        if ids[2].startswith("#share/") or not topics.is_valid(ids[2].removeprefix("!")):
            raise invalid_parameter(f"{ids[2]} is no topic, with wildcards or without")
        configuration.configure(self.broker, ConfigSet(configuration.REPLAY_LOG_SUBSCRIPTION, ids, {}))

    def delete(self, ids: Ids) -> None:
        """Remove a subscription."""
        configuration.configure(self.broker, ConfigDeleted(configuration.REPLAY_LOG_SUBSCRIPTION, ids))


def object_type(broker: Broker) -> ObjectType:
    """Return the type ``replayLogs`` with its topic filter."""
    subscription = ObjectType(
        "topic filter subscription", "topicFilterSubscriptions", ("topicFilterSubscription",), TopicFilterStore(broker)
    )
    return ObjectType(
        "replay log",
        "replayLogs",
        ("replayLogName",),
        ReplayLogStore(broker),
        schema.REPLAY_LOG,
        {"replayLogName": 185},
        {"replayLogName": "[^*?'<>&;]+"},
        (subscription,),
    )


# -- monitor


def log_values(vpn: Vpn, log: ReplayLog) -> Values:
    """Return the attributes of a replay log."""
    return schema.REPLAY_LOG.describe(log.settings) | {
        "msgVpnName": vpn.name,
        "replayLogName": log.name,
        "msgSpoolUsage": log.spool_usage,
    }


def message_values(broker: Broker, vpn: Vpn, log: ReplayLog, logged: Logged) -> Values:
    """Return the attributes of a message in a replay log."""
    spooled = logged.spooled
    values: Values = {
        "msgVpnName": vpn.name,
        "replayLogName": log.name,
        "msgId": spooled.id,
        "dmqEligible": spooled.dmq_eligible,
        "replicationGroupMsgId": str(ReplicationGroupMessageId(broker.spool_id, spooled.id)),
        "spooledTime": spooled.spooled_at_ms // 1000,
    }
    try:
        message = spooled.message
    except Unreadable:  # a replay finds that out when it delivers
        return values
    return values | {"attachmentSize": len(message.body), "priority": message.priority}


def queue_values(queue: Queue) -> Values:
    """Return what a queue says of its latest replay; what never happened is absent."""
    progress = queue.replay
    times = {
        "lastReplayStartTime": progress.started_at_ms,
        "lastReplayCompleteTime": progress.completed_at_ms,
        "lastReplayFailureTime": progress.failed_at_ms,
        "lastReplayedMsgTxTime": progress.last_transmitted_at_ms,
    }
    values: Values = {name: time_ms // 1000 for name, time_ms in times.items() if time_ms}
    if progress.failure_reason:
        values["lastReplayFailureReason"] = progress.failure_reason
    if progress.state is not None:
        values["replayState"] = progress.state
    return values


# -- action


def start(broker: Broker, vpn: Vpn, name: str, given: Values) -> None:
    """Replay into a queue. A start point that is not there fails the replay, not the action. Raises SempError."""
    queue = vpn.queues[name]
    if not queue.durable or queue.partition_count:
        raise not_allowed(f"queue {name} is {'partitioned' if queue.durable else 'temporary'}: no replay into it")
    if vpn.replay_log is None:
        raise not_allowed(f"message VPN {vpn.name} has no replay log")
    log = log_of(vpn, given.get("replayLogName", vpn.replay_log.name))
    if not log.settings.egress_enabled:
        raise not_allowed(f"replay log {log.name} gives nothing: set its egressEnabled")
    if "fromTime" in given and "afterMsg" in given:
        raise invalid_parameter("give fromTime or afterMsg, not both")
    begins: replay.Start = replay.Beginning()
    if "fromTime" in given:
        begins = replay.Since(given["fromTime"] * 1000)
    elif "afterMsg" in given:
        begins = replay.After(message_id("afterMsg", given["afterMsg"]))
    check_disk(broker)
    try:
        messages = replay.plan(vpn, queue, begins)
    except Refused as refused:
        replay.refuse(queue, refused, broker.now_ms())
        return
    replay.begin(queue, messages, broker.now_ms())


def cancel(broker: Broker, vpn: Vpn, name: str, _: Values) -> None:
    """End a queue's replay. Nobody waits for the clients, so ``forceComplete`` changes nothing. Raises SempError."""
    queue = vpn.queues[name]
    if not queue.replay.under_way:
        raise not_allowed(f"queue {name} has no replay under way")
    replay.fail(queue, Refused(503, "Replay Cancelled"), broker.now_ms())


def trim(_: Broker, vpn: Vpn, name: str, given: Values) -> None:
    """Remove what is older than a time from a log."""
    log_of(vpn, name).trim_older_than(given["olderThanTime"] * 1000)


def message_id(name: str, written: str) -> ReplicationGroupMessageId:
    """Read a replication group message id from a request's attribute. Raises SempError."""
    try:
        return ReplicationGroupMessageId.parse(written)
    except ValueError as error:
        raise invalid_parameter(f"{name}: {error}") from None


def check_disk(broker: Broker) -> None:
    """Raise SempError while nothing can be stored."""
    if broker.disk_full:
        raise failed("the disk has no space for it; nothing was changed")
