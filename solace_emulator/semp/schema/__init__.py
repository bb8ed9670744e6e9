"""The attributes of every supported object type: names, types, defaults and bounds as of SEMP 2.49."""

from typing import Final

from ...core.settings import (
    AclProfileSettings,
    ClientProfileSettings,
    QueueSettings,
    ReplayLogSettings,
    UsernameSettings,
    VpnSettings,
)
from . import acl_profile, client_profile, client_username, message_vpn, queue, replay_log
from .attribute import Attribute, Schema, snake_case
from .monitored import (
    CLIENT,
    CLIENT_SUBSCRIPTION,
    MESSAGE_VPN_STATE,
    QUEUE_FLOW,
    QUEUE_MESSAGE,
    QUEUE_STATE,
    QUEUE_SUBSCRIPTION,
    REPLAY_LOG_MESSAGE,
    REPLAY_LOG_STATE,
    REPLAY_LOG_SUBSCRIPTION,
    Monitored,
)

MESSAGE_VPN: Final = Schema(VpnSettings, message_vpn.ATTRIBUTES, frozenset({("authenticationBasicType", "ldap")}))
CLIENT_USERNAME: Final = Schema(UsernameSettings, client_username.ATTRIBUTES)
CLIENT_PROFILE: Final = Schema(ClientProfileSettings, client_profile.ATTRIBUTES)
ACL_PROFILE: Final = Schema(AclProfileSettings, acl_profile.ATTRIBUTES)
QUEUE: Final = Schema(QueueSettings, queue.ATTRIBUTES)
REPLAY_LOG: Final = Schema(ReplayLogSettings, replay_log.ATTRIBUTES)

__all__ = [
    "ACL_PROFILE",
    "CLIENT",
    "CLIENT_PROFILE",
    "CLIENT_SUBSCRIPTION",
    "CLIENT_USERNAME",
    "MESSAGE_VPN",
    "MESSAGE_VPN_STATE",
    "QUEUE",
    "QUEUE_FLOW",
    "QUEUE_MESSAGE",
    "QUEUE_STATE",
    "QUEUE_SUBSCRIPTION",
    "REPLAY_LOG",
    "REPLAY_LOG_MESSAGE",
    "REPLAY_LOG_STATE",
    "REPLAY_LOG_SUBSCRIPTION",
    "Attribute",
    "Monitored",
    "Schema",
    "snake_case",
]
