from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crep.harness.config.errors import UsageError
from crep.harness.scenario.campaign import load_campaign


def test_a_parameter_that_no_scenario_has_is_blamed_where_it_stands(written: Callable[..., Path]) -> None:
    scenario = written()
    campaign = scenario.with_name("campaign.yaml")
    campaign.write_text(f"campaign: all\nscenarios: [{scenario.name}]\nbindings: [kafka-local]\nparams: {{rat: 5/s}}\n")
    with pytest.raises(UsageError) as caught:
        load_campaign(campaign)
    assert str(caught.value) == f"{campaign}:4:10: params.rat: {scenario} has no parameter 'rat'; did you mean 'rate'?"
