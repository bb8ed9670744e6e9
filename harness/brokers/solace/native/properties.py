"""The same settings in the C library's words: one table, so that both clients are set up alike. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from solace.messaging.config.solace_properties import (
    authentication_properties,
    client_properties,
    service_properties,
    transport_layer_properties,
    transport_layer_security_properties,
)

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.solace.native.library import NativeClientUnavailable
from crep.harness.brokers.solace.service import trust_store

_TRANSPORT, _SECURITY = transport_layer_properties, transport_layer_security_properties
_NAMES = {
    _TRANSPORT.HOST: "SESSION_HOST",
    _TRANSPORT.CONNECTION_ATTEMPTS_TIMEOUT: "SESSION_CONNECT_TIMEOUT_MS",
    _TRANSPORT.CONNECTION_RETRIES: "SESSION_CONNECT_RETRIES",
    _TRANSPORT.CONNECTION_RETRIES_PER_HOST: "SESSION_CONNECT_RETRIES_PER_HOST",
    _TRANSPORT.RECONNECTION_ATTEMPTS: "SESSION_RECONNECT_RETRIES",
    _TRANSPORT.RECONNECTION_ATTEMPTS_WAIT_INTERVAL: "SESSION_RECONNECT_RETRY_WAIT_MS",
    _TRANSPORT.KEEP_ALIVE_INTERVAL: "SESSION_KEEP_ALIVE_INTERVAL_MS",
    _TRANSPORT.KEEP_ALIVE_WITHOUT_RESPONSE_LIMIT: "SESSION_KEEP_ALIVE_LIMIT",
    _TRANSPORT.SOCKET_INPUT_BUFFER_SIZE: "SESSION_SOCKET_RCV_BUF_SIZE",
    _TRANSPORT.SOCKET_OUTPUT_BUFFER_SIZE: "SESSION_SOCKET_SEND_BUF_SIZE",
    _TRANSPORT.SOCKET_TCP_OPTION_NO_DELAY: "SESSION_TCP_NODELAY",
    _TRANSPORT.COMPRESSION_LEVEL: "SESSION_COMPRESSION_LEVEL",
    _SECURITY.CERT_VALIDATED: "SESSION_SSL_VALIDATE_CERTIFICATE",
    _SECURITY.CERT_REJECT_EXPIRED: "SESSION_SSL_VALIDATE_CERTIFICATE_DATE",
    _SECURITY.CERT_VALIDATE_SERVERNAME: "SESSION_SSL_VALIDATE_CERTIFICATE_HOST",
    _SECURITY.EXCLUDED_PROTOCOLS: "SESSION_SSL_EXCLUDED_PROTOCOLS",
    _SECURITY.MINIMUM_PROTOCOL: "SESSION_MINIMUM_TLS_PROTOCOL_VERSION",
    _SECURITY.MAXIMUM_PROTOCOL: "SESSION_MAXIMUM_TLS_PROTOCOL_VERSION",
    _SECURITY.PROTOCOL_DOWNGRADE_TO: "SESSION_SSL_CONNECTION_DOWNGRADE_TO",
    _SECURITY.CIPHER_SUITES: "SESSION_SSL_CIPHER_SUITES",
    _SECURITY.TRUST_STORE_PATH: "SESSION_SSL_TRUST_STORE_DIR",
    _SECURITY.TRUSTED_COMMON_NAME_LIST: "SESSION_SSL_TRUSTED_COMMON_NAME_LIST",
    service_properties.VPN_NAME: "SESSION_VPN_NAME",
    service_properties.GENERATE_SENDER_ID: "SESSION_SEND_SENDER_ID",
    service_properties.GENERATE_RECEIVE_TIMESTAMPS: "SESSION_RCV_TIMESTAMP",
    service_properties.GENERATE_SEND_TIMESTAMPS: "SESSION_SEND_TIMESTAMP",
    service_properties.PAYLOAD_COMPRESSION_LEVEL: "SESSION_PAYLOAD_COMPRESSION_LEVEL",
    authentication_properties.SCHEME_BASIC_USER_NAME: "SESSION_USERNAME",
    authentication_properties.SCHEME_BASIC_PASSWORD: "SESSION_PASSWORD",
    client_properties.APPLICATION_DESCRIPTION: "SESSION_APPLICATION_DESCRIPTION",
}
PUBLISHER_WINDOW = 255
"""Guaranteed messages under way, as the public API sets it."""
FLOW_WINDOW = 255
"""Messages of a queue that the broker sends before it waits for the client: the library's default and its most."""

# As the public API has them; but nothing blocks, since the one thread that sends is also the one that hears.
_FIXED = {
    "SESSION_CONNECT_BLOCKING": "0",
    "SESSION_SEND_BLOCKING": "0",
    "SESSION_SUBSCRIBE_BLOCKING": "0",
    "SESSION_REAPPLY_SUBSCRIPTIONS": "1",
    "SESSION_IGNORE_DUP_SUBSCRIPTION_ERROR": "1",
    "SESSION_GUARANTEED_WITH_WEB_TRANSPORT": "1",
    "SESSION_PUB_WINDOW_SIZE": str(PUBLISHER_WINDOW),
    "SESSION_ACK_EVENT_MODE": "SESSION_ACK_EVENT_MODE_WINDOWED",
}


def session_properties(endpoint: Endpoint, client_name: str, properties: Mapping[str, Any]) -> dict[str, str]:
    """Of a session, from the public API's ``properties`` (``service.properties_of``) and the endpoint's TLS.

    Raises:
        NativeClientUnavailable: a setting that the C library has not, or that this client does not translate.
    """
    unknown = [name for name in properties if name not in _NAMES]
    if unknown:
        raise NativeClientUnavailable(f"it has no setting {', '.join(unknown)}")
    session = {_NAMES[name]: _written(value) for name, value in properties.items()} | _tls(endpoint)
    if "SESSION_AUTHENTICATION_SCHEME" in session:  # the certificate names the user
        del session["SESSION_USERNAME"], session["SESSION_PASSWORD"]
    return session | _FIXED | {"SESSION_CLIENT_NAME": client_name}


def _tls(endpoint: Endpoint) -> dict[str, str]:
    tls = endpoint.tls
    if tls is None:
        return {}
    secured = {
        "SESSION_SSL_VALIDATE_CERTIFICATE": "1",
        "SESSION_SSL_VALIDATE_CERTIFICATE_DATE": "1",
        "SESSION_SSL_VALIDATE_CERTIFICATE_HOST": _written(tls.verify_host),
        "SESSION_SSL_TRUST_STORE_DIR": trust_store(tls),
    }
    if tls.certificate_file and tls.key_file:
        secured |= {
            "SESSION_AUTHENTICATION_SCHEME": "AUTHENTICATION_SCHEME_CLIENT_CERTIFICATE",
            "SESSION_SSL_CLIENT_CERTIFICATE_FILE": tls.certificate_file,
            "SESSION_SSL_CLIENT_PRIVATE_KEY_FILE": tls.key_file,
        }
    return secured


def flow_properties(queue: str, *, fails: bool) -> dict[str, str]:
    """Of a flow on a durable queue, acknowledged by the client; an exclusive queue tells who is active.

    ``fails``: messages may be settled as failed, which the broker must be able to do.
    """
    return {
        "FLOW_BIND_BLOCKING": "0",
        "FLOW_BIND_ENTITY_ID": "2",  # a queue
        "FLOW_BIND_ENTITY_DURABLE": "1",
        "FLOW_BIND_NAME": queue,
        "FLOW_ACKMODE": "2",  # by the client
        "FLOW_WINDOWSIZE": str(FLOW_WINDOW),
        "FLOW_ACTIVE_FLOW_IND": "1",
        "FLOW_REQUIRED_OUTCOME_FAILED": _written(fails),
    }


def _written(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
