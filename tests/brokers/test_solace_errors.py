from __future__ import annotations

import pytest
from solace.messaging.errors.pubsubplus_client_error import AuthenticationError, PubSubPlusClientError

from crep.harness.brokers.contract import Outcome
from crep.harness.brokers.solace.errors import given_up, reason_of, sub_code_of

DETAILS = {"sub_code": "SOLCLIENT_SUBCODE_LOGIN_FAILURE", "error_info_contents": "Unauthorized"}


@pytest.mark.parametrize(
    ("error", "reason", "sub_code"),
    [
        (PubSubPlusClientError(DETAILS), "Unauthorized", DETAILS["sub_code"]),
        (
            AuthenticationError(f"The username or password is incorrect {DETAILS}"),
            "The username or password is incorrect (Unauthorized)",
            DETAILS["sub_code"],
        ),
        (PubSubPlusClientError("no place left"), "no place left", None),
        (PubSubPlusClientError("braces {'of another kind}"), "braces", None),
        (None, "no reason was given", None),
    ],
)
def test_an_error_of_the_library_is_said_in_words(
    error: PubSubPlusClientError | None, reason: str, sub_code: str | None
) -> None:
    assert reason_of(error) == reason
    assert sub_code_of(error) == sub_code


@pytest.mark.parametrize(
    ("sub_code", "outcome"),
    [
        ("SPOOL_OVER_QUOTA", Outcome.REJECTED),
        ("QUEUE_SHUTDOWN", Outcome.REJECTED),
        ("ENDPOINT_SHUTDOWN", Outcome.REJECTED),
        ("NO_SUBSCRIPTION_MATCH", Outcome.REJECTED),
        ("PUBLISH_ACL_DENIED", Outcome.REJECTED),
        ("MESSAGE_TOO_LARGE", Outcome.REJECTED),
        ("DATA_OTHER", Outcome.REJECTED),
        ("COMMUNICATION_ERROR", Outcome.UNKNOWN),
        ("KEEP_ALIVE_FAILURE", Outcome.UNKNOWN),
        ("UNKNOWN_FLOW_NAME", Outcome.UNKNOWN),
        ("TIMEOUT", Outcome.UNKNOWN),
        ("OF_A_LATER_RELEASE", Outcome.UNKNOWN),
    ],
)
def test_only_a_refusal_by_the_broker_is_a_rejection(sub_code: str, outcome: Outcome) -> None:
    error = PubSubPlusClientError({**DETAILS, "sub_code": f"SOLCLIENT_SUBCODE_{sub_code}"})
    assert given_up(error) is outcome


def test_an_error_without_a_subcode_leaves_the_message_unknown() -> None:
    assert given_up(PubSubPlusClientError("the service is going down")) is Outcome.UNKNOWN
    assert given_up(None) is Outcome.UNKNOWN
