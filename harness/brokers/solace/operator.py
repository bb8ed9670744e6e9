"""An administrator's acts on the objects of one run, over SEMP v2.

Sources: the vendor's SEMP v2 documents (queue, ACL profile, action ``disconnect``) and its pages "Access Control Lists"
and "Message Spool Discards". Not verified against a real broker: that a change of an ACL profile's exceptions reaches
clients that are connected (its publish rules are documented to be asked for each message).
"""

from __future__ import annotations

from collections.abc import Sequence

from crep.harness.brokers.contract import BrokerError, Endpoint, Json, NotSupported, Provisioned
from crep.harness.brokers.operator import Act, Discard, Gate, Side
from crep.harness.brokers.solace.semp import ALREADY_EXISTS, NOT_FOUND, Semp, SempError, path_of

PERMISSION = "consume"  # what clients may do with a reader's queue, as provisioned
DISCARD: Discard = "when-queue-enabled"  # as provisioned: the broker's default
_MEGABYTE = 1_000_000
_EVERYBODY = "default"  # the client username that an unknown one counts as, where the message VPN lets it in
_GATES: dict[Gate, str] = {"in": "ingressEnabled", "out": "egressEnabled"}
_RATE_QUOTA = (
    "a Solace broker has no rate quota for a client: it slows publishers by the window of guaranteed messages alone"
)


class SolaceOperator:
    """The administrator of one run's channels in one message VPN (``operator.Operator``)."""

    def __init__(self, endpoint: Endpoint, provisioned: Provisioned, semp: Semp) -> None:
        self._endpoint, self._objects, self._semp = endpoint, provisioned.objects, semp

    def check(self, act: Act, channel: str, reader: str | None = None) -> None:
        """Raise `NotSupported` where it cannot be done."""
        match act:
            case "deny publish":
                self._denying_profile()
            case "deny receive":
                self._queues_of_readers(channel)
            case "throttle":
                raise NotSupported(_RATE_QUOTA)
            case "limit" | "shut" if reader is not None:
                self._queue_of(channel, reader)
            case _:
                return  # any broker's administrator can

    # -- permissions

    def deny(self, channel: str, side: Side) -> None:
        """Publish: an exception of the user's ACL profile for the run's topics. Receive: no access to the queues."""
        if side == "receive":
            self._permit(channel, "no-access")
            return
        body = {"publishTopicException": self._topics(channel), "publishTopicExceptionSyntax": "smf"}
        try:
            self._semp.post(f"{self._profile(self._denying_profile())}/publishTopicExceptions", body)
        except SempError as error:
            if error.code != ALREADY_EXISTS:
                raise

    def allow(self, channel: str, side: Side) -> None:
        """Undo `deny`."""
        if side == "receive":
            self._permit(channel, PERMISSION)
            return
        try:
            self._semp.delete(self._exception(channel))
        except SempError as error:
            if error.code != NOT_FOUND:
                raise

    def denied(self, channel: str, side: Side) -> bool:
        """Whether every queue is closed to clients, or the exception stands."""
        if side == "receive":
            return all(self._config(name)["permission"] == "no-access" for name in self._queues_of_readers(channel))
        try:
            self._semp.get(self._exception(channel))
        except SempError as error:
            if error.code != NOT_FOUND:
                raise
            return False
        return True

    def _permit(self, channel: str, permission: str) -> None:
        """A change of it unbinds the queue's clients (SEMP: the attribute disables egress for the moment)."""
        for name in self._queues_of_readers(channel):
            self._change(name, {"permission": permission})

    def _queues_of_readers(self, channel: str) -> list[str]:
        layout = self._objects[channel]
        if layout["direct"]:
            raise NotSupported(
                f"readers {', '.join(sorted(layout['direct']))} of channel {channel!r} are direct subscriptions: what "
                "becomes of a subscription that stands when its ACL profile changes is not documented"
            )
        return [queue["name"] for queue in layout["queues"].values()]

    def _topics(self, channel: str) -> str:
        return f"{self._objects[channel]['topic_prefix']}/>"

    def _exception(self, channel: str) -> str:
        """The identifier is syntax and topic, with a comma between."""
        found = path_of("publishTopicExceptions") + "/" + "smf," + path_of(self._topics(channel))
        return f"{self._profile(self._acl_profile())}/{found}"

    def _profile(self, name: str) -> str:
        return f"{self._vpn()}/{path_of('aclProfiles', name)}"

    def _denying_profile(self) -> str:
        """The user's ACL profile, where an exception denies."""
        name = self._acl_profile()
        if self._semp.get(self._profile(name))["data"]["publishTopicDefaultAction"] != "allow":
            raise NotSupported(
                f"ACL profile {name!r} denies what no exception allows, so that taking one topic away would mean to "
                "take away an exception that crep has not made; use a user whose profile allows by default"
            )
        return name

    def _acl_profile(self) -> str:
        asked = self._endpoint.username or _EVERYBODY
        for username in dict.fromkeys((asked, _EVERYBODY)):
            try:
                found = self._semp.get(f"{self._vpn()}/{path_of('clientUsernames', username)}")
            except SempError as error:
                if error.code != NOT_FOUND:
                    raise
                continue
            return str(found["data"]["aclProfileName"])
        raise NotSupported(
            f"client username {asked!r} is not configured in message VPN {self._endpoint.vpn!r}: which ACL profile it "
            "gets is decided elsewhere (LDAP, OAuth)"
        )

    # -- quota

    def limit(self, channel: str, reader: str, size: int, discard: Discard | None = None) -> None:
        """The queue's quota is whole megabytes; 0 would mean to keep the last message only."""
        megabytes = max(1, -(-size // _MEGABYTE))
        name, provisioned = self._queue_of(channel, reader)
        if megabytes >= provisioned:
            raise BrokerError(f"queue {name!r} has a quota of {provisioned} MB: a limit of {megabytes} MB is none")
        self._change(name, {"maxMsgSpoolUsage": megabytes, "rejectMsgToSenderOnDiscardBehavior": discard or DISCARD})

    def unlimit(self, channel: str, reader: str) -> None:
        """Undo `limit`."""
        name, provisioned = self._queue_of(channel, reader)
        self._change(name, {"maxMsgSpoolUsage": provisioned, "rejectMsgToSenderOnDiscardBehavior": DISCARD})

    def limited(self, channel: str, reader: str) -> bool:
        """Whether the quota is below the provisioned one."""
        name, provisioned = self._queue_of(channel, reader)
        return int(self._config(name)["maxMsgSpoolUsage"]) < provisioned

    def throttle(self, clients: Sequence[str], bytes_per_s: int) -> None:
        """There is none."""
        raise NotSupported(_RATE_QUOTA)

    def unthrottle(self, clients: Sequence[str]) -> None:
        """There is none."""
        raise NotSupported(_RATE_QUOTA)

    def throttled(self, clients: Sequence[str]) -> bool:
        """There is none."""
        raise NotSupported(_RATE_QUOTA)

    # -- connections and gates

    def disconnect(self, clients: Sequence[str]) -> int:
        """One that is not connected now is passed over."""
        return sum(self._disconnect(client) for client in clients)

    def _disconnect(self, client: str) -> bool:
        vpn = path_of("msgVpns", self._endpoint.vpn)
        try:
            self._semp.act(f"action/{vpn}/{path_of('clients', client, 'disconnect')}")
        except SempError as error:
            if error.code != NOT_FOUND:
                raise
            return False
        return True

    def shut(self, channel: str, reader: str, gate: Gate, discard: Discard | None = None) -> None:
        """Switch the queue's ingress or egress off."""
        told = {} if discard is None else {"rejectMsgToSenderOnDiscardBehavior": discard}
        self._change(self._queue_of(channel, reader)[0], {_GATES[gate]: False} | told)

    def open(self, channel: str, reader: str, gate: Gate) -> None:
        """Switch it on; where a quota is lowered as well, that one's word on publishers is left alone."""
        told = {} if gate == "out" or self.limited(channel, reader) else {"rejectMsgToSenderOnDiscardBehavior": DISCARD}
        self._change(self._queue_of(channel, reader)[0], {_GATES[gate]: True} | told)

    def is_shut(self, channel: str, reader: str, gate: Gate) -> bool:
        """Whether it is off."""
        return self._config(self._queue_of(channel, reader)[0])[_GATES[gate]] is False

    def _queue_of(self, channel: str, reader: str) -> tuple[str, int]:
        """Name and provisioned quota in MB."""
        queue = self._objects[channel]["queues"].get(reader)
        if queue is None:
            raise NotSupported(
                f"reader {channel}.{reader} is a direct subscription: there is no queue that could be full or shut"
            )
        return str(queue["name"]), int(queue["quota_mb"])

    def _config(self, queue: str) -> Json:
        return dict(self._semp.get(f"{self._vpn()}/{path_of('queues', queue)}")["data"])

    def _change(self, queue: str, attributes: Json) -> None:
        self._semp.patch(f"{self._vpn()}/{path_of('queues', queue)}", attributes)

    def _vpn(self) -> str:
        return f"config/{path_of('msgVpns', self._endpoint.vpn)}"
