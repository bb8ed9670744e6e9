"""What a broker says when it refuses, as the official client tells it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError

ACCEPTED: Final = "accepted"
_WORDS: Final = re.compile(r"'error_info_contents': ['\"]([^'\"]*)")
_SUBCODE: Final = re.compile(r"SOLCLIENT_SUBCODE_(\w+)")


def refusal(call: Callable[[], Any]) -> str:
    """Make a call; return :data:`ACCEPTED` or the client's name for the refusal, like ``PUBLISH_ACL_DENIED``.

    The names belong to the client, which maps them from code and text; the texts themselves may differ by broker.
    """
    try:
        call()
    except PubSubPlusClientError as error:
        named = _SUBCODE.search(str(error))
        return named.group(1) if named else type(error).__name__
    return ACCEPTED


def words(call: Callable[[], Any]) -> str:
    """Make a call; return :data:`ACCEPTED` or the broker's own words, for refusals that the client has no name for."""
    try:
        call()
    except PubSubPlusClientError as error:
        found = _WORDS.search(str(error))
        return found.group(1) if found else str(error)
    return ACCEPTED
