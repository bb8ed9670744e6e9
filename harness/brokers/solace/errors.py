"""What an error of the library says: in words, by subcode, and of the fate of a message. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from crep.harness.brokers.contract import Outcome

_PRINTED_DETAILS = re.compile(r"\{'.*\}$", re.DOTALL)

# Subcodes by which a broker refuses a published message (its negative acknowledgement names the cause; the vendor's
# list of client subcodes describes each so). Any other is the library's own: of a connection, a time-out, a flow that
# is gone. It does not tell whether the broker stored the message before.
_REFUSED_BY_BROKER = frozenset(
    f"SOLCLIENT_SUBCODE_{name}"
    for name in (
        "DATA_OTHER",  # "rejected a data message for another reason not separately enumerated"
        "ENDPOINT_SHUTDOWN",
        "INVALID_TOPIC_SYNTAX",
        "LOW_PRIORITY_MSG_CONGESTION",
        "MAX_MESSAGE_USAGE_EXCEEDED",
        "MESSAGE_TOO_LARGE",
        "NO_SUBSCRIPTION_MATCH",
        "PUBLISH_ACL_DENIED",
        "QUEUE_NOT_FOUND",
        "QUEUE_SHUTDOWN",
        "REPLICATION_IS_STANDBY",
        "SPOOL_OVER_QUOTA",
        "SYNC_REPLICATION_INELIGIBLE",
        "TE_SHUTDOWN",
    )
)


def given_up(error: BaseException | None) -> Outcome:
    """The outcome of a message that was sent and not acknowledged: ``REJECTED`` only where the broker refused it."""
    return fate_of(sub_code_of(error))


def fate_of(sub_code: str | None) -> Outcome:
    """The same, by the name of the client subcode."""
    return Outcome.REJECTED if sub_code in _REFUSED_BY_BROKER else Outcome.UNKNOWN


def reason_of(error: BaseException | None) -> str:
    """The broker's or the library's own words."""
    if error is None:
        return "no reason was given"
    said = _details(error).get("error_info_contents")
    words = _PRINTED_DETAILS.sub("", str(error)).strip()
    return words if not said else str(said) if not words or words.startswith("{") else f"{words} ({said})"


def sub_code_of(error: BaseException | None) -> str | None:
    """The name of the client subcode, e.g. ``SOLCLIENT_SUBCODE_SPOOL_OVER_QUOTA``."""
    found = _details(error).get("sub_code")
    return None if found is None else str(found)


def _details(error: BaseException | None) -> Mapping[str, Any]:
    """What the library knows of an error: a mapping as the first argument, or one printed at the end of its text."""
    first = error.args[0] if error is not None and error.args else None
    printed = _PRINTED_DETAILS.search(first) if isinstance(first, str) else None
    if printed is not None:
        try:
            first = ast.literal_eval(printed[0])
        except (ValueError, SyntaxError):
            return {}  # braces of another kind: then the text is all there is
    return first if isinstance(first, Mapping) else {}
