"""SMP requests: a client's own subscriptions and those of queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import configuration, topics
from ..core.refusal import Refused, over_quota
from ..core.routing import split_share
from ..smf import smp

if TYPE_CHECKING:
    from ..core.broker import Broker
    from ..core.client import Client
    from ..core.vpn import Vpn


def handle(broker: Broker, vpn: Vpn, client: Client, request: smp.Request) -> None:
    """Carry a request out. Raises :class:`Refused`."""
    if request.kind == smp.ADD:
        vpn.subscribe(client, request.subscription)
    elif request.kind == smp.REMOVE:
        vpn.unsubscribe(client, request.subscription)
    elif request.kind in smp.OF_QUEUES:
        _queue(broker, vpn, client, request)
    else:  # on behalf of another client: no username here is a subscription manager
        raise Refused(403, "Subscription Manager Denied")


def _queue(broker: Broker, vpn: Vpn, client: Client, request: smp.Request) -> None:
    if broker.disk_full:
        raise over_quota()
    queue = vpn.queues.get(request.owner)
    if queue is None:
        raise Refused(503, "Unknown Queue")
    if not queue.settings.allows(client.username, "modify-topic"):
        raise Refused(403, "Permission Not Allowed")
    subscription = request.subscription
    if request.kind == smp.REMOVE_FROM_QUEUE:
        if subscription not in queue.subscriptions:
            raise Refused(400, "Subscription Not Found")
        configuration.unsubscribe_queue(broker, vpn, queue, subscription)
        return
    share, topic = split_share(subscription.removeprefix("!"))
    if share is not None:
        raise Refused(403, "Shared Subscriptions Not Supported On Queues")
    if not topics.is_valid(topic):
        raise Refused(400, "Subscription Parse Error")
    if not vpn.acl(client).may_subscribe(topic, client.username):
        raise Refused(403, "Subscription ACL Denied")
    if subscription in queue.subscriptions:
        raise Refused(400, "Subscription Already Exists")
    configuration.subscribe_queue(broker, vpn, queue, subscription)
