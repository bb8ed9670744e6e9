"""An administrator's acts on the topics of one run: rules of the authorizer, and client quotas.

A topic has no rule until an act: the cluster is one where what has no rule is allowed
(``allow.everyone.if.no.acl.found``), or one whose rules name prefixes. The first rule ends that freedom for the topic.
So each act gives its user all rights first, and then denies one: a denial goes before what is allowed. Source: the
Kafka documentation, "Authorization and ACLs".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NoReturn, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from crep.harness.brokers.contract import BrokerError, Endpoint, NotSupported, Provisioned
from crep.harness.brokers.kafka.client import CONNECT_TIMEOUT_S, ConnectionWatch, connection, unreachable
from crep.harness.brokers.kafka.quotas import PRODUCER_RATE, ask_quotas, set_client_quota
from crep.harness.brokers.operator import Act, Discard, Gate, Side

_REQUEST_S = 5.0
_IN_FORCE_WITHIN_S = 5.0
_OPERATIONS: dict[Side, AclOperation] = {"publish": AclOperation.WRITE, "receive": AclOperation.READ}
_T = TypeVar("_T")

_NO_DISCONNECT = (
    "Kafka has no administrative act that ends a client's connection; the network fault 'reset' ends connections too"
)
_NO_GATE = (
    "a Kafka topic has no ingress or egress that could be shut; 'revoke-permission' takes the right to publish or to "
    "receive away"
)
_NO_LIMIT = (
    "a Kafka topic has no quota that refuses a message: where retention.bytes is reached the oldest messages are "
    "deleted; 'throttle-publishers' is what a cluster holds publishers back with"
)


class KafkaOperator:
    """The administrator of one run's topics (``operator.Operator``). Connects on first use."""

    def __init__(self, endpoint: Endpoint, provisioned: Provisioned) -> None:
        self._endpoint, self._objects = endpoint, provisioned.objects
        self._watch = ConnectionWatch()
        self._client: AdminClient | None = None

    def check(self, act: Act, channel: str, reader: str | None = None) -> None:
        """Raise `NotSupported` where it cannot be done."""
        match act:
            case "deny publish" | "deny receive":
                self._check_authorizer()
            case "throttle":
                self._check_quotas()
            case "limit":
                raise NotSupported(_NO_LIMIT)
            case "disconnect":
                raise NotSupported(_NO_DISCONNECT)
            case "shut":
                raise NotSupported(_NO_GATE)

    # -- permissions

    def deny(self, channel: str, side: Side) -> None:
        """Returns when the broker that answers has the rule in force."""
        self._create(self._rule(channel, AclOperation.ALL, AclPermissionType.ALLOW))
        self._create(self._denial(channel, side))
        self._wait(lambda: self.denied(channel, side), "in force")

    def allow(self, channel: str, side: Side) -> None:
        """The denial goes first; the last one of a topic takes the right that stood beside it along."""
        self._delete(self._denial(channel, side))
        self._wait(lambda: not self.denied(channel, side), "gone")
        if not any(self.denied(channel, other) for other in _OPERATIONS):
            self._delete(self._rule(channel, AclOperation.ALL, AclPermissionType.ALLOW))

    def denied(self, channel: str, side: Side) -> bool:
        """Whether the broker that answers has the rule."""
        return bool(self._answer(self._admin().describe_acls(_filter(self._denial(channel, side)))))

    def _denial(self, channel: str, side: Side) -> AclBinding:
        return self._rule(channel, _OPERATIONS[side], AclPermissionType.DENY)

    def _rule(self, channel: str, operation: AclOperation, kind: AclPermissionType) -> AclBinding:
        topic = str(self._objects[channel]["topic"])
        literal = ResourcePatternType.LITERAL
        return AclBinding(ResourceType.TOPIC, topic, literal, self._principal(), "*", operation, kind)

    def _principal(self) -> str:
        """Whom the authorizer takes the clients for."""
        if self._endpoint.username:
            return f"User:{self._endpoint.username}"
        if self._endpoint.tls is not None and self._endpoint.tls.certificate_file:
            raise NotSupported(
                "the clients log in by certificate: which user that is for the authorizer is the cluster's own mapping "
                "(ssl.principal.mapping.rules), so there is no name to deny"
            )
        return "User:ANONYMOUS"

    def _check_authorizer(self) -> None:
        principal, settings = self._principal(), self._settings()
        if not settings.get("authorizer.class.name"):
            raise NotSupported("this cluster has no authorizer (authorizer.class.name): everybody may do everything")
        if principal in settings.get("super.users", "").split(";"):
            raise NotSupported(f"{principal} is one of the cluster's super users, whom no rule denies anything")

    def _settings(self) -> dict[str, str]:
        """Of one broker: those asked for here are the same on all."""
        client = self._admin()
        try:
            brokers = client.list_topics(timeout=CONNECT_TIMEOUT_S).brokers
        except KafkaException as error:
            raise unreachable(self._endpoint, error, self._watch) from error
        if not brokers:
            raise unreachable(self._endpoint, "no broker of the cluster is ready", self._watch)
        resource = ConfigResource(ResourceType.BROKER, str(min(brokers)))
        (future,) = client.describe_configs([resource], request_timeout=_REQUEST_S).values()
        return {name: str(entry.value) for name, entry in self._answer(future).items() if entry.value is not None}

    def _create(self, rule: AclBinding) -> None:
        (future,) = self._admin().create_acls([rule], request_timeout=_REQUEST_S).values()
        self._answer(future)

    def _delete(self, rule: AclBinding) -> None:
        (future,) = self._admin().delete_acls([_filter(rule)], request_timeout=_REQUEST_S).values()
        self._answer(future)

    # -- quotas

    def throttle(self, clients: Sequence[str], bytes_per_s: int) -> None:
        """Client quotas by client id. A broker lets a client wait until its mean rate is kept.

        The mean is over 11 s by default (quota.window.num × quota.window.size.seconds), so that a burst passes first.
        """
        self._change_quotas(clients, float(bytes_per_s))
        self._wait(lambda: self.throttled(clients), "in force")

    def unthrottle(self, clients: Sequence[str]) -> None:
        """Remove them; returns when the broker that answers has none of them."""
        self._change_quotas(clients, None)
        self._wait(lambda: self._limited_of(clients) == 0, "gone")

    def throttled(self, clients: Sequence[str]) -> bool:
        """Whether each of them has one."""
        return self._limited_of(clients) == len(clients)

    def _limited_of(self, clients: Sequence[str]) -> int:
        found = {quota.entity for quota in self._asked(ask_quotas) if quota.limit == PRODUCER_RATE}
        return sum(f"client-id {client}" in found for client in clients)

    def _change_quotas(self, clients: Sequence[str], value: float | None) -> None:
        self._check_quotas()
        self._asked(lambda endpoint: set_client_quota(endpoint, clients, value))

    def _check_quotas(self) -> None:
        if self._endpoint.username:
            raise NotSupported(
                "quotas are set by a request that the client library does not offer, and crep sends it without a login "
                f"only; this cluster wants one (user {self._endpoint.username!r})"
            )

    def _asked(self, question: Callable[[Endpoint], _T]) -> _T:
        try:
            return question(self._endpoint)
        except (OSError, ValueError) as error:
            raise unreachable(self._endpoint, error) from error

    # -- what Kafka has not

    def limit(self, channel: str, reader: str, size: int, discard: Discard | None = None) -> NoReturn:
        """There is none."""
        raise NotSupported(_NO_LIMIT)

    def unlimit(self, channel: str, reader: str) -> NoReturn:
        """There is none."""
        raise NotSupported(_NO_LIMIT)

    def limited(self, channel: str, reader: str) -> NoReturn:
        """There is none."""
        raise NotSupported(_NO_LIMIT)

    def disconnect(self, clients: Sequence[str]) -> NoReturn:
        """There is none."""
        raise NotSupported(_NO_DISCONNECT)

    def shut(self, channel: str, reader: str, gate: Gate, discard: Discard | None = None) -> NoReturn:
        """There is none."""
        raise NotSupported(_NO_GATE)

    def open(self, channel: str, reader: str, gate: Gate) -> NoReturn:
        """There is none."""
        raise NotSupported(_NO_GATE)

    def is_shut(self, channel: str, reader: str, gate: Gate) -> NoReturn:
        """There is none."""
        raise NotSupported(_NO_GATE)

    def _admin(self) -> AdminClient:
        if self._client is None:
            self._client = AdminClient(connection(self._endpoint, "crep-operator") | self._watch.options())
        return self._client

    def _answer(self, future: Future[_T]) -> _T:
        try:
            return future.result(timeout=_REQUEST_S * 2)
        except TimeoutError as error:
            raise unreachable(self._endpoint, "no answer to an administrative request", self._watch) from error
        except KafkaException as error:
            failure = error.args[0]
            if failure.code() == KafkaError.SECURITY_DISABLED:
                raise NotSupported(f"this cluster has no authorizer: {failure.str()}") from error
            if failure.code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                raise unreachable(self._endpoint, error, self._watch) from error
            raise BrokerError(f"Kafka at {self._endpoint.bootstrap} refuses: {failure.str()}") from error

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        """The controller has answered; the brokers read of it a moment later."""
        deadline = time.monotonic() + _IN_FORCE_WITHIN_S
        while not holds():
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"Kafka at {self._endpoint.bootstrap}: the change is not {what} after {_IN_FORCE_WITHIN_S:g} s"
                )
            time.sleep(0.05)


def _filter(rule: AclBinding) -> AclBindingFilter:
    """What matches this rule and no other."""
    return AclBindingFilter(
        rule.restype,
        rule.name,
        rule.resource_pattern_type,
        rule.principal,
        rule.host,
        rule.operation,
        rule.permission_type,
    )
