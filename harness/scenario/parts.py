"""What every class of the scenario language is made of: strict mappings, names, counts, and keys of later versions."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from crep.harness.config.units import QUANTITY_KEY


class Part(BaseModel):
    """A mapping of the file: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _NotYet:
    """Lets pydantic check the shape of a value and then refuse it; marks the key in the JSON Schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._refuse, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), NOT_YET_KEY: True}

    @staticmethod
    def _refuse(_: object) -> object:
        raise ValueError("not available yet in this version of crep")


NOT_YET_KEY = "x-not-available-yet"
NOT_YET = _NotYet()
"""Marks a key of a later version: it is checked as written, then refused. A default is never refused."""


def only(*available: object) -> AfterValidator:
    """Refuses values of a later version."""

    def check(value: object) -> object:
        if value not in available:
            raise ValueError(f"{value!r} is not available yet in this version of crep")
        return value

    return AfterValidator(check)


_NAME = r"[a-z][a-z0-9-]{0,39}"


def _check_name(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        raise ValueError(
            f"{text!r} is no name: a name begins with a small letter and has small letters, digits and '-' only, "
            "40 at most, because brokers and folders are named after it"
        )
    return text


Name = Annotated[
    str,
    AfterValidator(_check_name),
    WithJsonSchema({"type": "string", "pattern": f"^{_NAME}$", QUANTITY_KEY: "name"}),
]
Count = Annotated[int, Field(strict=True, gt=0)]
Scalar = Annotated[str | int | float | bool, Field(union_mode="smart")]
