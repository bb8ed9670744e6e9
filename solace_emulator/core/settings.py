"""What can be configured and is honoured, one frozen dataclass per object type.

Field names are the SEMP attribute names in snake case and defaults are the vendor's for a newly created object, so
that the SEMP layer maps one to the other without a table. An attribute without a field here is known to SEMP but not
emulated: only its default value is accepted.
"""

from dataclasses import dataclass
from typing import Final

PERMISSIONS: Final = ("no-access", "read-only", "consume", "modify-topic", "delete")
MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class VpnSettings:
    """A message VPN. As made over SEMP it takes no login and spools nothing; quota in MB."""

    enabled: bool = False
    authentication_basic_enabled: bool = True
    authentication_basic_type: str = "radius"
    authentication_client_cert_enabled: bool = False
    authentication_client_cert_allow_api_provided_username_enabled: bool = False
    max_connection_count: int = 1000
    max_endpoint_count: int = 1000
    max_msg_spool_usage: int = 0
    max_subscription_count: int = 500_000
    allow_dmq_eligible_endpoint_override_enabled: bool = True


@dataclass(frozen=True, slots=True)
class UsernameSettings:
    """A client username. ``password`` is the sealed form, see :mod:`.access`."""

    enabled: bool = False
    password: str = ""
    acl_profile_name: str = "default"
    client_profile_name: str = "default"


@dataclass(frozen=True, slots=True)
class ClientProfileSettings:
    """What clients with this profile may do."""

    allow_bridge_connections_enabled: bool = False
    allow_guaranteed_endpoint_create_durability: str = "all"
    allow_guaranteed_endpoint_create_enabled: bool = False
    allow_guaranteed_msg_receive_enabled: bool = False
    allow_guaranteed_msg_send_enabled: bool = False
    allow_shared_subscriptions_enabled: bool = False
    allow_transacted_sessions_enabled: bool = False
    max_connection_count_per_client_username: int = 1000
    reject_msg_to_sender_on_no_subscription_match_enabled: bool = False


@dataclass(frozen=True, slots=True)
class AclProfileSettings:
    """Default actions, ``allow`` or ``disallow``; the exceptions turn them round."""

    client_connect_default_action: str = "disallow"
    publish_topic_default_action: str = "disallow"
    subscribe_topic_default_action: str = "disallow"
    subscribe_share_name_default_action: str = "allow"


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """A queue. Quota in MB (0: it keeps the last message only), size in bytes, ``max_ttl`` and rebalance in seconds."""

    access_type: str = "exclusive"
    dead_msg_queue: str = "#DEAD_MSG_QUEUE"
    egress_enabled: bool = False
    ingress_enabled: bool = False
    max_bind_count: int = 1000
    max_delivered_unacked_msgs_per_flow: int = 10_000
    max_msg_size: int = 10_000_000
    max_msg_spool_usage: int = 5000
    max_redelivery_count: int = 0
    max_ttl: int = 0
    owner: str = ""
    partition_count: int = 0
    partition_rebalance_delay: int = 5
    partition_rebalance_max_handoff_time: int = 3
    permission: str = "no-access"
    reject_msg_to_sender_on_discard_behavior: str = "when-queue-enabled"
    respect_dmq_eligible_enabled: bool = False
    respect_ttl_enabled: bool = False

    def allows(self, username: str, wanted: str) -> bool:
        """Whether a client username has at least the permission ``wanted``; the owner has all."""
        if self.owner and username == self.owner:
            return True
        return PERMISSIONS.index(self.permission) >= PERMISSIONS.index(wanted)


@dataclass(frozen=True, slots=True)
class ReplayLogSettings:
    """A replay log; quota in MB. As made over SEMP it takes and gives nothing."""

    egress_enabled: bool = False
    ingress_enabled: bool = False
    max_spool_usage: int = 0
    topic_filter_enabled: bool = False
