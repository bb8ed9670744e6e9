"""Why a message is not forwarded, and the dead letter that comes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from crep.harness.brokers.contract import Message

_REASON = 1000  # characters of a reason in a dead letter's headers


@dataclass(frozen=True)
class Failure:
    """The step that failed, and why."""

    step: str
    reason: str


def dead_letter(message: Message, failure: Failure, where: tuple[str, str], topic: str) -> Message:
    """The message as it came, with what is known of its failure.

    Args:
        message: what could not be processed, or what the sink refused.
        failure: why.
        where: names of the bridge and the route.
        topic: of the dead letters.
    """
    bridge, route = where
    reason = {
        "crep-dead-bridge": bridge,
        "crep-dead-route": route,
        "crep-dead-step": failure.step,
        "crep-dead-reason": failure.reason[:_REASON],
        "crep-dead-topic": message.topic,
    }
    return replace(
        message,
        topic=topic,
        properties={**message.properties, **reason},
        redelivered=None,
        delivery_count=None,
        token=None,
    )
