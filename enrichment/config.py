"""The language of a bridge file: one class per mapping, one field per key.

What needs files or a compiler (schemas, expressions, tables) is checked by ``load``, which knows the file's folder.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from crep.harness.config.units import Duration, PositiveDuration

Scalar = Annotated[str | int | float | bool | None, Field(union_mode="smart")]
Count = Annotated[int, Field(strict=True, gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", text):
        raise ValueError(f"{text!r} is no name: small letters, digits and '-', beginning with a letter, 40 at most")
    return text


Name = Annotated[str, AfterValidator(_name)]


class Place(_Part):
    """Where a route reads: a queue (Solace), or a topic and a consumer group (Kafka)."""

    site: Name = Field(description="one of `sites`")
    queue: str | None = Field(None, description="Solace: the queue, which exists")
    topic: str | None = Field(None, description="Kafka: the topic, which exists")
    group: str | None = Field(None, description="Kafka: the consumer group")
    topic_header: str | None = Field(None, description="Kafka: the header that holds a message's topic")
    settings: dict[str, Scalar] = Field(default_factory=dict, description="settings of the client library")

    @model_validator(mode="after")
    def _one_system(self) -> Place:
        if (self.queue is None) == (self.topic is None):
            raise ValueError("needs either 'queue' (Solace) or 'topic' and 'group' (Kafka)")
        if (self.topic is None) != (self.group is None):
            raise ValueError("'topic' and 'group' (Kafka) go together")
        return self


class Destination(_Part):
    """Where a route writes. Templates: ``ext/{region}/{type}`` puts in fields of the body; see the documentation."""

    site: Name = Field(description="one of `sites`")
    topic: str = Field(description="template of the topic")
    key: str | None = Field(None, description="template of the key (Solace: the partition key); default: as it came")
    properties: dict[str, str] = Field(default_factory=dict, description="properties to set, each a template")
    remove_properties: list[str] = Field(default_factory=list, description="properties that stay behind")
    ttl: PositiveDuration | None = Field(None, description="time to live; default: as it came")
    priority: Annotated[int, Field(strict=True, ge=0, le=9)] | None = Field(None, description="default: as it came")
    settings: dict[str, Scalar] = Field(default_factory=dict, description="settings of the client library")


class DeadLetters(_Part):
    """Where messages go that cannot be processed or that the sink rejects: on the route's own source or sink site."""

    site: Name
    topic: str = Field(description="Kafka: the topic; Solace: a topic that a queue subscribes to. Not a template")


class JsonCodec(_Part):
    """JSON text."""

    format: Literal["json"] = "json"


class TextCodec(_Part):
    """Text in UTF-8: the body is {text: …}."""

    format: Literal["text"]


class BytesCodec(_Part):
    """Opaque: the body is {bytes: …} and goes out as it came."""

    format: Literal["bytes"]


class CsvCodec(_Part):
    """One row without a heading: the body is a field per column, all text."""

    format: Literal["csv"]
    columns: list[str] = Field(min_length=1)
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","


class XmlCodec(_Part):
    """An XML document: elements are fields, attributes ``@name``, repeated elements lists."""

    format: Literal["xml"]


class AvroCodec(_Part):
    """Avro binary by a schema file."""

    format: Literal["avro"]
    schema_file: str = Field(alias="schema", description="the schema (.avsc), beside the bridge file")
    framing: Literal["none", "confluent"] = Field(
        "none", description="confluent: a zero byte and a schema id of four bytes stand before the data"
    )
    schema_id: Annotated[int, Field(strict=True, ge=0, lt=2**32)] | None = Field(
        None, description="with framing confluent: the id to write, and the only one that is read"
    )

    @model_validator(mode="after")
    def _id_with_framing(self) -> AvroCodec:
        if (self.framing == "confluent") != (self.schema_id is not None):
            raise ValueError("'schema_id' goes with framing 'confluent', and is needed there")
        return self


class ProtobufCodec(_Part):
    """Protobuf by a compiled descriptor set (``protoc --include_imports --descriptor_set_out=FILE``)."""

    format: Literal["protobuf"]
    descriptors: str = Field(description="the descriptor set, beside the bridge file")
    message: str = Field(description="the message's full name, for example shop.Order")


def _named_alone(value: object) -> object:
    """``decode: json`` is short for ``decode: {format: json}``."""
    return {"format": value} if isinstance(value, str) else value


Codec = Annotated[
    Annotated[
        JsonCodec | TextCodec | BytesCodec | CsvCodec | XmlCodec | AvroCodec | ProtobufCodec,
        Field(discriminator="format"),
    ],
    BeforeValidator(_named_alone),
]


class LookupStep(_Part):
    """Put what a lookup knows of a field's value into the body."""

    in_: Name = Field(alias="in", description="one of `lookups`")
    by: str = Field(description="field whose value is looked up, for example customer.id")
    into: str = Field(description="field that takes what was found: a mapping of the other columns")
    fields: list[str] | None = Field(None, min_length=1, description="only these columns; default all")
    default: dict[str, Any] | None = Field(None, description="what is put in where nothing is found")
    missing: Literal["fail", "default", "drop"] = Field(
        "fail", description="nothing found: fail (dead letter), default, or drop (counted as filtered)"
    )

    @model_validator(mode="after")
    def _default_is_there(self) -> LookupStep:
        if (self.missing == "default") != (self.default is not None):
            raise ValueError("'default' goes with 'missing: default'")
        return self


class SplitStep(_Part):
    """One message for each item of a list."""

    at: str = Field(description="field with the list")
    into: str | None = Field(None, description="field that takes the item; default: the item is the whole body")
    keep: list[str] = Field(default_factory=list, description="fields of the whole that each part gets")


class RouteCase(_Part):
    """One way out."""

    when: str | None = Field(None, description="CEL; left out in the last one: everything else")
    topic: str = Field(description="template of the topic, instead of the destination's")


class Step(_Part):
    """One step; exactly one of the keys beside ``name``."""

    name: str | None = Field(None, description="for metrics and dead letters; default: its kind and place")
    validate_: str | None = Field(None, alias="validate", description="JSON Schema file that the body must meet")
    lookup: LookupStep | None = None
    set_: dict[str, Any] | None = Field(None, alias="set", min_length=1, description="field: value (text: a template)")
    compute: dict[str, str] | None = Field(None, min_length=1, description="field: CEL expression")
    rename: dict[str, str] | None = Field(None, min_length=1, description="field: new name")
    remove: list[str] | None = Field(None, min_length=1, description="fields")
    filter: str | None = Field(None, description="CEL: what is true goes on, the rest is counted as filtered")
    split: SplitStep | None = None
    route: list[RouteCase] | None = Field(None, min_length=1, description="the first case that holds")
    python: str | None = Field(None, description="module:function, which takes a body and returns one (or None: drop)")

    @model_validator(mode="after")
    def _one_kind(self) -> Step:
        given = [kind for kind in KINDS if getattr(self, KINDS[kind]) is not None]
        if len(given) != 1:
            raise ValueError(
                f"is exactly one of {', '.join(KINDS)}" + (f", not {' and '.join(given)}" if given else "")
            )
        return self

    @property
    def kind(self) -> str:
        """The key that was used."""
        return next(kind for kind, attribute in KINDS.items() if getattr(self, attribute) is not None)


KINDS = {
    "validate": "validate_",
    "lookup": "lookup",
    "set": "set_",
    "compute": "compute",
    "rename": "rename",
    "remove": "remove",
    "filter": "filter",
    "split": "split",
    "route": "route",
    "python": "python",
}
"""Key of a step → attribute of ``Step``."""


class Route(_Part):
    """From one place to another."""

    from_: Place = Field(alias="from")
    to: Destination
    dead_letters: DeadLetters = Field(description="where failed and rejected messages go, with reason and headers")
    decode: Codec = JsonCodec()
    steps: list[Step] = Field(default_factory=list)
    encode: Codec = JsonCodec()
    workers: Count = Field(1, description="messages of different keys in work at the same time (for slow lookups)")
    in_flight: Count = Field(5000, description="messages taken and not settled, at most: bounds the memory")
    deduplicate: PositiveDuration | None = Field(
        None, description="within so long a message id that was forwarded already is filtered as a duplicate"
    )
    exactly_once: bool = Field(
        False, description="Kafka to Kafka, all within one cluster (one site): what comes of a message is there once"
    )


class TableLookup(_Part):
    """Rows of a CSV or Parquet file, held in memory and read again when the file changes."""

    table: str = Field(description="the file, beside the bridge file: .csv or .parquet")
    key: str = Field(description="the column that is looked up by")
    reload: PositiveDuration = Field(5.0, description="how often to look whether the file has changed")


class SqliteLookup(_Part):
    """Rows of a SQLite database, read when asked for."""

    sqlite: str = Field(description="the database file, beside the bridge file")
    query: str = Field(description="SELECT with one '?' for the value that is looked up")
    cache: Duration = Field(60.0, description="how long a row is remembered")


class HttpLookup(_Part):
    """Answers of an HTTP service: GET, JSON object; 404 means *not found*."""

    url: str = Field(description="address with {value}, for example https://host/customers/{value}")
    cache: Duration = Field(60.0, description="how long an answer is remembered")
    timeout: PositiveDuration = Field(2.0, description="for one attempt")
    retries: Annotated[int, Field(strict=True, ge=0, le=10)] = Field(2, description="further attempts")
    breaker_failures: Count = Field(5, description="failures in a row that open the circuit breaker")
    breaker_pause: PositiveDuration = Field(10.0, description="how long an open one lets nothing through")

    @model_validator(mode="after")
    def _placeholder(self) -> HttpLookup:
        if self.url.count("{value}") != 1:
            raise ValueError("'url' needs {value} once, where the value is put in")
        return self


Lookup = TableLookup | SqliteLookup | HttpLookup


def _lookup_kind(value: object) -> object:
    if isinstance(value, dict):
        given = [key for key in ("table", "sqlite", "url") if key in value]
        if len(given) != 1:
            raise ValueError("needs exactly one of 'table' (CSV or Parquet file), 'sqlite' (database) and 'url' (HTTP)")
        return _LOOKUPS[given[0]].model_validate(value)
    return value


_LOOKUPS: dict[str, type[_Part]] = {"table": TableLookup, "sqlite": SqliteLookup, "url": HttpLookup}


class Site(_Part):
    """A broker that routes name: a target, or what ``--on SITE=TARGET`` binds."""

    target: str | None = Field(None, description="a target of targets.yaml; default: bound by --on")
    vpn: str | None = Field(None, description="Solace: the message VPN; default the target's")
    reconnect: PositiveDuration = Field(
        3600.0, description="how long a broker that is away is waited for; then the bridge ends in order, exit code 3"
    )


class ExampleMessage(_Part):
    """A message as examples write it: one of json, text and base64 is its payload."""

    topic: str = ""
    key: str | None = None
    properties: dict[str, Scalar] = Field(default_factory=dict)
    json_: Any = Field(None, alias="json", description="payload as JSON")
    text: str | None = Field(None, description="payload as text")
    base64: str | None = Field(None, description="payload as bytes")


class Example(_Part):
    """One case: what comes in, and what must come of it."""

    name: str
    route: Name
    input: ExampleMessage
    output: list[ExampleMessage] | None = Field(None, description="the messages that go out, in order")
    filtered: str | None = Field(None, description="instead: the step that filters it")
    dead_letter: str | None = Field(None, description="instead: a part of the reason for which it is dead-lettered")

    @model_validator(mode="after")
    def _one_result(self) -> Example:
        if sum(value is not None for value in (self.output, self.filtered, self.dead_letter)) != 1:
            raise ValueError("needs exactly one of 'output', 'filtered' and 'dead_letter'")
        return self


class BridgeFile(_Part):
    """A bridge file."""

    bridge: Name = Field(description="the bridge's name: it marks the messages that it forwarded, against loops")
    sites: dict[Name, Site] = Field(min_length=1)
    lookups: dict[Name, Annotated[TableLookup | SqliteLookup | HttpLookup, BeforeValidator(_lookup_kind)]] = Field(
        default_factory=dict
    )
    routes: dict[Name, Route] = Field(min_length=1)
    examples: list[Example] = Field(default_factory=list)
