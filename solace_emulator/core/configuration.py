"""Changes of the configuration: what each does to the broker, and how it is written down.

:func:`configure` applies a change and journals it; recovery applies the same records again. So there is one place that
knows what an object's values mean, and the values are those of the :mod:`.settings` classes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from .access import AclProfile
from .log import ConfigDeleted, ConfigSet, encode
from .queue import Queue
from .refusal import Refused
from .replay import ReplayLog, log_modified
from .settings import (
    AclProfileSettings,
    ClientProfileSettings,
    QueueSettings,
    ReplayLogSettings,
    UsernameSettings,
    VpnSettings,
)
from .vpn import Vpn

if TYPE_CHECKING:
    from .broker import Broker

VPN: Final = "vpn"
USERNAME: Final = "client-username"
CLIENT_PROFILE: Final = "client-profile"
ACL_PROFILE: Final = "acl-profile"
ACL_EXCEPTION: Final = "acl-exception"
QUEUE: Final = "queue"
SUBSCRIPTION: Final = "queue-subscription"
REPLAY_LOG: Final = "replay-log"
REPLAY_LOG_SUBSCRIPTION: Final = "replay-log-subscription"
SPOOL: Final = "spool"

_FACTORY_QUOTA_MB: Final = 1500


def configure(broker: Broker, change: ConfigSet | ConfigDeleted) -> None:
    """Apply a change and have it made durable."""
    apply(broker, change)
    broker.log.append(encode(change))
    broker.log.commit()


def apply(broker: Broker, change: ConfigSet | ConfigDeleted) -> None:
    """Apply a change. Setting an object that exists replaces its values; deleting an unknown one does nothing."""
    if isinstance(change, ConfigSet):
        _SETTERS[change.kind](broker, change.path, change.value)
    elif change.path[0] in broker.vpns:
        _DELETERS[change.kind](broker, change.path)


def factory_state(broker: Broker) -> None:
    """Configure what the vendor's container starts with: VPN ``default``, open to anybody."""
    settings = VpnSettings(enabled=True, authentication_basic_type="none", max_msg_spool_usage=_FACTORY_QUOTA_MB)
    create_vpn(broker, "default", settings)
    configure(broker, ConfigSet(USERNAME, ("default", "default"), asdict(UsernameSettings(enabled=True))))
    profile = ClientProfileSettings(
        allow_bridge_connections_enabled=True,
        allow_guaranteed_endpoint_create_enabled=True,
        allow_guaranteed_msg_receive_enabled=True,
        allow_guaranteed_msg_send_enabled=True,
        allow_shared_subscriptions_enabled=True,
        allow_transacted_sessions_enabled=True,
    )
    configure(broker, ConfigSet(CLIENT_PROFILE, ("default", "default"), asdict(profile)))


def create_vpn(broker: Broker, name: str, settings: VpnSettings) -> None:
    """Configure a message VPN with its own ``default`` username and profiles.

    Assumed, not verified: in a new VPN the default ACL profile allows, the username is disabled and the client profile
    has the vendor's defaults.
    """
    allowing = AclProfileSettings(*(["allow"] * 4))
    configure(broker, ConfigSet(VPN, (name,), asdict(settings)))
    configure(broker, ConfigSet(ACL_PROFILE, (name, "default"), asdict(allowing)))
    configure(broker, ConfigSet(CLIENT_PROFILE, (name, "default"), asdict(ClientProfileSettings())))
    configure(broker, ConfigSet(USERNAME, (name, "default"), asdict(UsernameSettings())))


def create_queue(
    broker: Broker, vpn: Vpn, name: str, settings: QueueSettings, *, durable: bool, managed: bool
) -> Queue:
    """Configure a queue. ``managed``: over SEMP, not by a client."""
    value = asdict(settings) | {"number": broker.next_number(), "durable": durable, "managed": managed}
    configure(broker, ConfigSet(QUEUE, (vpn.name, name), value))
    return vpn.queues[name]


def change_queue(broker: Broker, vpn: Vpn, queue: Queue, settings: QueueSettings) -> None:
    """Configure other settings for a queue that exists."""
    configure(broker, ConfigSet(QUEUE, (vpn.name, queue.name), _queue_value(queue) | asdict(settings)))


def delete_queue(broker: Broker, vpn: Vpn, queue: Queue) -> None:
    """Delete a queue with its subscriptions and messages."""
    configure(broker, ConfigDeleted(QUEUE, (vpn.name, queue.name)))


def subscribe_queue(broker: Broker, vpn: Vpn, queue: Queue, subscription: str) -> None:
    """Add a subscription to a queue."""
    configure(broker, ConfigSet(SUBSCRIPTION, (vpn.name, queue.name, subscription), {}))


def unsubscribe_queue(broker: Broker, vpn: Vpn, queue: Queue, subscription: str) -> None:
    """Remove a subscription from a queue."""
    configure(broker, ConfigDeleted(SUBSCRIPTION, (vpn.name, queue.name, subscription)))


def create_replay_log(broker: Broker, vpn: Vpn, name: str, settings: ReplayLogSettings) -> None:
    """Configure the message VPN's replay log."""
    value = asdict(settings) | {"number": broker.next_number(), "created_at_ms": broker.now_ms()}
    configure(broker, ConfigSet(REPLAY_LOG, (vpn.name, name), value))


def change_replay_log(broker: Broker, vpn: Vpn, log: ReplayLog, settings: ReplayLogSettings) -> None:
    """Configure other settings for the replay log; what exceeds a smaller quota is trimmed."""
    configure(broker, ConfigSet(REPLAY_LOG, (vpn.name, log.name), _replay_log_value(log) | asdict(settings)))
    log.trim()


def name_spool(broker: Broker, spool_id: int) -> None:
    """Give the spool the id that tells its messages from those of other brokers."""
    configure(broker, ConfigSet(SPOOL, (), {"id": spool_id}))


def snapshot(broker: Broker) -> Iterator[ConfigSet]:
    """Yield the changes that lead to the present configuration."""
    if broker.spool_id:
        yield ConfigSet(SPOOL, (), {"id": broker.spool_id})
    for vpn in broker.vpns.values():
        yield ConfigSet(VPN, (vpn.name,), asdict(vpn.settings))
        for name, acl in vpn.acl_profiles.items():
            yield ConfigSet(ACL_PROFILE, (vpn.name, name), asdict(acl.settings))
            for kind, exceptions in acl.exceptions.items():
                for what in sorted(exceptions):
                    yield ConfigSet(ACL_EXCEPTION, (vpn.name, name, kind, what), {})
        for name, profile in vpn.client_profiles.items():
            yield ConfigSet(CLIENT_PROFILE, (vpn.name, name), asdict(profile))
        for name, username in vpn.usernames.items():
            yield ConfigSet(USERNAME, (vpn.name, name), asdict(username))
        for name, queue in vpn.queues.items():
            yield ConfigSet(QUEUE, (vpn.name, name), _queue_value(queue))
            for subscription in queue.subscriptions:
                yield ConfigSet(SUBSCRIPTION, (vpn.name, name, subscription), {})
        if vpn.replay_log is not None:
            log = vpn.replay_log
            yield ConfigSet(REPLAY_LOG, (vpn.name, log.name), _replay_log_value(log))
            for subscription in log.subscriptions:
                yield ConfigSet(REPLAY_LOG_SUBSCRIPTION, (vpn.name, log.name, subscription), {})


def forget_all_but(broker: Broker, kept: Collection[tuple[str, tuple[str, ...]]]) -> None:
    """Delete every object whose (kind, path) is not among those kept, what lies inside others first."""
    for standing in reversed(list(snapshot(broker))):
        if (standing.kind, standing.path) not in kept:
            apply(broker, ConfigDeleted(standing.kind, standing.path))


def _queue_value(queue: Queue) -> dict[str, Any]:
    return asdict(queue.settings) | {
        "number": queue.number,
        "durable": queue.durable,
        "managed": queue.created_by_management,
    }


def _replay_log_value(log: ReplayLog) -> dict[str, Any]:
    return asdict(log.settings) | {"number": log.number, "created_at_ms": log.created_at_ms}


# -- setters: (broker, path, value)


def _set_spool(broker: Broker, _: tuple[str, ...], value: dict[str, Any]) -> None:
    broker.spool_id = value["id"]


def _set_vpn(broker: Broker, path: tuple[str, ...], value: dict[str, Any]) -> None:
    settings = VpnSettings(**value)
    vpn = broker.vpns.get(path[0])
    if vpn is None:
        broker.vpns[path[0]] = Vpn(broker, path[0], settings)
        return
    vpn.settings = settings
    if not settings.enabled:
        _disconnect_all(vpn, "its message VPN was disabled")


def _set_username(broker: Broker, path: tuple[str, ...], value: dict[str, Any]) -> None:
    vpn, name = broker.vpns[path[0]], path[1]
    settings = vpn.usernames[name] = UsernameSettings(**value)
    for client in list(vpn.clients.values()):
        if client.username == name:
            client.profile_name, client.acl_name = settings.client_profile_name, settings.acl_profile_name
            if not settings.enabled:
                client.outlet.disconnect("its client username was disabled")
            vpn.revoke(client.acl_name)


def _set_client_profile(broker: Broker, path: tuple[str, ...], value: dict[str, Any]) -> None:
    broker.vpns[path[0]].client_profiles[path[1]] = ClientProfileSettings(**value)


def _set_acl_profile(broker: Broker, path: tuple[str, ...], value: dict[str, Any]) -> None:
    vpn = broker.vpns[path[0]]
    profiles = vpn.acl_profiles
    settings = AclProfileSettings(**value)
    if path[1] in profiles:
        profiles[path[1]].change(settings)
        vpn.revoke(path[1])
    else:
        profiles[path[1]] = AclProfile(settings)


def _set_acl_exception(broker: Broker, path: tuple[str, ...], _: dict[str, Any]) -> None:
    vpn = broker.vpns[path[0]]
    vpn.acl_profiles[path[1]].add(path[2], path[3])
    vpn.revoke(path[1])


def _set_queue(broker: Broker, path: tuple[str, ...], value: dict[str, Any]) -> None:
    vpn, name = broker.vpns[path[0]], path[1]
    fields = dict(value)
    number, durable, managed = fields.pop("number"), fields.pop("durable"), fields.pop("managed")
    settings = QueueSettings(**fields)
    queue = vpn.queues.get(name)
    if queue is not None and queue.number != number:  # recovery behind damage: that one was deleted in between
        _delete_queue(broker, path)
        queue = None
    if queue is None:
        queue = Queue(broker, name, number, settings, durable=durable)
        queue.created_by_management = managed
        vpn.queues[name] = queue
        broker.queues_by_number[number] = (vpn, queue)
        broker.reserve(number=number)
        return
    former, queue.settings = queue.settings, settings
    disturbed = any(
        getattr(former, name) != getattr(settings, name)
        for name in ("access_type", "owner", "permission", "partition_count")
    )  # these disable egress for the moment of their change (partition_count: here only, so that clients bind anew)
    if disturbed or not settings.egress_enabled:
        queue.unbind_all(Refused(503, "Queue Shutdown"))
    if disturbed:
        queue.repartition()
    broker.wake(queue)


def _set_subscription(broker: Broker, path: tuple[str, ...], _: dict[str, Any]) -> None:
    vpn = broker.vpns[path[0]]
    vpn.add_queue_subscription(vpn.queues[path[1]], path[2])


def _set_replay_log(broker: Broker, path: tuple[str, ...], value: dict[str, Any]) -> None:
    vpn, name = broker.vpns[path[0]], path[1]
    fields = dict(value)
    number, created_at_ms = fields.pop("number"), fields.pop("created_at_ms")
    settings = ReplayLogSettings(**fields)
    if vpn.replay_log is not None and vpn.replay_log.number != number:  # recovery behind damage: it was deleted
        _delete_replay_log(broker, (vpn.name, vpn.replay_log.name))
    if vpn.replay_log is None:
        vpn.replay_log = ReplayLog(broker, vpn, name, number, settings, created_at_ms)
        broker.replay_logs_by_number[number] = (vpn, vpn.replay_log)
        broker.reserve(number=number)
        return
    vpn.replay_log.settings = settings
    if not settings.egress_enabled:
        log_modified(broker, vpn)


def _set_replay_log_subscription(broker: Broker, path: tuple[str, ...], _: dict[str, Any]) -> None:
    log = broker.vpns[path[0]].replay_log
    if log is not None and log.name == path[1]:
        log.add_subscription(path[2])


# -- deleters: (broker, path)


def _delete_vpn(broker: Broker, path: tuple[str, ...]) -> None:
    vpn = broker.vpns[path[0]]
    _disconnect_all(vpn, "its message VPN was deleted")
    for name in list(vpn.queues):
        _delete_queue(broker, (path[0], name))
    if vpn.replay_log is not None:
        _delete_replay_log(broker, (path[0], vpn.replay_log.name))
    del broker.vpns[path[0]]


def _delete_username(broker: Broker, path: tuple[str, ...]) -> None:
    vpn = broker.vpns[path[0]]
    vpn.usernames.pop(path[1], None)
    for client in list(vpn.clients.values()):
        if client.username == path[1]:
            client.outlet.disconnect("its client username was deleted")


def _delete_client_profile(broker: Broker, path: tuple[str, ...]) -> None:
    broker.vpns[path[0]].client_profiles.pop(path[1], None)


def _delete_acl_profile(broker: Broker, path: tuple[str, ...]) -> None:
    broker.vpns[path[0]].acl_profiles.pop(path[1], None)


def _delete_acl_exception(broker: Broker, path: tuple[str, ...]) -> None:
    vpn = broker.vpns[path[0]]
    if path[1] in vpn.acl_profiles:
        vpn.acl_profiles[path[1]].remove(path[2], path[3])
        vpn.revoke(path[1])


def _delete_queue(broker: Broker, path: tuple[str, ...]) -> None:
    vpn = broker.vpns[path[0]]
    queue = vpn.queues.get(path[1])
    if queue is None:
        return
    queue.unbind_all(Refused(503, "Unknown Queue"))
    for subscription in list(queue.subscriptions):
        vpn.remove_queue_subscription(queue, subscription)
    queue.close()
    del vpn.queues[path[1]]
    del broker.queues_by_number[queue.number]


def _delete_subscription(broker: Broker, path: tuple[str, ...]) -> None:
    vpn = broker.vpns[path[0]]
    if path[1] in vpn.queues:
        vpn.remove_queue_subscription(vpn.queues[path[1]], path[2])


def _delete_replay_log(broker: Broker, path: tuple[str, ...]) -> None:
    vpn = broker.vpns[path[0]]
    log = vpn.replay_log
    if log is None or log.name != path[1]:
        return
    log_modified(broker, vpn)
    log.forget([spooled.id for spooled in log.messages])
    vpn.replay_log = None
    del broker.replay_logs_by_number[log.number]


def _delete_replay_log_subscription(broker: Broker, path: tuple[str, ...]) -> None:
    log = broker.vpns[path[0]].replay_log
    if log is not None and log.name == path[1]:
        log.remove_subscription(path[2])


def _disconnect_all(vpn: Vpn, reason: str) -> None:
    for client in list(vpn.clients.values()):
        client.outlet.disconnect(reason)


_SETTERS: Final[dict[str, Callable[[Broker, tuple[str, ...], dict[str, Any]], None]]] = {
    VPN: _set_vpn,
    USERNAME: _set_username,
    CLIENT_PROFILE: _set_client_profile,
    ACL_PROFILE: _set_acl_profile,
    ACL_EXCEPTION: _set_acl_exception,
    QUEUE: _set_queue,
    SUBSCRIPTION: _set_subscription,
    REPLAY_LOG: _set_replay_log,
    REPLAY_LOG_SUBSCRIPTION: _set_replay_log_subscription,
    SPOOL: _set_spool,
}
_DELETERS: Final[dict[str, Callable[[Broker, tuple[str, ...]], None]]] = {
    VPN: _delete_vpn,
    USERNAME: _delete_username,
    CLIENT_PROFILE: _delete_client_profile,
    ACL_PROFILE: _delete_acl_profile,
    ACL_EXCEPTION: _delete_acl_exception,
    QUEUE: _delete_queue,
    SUBSCRIPTION: _delete_subscription,
    REPLAY_LOG: _delete_replay_log,
    REPLAY_LOG_SUBSCRIPTION: _delete_replay_log_subscription,
}
