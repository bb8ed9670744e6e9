"""The action interface: what is done rather than configured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ..core.broker import Broker
from ..core.queue import Queue
from ..core.queue_stats import QueueStats
from ..core.vpn import Vpn
from . import copying, replay_log
from .errors import invalid_parameter, missing_parameter, not_allowed, not_found, not_supported
from .monitor import message_id
from .paths import Step
from .schema.attribute import Attribute, flag, number, text

Values = dict[str, Any]
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """An action, and the attributes that its request may have, or must.

    ``run`` gets the identifiers of the objects below the message VPN: those of the path, which exist.
    """

    run: Callable[[Broker, Vpn, Names, Values], None]
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


def locate(broker: Broker, steps: tuple[Step, ...]) -> Callable[[Values], Queue | None] | None:
    """Resolve a path like ``msgVpns/default/queues/q/deleteMsgs`` to what it does with a request's attributes.

    That returns the queue that it is about, which may be busy with it. None when there is no such action. Raises
    SempError when the object does not exist, or when the vendor has the action and the emulator does not.
    """
    chain = tuple(step.collection for step in steps)
    action = _ACTIONS.get(chain)
    if (action is None and chain not in _NOT_EMULATED) or steps[-1].identifiers is not None:
        return None
    objects = [(step.collection, step.identifiers[0]) for step in steps[:-1] if step.identifiers]
    vpn = broker.vpns.get(objects[0][1])
    if vpn is None:
        raise not_found(f"message VPN {objects[0][1]} does not exist")
    names: Names = ()
    for collection, name in objects[1:]:
        if not _exists(vpn, collection, names, name):
            raise not_found(f"{_LABELS[collection]} {name} does not exist")
        names = (*names, name)
    if action is None:
        raise not_supported(f"{chain[-1]} is not emulated")
    found = action

    def carry_out(given: Values) -> Queue | None:
        found.check(given)
        found.run(broker, vpn, names, given)
        return vpn.queues.get(names[0]) if chain[1] == "queues" else None

    return carry_out


def _exists(vpn: Vpn, collection: str, parents: Names, name: str) -> bool:
    match collection:
        case "replayLogs":
            return vpn.replay_log is not None and vpn.replay_log.name == name
        case "queues":
            return name in vpn.queues
        case "msgs":
            return vpn.queues[parents[0]].find(message_id(name)) is not None
        case _:
            return name in vpn.clients


def _on(run: Callable[[Broker, Vpn, str, Values], None]) -> Callable[[Broker, Vpn, Names, Values], None]:
    """Give an action that is about one object its name alone."""
    return lambda broker, vpn, names, given: run(broker, vpn, names[0], given)


def _delete_messages(_: Broker, vpn: Vpn, names: Names, __: Values) -> None:
    queue = vpn.queues[names[0]]
    if queue.replay.preparing:
        raise not_allowed(f"a replay is filling queue {names[0]}; wait for it, or cancel it (cancelReplay)")
    queue.delete_all()


def _delete_message(_: Broker, vpn: Vpn, names: Names, __: Values) -> None:
    vpn.queues[names[0]].delete(message_id(names[1]))


def _clear_queue_stats(_: Broker, vpn: Vpn, names: Names, __: Values) -> None:
    queue = vpn.queues[names[0]]
    queue.stats = QueueStats(msg_spool_peak_usage=queue.spool_usage)


def _disconnect(_: Broker, vpn: Vpn, names: Names, __: Values) -> None:
    vpn.clients[names[0]].outlet.disconnect("an administrator has disconnected the client")


def _clear_client_stats(_: Broker, vpn: Vpn, names: Names, __: Values) -> None:
    vpn.clear_client_stats(vpn.clients[names[0]])


def _clear_vpn_stats(_: Broker, vpn: Vpn, __: Names, ___: Values) -> None:
    vpn.clear_stats()


_LABELS: Final = {"queues": "queue", "msgs": "message", "clients": "client", "replayLogs": "replay log"}
_TIMES: Final = (-(2**31), 2**31 - 1)  # seconds since 1970
_MESSAGE: Final = text("replicationGroupMsgId", "", 41, 41)
_ACTIONS: Final[dict[tuple[str, ...], Action]] = {
    ("msgVpns", "clearStats"): Action(_clear_vpn_stats),
    ("msgVpns", "queues", "msgs", "delete"): Action(_delete_message),
    ("msgVpns", "queues", "deleteMsgs"): Action(_delete_messages),
    ("msgVpns", "queues", "clearStats"): Action(_clear_queue_stats),
    ("msgVpns", "queues", "startReplay"): Action(
        _on(replay_log.start),
        optional=(
            text("replayLogName", "", 1, 185),
            number("fromTime", None, *_TIMES),
            text("afterMsg", "", 41, 41),
        ),
    ),
    ("msgVpns", "queues", "cancelReplay"): Action(_on(replay_log.cancel), optional=(flag("forceComplete", False),)),
    ("msgVpns", "queues", "copyMsgFromReplayLog"): Action(
        _on(copying.from_replay_log), required=(text("sourceReplayLogName", "", 1, 185), _MESSAGE)
    ),
    ("msgVpns", "queues", "copyMsgFromQueue"): Action(
        _on(copying.from_queue), required=(text("sourceQueueName", "", 1, 200), _MESSAGE)
    ),
    ("msgVpns", "replayLogs", "trimLoggedMsgs"): Action(
        _on(replay_log.trim), required=(number("olderThanTime", None, *_TIMES),)
    ),
    ("msgVpns", "clients", "disconnect"): Action(_disconnect),
    ("msgVpns", "clients", "clearStats"): Action(_clear_client_stats),
}
#: What the vendor's document has for objects that are emulated, and the emulator has not.
_NOT_EMULATED: Final = frozenset(
    {
        ("msgVpns", "clearMsgSpoolStats"),
        ("msgVpns", "clearReplicationStats"),
        ("msgVpns", "clearServiceStats"),
        ("msgVpns", "clients", "clearEvent"),
        ("msgVpns", "queues", "copyMsgFromTopicEndpoint"),
    }
)
