"""The action interface: what is done rather than configured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..core.broker import Broker
from ..core.client import ClientStats
from ..core.queue import QueueStats
from ..core.vpn import Vpn
from .errors import not_found
from .paths import Step


def locate(broker: Broker, steps: tuple[Step, ...]) -> Callable[[], None] | None:
    """Resolve a path like ``msgVpns/default/queues/q/deleteMsgs`` to what it does; None when there is no such action.

    Raises SempError when the object does not exist.
    """
    if len(steps) != 3 or steps[2].identifiers is not None:
        return None
    run = _ACTIONS.get((steps[0].collection, steps[1].collection, steps[2].collection))
    if run is None or not steps[0].identifiers or not steps[1].identifiers:
        return None
    vpn = broker.vpns.get(steps[0].identifiers[0])
    if vpn is None:
        raise not_found(f"message VPN {steps[0].identifiers[0]} does not exist")
    name = steps[1].identifiers[0]
    if name not in (vpn.queues if steps[1].collection == "queues" else vpn.clients):
        raise not_found(f"{steps[1].collection.removesuffix('s')} {name} does not exist")
    return lambda: run(vpn, name)


def _delete_messages(vpn: Vpn, name: str) -> None:
    vpn.queues[name].delete_all()


def _clear_queue_stats(vpn: Vpn, name: str) -> None:
    vpn.queues[name].stats = QueueStats(msg_spool_peak_usage=vpn.queues[name].spool_usage)


def _disconnect(vpn: Vpn, name: str) -> None:
    vpn.clients[name].outlet.disconnect("an administrator has disconnected the client")


def _clear_client_stats(vpn: Vpn, name: str) -> None:
    vpn.clients[name].stats = ClientStats()


_ACTIONS: Final[dict[tuple[str, str, str], Callable[[Vpn, str], None]]] = {
    ("msgVpns", "queues", "deleteMsgs"): _delete_messages,
    ("msgVpns", "queues", "clearStats"): _clear_queue_stats,
    ("msgVpns", "clients", "disconnect"): _disconnect,
    ("msgVpns", "clients", "clearStats"): _clear_client_stats,
}
