"""What each step and each format costs a bridge, µs of processor time a message: without a broker, in this process.

A step's cost is that of a route with it less that of the same route without. All take turns, a few hundred messages
each, and of each the quickest turn counts: what else the machine does only ever adds.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from pydantic import TypeAdapter

from bench.bridge_load import message, order, write_customers
from bench.brokers import KEYS
from bench.figure import Figure
from crep.enrichment import config
from crep.enrichment.codecs import codec_of
from crep.enrichment.load import load_bridge

TURNS, MESSAGES = 20, 200
_BASE, _ONE_LOOKUP = "nothing", "lookup in a table"
_LOOKUP = "lookup: {in: customers, by: customer_id, into: customer}"
STEPS: Mapping[str, tuple[str, ...]] = {
    _BASE: (),
    "set (a template)": ('set: {label: "{region}-{type}"}',),
    "compute (CEL)": ('compute: {gross: "body.total * 1.2"}',),
    "filter (CEL)": ("filter: \"body.type == 'new'\"",),
    "validate (JSON Schema)": ("validate: order.schema.json",),
    "rename": ("rename: {note: remark}",),
    "remove": ("remove: [note]",),
    "route (CEL, two cases)": ("route: [{when: \"body.region == 'eu'\", topic: europe}, {topic: elsewhere}]",),
    "split into 16": ("split: {at: lines, into: line, keep: [order_id, region]}",),
    "python": ("python: bench_step:marked",),
    _ONE_LOOKUP: (_LOOKUP,),
    "second lookup": (_LOOKUP, "lookup: {in: customers, by: customer_id, into: payer}"),
    "lookup in SQLite, remembered": ("lookup: {in: stored, by: customer_id, into: customer}",),
}
_LESS = {"second lookup": _ONE_LOOKUP}
"""A step is compared with the route of nothing, but for these."""
_ROUTE = """\
  {name}:
    from: {{site: from, topic: in, group: g}}
    to: {{site: to, topic: out}}
    dead_letters: {{site: to, topic: dead}}
    steps: {steps}
"""
_HEAD = """\
bridge: bench
sites: {from: {target: from}, to: {target: to}}
lookups:
  customers: {table: customers.csv, key: id}
  stored: {sqlite: customers.db, query: "SELECT * FROM customers WHERE id = ?"}
routes:
"""
_SPEC: TypeAdapter[Any] = TypeAdapter(config.Codec)
_Field = FieldDescriptorProto


@dataclass(frozen=True)
class Cost:
    """µs a message; ``what`` is a step, or a format decoded or encoded."""

    what: str
    us: float
    how: str


def measure() -> list[Cost]:
    """Every step, then every format."""
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        return [*_steps(folder), *_formats(folder)]


def figures(costs: list[Cost]) -> list[Figure]:
    """One each."""
    return [Figure(f"bridge, {one.what}", one.us, "µs/message", detail=one.how) for one in costs]


def _steps(folder: Path) -> list[Cost]:
    write_customers(folder)
    with sqlite3.connect(folder / "customers.db") as database:
        database.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, tier TEXT)")
        database.executemany(
            "INSERT INTO customers VALUES (?, ?, 'gold')", [(number, f"customer {number}") for number in range(KEYS)]
        )
    database.close()
    (folder / "bench_step.py").write_text("def marked(body):\n    body['marked'] = True\n    return body\n")
    (folder / "order.schema.json").write_text(json.dumps(_SCHEMA))
    routes = [_ROUTE.format(name=f"r{at}", steps=f"[{_flow(steps)}]") for at, steps in enumerate(STEPS.values())]
    (folder / "bridge.yaml").write_text(_HEAD + "".join(routes))
    messages = [message("in", number) for number in range(MESSAGES)]
    with load_bridge(folder / "bridge.yaml", {"from": "kafka", "to": "kafka"}) as bridge:
        work = {name: _each(bridge.pipelines[f"r{at}"].forward, messages) for at, name in enumerate(STEPS)}
        took = _quickest_us(work)
    size = len(messages[0].payload)
    whole = Cost("decode, topic, properties, encode", took[_BASE], f"JSON of {size:,} B, no step")
    return [whole] + [
        Cost(f"step {name}", took[name] - took[_LESS.get(name, _BASE)], "further") for name in STEPS if name != _BASE
    ]


def _flow(steps: tuple[str, ...]) -> str:
    return ", ".join(f"{{{step}}}" for step in steps)


def _each(work: Callable[[Any], object], subjects: list[Any]) -> Callable[[], None]:
    def turn() -> None:
        for subject in subjects:
            work(subject)

    return turn


def _quickest_us(work: Mapping[str, Callable[[], None]]) -> dict[str, float]:
    quickest = dict.fromkeys(work, float("inf"))
    for _ in range(TURNS):
        for name, turn in work.items():
            begin = time.thread_time_ns()
            turn()
            quickest[name] = min(quickest[name], (time.thread_time_ns() - begin) / 1e3 / MESSAGES)
    return quickest


def _formats(folder: Path) -> list[Cost]:
    """The same order in every format; CSV has its lines as columns."""
    (folder / "order.avsc").write_text(json.dumps(_AVRO))
    (folder / "order.desc").write_bytes(_protobuf())
    body = orjson.loads(order(0))
    columns = _columns(body)
    bodies: dict[str, tuple[Any, Any]] = {
        "json": ("json", body),
        "avro": ({"format": "avro", "schema": "order.avsc"}, body),
        "protobuf": ({"format": "protobuf", "descriptors": "order.desc", "message": "bench.Order"}, body),
        "xml": ("xml", {"order": body}),
        "csv": ({"format": "csv", "columns": list(columns)}, columns),
        "text": ("text", {"text": order(0).decode()}),
        "bytes": ("bytes", {"bytes": order(0)}),
    }
    costs = []
    for name, (spec, what) in bodies.items():
        codec = codec_of(_SPEC.validate_python(spec), folder)
        payload = codec.encode(what)
        took = _quickest_us(
            {
                "decode": _each(codec.decode, [payload] * MESSAGES),
                "encode": _each(codec.encode, [codec.decode(payload)] * MESSAGES),
            }
        )
        costs += [Cost(f"{name} {way}", us, f"{len(payload):,} B") for way, us in took.items()]
    return costs


def _columns(body: dict[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in body.items() if name != "lines"}
    return flat | {f"{name}_{at}": value for at, line in enumerate(body["lines"]) for name, value in line.items()}


_TEXTS = ("order_id", "region", "type", "currency", "placed_at", "note")
_SCHEMA = {
    "type": "object",
    "required": ["order_id", "customer_id", "region", "total", "lines"],
    "properties": {
        **{name: {"type": "string", "minLength": 1} for name in _TEXTS},
        "customer_id": {"type": "integer", "minimum": 0},
        "total": {"type": "number"},
        "lines": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["sku", "quantity", "price"],
                "properties": {
                    "sku": {"type": "string"},
                    "quantity": {"type": "integer", "minimum": 1},
                    "price": {"type": "number"},
                },
            },
        },
    },
}
_AVRO = {
    "type": "record",
    "name": "Order",
    "fields": [
        *({"name": name, "type": "string"} for name in _TEXTS),
        {"name": "customer_id", "type": "int"},
        {"name": "total", "type": "double"},
        {
            "name": "lines",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Line",
                    "fields": [
                        {"name": "sku", "type": "string"},
                        {"name": "quantity", "type": "int"},
                        {"name": "price", "type": "double"},
                    ],
                },
            },
        },
    ],
}


def _protobuf() -> bytes:
    file = FileDescriptorProto(name="order.proto", package="bench", syntax="proto3")
    line, whole = file.message_type.add(name="Line"), file.message_type.add(name="Order")
    numbers = (("quantity", _Field.TYPE_INT32), ("price", _Field.TYPE_DOUBLE))
    for number, (name, kind) in enumerate([("sku", _Field.TYPE_STRING), *numbers], 1):
        line.field.add(name=name, number=number, type=kind, label=_Field.LABEL_OPTIONAL)
    others = (("customer_id", _Field.TYPE_INT32), ("total", _Field.TYPE_DOUBLE))
    for number, (name, kind) in enumerate([*((text, _Field.TYPE_STRING) for text in _TEXTS), *others], 1):
        whole.field.add(name=name, number=number, type=kind, label=_Field.LABEL_OPTIONAL)
    whole.field.add(
        name="lines",
        number=len(whole.field) + 1,
        type=_Field.TYPE_MESSAGE,
        type_name=".bench.Line",
        label=_Field.LABEL_REPEATED,
    )
    return FileDescriptorSet(file=[file]).SerializeToString()
