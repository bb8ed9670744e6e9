"""What parent and child say to each other: one JSON object a line.

===========  ==============================  ========================================================================
direction    line                            meaning
===========  ==============================  ========================================================================
to child     ``{"role": …, "spec": …}``      the task, once; it carries passwords, so it goes nowhere else
to child     ``{"go": t0_ns}``               the first measured message is due at this CLOCK_MONOTONIC time
to child     ``{"stop": true}``              publishers: no further sends, settle what is under way
to child     ``{"pause": true}``             subscribers: receive nothing until ``{"resume": true}``
to child     ``{"slow": ns}``                subscribers: take so long for each message; -1: as the task says
to child     ``{"finish": true}``            subscribers: close
from child   ``{"ready": {settings}}``       connected (and, reading, assigned)
from child   ``{"window": …}``               what was measured since the last one
from child   ``{"note": …}``                 a connection event, or a reason not heard before
from child   ``{"paused": true}``            a subscriber stands still (false: it receives again)
from child   ``{"processing": ns}``          a subscriber takes so long for each message from now on
from child   ``{"done": …}``                 a publisher has settled and closed
from child   ``{"closed": true}``            a subscriber has closed
from child   ``{"failed": reason}``          it cannot go on, and ends
===========  ==============================  ========================================================================

End of file on the child's standard input means that the parent is gone: the child ends at once.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.contract import Endpoint, PublisherSpec, ReaderSpec, SubscriberSpec
from crep.harness.load.stamp import Carrier
from crep.harness.metrics.histogram import Histogram
from crep.harness.metrics.history import SEGMENT
from crep.harness.scenario.defects import Poison
from crep.harness.scenario.documents import Documents
from crep.harness.scenario.publisher_plan import PublisherPlan

Role = Literal["publisher", "subscriber"]
Sparse = tuple[NDArray[np.uint32], NDArray[np.uint64]]
"""A histogram's buckets and counts, see ``metrics.histogram``."""


@dataclass(frozen=True)
class PublisherTask:
    """One publishing client: when and what (``plan``), where and how (``spec``)."""

    plan: PublisherPlan
    spec: PublisherSpec


@dataclass(frozen=True)
class SubscriberTask:
    """One receiving client: one member of one reader, and what it is to fail at.

    ``documents``: what was published before a service changed it (``stamp.parse``).
    """

    spec: SubscriberSpec
    poison: Poison | None = None
    documents: Documents | None = None

    @property
    def joins_later(self) -> bool:
        """Whether it is not there from the start."""
        at_first = self.spec.reader.at_first
        return at_first is not None and self.spec.member >= at_first


@dataclass(frozen=True)
class ChildTask:
    """A task with what all children of a run share.

    ``ledger`` is the folder of the records; ``keep_records``: they stay, and need no segments. ``clock_ahead_ns``: what
    this machine's CLOCK_MONOTONIC shows more than that of the machine whose time the stamps carry. ``write_ahead``: the
    child may be killed and started again, so it writes records before they come true (``metrics.history``).
    ``patient``: it starts in the middle of a run, so it connects within the budget that it would have to reconnect.
    """

    task: PublisherTask | SubscriberTask
    run_number: int
    carrier: Carrier
    ledger: Path
    keep_records: bool = True
    clock_ahead_ns: int = 0
    write_ahead: bool = False
    patient: bool = False

    @property
    def segment(self) -> int | None:
        """Records in a segment of a record file."""
        return None if self.keep_records else SEGMENT

    def to_line(self) -> bytes:
        """One line of JSON, passwords included."""
        data: dict[str, Any] = {
            "run": self.run_number,
            "carrier": self.carrier,
            "ledger": str(self.ledger),
            "keep_records": self.keep_records,
            "clock_ahead_ns": self.clock_ahead_ns,
            "write_ahead": self.write_ahead,
            "patient": self.patient,
        }
        data["spec"] = spec_to_json(self.task.spec)
        if isinstance(self.task, PublisherTask):
            data |= {"role": "publisher", "plan": self.task.plan.to_json()}
        else:
            poison, documents = self.task.poison, self.task.documents
            data |= {
                "role": "subscriber",
                "poison": None if poison is None else poison.to_json(),
                "documents": None if documents is None else list(documents.texts),
            }
        return to_line(data)

    @classmethod
    def from_line(cls, line: bytes) -> ChildTask:
        """The task that ``to_line`` wrote."""
        data = json.loads(line)
        task: PublisherTask | SubscriberTask
        if data["role"] == "publisher":
            task = PublisherTask(PublisherPlan.from_json(data["plan"]), publisher_spec(data["spec"]))
        else:
            poison, documents = data["poison"], data["documents"]
            task = SubscriberTask(
                subscriber_spec(data["spec"]),
                None if poison is None else Poison.from_json(poison),
                None if documents is None else Documents(tuple(documents)),
            )
        return cls(
            task,
            data["run"],
            data["carrier"],
            Path(data["ledger"]),
            keep_records=data["keep_records"],
            clock_ahead_ns=data["clock_ahead_ns"],
            write_ahead=data["write_ahead"],
            patient=data["patient"],
        )


@dataclass(frozen=True)
class Client:
    """Which client something is said of. ``publisher`` or (``reader``, ``member``) is None by role."""

    name: str
    role: Role
    channel: str
    reader: str | None
    publisher: int | None
    member: int | None

    @classmethod
    def of(cls, task: PublisherTask | SubscriberTask) -> Client:
        """The client that carries out a task."""
        spec = task.spec
        if isinstance(task, PublisherTask):
            return cls(spec.name, "publisher", spec.channel, None, task.plan.publisher, None)
        return cls(spec.name, "subscriber", spec.channel, task.spec.reader.name, None, task.spec.member)


@dataclass(frozen=True)
class ClientSettings(Client):
    """The settings that the client library works with, for the provenance."""

    settings: dict[str, str]


@dataclass(frozen=True)
class Window:
    """What one client measured in one second; windows of the same second add up.

    ``second`` is floor((t − t0) / 1 s), negative during warm-up. Counters go by the second of the event: ``intended``,
    ``sent``, ``window_full`` (times that what was due had to wait for outcomes), ``acknowledged``, ``rejected``,
    ``unknown``, ``received``, ``redelivered``, ``failed`` (poison), ``corrupt``, ``foreign``, ``contradiction``,
    ``cpu_ns``.
    Histograms (ns) go by the second in which the message was *intended*, so that a phase can be cut out: ``lateness``
    (handed over − intended), ``acknowledge`` (acknowledged − intended), ``latency`` (received − intended).

    What a client that is killed had not told is missing: a second at most. Its records have it.

    ``told_s``: all that the client did until then, in seconds from t0, is in this window or in one that came before.
    """

    second: int
    client: str
    role: Role
    channel: str
    reader: str | None
    publisher: int | None
    member: int | None
    counters: dict[str, int]
    histograms: dict[str, Sparse]
    told_s: float


@dataclass(frozen=True)
class ClientNote:
    """A connection event (``ClientEvent``); or the first outcome, *rejected* or *unknown*, that gave this reason."""

    client: str
    at_ns: int
    kind: str
    text: str


@dataclass(frozen=True)
class PublisherDone:
    """A publisher's whole run, all its lives together. ``unsent``: due by the schedule and never handed over."""

    client: str
    publisher: int
    channel: str
    intended: int = 0
    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0
    unknown: int = 0
    unsent: int = 0
    rejection_reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineFailed:
    """A child that ended, or never began, its work; ``reason`` is for people."""

    client: str
    reason: str


def spec_to_json(spec: PublisherSpec | SubscriberSpec) -> dict[str, Any]:
    """Plain data for ``publisher_spec`` or ``subscriber_spec``; passwords in clear."""
    data = asdict(spec)
    if spec.endpoint.tls is not None:
        data["endpoint"]["tls"] = spec.endpoint.tls.model_dump()
    return data


def publisher_spec(data: dict[str, Any]) -> PublisherSpec:
    """The spec that ``spec_to_json`` described."""
    return PublisherSpec(**data | {"endpoint": _endpoint(data["endpoint"]), "topics": tuple(data["topics"])})


def subscriber_spec(data: dict[str, Any]) -> SubscriberSpec:
    """The spec that ``spec_to_json`` described."""
    return SubscriberSpec(**data | {"endpoint": _endpoint(data["endpoint"]), "reader": ReaderSpec(**data["reader"])})


def _endpoint(data: dict[str, Any]) -> Endpoint:
    if data["tls"] is None:
        return Endpoint(**data)
    from crep.harness.config.targets import Tls  # noqa: PLC0415 - a third of an engine's start, for those who need it

    return Endpoint(**data | {"tls": Tls(**data["tls"])})


def to_line(message: dict[str, Any]) -> bytes:
    """One line of JSON with its line end."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def window_to_json(
    second: int, counters: dict[str, int], histograms: dict[str, Histogram], told_s: float
) -> dict[str, Any]:
    """The ``window`` line's content."""
    return {
        "second": second,
        "told_s": told_s,
        "counters": counters,
        "histograms": {name: _to_text(*histogram.sparse()) for name, histogram in histograms.items()},
    }


def _to_text(buckets: NDArray[np.uint32], counts: NDArray[np.uint64]) -> list[str]:
    """Base64: a hundred times faster than lists of numbers, and the engine pays for it."""
    return [base64.b64encode(part.tobytes()).decode() for part in (buckets, counts)]


def window_from_json(data: dict[str, Any], client: Client) -> Window:
    """The window that ``client`` reported."""
    histograms = {
        name: (
            np.frombuffer(base64.b64decode(buckets), np.uint32),
            np.frombuffer(base64.b64decode(counts), np.uint64),
        )
        for name, (buckets, counts) in data["histograms"].items()
    }
    return Window(
        second=data["second"],
        client=client.name,
        role=client.role,
        channel=client.channel,
        reader=client.reader,
        publisher=client.publisher,
        member=client.member,
        counters=data["counters"],
        histograms=histograms,
        told_s=data["told_s"],
    )
