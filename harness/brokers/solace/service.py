"""The connection of every Solace client: properties from an endpoint, connect within a limit, events, quiet logs."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from solace.messaging.config.authentication_strategy import ClientCertificateAuthentication
from solace.messaging.config.solace_properties import (
    authentication_properties,
    client_properties,
    publisher_properties,
    receiver_properties,
    service_properties,
    transport_layer_properties,
    transport_layer_security_properties,
)
from solace.messaging.config.transport_security_strategy import TLS
from solace.messaging.errors.pubsubplus_client_error import AuthenticationError, PubSubPlusClientError
from solace.messaging.messaging_service import (
    MessagingService,
    ReconnectionAttemptListener,
    ReconnectionListener,
    ServiceEvent,
    ServiceInterruptionListener,
)

from crep.harness.brokers.contract import BrokerError, Endpoint
from crep.harness.brokers.solace.errors import reason_of, sub_code_of
from crep.harness.brokers.solace.events import EventLog
from crep.harness.config.errors import UsageError
from crep.harness.config.suggest import nearest
from crep.harness.config.targets import Tls

CONNECT_TIMEOUT_S = 10.0
TERMINATE_MS = 2000  # a receiver's terminate waits for its buffer to be taken: by default ten minutes
_DISCONNECT_TIMEOUT_S = 10.0
_MS = 1000
_SYSTEM_TRUST_STORE = "/etc/ssl/certs"
_NOT_THE_LIBRARYS = frozenset({"client"})  # a setting of crep: see ``client.py``

# The library warns on standard error of each refused publish and lost connection; both reach the user as outcomes and
# events instead. Its loggers have a level each.
for _part in ("", ".connections", ".core", ".core.api", ".publisher", ".receiver"):
    logging.getLogger(f"solace.messaging{_part}").setLevel(logging.CRITICAL)


def client_library() -> str:
    """Client library and version, for the provenance."""
    return f"solace-pubsubplus {version('solace-pubsubplus')}"


class _Listener(ReconnectionListener, ReconnectionAttemptListener, ServiceInterruptionListener):  # type: ignore[misc]
    """Tells the log what the library's own thread reports."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def on_reconnecting(self, event: ServiceEvent) -> None:
        self._log.reconnecting(_cause(event))

    def on_reconnected(self, service_event: ServiceEvent) -> None:
        self._log.reconnected(str(service_event.get_message()))

    def on_service_interrupted(self, event: ServiceEvent) -> None:
        self._log.gave_up(_cause(event))


def _cause(event: ServiceEvent) -> str:
    cause = event.get_cause()
    return "the connection was lost" if cause is None else reason_of(cause)


@cache
def _known_properties() -> frozenset[str]:
    modules = (
        authentication_properties,
        client_properties,
        publisher_properties,
        receiver_properties,
        service_properties,
        transport_layer_properties,
        transport_layer_security_properties,
    )
    return frozenset(
        value for module in modules for value in vars(module).values() if str(value).startswith("solace.messaging.")
    )


def properties_of(endpoint: Endpoint, settings: Mapping[str, Any], reconnect_for_s: float) -> dict[str, Any]:
    """The library's properties. It drops unknown ones without a word, so they are refused here.

    Raises:
        UsageError: a setting that the library does not know.
        BrokerError: the endpoint has no messaging address.
    """
    if not endpoint.smf:
        raise BrokerError(f"target {endpoint.target!r} has no messaging address (tcp://host:port)")
    given = {name: value for name, value in settings.items() if name not in _NOT_THE_LIBRARYS}
    for name in given:
        if name not in _known_properties():
            raise UsageError(f"the Solace client has no setting {name!r}{nearest(name, sorted(_known_properties()))}")
    transport, service = transport_layer_properties, service_properties
    interval_ms = int(given.get(transport.RECONNECTION_ATTEMPTS_WAIT_INTERVAL, 3000))
    return {
        transport.HOST: endpoint.smf,
        service.VPN_NAME: endpoint.vpn,
        authentication_properties.SCHEME_BASIC_USER_NAME: endpoint.username or "default",
        authentication_properties.SCHEME_BASIC_PASSWORD: endpoint.password,
        transport.CONNECTION_ATTEMPTS_TIMEOUT: int(CONNECT_TIMEOUT_S * _MS),
        transport.CONNECTION_RETRIES: 0,
        transport.RECONNECTION_ATTEMPTS: max(1, math.ceil(reconnect_for_s * _MS / interval_ms)),
        **given,
    }


def shown(properties: Mapping[str, Any]) -> dict[str, str]:
    """Properties for the provenance, without the password."""
    hidden = {authentication_properties.SCHEME_BASIC_PASSWORD}
    return {name: str(value) for name, value in properties.items() if name not in hidden}


def connect(endpoint: Endpoint, client_name: str, properties: Mapping[str, Any], log: EventLog) -> MessagingService:
    """A connected service with ``log`` listening.

    Raises:
        BrokerError: no connection within the time limit, or the login was refused.
    """
    builder = MessagingService.builder().from_properties(dict(properties))
    if endpoint.tls is not None:
        security = TLS.create().with_certificate_validation(
            ignore_expiration=False,
            validate_server_name=endpoint.tls.verify_host,
            trust_store_file_path=trust_store(endpoint.tls),
        )
        builder = builder.with_transport_security_strategy(security)
        if endpoint.tls.certificate_file and endpoint.tls.key_file:
            builder = builder.with_authentication_strategy(_by_certificate(endpoint.tls))
    try:
        service = builder.build(client_name)
        service.connect()
    except PubSubPlusClientError as error:
        raise _connect_failure(endpoint, error) from error
    listener = _Listener(log)
    service.add_reconnection_listener(listener)
    service.add_reconnection_attempt_listener(listener)
    service.add_service_interruption_listener(listener)
    return service


def trust_store(tls: Tls) -> str:
    """The folder of trusted authorities: the library reads every certificate in it."""
    return str(Path(tls.ca_file).parent) if tls.ca_file else _SYSTEM_TRUST_STORE


def _by_certificate(tls: Tls) -> ClientCertificateAuthentication:
    """Login by certificate with a key that has no password: the library refuses an empty one, so none is given."""
    strategy = ClientCertificateAuthentication.of(tls.certificate_file, tls.key_file, "")
    del strategy.authentication_configuration[authentication_properties.SCHEME_CLIENT_PRIVATE_KEY_FILE_PASSWORD]
    return strategy


def _connect_failure(endpoint: Endpoint, error: PubSubPlusClientError) -> BrokerError:
    return connect_failure(endpoint, reason_of(error), sub_code_of(error), login=isinstance(error, AuthenticationError))


def connect_failure(endpoint: Endpoint, reason: str, code: str | None, *, login: bool = False) -> BrokerError:
    """Why there is no connection, from the library's words, its subcode's name, and whether it blames the login."""
    who = f"Solace at {endpoint.smf} (target {endpoint.target!r}, message VPN {endpoint.vpn!r})"
    if login or (code is not None and ("LOGIN" in code or "AUTH" in code)):
        return BrokerError(
            f"{who} refuses the login of user {endpoint.username or 'default'!r}: {reason}",
            hint="the password comes from the environment variable that the target's login.password_env names",
        )
    return BrokerError(
        f"{who} cannot be reached: {reason}",
        hint="check that the broker runs, that this is its messaging (SMF) address, usually port 55555 or 55443, "
        "and that the message VPN is enabled",
    )


def bounded(action: Callable[[], object], timeout_s: float = _DISCONNECT_TIMEOUT_S) -> None:
    """Run an ending action of the library that may wait for ever; what hangs is left to the end of the process."""
    ending = threading.Thread(target=action, name="solace-ending", daemon=True)
    ending.start()
    ending.join(timeout_s)
