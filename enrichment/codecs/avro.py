"""Avro binary by fastavro, without a container: one datum a message, with Confluent's framing where it is asked for.

The framing is a zero byte and the schema's id as four bytes, big-endian (Confluent's wire format).
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import fastavro
from fastavro.repository import SchemaRepositoryError
from fastavro.schema import SchemaParseException, UnknownType

from crep.enrichment.record import StepFailed

_FRAME = struct.Struct(">bI")


class Avro:
    """See ``codecs.Codec``. The schema is both the writer's and the reader's."""

    content_type = "avro/binary"

    def __init__(self, schema: Path, schema_id: int | None) -> None:
        if not schema.exists():
            raise ValueError(f"there is no Avro schema {schema}")
        try:
            self._schema = fastavro.schema.load_schema(str(schema))
        except (SchemaParseException, UnknownType, SchemaRepositoryError, ValueError, OSError) as error:
            raise ValueError(f"{schema.name} is no Avro schema: {error}") from None
        self._schema_id = schema_id

    def decode(self, payload: bytes) -> Any:
        """The datum; bytes left over are an error."""
        data = io.BytesIO(payload if self._schema_id is None else self._unframed(payload, self._schema_id))
        try:
            body = fastavro.schemaless_reader(data, self._schema, None)
        except Exception as error:  # noqa: BLE001 - the library lets what the bytes provoke through as it comes
            raise StepFailed(f"the payload does not fit the Avro schema: {type(error).__name__}: {error}") from None
        if data.read(1):
            raise StepFailed("the payload goes on behind the Avro datum: it was written with another schema")
        return body

    @staticmethod
    def _unframed(payload: bytes, schema_id: int) -> bytes:
        if len(payload) < _FRAME.size or payload[0] != 0:
            raise StepFailed("the payload does not begin with a zero byte and a schema id")
        found = _FRAME.unpack_from(payload)[1]
        if found != schema_id:
            raise StepFailed(f"the payload was written with schema id {found}, not {schema_id}")
        return payload[_FRAME.size :]

    def encode(self, body: Any) -> bytes:
        """The datum, framed where that is asked for."""
        out = io.BytesIO()
        if self._schema_id is not None:
            out.write(_FRAME.pack(0, self._schema_id))
        try:
            fastavro.schemaless_writer(out, self._schema, body, strict=True)
        except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
            raise StepFailed(f"the body does not fit the Avro schema: {error}") from None
        return out.getvalue()
