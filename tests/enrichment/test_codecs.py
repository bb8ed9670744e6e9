from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from crep.enrichment import config
from crep.enrichment.codecs import Codec, codec_of
from crep.enrichment.record import StepFailed

AVRO = {
    "type": "record",
    "name": "Order",
    "fields": [{"name": "n", "type": "int"}, {"name": "kind", "type": ["null", "string"], "default": None}],
}
SPEC: TypeAdapter[Any] = TypeAdapter(config.Codec)


def codec(spec: Any, folder: Path = Path()) -> Codec:
    return codec_of(SPEC.validate_python(spec), folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "order.avsc").write_text(json.dumps(AVRO))
    file = descriptor_pb2.FileDescriptorProto(name="order.proto", package="shop", syntax="proto3")
    order = file.message_type.add(name="Order")
    for number, (name, kind) in enumerate([("n", 5), ("kind", 9)], 1):
        order.field.add(name=name, number=number, type=kind, label=1)  # type: ignore[arg-type]
    (tmp_path / "shop.desc").write_bytes(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
    return tmp_path


FORMATS = [
    "json",
    {"format": "csv", "columns": ["n", "kind"]},
    "xml",
    {"format": "avro", "schema": "order.avsc"},
    {"format": "avro", "schema": "order.avsc", "framing": "confluent", "schema_id": 42},
    {"format": "protobuf", "descriptors": "shop.desc", "message": "shop.Order"},
    "text",
    "bytes",
]
BODIES: dict[str, Any] = {
    "csv": {"n": "7", "kind": 'a "b", c'},
    "xml": {"order": {"@id": "7", "item": ["a", "b"]}},
    "text": {"text": "grüße"},
    "bytes": {"bytes": b"\x00\xff"},
}


def name_of(spec: Any) -> str:
    return spec if isinstance(spec, str) else str(spec["format"])


@pytest.mark.parametrize("spec", FORMATS, ids=str)
def test_what_is_encoded_is_decoded_to_the_same(spec: Any, folder: Path) -> None:
    made, body = codec(spec, folder), BODIES.get(name_of(spec), {"n": 7, "kind": "new"})
    assert made.decode(made.encode(body)) == body


@pytest.mark.parametrize("spec", [one for one in FORMATS if one not in ("text", "bytes")], ids=str)
@pytest.mark.parametrize("payload", [b"\x80\xff\xff", b"", b"{", b"<a>", b"\x00\x00\x00\x00\x01\x00"])
def test_bytes_of_another_kind_fail_the_message_and_never_the_bridge(spec: Any, payload: bytes, folder: Path) -> None:
    made = codec(spec, folder)
    if name_of(spec) in ("protobuf", "csv"):  # where some of these few bytes happen to be valid
        with suppress(StepFailed):
            made.decode(payload)
        return
    with pytest.raises(StepFailed, match="payload"):
        made.decode(payload)


@pytest.mark.parametrize("spec", FORMATS, ids=str)
def test_a_body_of_another_kind_fails_the_message_with_the_reason(spec: Any, folder: Path) -> None:
    with pytest.raises(StepFailed):
        codec(spec, folder).encode({"wrong": object(), "second": 1})


def test_confluents_framing_names_the_schema_that_was_expected(folder: Path) -> None:
    made = codec(FORMATS[4], folder)
    payload = made.encode({"n": 1, "kind": None})
    assert payload[:5] == b"\x00\x00\x00\x00\x2a"
    with pytest.raises(StepFailed, match="schema id 43, not 42"):
        made.decode(b"\x00\x00\x00\x00\x2b" + payload[5:])


def test_xml_that_would_explode_is_refused() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'
    with pytest.raises(StepFailed, match="no XML"):
        codec("xml").decode(bomb)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"format": "avro", "schema": "nobody.avsc"}, "there is no Avro schema"),
        ({"format": "avro", "schema": "shop.desc"}, "is no Avro schema"),
        ({"format": "protobuf", "descriptors": "nobody.desc", "message": "shop.Order"}, "there is no descriptor set"),
        ({"format": "protobuf", "descriptors": "order.avsc", "message": "shop.Order"}, "is no descriptor set"),
        ({"format": "protobuf", "descriptors": "shop.desc", "message": "shop.Item"}, "it has: shop.Order"),
    ],
)
def test_a_schema_that_is_missing_or_wrong_is_told_when_the_file_is_read(spec: Any, reason: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=reason):
        codec(spec, folder)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(alphabet=st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
)


@given(JSON)
def test_any_json_comes_back_as_it_went(body: Any) -> None:
    made = codec("json")
    assert made.decode(made.encode(body)) == body
