"""The action interface: what is done rather than configured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ..core.broker import Broker
from ..core.client import ClientStats
from ..core.queue import QueueStats
from ..core.vpn import Vpn
from . import replay_log
from .errors import invalid_parameter, missing_parameter, not_found
from .paths import Step
from .schema.attribute import Attribute, flag, number, text

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Action:
    """An action on an object by name, and the attributes that its request may have, or must."""

    run: Callable[[Broker, Vpn, str, Values], None]
    optional: tuple[Attribute, ...] = ()
    required: tuple[Attribute, ...] = ()

    def check(self, given: Values) -> None:
        """Raise SempError for an unknown, missing or bad attribute."""
        known = {attribute.name: attribute for attribute in self.optional + self.required}
        for name, value in given.items():
            if name not in known:
                raise invalid_parameter(f"{name} is not a valid attribute")
            known[name].check(value)
        for attribute in self.required:
            if attribute.name not in given:
                raise missing_parameter(f"{attribute.name} is required")


def locate(broker: Broker, steps: tuple[Step, ...]) -> Callable[[Values], None] | None:
    """Resolve a path like ``msgVpns/default/queues/q/deleteMsgs`` to what it does with a request's attributes.

    None when there is no such action. Raises SempError when the object does not exist.
    """
    if len(steps) != 3 or steps[2].identifiers is not None:
        return None
    action = _ACTIONS.get((steps[0].collection, steps[1].collection, steps[2].collection))
    if action is None or not steps[0].identifiers or not steps[1].identifiers:
        return None
    vpn = broker.vpns.get(steps[0].identifiers[0])
    if vpn is None:
        raise not_found(f"message VPN {steps[0].identifiers[0]} does not exist")
    collection, name = steps[1].collection, steps[1].identifiers[0]
    if name not in _names(vpn, collection):
        raise not_found(f"{_LABELS[collection]} {name} does not exist")

    def carry_out(given: Values) -> None:
        action.check(given)
        action.run(broker, vpn, name, given)

    return carry_out


def _names(vpn: Vpn, collection: str) -> frozenset[str]:
    if collection == "replayLogs":
        return frozenset({vpn.replay_log.name} if vpn.replay_log is not None else ())
    return frozenset(vpn.queues if collection == "queues" else vpn.clients)


def _delete_messages(_: Broker, vpn: Vpn, name: str, __: Values) -> None:
    vpn.queues[name].delete_all()


def _clear_queue_stats(_: Broker, vpn: Vpn, name: str, __: Values) -> None:
    vpn.queues[name].stats = QueueStats(msg_spool_peak_usage=vpn.queues[name].spool_usage)


def _disconnect(_: Broker, vpn: Vpn, name: str, __: Values) -> None:
    vpn.clients[name].outlet.disconnect("an administrator has disconnected the client")


def _clear_client_stats(_: Broker, vpn: Vpn, name: str, __: Values) -> None:
    vpn.clients[name].stats = ClientStats()


_LABELS: Final = {"queues": "queue", "clients": "client", "replayLogs": "replay log"}
_TIMES: Final = (-(2**31), 2**31 - 1)  # seconds since 1970
_ACTIONS: Final[dict[tuple[str, str, str], Action]] = {
    ("msgVpns", "queues", "deleteMsgs"): Action(_delete_messages),
    ("msgVpns", "queues", "clearStats"): Action(_clear_queue_stats),
    ("msgVpns", "queues", "startReplay"): Action(
        replay_log.start,
        optional=(
            text("replayLogName", "", 1, 185),
            number("fromTime", None, *_TIMES),
            text("afterMsg", "", 41, 41),
        ),
    ),
    ("msgVpns", "queues", "cancelReplay"): Action(replay_log.cancel, optional=(flag("forceComplete", False),)),
    ("msgVpns", "queues", "copyMsgFromReplayLog"): Action(
        replay_log.copy_message,
        required=(text("sourceReplayLogName", "", 1, 185), text("replicationGroupMsgId", "", 41, 41)),
    ),
    ("msgVpns", "replayLogs", "trimLoggedMsgs"): Action(
        replay_log.trim, required=(number("olderThanTime", None, *_TIMES),)
    ),
    ("msgVpns", "clients", "disconnect"): Action(_disconnect),
    ("msgVpns", "clients", "clearStats"): Action(_clear_client_stats),
}
