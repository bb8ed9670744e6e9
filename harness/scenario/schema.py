"""The JSON Schema of scenario and campaign files, for editors (``crep schema``)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from crep.harness.config.units import QUANTITY_KEY, format_duration
from crep.harness.scenario.model import Definition

_REFERENCE = {"type": "string", "pattern": r"^\$[A-Za-z_]", "description": "a parameter"}


def json_schema(model: type[BaseModel] = Definition, *, references: bool = True) -> dict[str, Any]:
    """The schema as plain data (draft 2020-12). With ``references``, ``$name`` may stand for every plain value."""
    schema: dict[str, Any] = _as_written(model.model_json_schema(by_alias=True))
    if references:
        schema = _with_references(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _as_written(node: Any) -> Any:
    """Defaults in the form in which a file has them; those of whole mappings are left to their keys."""
    if isinstance(node, list):
        return [_as_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _as_written(value) for key, value in node.items()}
    default = node.get("default")
    if node.get(QUANTITY_KEY) == "duration" and isinstance(default, int | float):
        node["default"] = format_duration(default)
    elif default is None or isinstance(default, dict):
        node.pop("default", None)
    return node


def _with_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    typed = "type" in node and isinstance(node["type"], str)
    if typed and (node["type"] in ("integer", "number", "boolean") or "pattern" in node or "enum" in node):
        beside = {key: node[key] for key in ("title", "description", "default") if key in node}
        return {**beside, "anyOf": [{key: node[key] for key in node if key not in beside}, _REFERENCE]}
    return {key: _with_references(value) for key, value in node.items()}
