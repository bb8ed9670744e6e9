"""What the command line says about words that it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from crep.harness.cli import main
from crep.harness.faults.registry import FAULTS
from crep.harness.scenario.library import template
from crep.harness.scenario.load import load_scenario


def _said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(list(words))
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_an_unknown_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert _said(capsys, "validat") == (2, "error: crep validat: there is no such command; did you mean 'validate'?\n")


def test_an_unknown_command_of_a_group_is_answered_with_all_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = _said(capsys, "broker", "xyz")
    assert (code, said) == (
        2,
        "error: crep broker xyz: there is no such command; there are: logs, start, status, stop\n",
    )


@pytest.mark.parametrize("name", ["../elsewhere", "Orders", "2nd", "", "a" * 41])
def test_a_campaign_cannot_be_named_so_that_its_results_lie_elsewhere(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, said = _said(capsys, "run", "demo", "--on", "kafka-local", "--name", name, "--out", str(tmp_path))
    assert code == 2
    assert said.startswith(f"error: --name {name}: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["2nd", "Orders", "a" * 41, "../x"])
def test_init_refuses_a_name_that_validate_would_refuse(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = _said(capsys, "init", name)
    assert code == 2
    assert "small letter" in said
    assert list(tmp_path.iterdir()) == []


def test_what_init_writes_is_a_valid_scenario_of_that_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _said(capsys, "init", "orders-baseline")[0] == 0
    assert load_scenario(tmp_path / "orders-baseline.yaml").name == "orders-baseline"


CAMPAIGN = "campaign: c\nscenarios: [one.yaml]\nbindings: [kafka-local]\nrepeat: 3\n"


def _in(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    monkeypatch.chdir(folder)
    for name, text in {"one": template(), **files}.items():
        Path(f"{name}.yaml").write_text(text)


def test_a_campaign_is_validated_as_a_campaign(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _in(tmp_path, monkeypatch, c=CAMPAIGN)
    assert _said(capsys, "validate", "c.yaml") == (0, "c.yaml: ok, campaign c: scenarios: 1, measured runs: 3\n")


def test_an_unknown_target_in_a_campaign_is_refused_by_its_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _in(tmp_path, monkeypatch, c=CAMPAIGN.replace("kafka-local", "kafka-lokal"))
    code, said = _said(capsys, "validate", "c.yaml")
    assert code == 2
    assert said.startswith("error: c.yaml: bindings: there is no target 'kafka-lokal'; did you mean 'kafka-local'?")


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (
            "solace/queue-per-reader",
            "'t' is a kafka broker, and its mapping 'solace/queue-per-reader' is for solace",
        ),
        ("kafka/topic-per-lief", "there is no mapping 'kafka/topic-per-lief'; did you mean 'kafka/topic-per-channel'?"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_before_a_broker_starts(
    mapping: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"targets:\n  t: {{system: kafka, source: local, mapping: {mapping}}}\n"
    _in(tmp_path, monkeypatch, targets=target)
    code, text = _said(capsys, "run", "one.yaml", "--on", "t", "--targets", "targets.yaml")
    assert code == 2
    assert said in text
    assert "starting" not in text


def test_names_of_faults_are_in_one_line_however_narrow_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, said = _said(capsys, "list", "faults")
    assert code == 0
    assert set(FAULTS) <= {line.split(" ", 1)[0] for line in said.splitlines()}
