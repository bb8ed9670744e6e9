import json
import re
from pathlib import Path
from typing import Any

from crep.harness.scenario.model import Definition
from crep.harness.scenario.reference import reference
from crep.harness.scenario.schema import json_schema

ROOT = Path(__file__).parents[2]


def test_the_page_in_the_repository_is_current() -> None:
    command = "python -m crep.harness.scenario.reference docs/scenario.md"
    assert (ROOT / "docs/scenario.md").read_text(encoding="utf-8") == reference(), f"renew it: {command}"


def test_every_key_of_the_language_is_on_the_page() -> None:
    page = reference()
    keys = {key for part in json_schema()["$defs"].values() for key in part["properties"]} | set(
        json_schema()["properties"]
    )
    assert [key for key in keys if f"| `{key}` |" not in page] == []


def test_every_link_of_the_page_leads_somewhere() -> None:
    page = reference()
    anchors = {title.strip("`").lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}
    assert set(re.findall(r"\(#([a-z-]+)\)", page)) <= anchors


def test_the_schema_is_plain_json_and_takes_a_parameter_for_every_plain_value() -> None:
    schema = json.loads(json.dumps(json_schema()))
    keys = schema["$defs"]["Load"]["properties"]["publishers"]
    assert [choice["type"] for choice in keys["anyOf"]] == ["integer", "string"]
    assert re.match(keys["anyOf"][1]["pattern"], "$publishers")


def test_defaults_in_the_schema_are_written_as_in_a_file() -> None:
    properties: dict[str, Any] = json_schema()["$defs"]["Measure"]["properties"]
    assert (properties["warm_up"]["default"], properties["lateness"]["default"]) == ("10 s", "5 ms")


def test_the_pattern_of_a_quantity_takes_what_the_parser_takes() -> None:
    pattern = json_schema(Definition, references=False)["$defs"]["Hold"]["properties"]["hold"]["pattern"]
    assert all(re.match(pattern, text) for text in ("2000/s", "0.5 / min"))
    assert not any(re.match(pattern, text) for text in ("2000", "2000 s", "/s"))
