"""A service between two channels, on live brokers: a bridge that is killed, and microservices of one's own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from crep.harness.brokers.contract import ChannelSpec, Durability, Endpoint, ReaderSpec
from crep.harness.brokers.directions import DEAD_TOPIC, FROM, TO
from crep.harness.brokers.mapping import load_mapping
from crep.harness.brokers.registry import DEFAULT_MAPPINGS, adapter
from crep.harness.checks.results import ReaderLedger
from crep.harness.cli.judge import contradictions, evaluate_folder
from crep.harness.config.resources import resource
from crep.harness.config.targets import Target, load_targets
from crep.harness.config.yaml import load_yaml
from crep.harness.deployment import deploy
from crep.harness.monitor.live import LiveView
from crep.harness.runner import Stop
from crep.harness.runner.prepare import new_run_id
from crep.harness.runner.run import RunRequest, run_once
from crep.harness.runs.document import RunDocument
from crep.harness.runs.folder import RunFolder
from crep.harness.runs.read import read_run
from crep.harness.scenario.load import load_scenario
from crep.harness.scenario.plan import plan
from tests.end_to_end.outside import Crep

SCENARIOS = resource("scenarios")
PERMISSIVE = {"allowGuaranteedMsgSendEnabled": True, "allowGuaranteedMsgReceiveEnabled": True}
IN_FLIGHT = 5000
"""What a bridge has taken and not settled, at most: its default."""


@pytest.fixture
def targets(kafka_endpoint: Endpoint, emulator_endpoint: Endpoint, tmp_path: Path) -> dict[str, Target]:
    """Two message VPNs of one emulator, and a Kafka, by address; the file lies in ``tmp_path``."""
    vpn = f"partners-{uuid.uuid4().hex[:8]}"

    def semp(method: str, path: str, body: dict[str, Any]) -> None:
        url = f"{emulator_endpoint.semp}/SEMP/v2/config/{path}"
        who = (str(emulator_endpoint.admin_username), emulator_endpoint.admin_password)
        httpx.request(method, url, auth=who, json=body, timeout=10).raise_for_status()

    semp(
        "POST",
        "msgVpns",
        {"msgVpnName": vpn, "enabled": True, "authenticationBasicType": "none", "maxMsgSpoolUsage": 500},
    )
    semp("PATCH", f"msgVpns/{vpn}/clientProfiles/default", PERMISSIVE)
    semp("PATCH", f"msgVpns/{vpn}/clientUsernames/default", {"enabled": True})
    os.environ["CREP_TEST_ADMIN"] = emulator_endpoint.admin_password
    solace = {"smf": emulator_endpoint.smf, "semp": emulator_endpoint.semp, "login": {"username": "default"}}
    solace["admin"] = {"username": emulator_endpoint.admin_username, "password_env": "CREP_TEST_ADMIN"}
    written = {
        "inside": {"system": "solace", "source": "address", "solace": solace},
        "outside": {"system": "solace", "source": "address", "solace": {**solace, "vpn": vpn}},
        "kafka": {"system": "kafka", "source": "address", "kafka": {"bootstrap": kafka_endpoint.bootstrap}},
    }
    (tmp_path / "crep-targets.yaml").write_text(json.dumps({"targets": written}))
    return load_targets(tmp_path / "crep-targets.yaml")


def _written(name: str, folder: Path, *timeline: dict[str, str]) -> Path:
    """A scenario that comes with crep, made short, beside the files that it names."""
    written = load_yaml(SCENARIOS / f"{name}.yaml")[0]
    written["params"]["rate"] = "150/s"
    written["load"][0]["rate"]["total"] = [{"hold": "$rate", "for": "5 s" if timeline else "2 s"}]
    written["measure"] |= {"warm_up": "1 s", "lateness": "5 s"}
    written["timeline"] = list(timeline)
    written["expect"] = ["partner.lost == 0"]
    for place in ("int-f3", "services"):
        (folder / place).symlink_to(SCENARIOS / place)
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(written))
    return path


def _run(path: Path, targets: dict[str, Target], folder: Path) -> RunDocument:
    """One measured run of it, without a control run."""
    scenario = load_scenario(path)
    made = plan(scenario)
    deployments = {site: deploy(target) for site, target in targets.items()}
    for deployment in deployments.values():
        deployment.start(lambda _: None)
    kept = RunFolder.create(folder, campaign="c", started_utc="s", scenario="s", binding="b", repetition=1)
    request = RunRequest(
        scenario=scenario,
        plan=made,
        binding="b",
        targets=targets,
        deployments=deployments,
        campaign="c",
        campaign_started_utc="s",
        repetition=1,
        kind="measured",
        folder=kept,
        timeline=made.timeline,
    )
    document = run_once(request, LiveView(Console(file=io.StringIO())), Stop(), evaluate_folder).document
    assert document.failure is None
    assert contradictions(read_run(kept.path)) == ()
    return document


def _exact(reader: ReaderLedger, *, most_doubled: int) -> None:
    """What must arrive is what arrived, once, in order, but for what a killed service had in hand."""
    assert reader.received == reader.expected > 50
    assert (reader.lost, reader.pending, reader.reordered, reader.corrupt, reader.unexpected) == (0, 0, 0, 0, 0)
    doubled = reader.duplicates_flagged + reader.duplicates_unflagged + reader.duplicates_flag_not_offered
    assert doubled <= most_doubled


def test_a_bridge_that_is_killed_between_two_message_vpns_loses_nothing(
    targets: dict[str, Target], tmp_path: Path
) -> None:
    killed = {"at": "2 s", "do": "kill-bridge", "channel": "partners", "restart_after": "500 ms"}
    path = _written("int-f3-enrichment", tmp_path, killed)
    document = _run(path, {"internal": targets["inside"], "external": targets["outside"]}, tmp_path / "results")
    assert document.results is not None
    for reader in document.results.readers:
        _exact(reader, most_doubled=IN_FLIGHT)
    (service,) = document.services
    assert (service.lives, service.in_order, service.given_up) == (2, True, 0)
    assert service.ledger is not None
    assert service.ledger["orders"]["in_flight"] == 0
    (fault,) = document.faults
    assert (fault.error, fault.healed_s is not None) == (None, True)


def test_microservices_of_ones_own_are_held_to_what_is_declared(targets: dict[str, Target], tmp_path: Path) -> None:
    """The ledger computes from the declaration, not from what a service says of itself: one that is declared to hand
    on every order, and hands on new ones only, has lost the others."""
    path = _written("int-f3-own-enricher", tmp_path)
    written = load_yaml(path)[0]
    via = written["channels"]["partners"]["via"]
    written["channels"]["everything"] = {
        "site": "external",
        "via": {**via, "keeps": "orders/*/*"},
        "readers": {"auditor": {"share": "group"}},
    }
    written["expect"].append("auditor.lost == 0")
    path.write_text(json.dumps(written))
    document = _run(path, {"internal": targets["kafka"], "external": targets["outside"]}, tmp_path / "results")
    assert document.results is not None
    honest, deceived = document.results.readers
    _exact(honest, most_doubled=0)
    assert deceived.received == honest.received
    assert deceived.lost == deceived.expected - deceived.received > honest.received
    assert deceived.unexpected == 0
    assert [one.verdict for one in document.results.expectations] == ["passed", "failed"]


def test_what_was_captured_of_a_channel_comes_again_when_it_is_asked_for(
    targets: dict[str, Target], tmp_path: Path
) -> None:
    """On both brokers in one run, and twice on one of them. A replay goes to none of the channel's readers."""
    channel = {"topics": "orders/{region:eu,us}", "keys": 20, "readers": {"billing": {"share": "group"}}}
    sites = ("internal", "external")
    written = {
        "scenario": "again",
        "sites": list(sites),
        "durability": {"copies": 1, "sync": "disk"},
        "channels": {f"at-{site}": {**channel, "site": site} for site in sites},
        "load": [
            {"to": f"at-{site}", "message": {"size": "200 B"}, "rate": {"total": [{"hold": "100/s", "for": "3 s"}]}}
            for site in sites
        ],
        "timeline": [
            {"at": "1 s", "do": "replay", "channel": "at-external", "last": "1500 ms", "pace": "x4"},
            {"at": "2 s", "do": "replay", "channel": "at-internal", "last": "1500 ms"},
            {"at": "2 s", "do": "replay", "channel": "at-external", "last": "1500 ms"},
        ],
        "measure": {"warm_up": "1 s", "lateness": "5 s", "carrier": "property"},
        "expect": [f"at-{site}.replay.{what} == 0" for site in sites for what in ("missing", "unexpected")],
    }
    path = tmp_path / "again.yaml"
    path.write_text(json.dumps(written))
    document = _run(path, {"internal": targets["inside"], "external": targets["kafka"]}, tmp_path / "results")
    results = document.results
    assert results is not None
    assert [one.verdict for one in results.expectations] == ["passed"] * 4
    assert [(one.channel, one.number) for one in results.replays] == [
        ("at-external", 1),
        ("at-external", 2),
        ("at-internal", 1),
    ]
    for one, part in zip(results.replays, document.replays, strict=True):
        assert (one.missing, one.doubled, one.unexpected, one.trouble) == (0, 0, 0, "")
        assert one.owed > 0  # how many is a matter of how late a busy machine acknowledges
        assert part.ledger is not None
        assert part.ledger["acknowledged"] == part.read == one.replayed >= one.owed
    for reader in results.readers:
        _exact(reader, most_doubled=0)


def test_a_killed_crep_leaves_no_service(targets: dict[str, Target], tmp_path: Path) -> None:
    path = _written("int-f3-enrichment", tmp_path)
    crep = Crep(tmp_path, env={"CREP_TEST_ADMIN": os.environ["CREP_TEST_ADMIN"]})
    process = crep.start("run", path.name, "--on", "internal=inside,external=kafka", "--repeat", "1")
    try:
        deadline = time.monotonic() + 60
        while not any(" bridge run " in line for line in crep.processes().values()):
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
    crep.assert_nothing_runs()


@pytest.fixture
def places(kafka_endpoint: Endpoint, emulator_endpoint: Endpoint) -> Iterator[dict[str, dict[str, str]]]:
    """Variables for each of the three services: Solace inside, Kafka outside."""
    reader = ReaderSpec("service", "group", 1, "at-least-once", topic_filter=">")
    made = {}
    run_id = new_run_id()
    for name, endpoint in (("internal", emulator_endpoint), ("external", kafka_endpoint)):
        channel = ChannelSpec(name, ("orders/eu/new",), 20, (reader,), Durability(1, "disk"))
        system = adapter(endpoint.system)
        admin = system.admin(endpoint)
        made[name] = admin, admin.provision(run_id, [channel], load_mapping(DEFAULT_MAPPINGS[endpoint.system]))
    inside, outside = (made[name][1].objects[name] for name in ("internal", "external"))
    solace, kafka = adapter("solace"), adapter("kafka")
    into, out = solace.directions(emulator_endpoint, inside), kafka.directions(kafka_endpoint, outside)
    yield {
        "publisher.py": into.variables(TO),
        "enricher.py": solace.directions(emulator_endpoint, inside, "service").variables(FROM)
        | out.variables(TO)
        | {DEAD_TOPIC: out.native_topic("dead")},
        "consumer.py": kafka.directions(kafka_endpoint, outside, "service").variables(FROM),
    }
    for admin, provisioned in made.values():
        admin.remove(provisioned)
        admin.close()


def test_the_three_services_make_an_enrichment_of_their_own(places: dict[str, dict[str, str]]) -> None:
    arguments = {"publisher.py": ["90"], "enricher.py": ["../int-f3/customers.csv"], "consumer.py": ["30"]}
    started = {
        name: subprocess.Popen(
            [sys.executable, name, *arguments[name]],
            cwd=SCENARIOS / "services",
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, variables in places.items()
    }
    try:
        published, _ = started["publisher.py"].communicate(timeout=60)
        consumed, _ = started["consumer.py"].communicate(timeout=60)
        started["enricher.py"].send_signal(signal.SIGTERM)
        enriched, _ = started["enricher.py"].communicate(timeout=60)
    finally:
        for process in started.values():
            process.kill()
    assert json.loads(published.splitlines()[-1]) == {"published": 90}
    assert json.loads(consumed.splitlines()[-1])["received"] == 30
    assert json.loads(enriched.splitlines()[-1]) == {"ledger": {"received": 90, "acknowledged": 30, "filtered": 60}}
    assert [process.returncode for process in started.values()] == [0, 0, 0]
