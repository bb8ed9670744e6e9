"""The config interface: which objects there are, and what reading and writing them means in the core."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..core import access, configuration, topics
from ..core.access import AclProfile
from ..core.broker import Broker
from ..core.log import ConfigDeleted, ConfigSet
from ..core.queue import Queue
from ..core.refusal import Refused
from ..core.settings import AclProfileSettings, ClientProfileSettings, QueueSettings, UsernameSettings, VpnSettings
from . import replay_log, schema
from .errors import invalid_parameter, not_allowed, not_found, not_supported
from .objects import Ids, InVpn, ObjectType, Values


class VpnStore(InVpn):
    """Message VPNs."""

    def list(self, parents: Ids) -> Iterable[Ids]:
        """Return their names."""
        return [(*parents, name) for name in self.broker.vpns]

    def read(self, ids: Ids) -> VpnSettings | None:
        """Return a VPN's settings."""
        found = self.broker.vpns.get(ids[0])
        return found.settings if found is not None else None

    def write(self, ids: Ids, fields: Values, *, new: bool) -> None:
        """Create or change a VPN."""
        if new:
            configuration.create_vpn(self.broker, ids[0], VpnSettings(**fields))
        else:
            configuration.configure(self.broker, ConfigSet(configuration.VPN, ids, fields))

    def delete(self, ids: Ids) -> None:
        """Delete a disabled VPN without queues; temporary ones go with it."""
        vpn = self.vpn(ids[0])
        if vpn.settings.enabled or any(queue.durable for queue in vpn.queues.values()):
            raise not_allowed(f"message VPN {ids[0]} is enabled or has queues; disable it and delete them first")
        configuration.configure(self.broker, ConfigDeleted(configuration.VPN, ids))


class UsernameStore(InVpn):
    """Client usernames."""

    def list(self, parents: Ids) -> Iterable[Ids]:
        """Return their names."""
        return [(*parents, name) for name in self.vpn(parents[0]).usernames]

    def read(self, ids: Ids) -> UsernameSettings | None:
        """Return a username's settings."""
        return self.vpn(ids[0]).usernames.get(ids[1])

    def write(self, ids: Ids, fields: Values, *, new: bool) -> None:
        """Create or change a username; its profiles have to exist."""
        vpn = self.vpn(ids[0])
        if fields["acl_profile_name"] not in vpn.acl_profiles:
            raise not_found(f"ACL profile {fields['acl_profile_name']} does not exist")
        if fields["client_profile_name"] not in vpn.client_profiles:
            raise not_found(f"client profile {fields['client_profile_name']} does not exist")
        configuration.configure(self.broker, ConfigSet(configuration.USERNAME, ids, fields))

    def delete(self, ids: Ids) -> None:
        """Delete a username; not ``default``."""
        _not_default("client username", ids[1])
        configuration.configure(self.broker, ConfigDeleted(configuration.USERNAME, ids))


class ClientProfileStore(InVpn):
    """Client profiles."""

    def list(self, parents: Ids) -> Iterable[Ids]:
        """Return their names."""
        return [(*parents, name) for name in self.vpn(parents[0]).client_profiles]

    def read(self, ids: Ids) -> ClientProfileSettings | None:
        """Return a profile's settings."""
        return self.vpn(ids[0]).client_profiles.get(ids[1])

    def write(self, ids: Ids, fields: Values, *, new: bool) -> None:
        """Create or change a profile."""
        configuration.configure(self.broker, ConfigSet(configuration.CLIENT_PROFILE, ids, fields))

    def delete(self, ids: Ids) -> None:
        """Delete a profile that no enabled username has."""
        _not_default("client profile", ids[1])
        for name, username in self.vpn(ids[0]).usernames.items():
            if username.client_profile_name == ids[1] and username.enabled:
                raise not_allowed(f"client profile {ids[1]} is used by the enabled client username {name}")
        configuration.configure(self.broker, ConfigDeleted(configuration.CLIENT_PROFILE, ids))


class AclProfileStore(InVpn):
    """ACL profiles."""

    def list(self, parents: Ids) -> Iterable[Ids]:
        """Return their names."""
        return [(*parents, name) for name in self.vpn(parents[0]).acl_profiles]

    def read(self, ids: Ids) -> AclProfileSettings | None:
        """Return a profile's settings."""
        found = self.vpn(ids[0]).acl_profiles.get(ids[1])
        return found.settings if found is not None else None

    def write(self, ids: Ids, fields: Values, *, new: bool) -> None:
        """Create or change a profile."""
        configuration.configure(self.broker, ConfigSet(configuration.ACL_PROFILE, ids, fields))

    def delete(self, ids: Ids) -> None:
        """Delete a profile that no enabled username has."""
        _not_default("ACL profile", ids[1])
        for name, username in self.vpn(ids[0]).usernames.items():
            if username.acl_profile_name == ids[1] and username.enabled:
                raise not_allowed(f"ACL profile {ids[1]} is used by the enabled client username {name}")
        configuration.configure(self.broker, ConfigDeleted(configuration.ACL_PROFILE, ids))


@dataclass(frozen=True)
class ExceptionStore(InVpn):
    """One exception list of an ACL profile. Topic exceptions have a syntax as their first identifier: ``smf`` only."""

    kind: str

    def _profile(self, ids: Ids) -> AclProfile:
        found = self.vpn(ids[0]).acl_profiles.get(ids[1])
        if found is None:
            raise not_found(f"ACL profile {ids[1]} does not exist")
        return found

    def list(self, parents: Ids) -> Iterable[Ids]:
        """Return the exceptions."""
        syntax = () if self.kind == access.CONNECT else ("smf",)
        return [(*parents, *syntax, what) for what in sorted(self._profile(parents).exceptions[self.kind])]

    def read(self, ids: Ids) -> bool | None:
        """Return whether there is such an exception."""
        listed = ids[-1] in self._profile(ids).exceptions[self.kind]
        return True if listed and (self.kind == access.CONNECT or ids[2] == "smf") else None

    def write(self, ids: Ids, fields: Values, *, new: bool) -> None:
        """Add an exception."""
        if self.kind == access.CONNECT:
            if not access.is_network(ids[-1]):
                raise invalid_parameter(f"{ids[-1]} is no network like 10.0.0.0/8 (one address: 10.0.0.1/32)")
        elif ids[2] != "smf":
            raise invalid_parameter("only exceptions of syntax smf are emulated")
        elif not topics.is_valid(ids[-1]):
            raise invalid_parameter(f"{ids[-1]} is no topic, with wildcards or without")
        elif "$client" in (ids[-1] if self.kind == access.SHARE_NAME else access.USERNAME.sub("", ids[-1])):
            raise not_supported(f"{ids[-1]}: only $client-username in a topic is emulated")
        path = (ids[0], ids[1], self.kind, ids[-1])
        configuration.configure(self.broker, ConfigSet(configuration.ACL_EXCEPTION, path, {}))

    def delete(self, ids: Ids) -> None:
        """Remove an exception."""
        path = (ids[0], ids[1], self.kind, ids[-1])
        configuration.configure(self.broker, ConfigDeleted(configuration.ACL_EXCEPTION, path))


class QueueStore(InVpn):
    """Queues; temporary ones are not configuration."""

    def queue(self, ids: Ids) -> Queue:
        """Return a queue. Raises SempError."""
        found = self.vpn(ids[0]).queues.get(ids[1])
        if found is None or not found.durable:
            raise not_found(f"queue {ids[1]} does not exist")
        return found

    def list(self, parents: Ids) -> Iterable[Ids]:
        """Return their names."""
        return [(*parents, name) for name, queue in self.vpn(parents[0]).queues.items() if queue.durable]

    def read(self, ids: Ids) -> QueueSettings | None:
        """Return a queue's settings."""
        found = self.vpn(ids[0]).queues.get(ids[1])
        return found.settings if found is not None and found.durable else None

    def write(self, ids: Ids, fields: Values, *, new: bool) -> None:
        """Create or change a queue."""
        vpn = self.vpn(ids[0])
        settings = QueueSettings(**fields)
        if new:
            try:
                vpn.check_room_for_queue()
            except Refused as refused:
                limit = vpn.settings.max_endpoint_count
                raise not_allowed(f"{refused.text}: message VPN {ids[0]} has {limit} (maxEndpointCount)") from None
            configuration.create_queue(self.broker, vpn, ids[1], settings, durable=True, managed=True)
        else:
            configuration.change_queue(self.broker, vpn, vpn.queues[ids[1]], settings)

    def delete(self, ids: Ids) -> None:
        """Delete a queue that nobody is bound to."""
        queue = self.queue(ids)
        if queue.flows:
            raise not_allowed(f"queue {ids[1]} has {len(queue.flows)} bound clients; unbind them first")
        configuration.delete_queue(self.broker, self.vpn(ids[0]), queue)


class QueueSubscriptionStore(QueueStore):
    """Subscriptions of queues."""

    def list(self, parents: Ids) -> Iterable[Ids]:
        """Return the subscriptions."""
        return [(*parents, subscription) for subscription in self.queue(parents).subscriptions]

    def read(self, ids: Ids) -> Any:
        """Return whether there is such a subscription."""
        return True if ids[2] in self.queue(ids).subscriptions else None

    def write(self, ids: Ids, fields: Values, *, new: bool) -> None:
        """Add a subscription."""
        if ids[2].startswith("#share/") or not topics.is_valid(ids[2].removeprefix("!")):
            raise invalid_parameter(f"{ids[2]} is no subscription that a queue can have")
        configuration.subscribe_queue(self.broker, self.vpn(ids[0]), self.queue(ids), ids[2])

    def delete(self, ids: Ids) -> None:
        """Remove a subscription."""
        configuration.unsubscribe_queue(self.broker, self.vpn(ids[0]), self.queue(ids), ids[2])


def _not_default(label: str, name: str) -> None:
    if name == "default":
        raise not_allowed(f"the {label} default cannot be deleted")


# -- the tree of types


def object_types(broker: Broker) -> ObjectType:
    """Return the type ``msgVpns`` with everything below it."""
    exceptions = tuple(
        ObjectType(
            label,
            kind,
            identifiers if kind == access.CONNECT else (f"{identifiers[0]}Syntax", identifiers[0]),
            ExceptionStore(broker, kind),
            limits={"clientConnectExceptionAddress": 43},
        )
        for label, kind, identifiers in (
            ("client connect exception", access.CONNECT, ("clientConnectExceptionAddress",)),
            ("publish topic exception", access.PUBLISH, ("publishTopicException",)),
            ("subscribe topic exception", access.SUBSCRIBE, ("subscribeTopicException",)),
            ("subscribe share name exception", access.SHARE_NAME, ("subscribeShareNameException",)),
        )
    )
    subscription = ObjectType(
        "queue subscription", "subscriptions", ("subscriptionTopic",), QueueSubscriptionStore(broker)
    )
    below = (
        ObjectType(
            "ACL profile",
            "aclProfiles",
            ("aclProfileName",),
            AclProfileStore(broker),
            schema.ACL_PROFILE,
            {"aclProfileName": 32},
            children=exceptions,
        ),
        ObjectType(
            "client profile",
            "clientProfiles",
            ("clientProfileName",),
            ClientProfileStore(broker),
            schema.CLIENT_PROFILE,
            {"clientProfileName": 32},
            {"clientProfileName": r"#?[A-Za-z0-9\-_]+"},
        ),
        ObjectType(
            "client username",
            "clientUsernames",
            ("clientUsername",),
            UsernameStore(broker),
            schema.CLIENT_USERNAME,
            {"clientUsername": 189},
            {"clientUsername": "[^?*]+"},
        ),
        ObjectType(
            "queue",
            "queues",
            ("queueName",),
            QueueStore(broker),
            schema.QUEUE,
            {"queueName": 200},
            {"queueName": "[^*?'<>&;]+"},
            (subscription,),
        ),
        replay_log.object_type(broker),
    )
    return ObjectType(
        "message VPN",
        "msgVpns",
        ("msgVpnName",),
        VpnStore(broker),
        schema.MESSAGE_VPN,
        {"msgVpnName": 32},
        {"msgVpnName": "[^*?]+"},
        below,
    )
