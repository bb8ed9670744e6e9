"""A message VPN: its objects, and the routing of messages between clients and queues."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..smf import message as smf_message
from ..smf.message import Message
from . import topics
from .access import AclProfile, opens
from .client import Client, ClientStats
from .entry import Entry, SpooledMessage
from .log import Unreadable
from .queue import Queue
from .queue_stats import Burial
from .refusal import Refused, over_quota
from .replay import ReplayLog
from .routing import Route, Routing, split_share
from .settings import MEGABYTE, ClientProfileSettings, UsernameSettings, VpnSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .broker import Broker
    from .publisher import PublisherFlow

_LOG: Final = logging.getLogger(__name__)


class Vpn:
    """One message VPN. Configuration changes arrive through :mod:`.configuration`, traffic through this class."""

    def __init__(self, broker: Broker, name: str, settings: VpnSettings) -> None:
        self.name = name
        self.settings = settings
        self.usernames: dict[str, UsernameSettings] = {}
        self.client_profiles: dict[str, ClientProfileSettings] = {}
        self.acl_profiles: dict[str, AclProfile] = {}
        self.queues: dict[str, Queue] = {}
        self.replay_log: ReplayLog | None = None
        self.clients: dict[str, Client] = {}
        self.spool_usage = 0  # bytes; a message in several queues counts once
        self.spooled_count = 0
        self._subscription_count = 0  # of clients
        self._departed = ClientStats()  # of clients that are gone, less what was cleared
        self._broker = broker
        self._routing = Routing()

    # -- login

    def authenticate(self, username: str, password: str) -> tuple[str, UsernameSettings]:
        """Return the client username that a login counts as, and its settings. Raises :class:`Refused`."""
        self._check_enabled()
        if not self.settings.authentication_basic_enabled:
            raise Refused(403, "Basic Authentication Is Shutdown")
        found = self.usernames.get(username)
        kind = self.settings.authentication_basic_type
        if kind == "none":
            if found is None:  # anybody is let in as the user "default"
                found = self.usernames.get("default")
        elif kind != "internal" or found is None or not opens(found.password, password):
            raise Refused(401, "Unauthorized")
        if found is None or not found.enabled:
            raise Refused(403, "Client Username Is Shutdown")
        return username or "default", found

    def authenticate_certificate(self, common_name: str | None, asked: str) -> tuple[str, UsernameSettings]:
        """Return the same for a login by the certificate of the TLS connection. Raises :class:`Refused`.

        ``asked`` is the username that the client gave, which counts only where that is allowed. Assumed, not verified:
        a name that is not configured counts as the user "default", where that is enabled.
        """
        self._check_enabled()
        settings = self.settings
        if not settings.authentication_client_cert_enabled:
            raise Refused(403, "Client Certificate Authentication Is Shutdown")
        if common_name is None:
            raise Refused(403, "Untrusted Certificate")
        name = (settings.authentication_client_cert_allow_api_provided_username_enabled and asked) or common_name
        found = self.usernames.get(name) or self.usernames.get("default")
        if found is None or not found.enabled:
            raise Refused(403, "Client Username Is Shutdown")
        return name, found

    def _check_enabled(self) -> None:
        if not self.settings.enabled:
            raise Refused(503, "Message VPN Unavailable")

    def admit(self, client: Client) -> None:
        """Let a client in, in place of one with the same name. Raises :class:`Refused`."""
        if not self.acl(client).may_connect(client.address.rpartition(":")[0].strip("[]")):
            raise Refused(403, "Forbidden")
        former = self.clients.get(client.name)
        others = [other for other in self.clients.values() if other is not former]
        same_user = sum(other.username == client.username for other in others)
        limit = self.profile(client).max_connection_count_per_client_username
        if len(others) >= self.settings.max_connection_count or same_user >= limit:
            raise Refused(503, "Too Many Clients")
        if former is not None:
            former.outlet.disconnect(f"another client has logged in as {client.name!r}")
        self.clients[client.name] = client

    def dismiss(self, client: Client) -> None:
        """Forget a client that is gone, but not what it has counted."""
        self._departed.add(client.stats)
        for subscription in list(client.subscriptions):
            self.unsubscribe(client, subscription)
        if self.clients.get(client.name) is client:
            del self.clients[client.name]

    # -- counters

    def traffic(self) -> ClientStats:
        """Return what all clients have counted, those that are gone included, since the last clear."""
        total = replace(self._departed)
        for client in self.clients.values():
            total.add(client.stats)
        return total

    def clear_stats(self) -> None:
        """Count from zero again; what single clients count goes on."""
        self._departed.add(self.traffic(), -1)

    def clear_client_stats(self, client: Client) -> None:
        """Have a client count from zero again; what all clients count together goes on."""
        self._departed.add(client.stats)
        client.stats = ClientStats()

    def profile(self, client: Client) -> ClientProfileSettings:
        """Return the client's profile; one that was deleted meanwhile allows nothing."""
        return self.client_profiles.get(client.profile_name) or ClientProfileSettings()

    def acl(self, client: Client) -> AclProfile:
        """Return the client's ACL profile. Raises :class:`Refused` when it was deleted."""
        found = self.acl_profiles.get(client.acl_name)
        if found is None:
            raise Refused(403, "Forbidden")
        return found

    # -- direct subscriptions

    def subscribe(self, client: Client, subscription: str) -> None:
        """Add a direct subscription. Raises :class:`Refused`."""
        if subscription in client.subscriptions:
            raise Refused(400, "Subscription Already Exists")
        share, topic = split_share(subscription)
        if not topics.is_valid(topic) or share == "":
            raise Refused(400, "Subscription Parse Error")
        self._check_subscribe(client, share, topic)
        if self._subscription_count >= self.settings.max_subscription_count:
            raise Refused(400, "Max Num Subscriptions Exceeded")
        self._subscription_count += 1
        client.subscriptions[subscription] = None
        self._routing.add(client, share, topic)

    def _check_subscribe(self, client: Client, share: str | None, topic: str) -> None:
        acl = self.acl(client)
        own_inbox = bool(client.p2p_topic) and topic.startswith(client.p2p_topic + "/")
        if not own_inbox and not acl.may_subscribe(topic, client.username):
            raise Refused(403, "Subscription ACL Denied")
        if share is not None:
            if not self.profile(client).allow_shared_subscriptions_enabled:
                raise Refused(403, "Shared Subscription Permission Denied")
            if not acl.may_share(share):
                raise Refused(403, "Subscription ACL Denied")

    def revoke(self, acl_name: str) -> None:
        """An ACL profile has changed: remove its clients' direct subscriptions that would be refused now.

        Assumed, not verified: that the broker removes them, and tells the client nothing.
        """
        for client in [client for client in self.clients.values() if client.acl_name == acl_name]:
            for subscription in list(client.subscriptions):
                try:
                    self._check_subscribe(client, *split_share(subscription))
                except Refused as refused:
                    _LOG.info("%s: subscription %r is over: %s", client.name, subscription, refused)
                    self.unsubscribe(client, subscription)

    def unsubscribe(self, client: Client, subscription: str) -> None:
        """Remove a direct subscription. Raises :class:`Refused`."""
        if subscription not in client.subscriptions:
            raise Refused(400, "Subscription Not Found")
        del client.subscriptions[subscription]
        self._subscription_count -= 1
        share, topic = split_share(subscription)
        if share is not None or not any(split_share(other) == (None, topic) for other in client.subscriptions):
            self._routing.remove(client, share, topic)

    # -- queue subscriptions

    def add_queue_subscription(self, queue: Queue, subscription: str) -> None:
        """Attract a topic to a queue; ``!topic`` keeps one away."""
        queue.subscriptions[subscription] = None
        self._routing.attract(queue, subscription)

    def remove_queue_subscription(self, queue: Queue, subscription: str) -> None:
        """Undo :meth:`add_queue_subscription`."""
        queue.subscriptions.pop(subscription, None)
        self._routing.release(queue, subscription)

    def check_room_for_queue(self) -> None:
        """Raise :class:`Refused` where there are as many queues as may be, temporary ones too. Assumed: the text."""
        if len(self.queues) >= self.settings.max_endpoint_count:
            raise Refused(503, "Max Endpoints Exceeded")

    # -- messages

    def publish_direct(self, client: Client, message: Message, frame: bytes) -> None:
        """Route a direct message. Nobody hears of a refusal: it is counted."""
        try:
            route = self._route(client, message.topic)
        except Refused:
            return
        for target in route.targets:
            target.deliver(frame)
        try:
            spooled = self._spool(message, route, None, 0, alone_in_log=False)
        except Refused:
            client.stats.msg_spool_rx_discarded_msg_count += 1
            client.stats.rx_discarded_msg_count += 1
            return
        if not route.targets and not spooled:
            client.stats.no_subscription_match_rx_discarded_msg_count += 1

    def publish_guaranteed(self, client: Client, message: Message, flow: PublisherFlow, message_id: int) -> None:
        """Spool a guaranteed message where it is wanted, and log it. Raises :class:`Refused`: then nobody has it."""
        profile = self.profile(client)
        if not profile.allow_guaranteed_msg_send_enabled:
            raise Refused(403, "Permission Not Allowed")
        route = self._route(client, message.topic)
        targets = route.targets
        unmatched_rejected = profile.reject_msg_to_sender_on_no_subscription_match_enabled and not targets
        try:
            spooled = self._spool(message, route, flow, message_id, alone_in_log=not unmatched_rejected)
        except Refused:
            client.stats.msg_spool_rx_discarded_msg_count += 1
            client.stats.rx_discarded_msg_count += 1
            raise
        if targets:
            frame = smf_message.encode_direct(message)
            for target in targets:
                target.deliver(frame)
        elif not spooled and unmatched_rejected:
            client.stats.no_subscription_match_rx_discarded_msg_count += 1
            client.stats.rx_discarded_msg_count += 1
            raise Refused(503, "No Subscription Match")

    def _route(self, client: Client, topic: str) -> Route:
        """Return where a message of a client goes. Raises :class:`Refused`, and counts that."""
        route = self._routing.find(topic)
        if route is None:
            client.stats.topic_parse_error_rx_discarded_msg_count += 1
            client.stats.rx_discarded_msg_count += 1
            raise Refused(400, "Topic Parse Error")
        if not topic.startswith("#P2P/") and not self.acl(client).may_publish(topic, client.username):
            client.stats.publish_topic_acl_rx_discarded_msg_count += 1
            client.stats.rx_discarded_msg_count += 1
            raise Refused(403, "Publish ACL Denied")
        return route

    def _wanting(self, route: Route) -> Sequence[Queue]:
        if route.addressed is None:
            return route.queues
        queue = self.queues.get(route.addressed)
        if queue is None:
            raise Refused(400, "Queue Not Found")
        return (queue,)

    def attracts(self, queue: Queue, topic: str) -> bool:
        """Whether a message with this topic is for a queue now."""
        route = self._routing.find(topic)
        return route is not None and (queue.name == route.addressed or queue in route.queues)

    def _spool(
        self, message: Message, route: Route, flow: PublisherFlow | None, message_id: int, *, alone_in_log: bool
    ) -> bool:
        """Spool a message where it is wanted; one refusal that the publisher must hear of, and no queue takes it.

        The replay log takes what a queue takes, and with ``alone_in_log`` what no queue does as well. Return whether a
        queue has it.
        """
        wanting = self._wanting(route)
        log = self.replay_log if self.replay_log is not None and self.replay_log.wants(message) else None
        if not wanting and (log is None or not alone_in_log):
            return False
        beyond = self.spool_usage + message.size > self.settings.max_msg_spool_usage * MEGABYTE
        if beyond or self._broker.disk_full:
            raise over_quota()
        taking: list[Queue] = []
        for queue in wanting:
            objection = queue.objection(message.size)
            if objection is None:
                taking.append(queue)
            elif objection[1]:
                raise objection[0]
        if log is not None and (taking or alone_in_log):
            self._broker.spool(self, message, [*taking, log], flow, message_id)
            log.trim()
        elif taking:
            self._broker.spool(self, message, taking, flow, message_id)
        return bool(taking)

    def bury(self, queue: Queue, entry: Entry) -> Burial:
        """Move a dead message to the queue's dead message queue, where it is eligible and that one takes it."""
        spooled = entry.spooled
        flag_ignored = (
            self.settings.allow_dmq_eligible_endpoint_override_enabled
            and not queue.settings.respect_dmq_eligible_enabled
        )
        if not (spooled.dmq_eligible or flag_ignored):
            return "discarded"
        grave = self.queues.get(queue.settings.dead_msg_queue)
        if grave is None or grave is queue or grave.objection(spooled.size) is not None:
            return "failed"
        try:
            message = spooled.message
        except Unreadable:
            self._broker.lose(spooled)
            return "failed"
        self._broker.spool(self, message, [grave], None, 0, expires=False)
        return "moved"

    def holds(self, spooled: SpooledMessage) -> None:
        """Count a message that has come to the spool."""
        self.spool_usage += spooled.size
        self.spooled_count += 1

    def released(self, spooled: SpooledMessage) -> None:
        """Count a message that has left the spool."""
        self.spool_usage -= spooled.size
        self.spooled_count -= 1
