"""Codecs: payload bytes to a body of plain data and back, one format per module.

A codec is made once by ``codec_of`` and raises ``StepFailed`` for a payload or body that it cannot turn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from crep.enrichment.config import (
    AvroCodec,
    BytesCodec,
    CsvCodec,
    JsonCodec,
    ProtobufCodec,
    TextCodec,
    XmlCodec,
)

CodecSpec = JsonCodec | TextCodec | BytesCodec | CsvCodec | XmlCodec | AvroCodec | ProtobufCodec


class Codec(Protocol):
    """One format."""

    @property
    def content_type(self) -> str | None:
        """What its payloads say of themselves; None where nothing fits."""

    def decode(self, payload: bytes) -> Any:
        """The body. Raises StepFailed."""

    def encode(self, body: Any) -> bytes:
        """The payload. Raises StepFailed."""


def codec_of(spec: CodecSpec, folder: Path) -> Codec:
    """The codec; its files lie in ``folder``. Formats that nobody uses are not imported.

    Raises:
        ValueError: a schema is missing or wrong, with the reason.
    """
    return _MAKERS[type(spec)](spec, folder)


def _json(_: Any, __: Path) -> Codec:
    from crep.enrichment.codecs.json import Json  # noqa: PLC0415

    return Json()


def _text(_: Any, __: Path) -> Codec:
    from crep.enrichment.codecs.text import Text  # noqa: PLC0415

    return Text()


def _bytes(_: Any, __: Path) -> Codec:
    from crep.enrichment.codecs.text import Opaque  # noqa: PLC0415

    return Opaque()


def _csv(spec: CsvCodec, _: Path) -> Codec:
    from crep.enrichment.codecs.csv import Csv  # noqa: PLC0415

    return Csv(spec.columns, spec.delimiter)


def _xml(_: Any, __: Path) -> Codec:
    from crep.enrichment.codecs.xml import Xml  # noqa: PLC0415

    return Xml()


def _avro(spec: AvroCodec, folder: Path) -> Codec:
    from crep.enrichment.codecs.avro import Avro  # noqa: PLC0415

    return Avro(folder / spec.schema_file, spec.schema_id)


def _protobuf(spec: ProtobufCodec, folder: Path) -> Codec:
    from crep.enrichment.codecs.protobuf import Protobuf  # noqa: PLC0415

    return Protobuf(folder / spec.descriptors, spec.message)


_MAKERS: dict[type, Callable[[Any, Path], Codec]] = {
    JsonCodec: _json,
    TextCodec: _text,
    BytesCodec: _bytes,
    CsvCodec: _csv,
    XmlCodec: _xml,
    AvroCodec: _avro,
    ProtobufCodec: _protobuf,
}
