"""What the emulator does not do, as the official client is told; what it does is in the conformance suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.resources.queue import Queue

from tests.emulator.process import Emulator

pytestmark = pytest.mark.emulator


def test_what_is_not_there_is_refused_and_says_so(emulator: Emulator, connect: Callable[..., Any]) -> None:
    emulator.queue("selected")
    builder = connect(emulator, "selecting").create_persistent_message_receiver_builder()
    source = builder.with_message_selector("a = 1").build(Queue.durable_exclusive_queue("selected"))
    with pytest.raises(PubSubPlusClientError, match="Selectors Not Supported by This Emulator"):
        source.start()
