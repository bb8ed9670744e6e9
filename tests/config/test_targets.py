from pathlib import Path

import pytest

from crep.harness.brokers.mapping import load_mapping, mapping_names
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Credentials, find_target, load_targets, read_targets


def complaints(folder: Path, text: str) -> list[str]:
    path = folder / "own.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_targets(path)
    return str(caught.value).replace(f"{path}:", "").splitlines()


def test_the_built_in_targets_are_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    targets = load_targets()
    assert (targets["kafka-local"].system, targets["kafka-local"].source) == ("kafka", "local")
    assert (targets["solace-emulator"].system, targets["solace-emulator"].source) == ("solace", "embedded")
    assert {targets["kafka-address"].source, targets["solace-address"].source} == {"address"}
    assert {target.profile for target in targets.values()} == {"default"}


def test_a_file_in_the_working_directory_adds_and_replaces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("crep-targets.yaml").write_text(
        "targets:\n  mine: {system: kafka, source: local, port: 9092}\n"
        "  kafka-local: {system: kafka, source: local, profile: quick}\n"
    )
    targets = load_targets()
    assert targets["mine"].port == 9092
    assert targets["kafka-local"].profile == "quick"
    assert "solace-emulator" in targets


def test_a_named_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_targets(tmp_path / "none.yaml")


def test_the_topologies_that_crep_starts_are_targets_of_their_own() -> None:
    targets = load_targets()
    assert targets["kafka-local-3"].topology == "three-nodes"
    assert targets["kafka-local-3-acks-1"].mapping == "kafka/leader-acknowledges"
    assert targets["solace-emulator-pair"].topology == "pair"
    assert not any(target.allow_faults for target in targets.values())


def test_a_topology_or_a_permission_that_means_nothing_is_refused(tmp_path: Path) -> None:
    assert complaints(
        tmp_path,
        "targets:\n"
        "  a: {system: kafka, source: local, topology: pair}\n"
        "  b: {system: solace, source: embedded, topology: three-nodes}\n"
        "  c: {system: kafka, source: address, topology: three-nodes, kafka: {bootstrap: 'b:9092'}}\n"
        "  d: {system: kafka, source: local, allow_faults: true}\n",
    ) == [
        "2:3: targets.a: topology 'pair' goes with source 'embedded', not 'local'",
        "3:3: targets.b: topology 'three-nodes' goes with source 'local', not 'embedded'",
        "4:3: targets.c: topology 'three-nodes' goes with source 'local', not 'address'",
        "5:3: targets.d: 'allow_faults' is for brokers that somebody else runs; crep may always fail its own",
    ]


def test_a_profile_can_be_chosen_for_a_run() -> None:
    target = load_targets()["kafka-local"]
    assert target.with_profile("quick").profile == "quick"
    assert target.profile == "default"


def test_an_unknown_target_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'kafka-local'"):
        find_target("kafka-lokal", load_targets())


def test_every_mistake_in_a_targets_file_has_its_place(tmp_path: Path) -> None:
    assert complaints(
        tmp_path,
        "targets:\n"
        "  a: {system: kafka, source: local, prot: 9092}\n"
        "  b: {system: kafka, source: address}\n"
        "  c: {system: kafka, source: address, kafka: {bootstrap: localhost}}\n"
        "  d:\n"
        "    system: solace\n"
        "    source: address\n"
        "    solace: {smf: 'localhost:55555', semp: 'http://localhost:8080'}\n",
    ) == [
        "2:37: targets.a.prot: unknown key; did you mean 'port'?",
        "3:3: targets.b: source 'address' needs a 'kafka:' block with the broker's address",
        "4:58: targets.c.kafka.bootstrap: address 'localhost' is not understood; write for example "
        "broker-1:9092,broker-2:9092",
        "8:19: targets.d.solace.smf: address 'localhost:55555' is not understood; write for example "
        "tcp://host:55555 or tcps://host:55443",
    ]


def test_a_password_cannot_stand_in_a_file(tmp_path: Path) -> None:
    text = (
        "targets:\n  a: {system: kafka, source: address, "
        "kafka: {bootstrap: 'b:9092', login: {username: u, password: secret}}}\n"
    )
    (line,) = complaints(tmp_path, text)
    assert "login.password: unknown key; did you mean 'password_env'?" in line


def test_host_lists_and_tls_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "targets:\n  pair:\n    system: solace\n    source: address\n    solace:\n"
        "      smf: tcps://one.example.com:55443, tcps://[::1]:55443\n"
        "      semp: https://one.example.com:1943, https://two.example.com:1943\n"
        "      tls: {ca_file: ca.pem}\n"
    )
    address = read_targets(path)["pair"].solace
    assert address is not None
    assert address.smf == "tcps://one.example.com:55443,tcps://[::1]:55443"
    assert address.semp == "https://one.example.com:1943,https://two.example.com:1943"
    assert address.tls is not None
    assert address.tls.ca_file == "ca.pem"


def test_a_secret_comes_from_the_environment_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    login = Credentials(username="crep", password_env="CREP_TEST_PASSWORD")
    with pytest.raises(UsageError, match="CREP_TEST_PASSWORD is not set"):
        login.password()
    monkeypatch.setenv("CREP_TEST_PASSWORD", "hush-hush")
    assert login.password().get_secret_value() == "hush-hush"
    assert "hush" not in repr(login.password()) + repr(login) + login.model_dump_json()


def test_every_mapping_that_comes_with_crep_is_read() -> None:
    assert mapping_names()
    for name in mapping_names():
        mapping = load_mapping(name)
        assert (mapping.name, mapping.system) == (name, name.split("/")[0])


def test_an_unknown_mapping_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'kafka/topic-per-channel'"):
        load_mapping("kafka/topic-per-chanel")


def test_a_mapping_of_the_users_own_is_read_from_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "mapping: kafka/mine\nversion: 1\nsystem: kafka\nsummary: one partition\nchannel: {partitions: 1}\n"
    )
    assert load_mapping(str(path)).channel == {"partitions": 1}
    path.write_text("mapping: kafka/mine\nversion: one\nsystem: solace\nsummary: s\nchanel: {}\n")
    with pytest.raises(UsageError) as caught:
        load_mapping(str(path))
    assert "2:10: version: must be a whole number, not 'one'" in str(caught.value)
    assert "5:1: chanel: unknown key; did you mean 'channel'?" in str(caught.value)


def test_the_name_of_a_client_library_may_stand_alone(tmp_path: Path) -> None:
    file = tmp_path / "targets.yaml"
    file.write_text(
        "targets:\n"
        "  short: {system: solace, source: embedded, client: api}\n"
        "  long: {system: solace, source: embedded, client: {client: native, more: 1}}\n"
    )
    targets = load_targets(file)
    assert targets["short"].client == {"client": "api"}
    assert targets["long"].client == {"client": "native", "more": 1}
