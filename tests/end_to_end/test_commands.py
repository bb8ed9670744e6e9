"""The commands that start nothing."""

from __future__ import annotations

import json

import pytest

from tests.end_to_end.outside import Crep

pytestmark = pytest.mark.end_to_end


def test_what_init_writes_is_valid(crep: Crep) -> None:
    assert crep("init", "orders-first").returncode == 0
    assert (crep.folder / "orders-first.yaml").read_text().startswith(("#", "scenario: orders-first"))
    done = crep("validate", "orders-first.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    again = crep("init", "orders-first")
    assert again.returncode == 2
    assert "exists" in again.stderr


def test_the_schema_is_json_schema(crep: Crep) -> None:
    schema = json.loads(crep("schema").stdout)
    assert "channels" in schema["properties"]


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ("scenarios", "demo"),
        ("targets", "kafka-local"),
        ("mappings", "kafka/topic-per-channel"),
        ("faults", "kill-broker"),
        ("metrics", "outage.publish"),
        ("requirements", "INT-N2"),
    ],
)
def test_list_shows_what_there_is(crep: Crep, what: str, word: str) -> None:
    done = crep("list", what)
    assert done.returncode == 0, done.stdout + done.stderr
    assert word in done.stdout


def test_help_names_the_exit_codes(crep: Crep) -> None:
    done = crep("--help")
    assert done.returncode == 0
    said = " ".join(done.stdout.split())  # wherever the lines break
    for code in ("130 interrupted", "4 run invalid", "3 broker"):
        assert code in said
