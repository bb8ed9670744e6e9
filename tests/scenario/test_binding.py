from pathlib import Path

import pytest

from crep.harness.config.errors import UsageError
from crep.harness.config.resources import resource
from crep.harness.config.targets import load_targets
from crep.harness.scenario.binding import parse_binding
from crep.harness.scenario.campaign import is_campaign, load_campaign

TWO = ("internal", "external")


def test_one_target_is_enough_for_one_site() -> None:
    binding = parse_binding("kafka-local", ("bus",), load_targets())
    assert (binding.sites, str(binding)) == ({"bus": "kafka-local"}, "kafka-local")
    assert parse_binding("bus=kafka-local", ("bus",), load_targets()) == binding


def test_several_sites_are_bound_by_name_in_the_order_of_the_scenario() -> None:
    binding = parse_binding("external=kafka-local, internal=solace-emulator", TWO, load_targets())
    assert str(binding) == "internal=solace-emulator,external=kafka-local"


@pytest.mark.parametrize(
    ("text", "sites", "said"),
    [
        ("kafka-lokal", ("bus",), "there is no target 'kafka-lokal'; did you mean 'kafka-local'?"),
        ("kafka-local", TWO, "the scenario has 2 sites, so write --on internal=…,external=…"),
        ("internl=kafka-local,external=kafka-local", TWO, "no site 'internl'; did you mean 'internal'?"),
        ("internal=kafka-local", TWO, "site 'external' gets no target; add external=…"),
        ("internal=kafka-local,internal=solace-emulator", TWO, "site 'internal' gets two targets"),
        ("kafka-local,solace-emulator", ("bus",), "site 'bus' gets two targets"),
        ("", ("bus",), "there is no target ''"),
    ],
)
def test_a_binding_that_does_not_fit_is_refused(text: str, sites: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_binding(text, sites, load_targets())
    assert said in str(caught.value)


def test_the_demo_campaign_runs_the_demo_on_both() -> None:
    path = resource("scenarios/campaigns/demo.yaml")
    campaign = load_campaign(path)
    assert is_campaign(path)
    assert not is_campaign(resource("scenarios/demo.yaml"))
    assert (campaign.name, campaign.bindings, campaign.profile) == (
        "demo",
        ("kafka-local", "solace-emulator"),
        "quick",
    )
    assert [scenario.resolve().name for scenario in campaign.scenarios] == ["demo.yaml"]


def test_every_mistake_in_a_campaign_file_has_its_place(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("campaign: nightly\nscenarios: [none.yaml]\nbindings: [a, a]\nrepeat: 5\n")
    with pytest.raises(UsageError) as caught:
        load_campaign(path)
    assert str(caught.value).replace(f"{path}:", "").splitlines() == [
        f"2:13: scenarios[0]: there is no file {tmp_path / 'none.yaml'}",
        "3:15: bindings[1]: 'a' is named twice",
    ]
    path.write_text("campaign: nightly\nscenarios: []\nbindngs: [a]\ndecision: d.yaml\n")
    with pytest.raises(UsageError) as caught:
        load_campaign(path)
    text = str(caught.value)
    assert "bindngs: unknown key; did you mean 'bindings'?" in text
    assert "decision: not available yet" in text
    assert "2:1: scenarios: must not be empty" in text
