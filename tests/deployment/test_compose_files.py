"""The compose files of ``solace-docker/``: what the targets name is in them, and Docker's own program takes them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from crep.harness.config.resources import resource
from crep.harness.config.targets import Target, load_targets

FOLDER = resource("solace_docker").resolve()
TARGETS = {name: target for name, target in load_targets().items() if target.docker is not None}
COMPOSE: dict[str, Any] = YAML(typ="safe").load((FOLDER / "compose.yaml").read_text())


def published(service: str) -> set[int]:
    """The ports of this machine that a service has, with their defaults."""
    texts = [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", text) for text in COMPOSE["services"][service].get("ports", [])]
    assert all(text.startswith("127.0.0.1:") for text in texts), f"{service} is open to other machines"
    return {int(text.split(":")[1]) for text in texts}


def addresses(target: Target) -> list[str]:
    if target.kafka is not None:
        return target.kafka.bootstrap.split(",")
    assert target.solace is not None
    assert target.docker is not None
    return [*target.solace.smf.split(","), *target.solace.semp.split(","), *target.docker.health]


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_names_services_and_ports_that_its_profile_has(name: str) -> None:
    target = TARGETS[name]
    assert target.docker is not None
    of_profile = {one for one, service in COMPOSE["services"].items() if target.docker.profile in service["profiles"]}
    assert set(target.docker.nodes) == of_profile
    ports = set().union(*(published(service) for service in of_profile))
    assert {int(address.rpartition(":")[2]) for address in addresses(target)} <= ports


def test_every_profile_is_that_of_a_target_and_no_port_is_given_twice() -> None:
    profiles = {profile for service in COMPOSE["services"].values() for profile in service["profiles"]}
    assert profiles == {target.docker.profile for target in TARGETS.values() if target.docker is not None}
    ports = [port for service in COMPOSE["services"] for port in published(service)]
    assert len(ports) == len(set(ports))


def test_brokers_that_advertise_an_address_publish_it() -> None:
    for name, service in COMPOSE["services"].items():
        told = re.search(r"CLIENT://localhost:(\d+)", service["environment"].get("KAFKA_ADVERTISED_LISTENERS", ""))
        if told is not None:
            assert int(told[1]) in published(name)


def test_kept_data_have_a_volume_each() -> None:
    used = [volume.split(":")[0] for service in COMPOSE["services"].values() for volume in service["volumes"]]
    assert sorted(used) == sorted(COMPOSE["volumes"])


@pytest.mark.parametrize("files", [["compose.yaml"], ["compose.yaml", "compose.tls.yaml"]])
def test_compose_takes_the_files(files: list[str]) -> None:
    program = compose_program()
    named = [part for file in files for part in ("--file", str(FOLDER / file))]
    for profile in ("solace", "solace-ha", "kafka", "kafka-3"):
        command = [*program, *named, "--profile", profile, "config"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stderr


def compose_program() -> list[str]:
    """Docker's plugin or Debian's program; neither needs a daemon for this."""
    if (
        shutil.which("docker")
        and not subprocess.run(
            ["docker", "compose", "version"], capture_output=True, timeout=60, check=False
        ).returncode
    ):
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if os.environ.get("CI"):
        pytest.fail("neither 'docker compose' nor 'docker-compose' is here, and CI leaves out nothing")
    pytest.skip("neither 'docker compose' nor 'docker-compose' (Debian's package of that name) is installed")


def test_certificates_are_made_for_the_names_that_clients_use(tmp_path: Path) -> None:
    script = tmp_path / "certificates.sh"
    shutil.copy(FOLDER / "certificates.sh", script)
    subprocess.run([str(script)], check=True, capture_output=True, timeout=60)
    made = tmp_path / "certificates"
    for host in ("localhost", "solace"):
        command = ["openssl", "verify", "-CAfile", "ca.pem", "-verify_hostname", host, "server.pem"]
        subprocess.run(command, cwd=made, check=True, capture_output=True, timeout=60)
    again = subprocess.run([str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
