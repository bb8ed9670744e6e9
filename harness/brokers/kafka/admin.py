"""Control plane of a Kafka cluster: topics, groups, lag, facts. Every request has a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

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
from crep.harness.brokers.kafka.client import (
    CONNECT_TIMEOUT_S,
    ConnectionWatch,
    client_library,
    connection,
    unreachable,
)
from crep.harness.brokers.kafka.facts import CAPABILITIES_OF_KAFKA, DECIDING, LIMITS, recognise
from crep.harness.brokers.kafka.features import ask_features
from crep.harness.brokers.kafka.lag import GroupWatch, Lag
from crep.harness.brokers.kafka.layout import channel_layout, topics_of
from crep.harness.brokers.kafka.operator import KafkaOperator
from crep.harness.brokers.kafka.placement import Placement, followers_of, leader_of
from crep.harness.brokers.kafka.producing import acknowledged_by_leader
from crep.harness.brokers.kafka.quorum import ask_quorum
from crep.harness.brokers.kafka.quotas import ask_quotas

_OFFSETS_TOPIC = "__consumer_offsets"
_AGAIN_AFTER_S = 0.1
_REQUEST_S = 5.0
_LEADERS_WITHIN_S = 15.0
_ANSWERED_WITHIN_S = 30.0  # longer than the session of a broker that was killed
_TOPIC_SETTINGS_SHOWN = (
    "min.insync.replicas",
    "flush.messages",
    "unclean.leader.election.enable",
    "retention.ms",
    "retention.bytes",
)
_SETTINGS_REFUSED = frozenset(
    {KafkaError.INVALID_CONFIG, KafkaError.POLICY_VIOLATION, KafkaError.INVALID_REPLICATION_FACTOR}
)
_T = TypeVar("_T")


class _Unanswered(BrokerError):
    """The broker that a request was sent to did not answer it."""


class KafkaAdmin:
    """The control plane of one cluster. Connects on first use; connects anew after a failure."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._watch = ConnectionWatch()
        self._client: AdminClient | None = None
        self._groups: dict[tuple[str, str], GroupWatch] = {}  # group, topic

    def _connected(self) -> AdminClient:
        if self._client is None:
            self._client = AdminClient(connection(self._endpoint, "crep-admin") | self._watch.options())
            self._metadata(CONNECT_TIMEOUT_S)
        return self._client

    def _metadata(self, timeout_s: float) -> Any:
        """Cluster metadata; retried until the time is over: a cluster that starts refuses, or knows no broker yet."""
        client = self._client or self._connected()
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                found = client.list_topics(timeout=1.0)  # all: asking for one by name makes a broker create it
                if found.brokers:
                    return found
                trouble: object = "it answers, and no broker of the cluster is ready"
            except KafkaException as error:
                trouble = error
            client.poll(0)
            if self._watch.refused or time.monotonic() > deadline:
                self._client = None
                raise unreachable(self._endpoint, trouble, self._watch)
            time.sleep(_AGAIN_AFTER_S)

    def _result(self, future: Future[_T]) -> _T:
        """Raises KafkaException for an answer of the broker, BrokerError where there was none."""
        try:
            return future.result(timeout=_REQUEST_S * 2)
        except TimeoutError as error:
            raise self._unanswered("no answer to an administrative request") from error
        except KafkaException as error:
            if error.args[0].code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                raise self._unanswered(error) from error
            raise

    def _unanswered(self, cause: object) -> _Unanswered:
        said = unreachable(self._endpoint, cause, self._watch)
        return _Unanswered(said.message, hint=said.hint)

    def _until_answered(self, request: Callable[[], None]) -> None:
        """Carry out a request that may be repeated, on a new connection each time, until some broker answers it.

        librdkafka sends it to the one that its metadata call the controller (in KRaft mode any broker, picked at
        random), and waits for that one where it has just died.
        """
        deadline = time.monotonic() + _ANSWERED_WITHIN_S
        while True:
            try:
                return request()
            except _Unanswered:
                self._client = None
                if time.monotonic() > deadline:
                    raise

    def provision(self, run_id: str, channels: Sequence[ChannelSpec], mapping: MappingFile) -> Provisioned:
        """One topic per channel (and per exclusive or dead-lettering reader one more).

        The class counts what is guaranteed (METHOD rule 6). With acks=all a broker acknowledges when every replica that
        is in sync has the message, and refuses with fewer than min.insync.replicas: that number is the copies, however
        many replicas there are, since those in sync may shrink to it at any time. With acks=1 the leader alone has it:
        one copy. There are as many replicas as the cluster gives by default, or as the class needs.

        Raises:
            NotSupported: the durability class cannot be reached on this cluster, with the reason.
        """
        self._connected()
        brokers = self._metadata(_REQUEST_S).brokers
        usual = int((self._broker_settings(min(brokers)) or {}).get("default.replication.factor", 1))
        by_leader = acknowledged_by_leader(mapping.publisher)
        layouts = {
            channel.name: channel_layout(
                run_id, channel, mapping.channel, len(brokers), usual_replicas=usual, by_leader=by_leader
            )
            for channel in channels
        }
        durability: dict[str, Json] = {
            channel.name: {
                "copies": channel.durability.copies,
                "sync": channel.durability.sync,
                "known": "configured",
            }
            for channel in channels
        }
        provisioned = Provisioned(run_id, mapping.name, layouts, durability)
        try:
            for layout in layouts.values():
                self._until_answered(partial(self._create, layout))
                self._wait_for_leaders(layout)
                layout["configuration"] = self._topic_configuration(layout["topic"])
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
        wanted = [
            NewTopic(name, partitions, layout["replication_factor"], config=layout["topic_settings"])
            for name, partitions in topics_of(layout).items()
        ]
        for name, future in self._connected().create_topics(wanted, request_timeout=_REQUEST_S).items():
            try:
                self._result(future)
            except KafkaException as error:
                code, text = error.args[0].code(), error.args[0].str()
                if code == KafkaError.TOPIC_ALREADY_EXISTS:
                    continue
                if code in _SETTINGS_REFUSED:
                    raise NotSupported(
                        f"the cluster refuses topic {name!r} with {layout['topic_settings']}: {text}"
                    ) from error
                raise BrokerError(f"topic {name!r} cannot be created at {self._endpoint.bootstrap}: {text}") from error

    def _wait_for_leaders(self, layout: Json) -> None:
        deadline = time.monotonic() + _LEADERS_WITHIN_S
        for name, partitions in topics_of(layout).items():
            while True:
                found = self._metadata(_REQUEST_S).topics.get(name)
                if found is not None and sum(p.leader >= 0 for p in found.partitions.values()) >= partitions:
                    break
                if time.monotonic() > deadline:
                    raise BrokerError(f"topic {name!r} has no leader for every partition after {_LEADERS_WITHIN_S:g} s")
                time.sleep(0.05)

    def _topic_configuration(self, topic: str) -> dict[str, str]:
        """As the cluster has it; a broker that has not heard yet of the topic that another one made is asked again."""
        deadline = time.monotonic() + _LEADERS_WITHIN_S
        while True:
            try:
                settings = self._settings(ConfigResource(ResourceType.TOPIC, topic))
                return {name: settings[name] for name in _TOPIC_SETTINGS_SHOWN if name in settings}
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline:
                    raise self._unreadable(topic, error) from error
            time.sleep(_AGAIN_AFTER_S)

    def _unreadable(self, topic: str, error: KafkaException) -> BrokerError:
        return BrokerError(
            f"the settings of topic {topic!r} cannot be read at {self._endpoint.bootstrap}: {error.args[0].str()}",
            hint="the user needs the permission DescribeConfigs, since the report shows what was in force",
        )

    def _settings(self, resource: ConfigResource) -> dict[str, str]:
        (future,) = self._connected().describe_configs([resource], request_timeout=_REQUEST_S).values()
        entries = self._result(future).items()
        return {name: str(entry.value) for name, entry in entries if entry.value is not None}

    def remove(self, provisioned: Provisioned) -> None:
        """Delete the topics. Their groups go with them: Kafka drops the offsets of a deleted topic, then the group.

        (Deleting groups is left to the broker for the reason that ``lag`` gives.)
        """
        topics = [name for layout in provisioned.objects.values() for name in topics_of(layout)]
        if not topics:
            return
        self._until_answered(partial(self._delete, topics))
        deadline = time.monotonic() + _LEADERS_WITHIN_S  # the deletion is answered before every broker has seen it
        while set(topics) & set(self._metadata(_REQUEST_S).topics) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _delete(self, topics: list[str]) -> None:
        for name, future in self._connected().delete_topics(topics, request_timeout=_REQUEST_S).items():
            try:
                self._result(future)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    text = error.args[0].str()
                    raise BrokerError(f"{name!r} cannot be deleted at {self._endpoint.bootstrap}: {text}") from error

    def observe(self, provisioned: Provisioned) -> Observation:
        """Lag of each group: end offsets minus committed ones.

        Raises:
            BrokerError: the cluster does not answer.
        """
        self._connected()
        readers: dict[str, ReaderState] = {}
        detail: Json = {}
        for channel, layout in provisioned.objects.items():
            for reader, group in layout["groups"].items():
                lag = self._lag(group, layout["topic"], layout["partitions"])
                dead = layout["dead_letter_topics"].get(reader)
                readers[f"{channel}.{reader}"] = ReaderState(
                    backlog=lag.messages,
                    redelivered=None,
                    dead_lettered=sum(self._lag(group, dead, 1).ends) if dead else None,
                    connections=self._members(group),
                )
                detail[f"{channel}.{reader}"] = {"group": group, "ends": lag.ends, "committed": lag.committed}
        return Observation(time.monotonic_ns(), readers, detail)

    def in_step(self, provisioned: Provisioned) -> bool:
        """Every replica of every partition is in sync, of the topics of the run and of the one that keeps offsets."""
        ours = {name for layout in provisioned.objects.values() for name in topics_of(layout)} | {_OFFSETS_TOPIC}
        try:
            topics = self._metadata(_REQUEST_S).topics
        except BrokerError:
            return False  # while a broker restarts, nobody may answer
        return all(
            partition.leader >= 0 and len(partition.isrs) == len(partition.replicas)
            for name in ours & set(topics)
            for partition in topics[name].partitions.values()
        )

    def _lag(self, group: str, topic: str, partitions: int) -> Lag:
        known = self._groups.get((group, topic))
        if known is None:
            known = self._groups[group, topic] = GroupWatch(self._endpoint, group, topic, partitions)
        return known.lag()

    def _members(self, group: str) -> int:
        """By the older request for groups: its successor is one of those that ``lag`` must avoid."""
        try:
            found = self._connected().list_groups(group, timeout=_REQUEST_S)
        except KafkaException as error:
            raise unreachable(self._endpoint, error, self._watch) from error
        return sum(len(one.members) for one in found)

    def leader(self, provisioned: Provisioned, channel: str) -> str:
        """Node id of the broker that leads most partitions of the channel's topic."""
        topic = provisioned.objects[channel]["topic"]
        leader = leader_of(self._placements(topic))
        if leader is None:
            raise BrokerError(f"no partition of topic {topic!r} has a leader now at {self._endpoint.bootstrap}")
        return str(leader)

    def followers(self, provisioned: Provisioned, channel: str) -> tuple[str, ...]:
        """Node ids of the brokers that follow it, those in sync first."""
        found = followers_of(self._placements(provisioned.objects[channel]["topic"]))
        if not found:
            raise NotSupported(f"channel {channel!r} has one replica: its leader has no follower")
        return tuple(map(str, found))

    def _placements(self, topic: str) -> list[Placement]:
        """By partition number; empty where the topic is gone."""
        self._connected()
        found = self._metadata(CONNECT_TIMEOUT_S).topics.get(topic)
        partitions = sorted(found.partitions.items()) if found is not None else []
        return [
            Placement(None if one.leader < 0 else one.leader, frozenset(one.replicas), frozenset(one.isrs))
            for _, one in partitions
        ]

    def controller(self) -> str | None:
        """Node id of the quorum's leader."""
        if self._endpoint.username is not None:
            raise NotSupported("who leads the quorum is asked without a login, and this cluster wants one")
        try:
            return str(ask_quorum(self._endpoint).leader)
        except OSError as error:
            raise unreachable(self._endpoint, error, self._watch) from error
        except ValueError:
            return None  # the broker that was asked knows no leader

    def facts(self) -> Facts:
        """What the cluster says of itself; see ``facts.recognise`` for the evidence that *genuine* needs."""
        self._connected()
        metadata = self._metadata(_REQUEST_S)
        settings = self._broker_settings(min(metadata.brokers))
        try:
            features = ask_features(self._endpoint)
        except (OSError, ValueError):
            features = None  # shown in the evidence: metadata.version absent
        found = recognise(metadata.cluster_id, features, settings)
        finalized = {f"feature {name}": str(level) for name, level in (features.finalized if features else {}).items()}
        settings = settings or {}
        return Facts(
            product=found.product,
            version=found.version,
            edition=None,
            genuineness=found.genuineness,
            recognised_by=found.evidence,
            configuration={"cluster.id": str(metadata.cluster_id), "brokers": str(len(metadata.brokers))}
            | {name: settings[name] for name in DECIDING if name in settings}
            | finalized,
            caps={name: settings[name] for name in LIMITS if name in settings} | self._quotas(),
            client=client_library(),
        )

    def _quotas(self) -> dict[str, str]:
        """Client quotas, where the cluster answers without a login."""
        if self._endpoint.sasl_mechanism is not None:
            return {}
        try:
            found = ask_quotas(self._endpoint)
        except (OSError, ValueError):
            return {}  # a mock cluster, or no permission: no quota is known
        return {f"client quota {quota.limit} ({quota.entity})": f"{quota.value:g}" for quota in found}

    def _broker_settings(self, broker: int) -> dict[str, str] | None:
        """None where the server does not answer that question (mock cluster, missing permission)."""
        try:
            return self._settings(ConfigResource(ResourceType.BROKER, str(broker)))
        except KafkaException:
            return None

    def capabilities(self) -> Mapping[str, Capability]:
        """The closed table."""
        return CAPABILITIES_OF_KAFKA

    def operator(self, provisioned: Provisioned) -> KafkaOperator:
        """The acts of an administrator on the topics of a run."""
        return KafkaOperator(self._endpoint, provisioned)

    def close(self) -> None:
        """Release the clients."""
        self._client = None
        for group in self._groups.values():
            group.close()
        self._groups.clear()
