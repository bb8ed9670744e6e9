"""From a neutral channel to Solace objects by the rules of the mapping. Pure.

Limits: a topic has at most 250 bytes, a queue name at most 200 characters without ``' < > * ? & ;`` (SEMP v2,
``queueName``).
"""

from __future__ import annotations

from crep.harness.brokers.contract import ChannelSpec, Durability, Json, NotSupported, ReaderSpec

_LONGEST_TOPIC, _LONGEST_QUEUE = 250, 200
_AROUND_A_PAYLOAD = 4096
"""Bytes that a limit for messages has more than the largest payload: topic, properties, and what the broker adds."""
_FORBIDDEN_IN_QUEUES = frozenset("'<>*?&;")


def channel_layout(run_id: str, channel: ChannelSpec, rules: Json) -> Json:
    """The objects of one channel, as they travel to the engines and into ``run.json``.

    Raises:
        NotSupported: an exclusive at-most-once reader, names over the broker's limits, or a largest size of a channel
            without a queue, since it is a queue that refuses larger messages.
    """
    prefix = f"crep/{run_id}/{channel.name}"
    for topic in channel.topics:
        _within_limit(f"{prefix}/{topic}")
    queues: dict[str, Json] = {}
    direct: dict[str, Json] = {}
    for reader in channel.readers:
        subscription = _within_limit(f"{prefix}/{reader.topic_filter or '>'}")
        if reader.delivery == "at-most-once":
            direct[reader.name] = _direct(run_id, channel, reader, subscription)
        else:
            queues[reader.name] = _queue(run_id, channel, reader, rules) | {"subscription": subscription}
    if channel.max_bytes is not None and not queues:
        raise NotSupported(
            f"channel {channel.name!r} has a max_size and no at-least-once reader: on Solace it is a reader's queue "
            "that refuses larger messages; give the channel an at-least-once reader, or take out max_size"
        )
    keyed = any(queue["partitions"] for queue in queues.values())
    return {
        "topic_prefix": prefix,
        "queues": queues,
        "direct": direct,
        "key_property": str(rules["key_property"]) if keyed else None,
        "filter_side": "broker",
    }


def _queue(run_id: str, channel: ChannelSpec, reader: ReaderSpec, rules: Json) -> Json:
    name = _queue_name(f"crep-{run_id}-{channel.name}-{reader.name}")
    dead = reader.dead_letters_after
    return {
        "name": name,
        "access": "exclusive" if reader.share != "group" else "non-exclusive",
        "partitions": int(rules["partitions"]) if reader.share == "group" and reader.order == "per-key" else 0,
        "quota_mb": int(rules["queue_quota_mb"]),
        "max_message_bytes": None if channel.max_bytes is None else channel.max_bytes + _AROUND_A_PAYLOAD,
        "respects_ttl": channel.expires,
        # The attribute counts redeliveries: n deliveries are n - 1 of them; 0 would mean for ever.
        "max_redeliveries": max(1, dead - 1) if dead is not None else 0,
        "dead_letter_queue": _queue_name(f"{name}-dead") if dead is not None else None,
    }


def _direct(run_id: str, channel: ChannelSpec, reader: ReaderSpec, subscription: str) -> Json:
    if reader.share == "exclusive" and reader.members > 1:
        raise NotSupported(
            f"reader {channel.name}.{reader.name} is exclusive and at-most-once: a direct subscription has no standby; "
            "make it at-least-once, or give it one member"
        )
    share = f"crep-{run_id}-{channel.name}-{reader.name}" if reader.members > 1 else None
    return {"subscription": subscription, "share_name": share}


def stored_class(channel: ChannelSpec, *, redundant: bool) -> Durability:
    """The class of a persistent message, checked against the one asked for.

    A broker acknowledges a persistent message when it is spooled to disk, and with redundancy when the mate has it too
    (the vendor's documentation of guaranteed messaging).

    Raises:
        NotSupported: more copies, or another sync level than the broker has.
    """
    asked = channel.durability
    if asked.sync != "disk":
        raise NotSupported(
            f"channel {channel.name!r} asks for sync {asked.sync!r}: a Solace broker acknowledges a persistent message "
            "when it is on disk, and cannot be set to less; ask for 'disk'"
        )
    if asked.copies > (2 if redundant else 1):
        raise NotSupported(
            f"channel {channel.name!r} asks for {asked.copies} copies: "
            + ("a redundancy pair keeps two" if redundant else "this broker shows no redundancy mate and keeps one")
        )
    return Durability(2 if redundant else 1, "disk")


def _within_limit(topic: str) -> str:
    if len(topic.encode()) > _LONGEST_TOPIC:
        raise NotSupported(f"topic {topic!r} is over Solace's {_LONGEST_TOPIC} bytes: shorten channel or level names")
    return topic


def _queue_name(name: str) -> str:
    if len(name) > _LONGEST_QUEUE or _FORBIDDEN_IN_QUEUES & set(name):
        raise NotSupported(f"{name!r} cannot be a Solace queue name (200 characters, none of ' < > * ? & ;)")
    return name
