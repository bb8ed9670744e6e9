"""Control plane of a Solace broker over SEMP v2: queues, subscriptions, depth, facts."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence

from crep.harness.brokers.contract import (
    BrokerError,
    Capability,
    ChannelSpec,
    Endpoint,
    Facts,
    Json,
    MappingFile,
    NotSupported,
    Observation,
    Provisioned,
    ReaderState,
)
from crep.harness.brokers.solace.events import EventLog
from crep.harness.brokers.solace.facts import CAPABILITIES_OF_SOLACE, PLATFORMS, recognise
from crep.harness.brokers.solace.layout import channel_layout, stored_class
from crep.harness.brokers.solace.operator import PERMISSION, SolaceOperator
from crep.harness.brokers.solace.semp import (
    ALREADY_EXISTS,
    INVALID_PARAMETER,
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_SUPPORTED,
    Semp,
    SempError,
    path_of,
)
from crep.harness.brokers.solace.service import bounded, client_library, connect, properties_of

_REMOVE_WITHIN_S = 10.0
_DEFAULT_LARGEST = 10_000_000  # bytes: maxMsgSize of a queue where nothing is said
_CLIENT_SEEN_WITHIN_S = 30.0  # the monitor view of a broker may lag by tens of seconds
# VPN settings that decide an outcome, and limits that could bound a number (config API).
_DECIDING = ("authenticationBasicType", "replicationEnabled", "replicationTransactionMode", "dmrEnabled")
_LIMITS = (
    "maxMsgSpoolUsage",
    "maxConnectionCount",
    "maxEffectiveEndpointCount",
    "maxEndpointCount",
    "maxEgressFlowCount",
    "maxIngressFlowCount",
    "maxSubscriptionCount",
)
_BROKER_LIMITS = ("guaranteedMsgingMaxMsgSpoolUsage", "guaranteedMsgingMaxCacheUsage")


class SolaceAdmin:
    """The control plane of one message VPN."""

    def __init__(self, endpoint: Endpoint, semp: Semp | None = None) -> None:
        self._endpoint = endpoint
        self._semp = semp or Semp(endpoint)
        self._vpn = path_of("msgVpns", endpoint.vpn)

    def provision(self, run_id: str, channels: Sequence[ChannelSpec], mapping: MappingFile) -> Provisioned:
        """A queue and its subscription per at-least-once reader; direct readers need nothing.

        Raises:
            NotSupported: the durability class or a reader's sharing cannot be reached, with the reason.
        """
        redundant = self._redundant()
        layouts = {channel.name: channel_layout(run_id, channel, mapping.channel) for channel in channels}
        stored = {channel.name: stored_class(channel, redundant=redundant) for channel in channels}
        durability: dict[str, Json] = {
            name: {"copies": kept.copies, "sync": kept.sync, "known": "documented"} for name, kept in stored.items()
        }
        provisioned = Provisioned(run_id, mapping.name, layouts, durability)
        try:
            for layout in layouts.values():
                self._create(layout)
        except BaseException as failure:
            self._remove_after(failure, provisioned)
            raise
        return provisioned

    def _remove_after(self, failure: BaseException, provisioned: Provisioned) -> None:
        """Nothing half-made stays behind; where even that fails, the failure says so too."""
        try:
            self.remove(provisioned)
        except BrokerError as error:
            failure.add_note(f"what had been created before could not be removed: {error}")

    def _create(self, layout: Json) -> None:
        for queue in layout["queues"].values():
            if queue["dead_letter_queue"]:
                self._create_queue(queue["dead_letter_queue"], _dead_letter_attributes(queue))
            self._create_queue(queue["name"], _attributes(queue))
            self._subscribe(queue["name"], queue["subscription"])

    def _create_queue(self, name: str, attributes: Json) -> None:
        body = {
            "queueName": name,
            "ingressEnabled": True,
            "egressEnabled": True,
            "permission": PERMISSION,
            **attributes,
        }
        try:
            self._semp.post(f"config/{self._vpn}/queues", body)
        except SempError as error:
            if error.code == ALREADY_EXISTS:
                return
            if error.code in (INVALID_PARAMETER, NOT_SUPPORTED):
                raise NotSupported(
                    f"the broker cannot have queue {name!r} with {attributes}: {error.message}"
                ) from error
            raise

    def _subscribe(self, queue: str, subscription: str) -> None:
        path = f"config/{self._vpn}/{path_of('queues', queue, 'subscriptions')}"
        try:
            self._semp.post(path, {"subscriptionTopic": subscription})
        except SempError as error:
            if error.code != ALREADY_EXISTS:
                raise

    def remove(self, provisioned: Provisioned) -> None:
        """Delete the queues with what is in them.

        A broker refuses to delete a queue with a bound client, and learns only after a moment that a killed one is
        gone: tried again for a few seconds.
        """
        deadline = time.monotonic() + _REMOVE_WITHIN_S
        for layout in provisioned.objects.values():
            for queue in layout["queues"].values():
                for name in filter(None, (queue["name"], queue["dead_letter_queue"])):
                    self._delete_queue(name, deadline)

    def _delete_queue(self, name: str, deadline: float) -> None:
        while True:
            try:
                self._semp.delete(f"config/{self._vpn}/{path_of('queues', name)}")
                return
            except SempError as error:
                if error.code == NOT_FOUND:
                    return
                if error.code != NOT_ALLOWED or time.monotonic() > deadline:
                    raise
            time.sleep(0.25)

    def observe(self, provisioned: Provisioned) -> Observation:
        """Messages stored per queue: those delivered and not yet acknowledged are among them.

        Raises:
            BrokerError: the broker does not answer, or the queue is gone.
        """
        readers: dict[str, ReaderState] = {}
        detail: Json = {}
        for channel, layout in provisioned.objects.items():
            for reader, queue in layout["queues"].items():
                answer = self._queue(queue["name"])
                data, dead = answer["data"], queue["dead_letter_queue"]
                readers[f"{channel}.{reader}"] = ReaderState(
                    backlog=self._count(answer, "msgs"),
                    redelivered=data.get("redeliveredMsgCount"),
                    dead_lettered=self._count(self._queue(dead), "msgs") if dead else None,
                    connections=self._count(answer, "txFlows"),
                )
                detail[f"{channel}.{reader}"] = {
                    "queue": queue["name"],
                    "unacknowledged": data.get("txUnackedMsgCount"),
                    "bytes": data.get("msgSpoolUsage"),
                }
        return Observation(time.monotonic_ns(), readers, detail)

    def _queue(self, name: str) -> Json:
        return self._semp.get(f"monitor/{self._vpn}/{path_of('queues', name)}")

    def _count(self, answer: Json, collection: str) -> int:
        """``spooledMsgCount`` is cumulative; the depth is the size of the ``msgs`` collection."""
        try:
            return int(answer["collections"][collection]["count"])
        except (KeyError, TypeError) as error:
            raise BrokerError(f"SEMP at {self._semp.active()} counts no {collection} of the queue") from error

    def in_step(self, provisioned: Provisioned) -> bool:
        """True: only brokers that crep started are restarted, and these are emulators with one copy of everything."""
        return True

    def leader(self, provisioned: Provisioned, channel: str) -> str:
        """The management address of the active node of a pair: it leads every channel."""
        self._must_be_a_pair()
        return self._semp.active(now=True)

    def followers(self, provisioned: Provisioned, channel: str) -> tuple[str, ...]:
        """The management address of the other node."""
        leader = self.leader(provisioned, channel)
        return tuple(address for address in self._semp.addresses if address != leader)

    def controller(self) -> str | None:
        """Never: which node of a pair is active they settle between themselves."""
        raise NotSupported("a Solace broker has no controller: the nodes of a redundancy pair settle who is active")

    def _must_be_a_pair(self) -> None:
        if len(self._semp.addresses) == 1:
            raise NotSupported(
                f"target {self._endpoint.target!r} has one management address: a Solace broker leads all its channels, "
                "and a node that would take over is not known",
                hint="for a redundancy pair list both nodes: semp: http://primary:8080,http://backup:8080",
            )

    def facts(self) -> Facts:
        """What the broker says of itself; see ``facts.recognise`` for the evidence that *genuine* needs."""
        about = self._semp.get("config/about/api")["data"]
        platform, semp_version = about.get("platform"), about.get("sempVersion")
        seen = self._same_broker() if platform in PLATFORMS else None
        found = recognise(platform, semp_version, client_seen=seen)
        vpn = self._semp.get(f"config/{self._vpn}")["data"]
        broker = self._broker()
        return Facts(
            product=found.product,
            version=str(broker.get("version") or f"SEMP {semp_version}"),
            edition=None,  # SEMP v2 does not say it; the limits below do
            genuineness=found.genuineness,
            recognised_by=found.evidence,
            configuration={"platform": str(platform), "sempVersion": str(semp_version), "msgVpn": self._endpoint.vpn}
            | {name: str(vpn[name]) for name in _DECIDING if name in vpn},
            caps={name: str(vpn[name]) for name in _LIMITS if name in vpn}
            | {name: str(broker[name]) for name in _BROKER_LIMITS if name in broker},
            client=client_library(),
        )

    def _broker(self) -> Json:
        """Broker-wide attributes; empty where the administrator may see only the message VPN."""
        try:
            return dict(self._semp.get("monitor/")["data"])
        except SempError:
            return {}

    def _redundant(self) -> bool:
        """Two copies are taken for granted only where the redundancy service runs and configuration is in sync."""
        broker = self._broker()
        return broker.get("serviceRedundancyEnabled") is True and broker.get("configSyncUp") is True

    def _same_broker(self) -> bool:
        """Whether a client that logs in at the messaging address shows up in this broker's list of clients."""
        name = f"crep-who-{uuid.uuid4().hex}"
        service = connect(self._endpoint, name, properties_of(self._endpoint, {}, 1.0), EventLog())
        try:
            deadline = time.monotonic() + _CLIENT_SEEN_WITHIN_S
            while time.monotonic() < deadline:
                try:
                    self._semp.get(f"monitor/{self._vpn}/{path_of('clients', name)}")
                    return True
                except SempError as error:
                    if error.code != NOT_FOUND:
                        raise
                time.sleep(0.5)
            return False
        finally:
            bounded(service.disconnect)

    def capabilities(self) -> Mapping[str, Capability]:
        """The closed table."""
        return CAPABILITIES_OF_SOLACE

    def operator(self, provisioned: Provisioned) -> SolaceOperator:
        """The acts of an administrator on the queues and topics of a run."""
        return SolaceOperator(self._endpoint, provisioned, self._semp)

    def close(self) -> None:
        """Close the HTTP connections."""
        self._semp.close()


def _attributes(queue: Json) -> Json:
    """Config attributes of a reader's queue; what is not named keeps the broker's default."""
    attributes: Json = {"accessType": queue["access"], "maxMsgSpoolUsage": queue["quota_mb"]}
    if queue["partitions"]:
        attributes["partitionCount"] = queue["partitions"]
    if queue["max_message_bytes"] is not None:
        attributes["maxMsgSize"] = queue["max_message_bytes"]
    if queue["respects_ttl"]:
        attributes["respectTtlEnabled"] = True
    if queue["dead_letter_queue"]:
        attributes |= {"maxRedeliveryCount": queue["max_redeliveries"], "deadMsgQueue": queue["dead_letter_queue"]}
    return attributes


def _dead_letter_attributes(queue: Json) -> Json:
    """Of the queue's dead message queue: it must take whatever the queue took, and keep it."""
    attributes: Json = {"accessType": "exclusive", "maxMsgSpoolUsage": queue["quota_mb"]}
    if queue["max_message_bytes"] is not None:
        attributes["maxMsgSize"] = max(_DEFAULT_LARGEST, queue["max_message_bytes"])
    return attributes
