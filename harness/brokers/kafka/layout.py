"""From a neutral channel to Kafka's objects by the rules of the mapping. Pure."""

from __future__ import annotations

from crep.harness.brokers.contract import ChannelSpec, Json, NotSupported, ReaderSpec

_LONGEST_TOPIC = 249  # characters, Kafka's own limit
_AROUND_A_PAYLOAD = 4096
"""Bytes that a limit for messages has more than the largest payload: key, headers, and the frame of a batch."""


def channel_layout(
    run_id: str, channel: ChannelSpec, rules: Json, brokers: int, *, usual_replicas: int = 1, by_leader: bool = False
) -> Json:
    """The objects of one channel, as they travel to the engines and into ``run.json``.

    Args:
        run_id: carried by every name.
        channel: the neutral channel.
        rules: of the mapping.
        brokers: how many there are.
        usual_replicas: what the cluster gives a topic by default.
        by_leader: whether publishers are content with the leader's acknowledgement (acks=1).

    Raises:
        NotSupported: the durability class needs more brokers, other acknowledgements, or a sync level that Kafka cannot
            be held to; or messages have a time to live.
    """
    if channel.expires:
        raise NotSupported(
            f"messages of channel {channel.name!r} have a ttl: Kafka has no time to live of a message, only a "
            "retention of the topic, which removes whole segments; who reads later gets the message all the same"
        )
    asked = channel.durability
    if by_leader and asked.copies > 1:
        raise NotSupported(
            f"channel {channel.name!r} asks for {asked.copies} copies, and the publishers' setting acks=1 makes the "
            "leader acknowledge alone: one copy"
        )
    if asked.copies > brokers:
        raise NotSupported(
            f"channel {channel.name!r} asks for {asked.copies} copies and the cluster has {brokers} broker(s)"
        )
    if asked.sync == "none":
        raise NotSupported(
            f"channel {channel.name!r} asks for sync 'none': a Kafka broker acknowledges when the message is in its "
            "page cache; ask for 'memory'"
        )
    topic = _checked(f"crep-{run_id}-{channel.name}")
    spare = int(rules["spare_replicas"]) if asked.copies > 1 else 0
    settings = {
        "min.insync.replicas": str(asked.copies),
        "unclean.leader.election.enable": str(bool(rules["unclean_leader_election"])).lower(),
    }
    if asked.sync == "disk":
        settings["flush.messages"] = "1"  # acknowledges come from the page cache otherwise
    largest = None if channel.max_bytes is None else channel.max_bytes + _AROUND_A_PAYLOAD
    if largest is not None:
        settings["max.message.bytes"] = str(largest)
    return {
        "topic": topic,
        "partitions": int(rules["partitions"]),
        "replication_factor": min(max(asked.copies + spare, usual_replicas), brokers),
        "min_insync_replicas": asked.copies,
        "topic_settings": settings,
        "max_message_bytes": largest,
        "topic_header": str(rules["topic_header"]),
        "topic_in_header": any(reader.topic_filter is not None for reader in channel.readers),
        "filter_side": "client",
        "groups": {r.name: _checked(f"{topic}-{r.name}") for r in channel.readers if _has_group(r)},
        "turns": {r.name: _checked(f"{topic}-{r.name}-turn") for r in channel.readers if r.share == "exclusive"},
        "dead_letter_topics": {
            r.name: _checked(f"{topic}-{r.name}-dead") for r in channel.readers if r.dead_letters_after is not None
        },
    }


def topics_of(layout: Json) -> dict[str, int]:
    """Every topic of a layout with its number of partitions."""
    return {
        layout["topic"]: layout["partitions"],
        **dict.fromkeys(layout["turns"].values(), 1),
        **dict.fromkeys(layout["dead_letter_topics"].values(), 1),
    }


def _has_group(reader: ReaderSpec) -> bool:
    return reader.delivery == "at-least-once" or reader.members > 1


def _checked(name: str) -> str:
    if len(name) > _LONGEST_TOPIC:
        raise NotSupported(
            f"{name!r} is longer than Kafka's {_LONGEST_TOPIC} characters: shorten channel or reader names"
        )
    return name
