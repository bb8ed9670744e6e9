"""How a program that is not crep's finds a channel of a run: its broker and native objects, as environment variables.

=====================  ============================================================================================
variable               meaning; those that do not apply are not set
=====================  ============================================================================================
``…_SYSTEM``           ``kafka`` or ``solace``
``…_BOOTSTRAP``        Kafka: ``host:port[,host:port]``
``…_SMF``, ``…_VPN``   Solace: ``tcp://host:port[,…]`` or ``tcps://…``, and the message VPN
``…_USERNAME`` …       and ``…_PASSWORD``, ``…_SASL_MECHANISM``, ``…_CA_FILE``, ``…_CERTIFICATE_FILE``, ``…_KEY_FILE``,
                       ``…_VERIFY_HOST`` (``no``: the certificate's host name is not looked at)
``…_QUEUE``            Solace: the queue to read
``…_TOPIC_PREFIX``     Solace: every topic of the channel begins with it; what follows is the topic by the scenario
``…_TOPIC``            Kafka: the topic of the channel
``…_GROUP``            Kafka: the consumer group to read with
``…_TOPIC_HEADER``     Kafka: the header that holds the topic by the scenario
=====================  ============================================================================================

``…`` is ``CREP_FROM`` for what is read and ``CREP_TO`` for what is written. What cannot be processed goes to the native
topic that ``CREP_DEAD_TOPIC`` names, on the side that is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.errors import UsageError

FROM, TO, DEAD_TOPIC = "CREP_FROM", "CREP_TO", "CREP_DEAD_TOPIC"
_PLAIN = {
    "SYSTEM": "system",
    "BOOTSTRAP": "bootstrap",
    "SMF": "smf",
    "VPN": "vpn",
    "USERNAME": "username",
    "PASSWORD": "password",
    "SASL_MECHANISM": "sasl_mechanism",
}
_TLS = {"CA_FILE": "ca_file", "CERTIFICATE_FILE": "certificate_file", "KEY_FILE": "key_file"}
_PLACE = ("QUEUE", "TOPIC_PREFIX", "TOPIC", "GROUP", "TOPIC_HEADER")


@dataclass(frozen=True)
class Directions:
    """The way to one channel; ``queue`` and ``group`` only for who reads it."""

    endpoint: Endpoint
    queue: str | None = None
    topic_prefix: str | None = None
    topic: str | None = None
    group: str | None = None
    topic_header: str | None = None

    def native_topic(self, topic: str) -> str:
        """Where a message that the scenario calls ``topic`` goes."""
        return f"{self.topic_prefix or ''}{topic}" if self.topic is None else self.topic

    def variables(self, side: str) -> dict[str, str]:
        """Environment variables that begin with ``side``; passwords in clear, so they go to the program alone."""
        endpoint = self.endpoint
        words = {word: getattr(endpoint, name) for word, name in _PLAIN.items()}
        if endpoint.system != "solace":
            del words["VPN"]
        if endpoint.tls is not None:
            words |= {word: getattr(endpoint.tls, name) for word, name in _TLS.items()}
            words["VERIFY_HOST"] = "yes" if endpoint.tls.verify_host else "no"
        words |= {word: getattr(self, word.lower()) for word in _PLACE}
        return {f"{side}_{word}": value for word, value in words.items() if value}

    @classmethod
    def read(cls, side: str, environment: Mapping[str, str]) -> Directions:
        """What ``variables`` wrote.

        Raises:
            UsageError: it is not there.
        """
        words = {
            name.removeprefix(f"{side}_"): value for name, value in environment.items() if name.startswith(f"{side}_")
        }
        if "SYSTEM" not in words:
            raise UsageError(f"the environment variable {side}_SYSTEM is not set", hint="a run of crep sets it")
        given: dict[str, Any] = {name: words[word] for word, name in _PLAIN.items() if word in words}
        endpoint = Endpoint(target=side, **given)
        if "VERIFY_HOST" in words:
            from crep.harness.config.targets import Tls  # noqa: PLC0415 - pydantic, for those who need it

            files = {name: words[word] for word, name in _TLS.items() if word in words}
            endpoint = replace(endpoint, tls=Tls(**files, verify_host=words["VERIFY_HOST"] == "yes"))
        return cls(endpoint, **{word.lower(): words.get(word) for word in _PLACE})
