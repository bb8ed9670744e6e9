"""The proxy before a deployment: it comes and goes with its broker, and stands where that stands."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crep.harness.config.targets import Target
from crep.harness.deployment import DeploymentError, deploy, proxy_on_request, standing
from crep.harness.deployment.local import LocalDeployment
from crep.harness.deployment.ports import free_port
from crep.harness.deployment.solace import EmulatorPairProduct, EmulatorProduct
from crep.harness.processes import ProcessIdentity
from crep.harness.proxy import ProxyFailed, Refuse, Rule

STAND_IN = (sys.executable, str(Path(__file__).with_name("emulator_stand_in.py")))
NOBODY_CONNECTS = Rule("cut", None, frozenset({"solace-1"}), None, "both", Refuse())


def target(**keys: object) -> Target:
    return Target(name="solace-emulator", system="solace", source="embedded", **keys)  # type: ignore[arg-type]


def silent(_line: str) -> None:
    """A progress that nobody reads."""


def told(deployment: LocalDeployment) -> int:
    """The port that clients are told of the first node."""
    return int((deployment.endpoint().smf or "").split(",")[0].rpartition(":")[2])


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except OSError:
        return False
    return True


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[LocalDeployment]:
    broker = LocalDeployment(target(), EmulatorProduct(STAND_IN, proxied=True), tmp_path)
    yield broker
    broker.stop()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty state folder, and two stand-ins behind a proxy for every pair; what stands at the end is ended."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(standing, "EmulatorPairProduct", lambda **_: EmulatorPairProduct(STAND_IN, proxied=True))
    yield tmp_path / "crep"
    for broker in standing.status():
        standing.stop_standing(broker.target)


def attached() -> LocalDeployment:
    found = deploy(target(topology="pair"))
    assert isinstance(found, LocalDeployment)
    return found


def test_clients_are_told_the_proxys_port_and_the_nodes_own_stays_the_same_over_a_kill(
    deployment: LocalDeployment,
) -> None:
    deployment.start(silent)
    assert deployment.prepared is not None
    port = told(deployment)
    assert port != deployment.prepared.nodes[0].ports["smf"]
    assert connects(port)
    deployment.kill_node("solace-1")
    deployment.start_node("solace-1")
    assert told(deployment) == port


def test_the_port_that_a_target_asks_for_is_the_one_that_clients_are_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    broker = LocalDeployment(target(port=port), EmulatorProduct(STAND_IN, proxied=True), tmp_path)
    broker.start(silent)
    try:
        assert told(broker) == port
    finally:
        broker.stop()


def test_the_description_says_that_there_is_a_proxy_and_that_there_is_none(
    deployment: LocalDeployment, tmp_path: Path
) -> None:
    deployment.start(silent)
    (link,) = deployment.describe()["proxy"]  # type: ignore[misc]
    assert link.startswith(f"client link of solace-1: port {told(deployment)} to ")
    bare = LocalDeployment(target(), EmulatorProduct(STAND_IN), tmp_path / "bare")
    bare.start(silent)
    try:
        assert bare.describe()["proxy"] == "none"
        assert bare.links is None
    finally:
        bare.stop()


def test_a_link_that_is_cut_is_cut_for_clients_and_not_for_the_probe_of_the_node(deployment: LocalDeployment) -> None:
    deployment.start(silent)
    assert deployment.links is not None
    deployment.links.apply(NOBODY_CONNECTS)
    assert not connects(told(deployment))
    assert deployment.probe_node("solace-1"), "the node itself is well"
    deployment.links.clear("cut")
    assert connects(told(deployment))


def test_a_stopped_deployment_leaves_no_proxy(deployment: LocalDeployment) -> None:
    deployment.start(silent)
    port = told(deployment)
    deployment.stop()
    assert not connects(port)
    assert deployment.links is None


def test_a_broker_that_does_not_start_leaves_no_proxy(tmp_path: Path) -> None:
    dies = (sys.executable, "-c", "raise SystemExit('no luck today')")
    broker = LocalDeployment(target(), EmulatorProduct(dies, proxied=True), tmp_path)
    before = proxies()
    with pytest.raises(DeploymentError, match="no luck today"):
        broker.start(silent)
    assert proxies() <= before


def proxies() -> set[int]:
    """Our children that are proxies."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"crep.harness.proxy" in words and int(parent) == os.getpid():
            found.add(int(entry.name))
    return found


def test_only_a_cluster_has_a_proxy_unasked() -> None:
    assert proxy_on_request(target())
    assert proxy_on_request(target(topology="pair"))
    assert not proxy_on_request(Target(name="k", system="kafka", source="local", topology="three-nodes"))


def test_a_standing_broker_without_a_proxy_is_passed_by_where_links_are_to_fail(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "EmulatorProduct", lambda **how: EmulatorProduct(STAND_IN, **how))
    standing.start_standing(target(), silent)
    assert deploy(target()).describe()["started_by"] == "crep broker start"
    other = deploy(target(), proxied=True)
    with pytest.raises(DeploymentError, match="has not been started"):
        other.describe()


def test_a_standing_broker_without_a_proxy_that_has_the_targets_port_is_named_as_who_is_in_the_way(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "EmulatorProduct", lambda **how: EmulatorProduct(STAND_IN, **how))
    fixed = target(port=free_port())
    standing.start_standing(fixed, silent)
    with pytest.raises(DeploymentError, match=r"runs already on port [0-9]+, without the proxy") as refused:
        deploy(fixed, proxied=True)
    assert "crep broker stop solace-emulator" in str(refused.value.hint)


def test_what_a_run_does_to_the_links_of_a_standing_broker_is_taken_back_when_it_ends(state: Path) -> None:
    standing.start_standing(target(topology="pair"), silent)
    run = attached()
    run.start(silent)
    assert run.outlives_us
    assert run.links is not None
    run.links.apply(NOBODY_CONNECTS)
    assert not connects(told(run))
    run.stop()
    deadline = time.monotonic() + 10
    while not connects(told(run)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert connects(told(run))
    assert standing.status()[0].state == "running"


def test_a_standing_proxy_that_was_killed_is_started_again_by_the_next_run_on_the_same_ports(state: Path) -> None:
    standing.start_standing(target(topology="pair"), silent)
    first = attached()
    port, identity = told(first), first.proxy
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while ProcessIdentity.of(identity.pid) == identity and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(ProxyFailed, match="no fault proxy answers"):
        _ = first.links
    again = attached()
    again.start(silent)
    assert told(again) == port
    assert connects(port)
    assert again.proxy not in {None, identity}
    assert attached().proxy == again.proxy, "the record on disk knows the new one"
    again.stop()


def test_ending_a_standing_broker_ends_its_proxy(state: Path) -> None:
    standing.start_standing(target(topology="pair"), silent)
    identity = attached().proxy
    assert identity is not None
    assert standing.stop_standing("solace-emulator")
    assert ProcessIdentity.of(identity.pid) != identity
