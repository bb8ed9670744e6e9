"""Faults by a broker's administration: steps in order on a live broker, and what they do when the broker is away."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from crep.harness.brokers.contract import BrokerError, Endpoint, NotSupported, Outcome, Provisioned
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.registry import DEFAULT_MAPPINGS, adapter
from crep.harness.config.targets import Credentials, SolaceAddress, Target
from crep.harness.deployment import Deployment
from crep.harness.faults.administration import carry_out_calls
from crep.harness.faults.contract import Fault, Stage
from crep.harness.faults.registry import make_fault
from crep.harness.faults.undo import Undo, carry_out
from crep.harness.scenario.actions.base import Json
from crep.harness.scenario.plan import TimelineEvent
from tests.brokers.contract.bench import CHANNEL, Bench, batch, reader, send_all
from tests.faults import staging

READER = "billing"
ACKNOWLEDGED, REJECTED = Outcome.ACKNOWLEDGED, Outcome.REJECTED


class Names:
    """Clients by the names that the bench gives them."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def publishers(self, numbers: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(f"{self._run_id}-p{number}" for number in numbers)

    def members(self, _: str, readers: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{self._run_id}-{one}-0" for one in readers)


def on(
    where: Deployment | Any,
    provisioned: Provisioned,
    action: str,
    *,
    readers: tuple[str, ...] = (),
    publishers: tuple[int, ...] = (),
    admin: Any = None,
    target: Target | None = None,
    parameters: Mapping[str, Json] | None = None,
) -> Stage:
    event = TimelineEvent(0, 0.0, action, "bus", None, CHANNEL, readers, publishers, 0.0, dict(parameters or {}))
    admin = admin or adapter(where.system).admin(where.endpoint())
    return Stage(event, cast(Any, target), where, admin, provisioned, cast(Any, Names(provisioned.run_id)), seed=1)


@pytest.fixture
def bench(emulator_endpoint: Endpoint) -> Iterator[Bench]:
    broker = adapter("solace")
    admin = broker.admin(emulator_endpoint)
    bench = Bench(broker, emulator_endpoint, admin, load_mapping(DEFAULT_MAPPINGS["solace"]))
    yield bench
    bench.close()
    admin.close()


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("action", "readers", "parameters", "subject", "meanwhile"),
    [
        ("revoke-permission", (), {"right": "publish"}, "publish of orders", REJECTED),
        ("revoke-permission", (), {"right": "receive"}, "receive of orders", ACKNOWLEDGED),
        ("limit-queue", (READER,), {"quota_bytes": 1000, "tell_publishers": "never"}, "orders.billing", ACKNOWLEDGED),
        ("shut-queue", (READER,), {"gate": "in", "tell_publishers": "always"}, "in of orders.billing", REJECTED),
        ("shut-queue", (READER,), {"gate": "out", "tell_publishers": None}, "out of orders.billing", ACKNOWLEDGED),
    ],
)
def test_each_act_takes_effect_is_confirmed_and_is_undone(
    bench: Bench,
    emulator_deployment: Deployment,
    action: str,
    readers: tuple[str, ...],
    parameters: dict[str, Json],
    subject: str,
    meanwhile: Outcome,
) -> None:
    provisioned = bench.provision(reader(READER))
    publisher = bench.publisher()
    fault = make_fault(on(emulator_deployment, provisioned, action, readers=readers, parameters=parameters))
    assert fault.subject == subject
    assert not fault.confirmed()
    fault.aim()
    assert fault.inject() > 0
    assert fault.confirmed()
    assert set(send_all(publisher, batch(0, 5)).values()) == {meanwhile}
    fault.heal()
    assert fault.healed()
    assert not fault.confirmed()
    assert set(send_all(publisher, batch(5, 5)).values()) == {Outcome.ACKNOWLEDGED}


@pytest.mark.emulator
def test_disconnected_publishers_are_confirmed_and_nothing_is_left_to_undo(
    bench: Bench, emulator_deployment: Deployment
) -> None:
    provisioned = bench.provision(reader(READER))
    publisher = bench.publisher()
    where = on(emulator_deployment, provisioned, "disconnect-publishers", publishers=(0,))
    done = staging.carry_out(where)
    staging.all_steps(done)
    assert done.subject == "publishers of orders"
    assert set(send_all(publisher, batch(0, 5)).values()) == {Outcome.ACKNOWLEDGED}
    missing = staging.carry_out(on(emulator_deployment, provisioned, "disconnect-publishers", publishers=(7,)))
    assert missing.step == "failed"
    assert f"{bench.run_id}-p7" in (missing.error or "")


@pytest.mark.emulator
def test_what_the_target_cannot_do_is_refused_when_the_fault_is_made(
    bench: Bench, emulator_deployment: Deployment
) -> None:
    provisioned = bench.provision(reader(READER))
    with pytest.raises(NotSupported, match="rate quota"):
        make_fault(
            on(
                emulator_deployment,
                provisioned,
                "throttle-publishers",
                publishers=(0,),
                parameters={"bytes_per_s": 1000},
            )
        )


@pytest.mark.emulator
def test_an_act_is_undone_by_somebody_who_has_its_description_alone(
    bench: Bench, emulator_deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    provisioned, endpoint = bench.provision(reader(READER)), bench.endpoint
    monkeypatch.setenv("TRY_ADMIN", endpoint.admin_password)
    address = SolaceAddress(
        smf=str(endpoint.smf), semp=str(endpoint.semp), admin=Credentials(username="admin", password_env="TRY_ADMIN")
    )
    target = Target.model_validate(
        {"name": "theirs", "system": "solace", "source": "address", "solace": address, "allow_faults": True}
    )
    theirs = SimpleNamespace(
        system="solace", target="theirs", allow_faults=True, outlives_us=True, endpoint=lambda: endpoint
    )
    fault = make_fault(on(theirs, provisioned, "revoke-permission", target=target, parameters={"right": "publish"}))
    fault.aim()
    fault.inject()
    [undo] = json.loads(json.dumps([{"kind": one.kind, "what": one.what} for one in fault.undo()]))
    assert fault.confirmed()
    assert carry_out(Undo(**undo)) == "theirs: allow orders publish"
    assert not fault.confirmed()
    assert carry_out(Undo(**undo)) == "theirs: allow orders publish"  # doing it twice does no harm


def test_a_broker_that_dies_with_crep_leaves_nothing_to_undo() -> None:
    assert fake("revoke-permission", Silent(), right="publish").undo() == ()


def test_a_description_cannot_ask_for_more_than_undoing() -> None:
    with pytest.raises(ValueError, match="deny"):
        carry_out_calls(cast(Any, Silent()), [["deny", CHANNEL, "publish"]])


class Silent:
    """An operator of a broker that answers or not, and notes what it is told."""

    def __init__(self) -> None:
        self.answers, self.shut_gates, self.told = True, set[str](), list[str]()
        self.refuses = ""

    def _asked(self, what: str) -> None:
        if not self.answers:
            raise BrokerError("cannot be reached")
        self.told.append(what)

    def check(self, *_: object) -> None:
        return

    def shut(self, _: str, reader: str, *__: object) -> None:
        self._asked(f"shut {reader}")
        if reader == self.refuses:
            raise BrokerError(f"refuses {reader}")
        self.shut_gates.add(reader)

    def open(self, _: str, reader: str, *__: object) -> None:
        self._asked(f"open {reader}")
        self.shut_gates.discard(reader)

    def is_shut(self, _: str, reader: str, *__: object) -> bool:
        self._asked("is_shut")
        return reader in self.shut_gates


def fake(action: str, operator: Silent, readers: tuple[str, ...] = (), **parameters: Json) -> Fault:
    where = SimpleNamespace(allow_faults=True, outlives_us=False, target="t", system="solace")
    admin = SimpleNamespace(operator=lambda _: operator)
    provisioned = Provisioned("r", "m", {CHANNEL: {}}, {})
    return make_fault(on(where, provisioned, action, readers=readers, admin=admin, parameters=parameters))


def test_an_act_on_several_readers_that_fails_on_one_is_taken_back_on_the_others() -> None:
    operator = Silent()
    operator.refuses = "second"
    fault = fake("shut-queue", operator, ("first", "second"), gate="in", tell_publishers=None)
    with pytest.raises(BrokerError, match="refuses second"):
        fault.inject()
    assert operator.told == ["shut first", "shut second", "open first", "open second"]
    assert operator.shut_gates == set()


def test_an_act_is_undone_as_soon_as_a_broker_that_was_away_answers_again() -> None:
    operator = Silent()
    fault = fake("shut-queue", operator, ("first",), gate="out", tell_publishers=None)
    fault.inject()
    assert fault.confirmed()
    operator.answers = False
    assert not fault.confirmed()
    fault.heal()
    assert not fault.healed()
    operator.answers = True
    assert operator.shut_gates == {"first"}
    assert fault.healed()
    assert operator.shut_gates == set()


def test_a_broker_that_may_not_be_failed_is_left_alone() -> None:
    operator = Silent()
    fault = fake("shut-queue", operator, ("first",), gate="in", tell_publishers=None)
    where = cast(Any, fault).stage
    forbidden = SimpleNamespace(**{**vars(where.deployment), "allow_faults": False})
    with pytest.raises(NotSupported, match="allow_faults: true"):
        make_fault(replace(where, deployment=cast(Any, forbidden)))
    assert operator.told == []
