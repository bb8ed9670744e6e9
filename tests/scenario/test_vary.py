from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crep.harness.config.errors import UsageError
from crep.harness.scenario.load import load_variants, parse_scenario
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import plan

Refusal = Callable[..., list[str]]


def vary(text: str) -> tuple[str, str]:
    return "expect:", f"vary: {{{text}}}\nexpect:"


def variants(written: Callable[..., Path], text: str, **params: str) -> tuple[Scenario, ...]:
    return load_variants(written(vary(text)), params)


def test_a_key_of_the_load_entries_takes_each_value(written: Callable[..., Path]) -> None:
    made = variants(written, "message.size: [100 B, 10 KiB]")
    assert [one.label for one in made] == ["orders@100 B", "orders@10 KiB"]
    assert [plan(one).publishers[1].sizes.largest for one in made] == [100, 10_240]
    assert {one.sha256 for one in made} == {made[0].sha256}


def test_a_parameter_takes_each_value(written: Callable[..., Path]) -> None:
    made = variants(written, "rate: [50/s, 60/s, 70/s]")
    assert [one.params["rate"] for one in made] == ["50/s", "60/s", "70/s"]
    assert [plan(one).publishers[0].profile.first_rate for one in made] == [50, 60, 70]


def test_a_path_from_the_top_takes_each_value(written: Callable[..., Path]) -> None:
    made = variants(written, "channels.orders.readers.billing.members: [1, 2]")
    assert [plan(one).channels["bus"][0].readers[0].members for one in made] == [1, 2]
    assert [one.definition.measure.carrier for one in variants(written, "measure.carrier: [payload, property]")] == [
        "payload",
        "property",
    ]


def test_a_run_folder_knows_which_value_it_had(written: Callable[..., Path]) -> None:
    for one in variants(written, "rate: [50/s, 60/s]"):
        assert parse_scenario(one.text, Path("scenario.yaml"), one.params, varied=one.varied) == one
    with pytest.raises(UsageError, match="does not vary rate to 70/s"):
        parse_scenario(one.text, Path("scenario.yaml"), one.params, varied=("rate", "70/s"))


def test_a_scenario_without_vary_is_one(written: Callable[..., Path]) -> None:
    [only] = load_variants(written())
    assert (only.label, only.varied) == ("orders", None)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("message.size: [100 B]", "vary.message.size: must have at least 2 entries"),
        ("message.size: [100 B, 100 B]", "vary.message.size[1]: 100 B is named twice"),
        ("message.size: [100 B, 1 KiB], rate: [1/s, 2/s]", "vary: must have at most 1 entry"),
        (
            "massage.size: [100 B, 1 KiB]",
            "vary.massage.size: is no parameter, no key of this file and none",
        ),
        ("scenario: [a, b]", "vary.scenario: is no parameter"),
        ("message.siez: [100 B, 1 KiB]", "unknown key; did you mean 'size'?"),
        ("message.size: [100 B, 1 kb]", "a size needs a number and a unit"),
        ("message.size: [100 B, 39 B]", "is smaller than crep's stamp of 40 B"),
    ],
)
def test_a_bad_dimension_or_value_is_refused(written: Callable[..., Path], text: str, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        variants(written, text)
    assert line in str(caught.value)


def test_a_bad_value_says_where_it_came_from(written: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=r"load\[0\]\.message\.size: 39 B is .* \(vary: message\.size is 39 B\)"):
        variants(written, "message.size: [100 B, 39 B]")


def test_a_varied_parameter_cannot_be_set_too(written: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=r"vary\.rate: is varied here, so it cannot be set as a parameter too"):
        variants(written, "rate: [50/s, 60/s]", rate="9/s")
