"""A queue: its attributes as of SEMP 2.49, without the identifying ones."""

from typing import Final

from .attribute import choice, flag, nested, number, text

ATTRIBUTES: Final = (
    choice("accessType", "exclusive", "exclusive", "non-exclusive"),
    flag("consumerAckPropagationEnabled", True),
    text("deadMsgQueue", "#DEAD_MSG_QUEUE", 0, 200),
    flag("deliveryCountEnabled", False),
    number("deliveryDelay", 0, 0, 4294967295),
    flag("egressEnabled", False),
    nested("eventBindCountThreshold"),
    nested("eventMsgSpoolUsageThreshold"),
    nested("eventRejectLowPriorityMsgLimitThreshold"),
    flag("ingressEnabled", False),
    number("maxBindCount", 1000, 0, 10000),
    number("maxDeliveredUnackedMsgsPerFlow", 10000, 1, 1000000),
    number("maxMsgSize", 10000000, 0, 30000000),
    number("maxMsgSpoolUsage", 5000, 0, 6000000),
    number("maxRedeliveryCount", 0, 0, 255),
    number("maxTtl", 0, 0, 4294967295),
    text("owner", "", 0, 189),
    number("partitionCount", 0, 0, 1000),
    number("partitionRebalanceDelay", 5, 0, 4294967295),
    number("partitionRebalanceMaxHandoffTime", 3, 0, 4294967295),
    choice("permission", "no-access", "no-access", "read-only", "consume", "modify-topic", "delete"),
    flag("redeliveryDelayEnabled", False),
    number("redeliveryDelayInitialInterval", 1000, 1, 3600000),
    number("redeliveryDelayMaxInterval", 64000, 1, 10800000),
    number("redeliveryDelayMultiplier", 200, 100, 500),
    flag("redeliveryEnabled", True),
    flag("rejectLowPriorityMsgEnabled", False),
    number("rejectLowPriorityMsgLimit", 0, 0, 4294967295),
    choice("rejectMsgToSenderOnDiscardBehavior", "when-queue-enabled", "never", "when-queue-enabled", "always"),
    flag("respectDmqEligibleEnabled", False),
    flag("respectMsgPriorityEnabled", False),
    flag("respectTtlEnabled", False),
)
