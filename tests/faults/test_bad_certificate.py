"""A broker that shows a certificate which its clients must not trust: they are refused until the good one is back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from crep.harness.brokers.contract import BrokerError, NotSupported, Outcome
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.registry import DEFAULT_MAPPINGS, adapter
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Target
from crep.harness.deployment import Deployment, certificates, deploy
from crep.harness.faults.registry import make_fault
from tests.brokers.contract.bench import Bench, batch, eventually, numbers, reader, send_all
from tests.emulator.certificates import DAY, Authority
from tests.faults.staging import stage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target's folder of certificates."""
    made, issued = tmp_path_factory.mktemp("tls"), tmp_path_factory.mktemp("issued")
    trusted, unknown = Authority(issued, "trusted"), Authority(issued, "unknown")
    issue: dict[str, Callable[[], tuple[Path, Path]]] = {
        "server": trusted.server,
        "expired": partial(trusted.server, ends_in=-DAY),
        "unknown": unknown.server,
    }
    for name, make in issue.items():
        for file, kind in zip(make(), ("pem", "key"), strict=True):
            shutil.copyfile(file, made / f"{name}.{kind}")
    (made / "trust").mkdir()
    shutil.copyfile(trusted.certificate, made / certificates.AUTHORITY)
    return made


def secured(name: str, folder: Path) -> Target:
    return Target.model_validate(
        {"name": name, "system": "solace", "source": "embedded", "profile": "quick", "settings": {"tls": str(folder)}}
    )


@pytest.fixture
def deployment(folder: Path) -> Iterator[Deployment]:
    deployment = deploy(secured("solace-secured", folder))
    deployment.start(lambda _: None)
    yield deployment
    deployment.stop()


@pytest.mark.emulator
def test_clients_refuse_a_bad_certificate_and_lose_nothing_over_it(deployment: Deployment) -> None:
    endpoint = deployment.endpoint()
    assert (endpoint.smf or "").startswith("tcps://")
    broker = adapter("solace")
    admin = broker.admin(endpoint)
    bench = Bench(broker, endpoint, admin, load_mapping(DEFAULT_MAPPINGS["solace"]))
    bench.provision(reader("billing"))
    publisher, member = bench.publisher(), bench.member("billing").ready()
    assert set(send_all(publisher, batch(0, 10)).values()) == {Outcome.ACKNOWLEDGED}
    for kind in ("expired", "unknown"):
        fault = make_fault(stage(deployment, "bad-certificate", parameters={"kind": kind}))
        fault.aim()
        fault.inject()
        eventually(fault.confirmed)
        assert not fault.healed()
        with pytest.raises(BrokerError, match=r"(?i)certificate"):
            bench.publisher()
        fault.heal()
        eventually(fault.healed)
        assert not fault.confirmed()
        assert fault.subject == f"solace-1 ({kind})"
    assert set(send_all(publisher, batch(10, 10), 30.0).values()) == {Outcome.ACKNOWLEDGED}
    eventually(lambda: set(numbers(member.received)) == set(range(20)))
    bench.close()
    admin.close()


@pytest.mark.emulator
def test_a_broker_without_certificates_is_not_supported(emulator_deployment: Deployment) -> None:
    with pytest.raises(NotSupported, match="no certificate of kind 'expired'"):
        make_fault(stage(emulator_deployment, "bad-certificate", parameters={"kind": "expired"}))


def test_a_folder_that_lacks_a_certificate_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"server\.pem is missing"):
        deploy(secured("solace-half", tmp_path)).start(lambda _: None)
