"""Login: who the client is, and what the broker tells about itself."""

from __future__ import annotations

import base64
import binascii
import os
import struct
from typing import TYPE_CHECKING, Final

from ..core.client import Client, Outlet
from ..core.refusal import Refused
from ..core.vpn import Vpn
from ..smf import clientctrl, frame
from ..version import PLATFORM, VERSION

if TYPE_CHECKING:
    from ..core.broker import Broker
    from .wire import Wire

MAX_GUARANTEED_BYTES: Final = 30_000_000
MAX_DIRECT_BYTES: Final = 64_000_000
_MAX_NAME_BYTES: Final = 160

#: Only what is there: a client refuses the rest by itself, with a clear error.
_CAPABILITIES: Final = frozenset(
    {
        "sub_flow_guaranteed",
        "temporary_endpoint",
        "pub_flow_guaranteed",
        "browser",
        "endpoint_management",
        "queue_subscriptions",
        "flow_change_updates",
        "discard_behaviour",
        "replay",
        "shared_subscriptions",
        "application_ack_failed",
        "variable_length_extended_parameters",
    }
)
_LIMITS: Final = (
    (0, struct.pack(">I", 1000)),  # port speed
    (1, b"\0"),  # port type
    (2, struct.pack(">I", MAX_GUARANTEED_BYTES)),
    (3, struct.pack(">I", MAX_DIRECT_BYTES)),
)
_VERSIONS: Final = ((4, b"\x01\x04"), (5, b"\x01\x01"))  # AssuredCtrl 1 to 4, XaCtrl 1


def log_in(
    broker: Broker, outlet: Outlet, wire: Wire, smf: dict[int, bytes], params: dict[int, bytes]
) -> tuple[Vpn, Client]:
    """Let a client in. Raises :class:`Refused` with the code and text that it is told."""
    vpn = broker.vpns.get(_text(params, clientctrl.VPN_NAME) or "default")
    if vpn is None:
        raise Refused(403, "Message VPN Not Allowed")
    scheme = frame.number(params.get(clientctrl.AUTHENTICATION_SCHEME))
    asked = _base64(smf, frame.USER_NAME)
    if scheme == clientctrl.BASIC:
        username, settings = vpn.authenticate(asked, _base64(smf, frame.PASSWORD))
    elif scheme == clientctrl.CLIENT_CERTIFICATE:
        username, settings = vpn.authenticate_certificate(wire.certificate_name, asked)
    else:
        raise Refused(403, "Authentication Scheme Not Supported by This Emulator")
    number = broker.next_number()
    name = _text(params, clientctrl.CLIENT_NAME) or f"client/{number}"
    if len(name.encode()) > _MAX_NAME_BYTES or name.startswith("#") or any(sign in name for sign in "*?>"):
        raise Refused(400, "Client Name Parse Error")
    client = Client(
        name=name,
        username=username,
        profile_name=settings.client_profile_name,
        acl_name=settings.acl_profile_name,
        address=wire.peer,
        outlet=outlet,
        connected_at_ms=broker.now_ms(),
        description=_text(params, clientctrl.DESCRIPTION),
        platform=_text(params, clientctrl.PLATFORM),
        software_version=_text(params, clientctrl.SOFTWARE_VERSION),
        number=number,
    )
    vpn.admit(client)
    client.p2p_topic = f"#P2P/v:{broker.router}/{os.urandom(4).hex()}/{name}"
    return vpn, client


def answer(broker: Broker, vpn: Vpn, client: Client) -> bytes:
    """Return the body of the answer to a login that has succeeded."""
    return clientctrl.encode(
        clientctrl.LOGIN,
        [
            (clientctrl.CLIENT_NAME, frame.terminated(client.name)),
            (clientctrl.VPN_NAME, frame.terminated(vpn.name)),
            (clientctrl.P2P_TOPIC, frame.terminated(client.p2p_topic)),
            (clientctrl.VIRTUAL_ROUTER_NAME, frame.terminated(f"v:{broker.router}")),
            (clientctrl.ROUTER_NAME, frame.terminated(broker.router)),
            (clientctrl.SOFTWARE_VERSION, frame.terminated(f"{PLATFORM} {VERSION}")),
            (clientctrl.SOFTWARE_DATE, frame.terminated("")),
            (clientctrl.PLATFORM, frame.terminated(PLATFORM)),
            (clientctrl.CAPABILITIES, clientctrl.capabilities(_CAPABILITIES, _LIMITS)),
            (clientctrl.EXTENDED_CAPABILITIES, clientctrl.extended_capabilities(_VERSIONS)),
        ],
    )


def _text(params: dict[int, bytes], key: int) -> str:
    return frame.text(params.get(key, b""))


def _base64(smf: dict[int, bytes], key: int) -> str:
    try:
        return frame.text(base64.b64decode(smf.get(key, b"") + b"=="))
    except binascii.Error:
        raise Refused(401, "Unauthorized") from None
