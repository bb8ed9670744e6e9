from __future__ import annotations

import pytest

from crep.harness.runs.secrets import HIDDEN, without_secrets


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "sasl.jaas.config",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "solace.messaging.authentication.basic.password",
        "solace.messaging.authentication.client-cert.private-key-password",
        "solace.messaging.authentication.oauth2.access-token",
    ],
)
def test_a_setting_named_like_a_secret_is_hidden_wherever_it_stands(name: str) -> None:
    assert without_secrets({"a": [{name: "hunter2"}]}) == {"a": [{name: HIDDEN}]}


def test_what_is_no_secret_is_left_as_it_is() -> None:
    settings = {
        "acks": "all",
        "ssl.key.location": "key.pem",
        "sasl.username": "crep",
        "linger.ms": 5,
        "keys": [1, None],
    }
    assert without_secrets(settings) == settings
