"""A message as it is sent again: all that it had, and what says that it is a replay, of what, and of when.

Properties that it had are kept, also where an earlier replay set them: the original is the first one. A receiver can
tell a second copy by ``crep-replay-id`` and ``crep-replay-sequence``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from crep.harness.brokers.contract import Message
from crep.harness.brokers.streams import message_of
from crep.replay.remap import Remapping
from crep.replay.stored import Stored

REPLAY_ID = "crep-replay-id"
SEQUENCE = "crep-replay-sequence"  # of the message in the archive
ORIGINAL_TIME = "crep-original-time"  # ISO 8601, UTC: the broker's own time, else that of the capture
ORIGINAL_ID = "crep-original-id"  # where the broker stored it: topic[partition]@offset, or replication group message id
ORIGINAL_TOPIC = "crep-original-topic"
_LATEST_MS = 253_402_300_800_000  # the year 10,000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def marked(stored: Stored, replay_id: str, remapping: Remapping, *, timed: bool = True) -> Message:
    """The message to send. ``timed`` False: nobody knows when it was."""
    message = stored.message
    told = message.stored_ms  # whatever its publisher said: it may be no time at all
    at_us = told * 1000 if told is not None and 0 <= told < _LATEST_MS else stored.captured_us
    original = {ORIGINAL_TOPIC: message.topic}
    if timed:
        original[ORIGINAL_TIME] = time_text(at_us)
    if message.position is not None:
        original[ORIGINAL_ID] = message.position
    properties = {**original, **message.properties, REPLAY_ID: replay_id, SEQUENCE: stored.sequence}
    return message_of({**vars(message), "topic": remapping(message.topic), "properties": properties})


def time_text(at_us: int) -> str:
    """Unix microseconds as ISO 8601 with a Z."""
    return f"{(_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec='microseconds').removesuffix('+00:00')}Z"
