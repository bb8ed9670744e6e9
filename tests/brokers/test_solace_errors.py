from __future__ import annotations

import pytest
from solace.messaging.errors.pubsubplus_client_error import AuthenticationError, PubSubPlusClientError

from crep.harness.brokers.solace.service import reason_of, sub_code_of

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
