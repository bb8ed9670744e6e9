from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.harness.config.resources import resource
from crep.harness.config.suggest import nearest
from crep.harness.config.yaml import load_yaml, parse_yaml, validate

FILE = Path("f.yaml")


class _Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int
    colour: str = "red"


class _Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    parts: list[_Inner]
    named: dict[str, _Inner] = {}


def complaints(text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        validate(_Outer, *parse_yaml(text, FILE), FILE)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def test_plain_data_comes_out_with_the_position_of_keys_and_values() -> None:
    data, positions = parse_yaml("a: 1\nb:\n  - x\n  - {c: 2.5, d: true}\n", FILE)
    assert data == {"a": 1, "b": ["x", {"c": 2.5, "d": True}]}
    assert [type(value) for value in (data["a"], data["b"], data["b"][1]["c"])] == [int, list, float]
    assert positions.of(("a",)) == (1, 4)
    assert positions.of(("b", 1, "d")) == (4, 17)
    assert positions.of(("b", 1, "d"), at_key=True) == (4, 14)


def test_every_mistake_is_told_in_the_order_of_the_file() -> None:
    assert complaints("parts:\n  - {size: big}\n  - {sise: 1}\nnamed:\n  a: {size: 1, color: blue}\n") == [
        "f.yaml:2:12: parts[0].size: must be a whole number, not 'big'",
        "f.yaml:3:5: parts[1].size: is missing",
        "f.yaml:3:6: parts[1].sise: unknown key; did you mean 'size'?",
        "f.yaml:5:16: named.a.color: unknown key; did you mean 'colour'?",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("parts: []\nparts: []\n", 'f.yaml:2:1: duplicate key "parts": a key can be given once'),
        ("parts: [\n", "f.yaml:2:1: is not YAML"),
        ("parts: 'x\n", "f.yaml:2:1: is not YAML"),
        ("\tparts: 1\n", "f.yaml:1:1: is not YAML"),
        ("", "f.yaml:1:1: the file is empty"),
        ("- a\n", "f.yaml:1:1: the file must be a mapping (key: value), not a list"),
        ("just words", "f.yaml:1:1: the file must be a mapping (key: value), not text"),
        ("parts:\n  - {1: 2}\n", "f.yaml:2:6: parts[0].1: a key is a word, not a number"),
        ("parts: !secret x\n", "f.yaml:1:8: parts: the tag !secret is not understood"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: is not YAML"),
        ("parts: *nowhere\n", "f.yaml:1:8: is not YAML"),
        ("parts: \x01\n", "f.yaml:1:1: there is a character that YAML does not allow"),
    ],
)
def test_what_is_no_usable_yaml_is_refused_at_its_place(text: str, line: str) -> None:
    assert complaints(text)[0].startswith(line)


def test_aliases_that_multiply_without_end_are_refused() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 7))
    with pytest.raises(UsageError, match="aliases"):
        parse_yaml(bomb, FILE)


def test_a_merged_key_keeps_a_usable_position() -> None:
    text = "named:\n  a: &base {size: 1}\n  b: {<<: *base, colour: 3}\nparts: []\n"
    assert complaints(text) == ["f.yaml:3:26: named.b.colour: must be text, not 3"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b"a: \xff"), "is not UTF-8 text (byte 3)"),
        (lambda path: path.write_text("#" * (1 << 20) + "\n"), "is larger than 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path, make: Any, said: str) -> None:
    path = tmp_path / "scenario.yaml"
    make(path)
    with pytest.raises(UsageError) as caught:
        load_yaml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_the_nearest_word_is_offered_else_all_of_them() -> None:
    assert nearest("lots", ["lost", "pending"]) == "; did you mean 'lost'?"
    assert nearest("xyz", ["lost", "pending"]) == "; there are: lost, pending"
    assert nearest("xyz", []) == "; there are none"


def test_a_missing_file_of_our_own_is_an_environment_failure() -> None:
    assert resource("scenarios/targets.yaml").is_file()
    with pytest.raises(EnvironmentFailure, match="no-such"):
        resource("scenarios/no-such.yaml")


def test_a_file_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("a: " + "[" * 3000)
    with pytest.raises(UsageError, match=r"deep\.yaml: is nested too deep"):
        load_yaml(path)
