"""``docs/scenario.md``, made from the model: every key with its type, its default and what it means.

``python -m crep.harness.scenario.reference FILE`` writes it; a test checks that the file in the repository is current.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from crep.harness.config.targets import Target
from crep.harness.config.units import DURATION_FORMS, QUANTITY_KEY, RATE_FORMS, SHARE_FORMS, SIZE_FORMS
from crep.harness.scenario.campaign import CampaignFile
from crep.harness.scenario.expectation import METRICS
from crep.harness.scenario.library import template
from crep.harness.scenario.model import Definition
from crep.harness.scenario.parts import NOT_YET_KEY
from crep.harness.scenario.schema import json_schema

_INTRODUCTION = """\
# The scenario language

<!-- Made from the model by `python -m crep.harness.scenario.reference docs/scenario.md`; do not edit. -->

A scenario says what happens on a bus: who sends what at which rate, who reads it with which promise, which fault comes
when, and what is expected. It names no broker; `crep run FILE --on TARGET` binds it to one. `crep init NAME` writes a
commented scenario to start from, `crep validate FILE` checks one, and `crep schema` prints the JSON Schema for editors.

Every mistake is reported with file, line and column, all at once: an unknown or doubled key, a wrong unit, and
combinations that make no sense (more publishers than keys, an event after the end, a filter that selects nothing, an
expectation that cannot fail). Keys marked *not available yet* belong to the language and are refused in this version.

## An example
"""

_QUANTITIES = f"""\
## Quantities

A quantity always has a unit.

* *duration*: {DURATION_FORMS}.
* *size*: {SIZE_FORMS}.
* *rate*: {RATE_FORMS}.
* *share*: {SHARE_FORMS}.
* *name*: begins with a small letter; small letters, digits and `-`; 40 characters at most.
"""

_RULES = """\
## What the load means

The profile is the schedule of one load entry over all its publishers. Time 0 is the intended time of the first measured
message; warm-up runs before it at the profile's first rate. The intended time of message *n* is where the integral of
the rate reaches *n*: it depends on nothing that happens in the run (open loop).

Key *k* belongs to publisher *k* modulo the number of the channel's publishers. A publisher goes through its keys in
cycles, in a seeded order that changes from cycle to cycle, so the sequence number of each key counts up by one. The
topic of a key is fixed by the seed. The same seed gives the same keys, topics and sizes on every target.

## Order

A reader asks for an order with `order`. The default is `none`, because not every sharing has one to give: the members
of a group on one Solace non-exclusive queue, for example, are promised none. Then a message out of order is counted and
reported as *allowed*. With `per-key` the target must be set up to keep the order of each publisher and key; a mapping
that cannot is refused with the reason, and what is out of order counts as *reordered*.
"""


def reference() -> str:
    """The whole page, Markdown."""
    parts = [_INTRODUCTION, f"```yaml\n{template()}```\n", _QUANTITIES, "## Keys\n"]
    parts += _sections(Definition, "A scenario file")
    parts += [_RULES, *_expectations(), "## Campaign files\n", *_sections(CampaignFile, "A campaign file")]
    parts += ["## Targets files\n", *_sections(Target, "An entry of `targets`")]
    return "\n".join(parts)


def _expectations() -> Iterator[str]:
    yield (
        "## Expectations\n\n"
        "`subject.metric operator value`, where the subject is a channel, a reader, or `channel.reader`. Functional\n"
        "metrics are counts and take any of `==`, `<`, `<=`, `>`, `>=`; performance metrics take no `==` and carry no\n"
        "verdict on an emulated target. Metrics marked *by phase* can end in `outside faults` or `during faults`.\n"
        "A reader with `share: all` and several members stands for all of them.\n\n"
        "| metric | of a | unit | kind | meaning |\n|---|---|---|---|---|"
    )
    for metric in METRICS:
        name = (
            f"`{metric.name}`"
            if not metric.statistics
            else f"`{metric.name}.` " + ", ".join(f"`{statistic}`" for statistic in metric.statistics)
        )
        kind = f"{metric.kind}, by phase" if metric.by_phase else metric.kind
        unit = {"messages": "messages", "s": "duration", "/s": "rate"}[metric.unit]
        yield f"| {name} | {metric.level} | {unit} | {kind} | {metric.meaning} |"
    yield ""


def _sections(model: type[BaseModel], title: str) -> list[str]:
    """One table for the model and for each mapping that it contains, in the order in which they come."""
    schema = json_schema(model, references=False)
    parts = schema.get("$defs", {})
    return [_table(title, schema), *(_table(f"`{name}`", parts[name]) for name in _contained(schema, parts))]


def _contained(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> list[str]:
    """Names of the parts that the schema refers to, each once, and after each the parts that are in it."""
    found: list[str] = []

    def visit(properties: Mapping[str, Any]) -> None:
        for name in re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(properties)):
            if name not in found:
                found.append(name)
                visit(parts[name]["properties"])

    visit(schema["properties"])
    return found


def _table(title: str, schema: Mapping[str, Any]) -> str:
    lines = [f"### {title}\n", f"{schema.get('description', '').splitlines()[0]}\n"]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, written in schema["properties"].items():
        given = "required" if key in schema.get("required", ()) else _default(written.get("default"))
        later = "*not available yet*" if NOT_YET_KEY in written else ""
        meaning = " ".join(part for part in (later, written.get("description", "")) if part)
        lines.append(f"| `{key}` | {_type(written)} | {given} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    if value in (None, "", [], {}):
        return ""
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _type(written: Mapping[str, Any]) -> str:
    if "$ref" in written:
        name = written["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in written:
            return " or ".join(dict.fromkeys(_type(choice) for choice in written[key] if choice.get("type") != "null"))
    if "enum" in written or "const" in written:
        return ", ".join(f"`{word}`" for word in written.get("enum", [written.get("const")]))
    if written.get("type") == "array":
        return f"list of {_type(written['items'])}"
    if written.get("type") == "object":
        values = [*written.get("patternProperties", {}).values(), written.get("additionalProperties")]
        return f"mapping of name to {_type(next(value for value in values if isinstance(value, dict)))}"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return str(written.get(QUANTITY_KEY) or words.get(written.get("type", ""), "anything"))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
