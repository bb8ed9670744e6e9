"""How a program that is not crep's finds a channel: what is written into its environment is read back whole."""

from __future__ import annotations

import pytest

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.directions import FROM, TO, Directions
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Tls

KAFKA = Directions(
    Endpoint(
        "kafka",
        TO,
        bootstrap="a:1,b:2",
        username="u",
        password="secret",
        sasl_mechanism="PLAIN",
        tls=Tls(ca_file="ca.pem", verify_host=False),
    ),
    topic="crep-1-orders",
    group="crep-1-orders-via-partners",
    topic_header="crep-topic",
)
SOLACE = Directions(
    Endpoint("solace", FROM, smf="tcp://a:1", vpn="inside", username="default"),
    queue="crep-1-orders-via-partners",
    topic_prefix="crep/1/orders/",
)


@pytest.mark.parametrize(("side", "directions"), [(TO, KAFKA), (FROM, SOLACE)])
def test_what_is_written_is_read_back(side: str, directions: Directions) -> None:
    written = directions.variables(side)
    assert all(name.startswith(f"{side}_") for name in written)
    assert Directions.read(side, {**written, "PATH": "/bin", f"{side}": "x"}) == directions


def test_a_program_finds_what_its_broker_needs_and_nothing_of_another() -> None:
    assert set(SOLACE.variables(FROM)) == {
        f"CREP_FROM_{word}" for word in ("SYSTEM", "SMF", "VPN", "USERNAME", "QUEUE", "TOPIC_PREFIX")
    }
    assert "CREP_TO_VPN" not in KAFKA.variables(TO)
    assert KAFKA.variables(TO)["CREP_TO_VERIFY_HOST"] == "no"


def test_the_scenarios_topic_has_its_place_on_either_broker() -> None:
    assert SOLACE.native_topic("orders/eu/new") == "crep/1/orders/orders/eu/new"
    assert KAFKA.native_topic("orders/eu/new") == "crep-1-orders"


def test_an_environment_without_it_is_refused() -> None:
    with pytest.raises(UsageError, match="the environment variable CREP_FROM_SYSTEM is not set"):
        Directions.read(FROM, KAFKA.variables(TO))
