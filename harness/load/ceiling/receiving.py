"""How fast the same subscribers are where a server that does nothing only pushes messages at them.

The run's own receiving clients, with their settings, guarantee, filter and acknowledgement, all of them at once: each
checks, records and acknowledges as in the run. Messages have the sizes (for Solace the mean size), headers and stamps
of those that were published. What counts is what was received. Each member of a group is served as if it were alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crep.harness.load.ceiling.cache import Ceiling, kept, name_of
from crep.harness.load.ceiling.measure import RUN, SYSTEMS, no_op_server, rate
from crep.harness.load.engines import PublisherTask, SubscriberTask
from crep.harness.load.stamp import Carrier
from crep.harness.scenario.sizes import Sizes

_ENDLESS = 1 << 40  # messages


@dataclass(frozen=True)
class Receiver:
    """One receiving client, and one of the clients that publish to its channel: what it gets looks like theirs."""

    task: SubscriberTask
    publisher: PublisherTask

    @property
    def sizes(self) -> Sizes:
        """Of what is published."""
        return self.publisher.plan.sizes


def identity(receivers: Sequence[Receiver], carrier: Carrier, about: Mapping[str, str]) -> str:
    """What decides a ceiling, as a file name; ``about`` as in ``cache.name_of``."""
    clients = [
        {
            "system": one.task.spec.endpoint.system,
            "settings": {name: str(value) for name, value in sorted(one.task.spec.settings.items())},
            "reader": {"delivery": reader.delivery, "share": reader.share, "acknowledge": reader.acknowledge}
            | {"filter": reader.topic_filter, "processing": reader.processing_s, "fails": reader.dead_letters_after},
            "sizes": one.sizes.to_json(),
            "topics": sorted(one.publisher.spec.topics),
            "properties": one.publisher.spec.properties,
        }
        for one in receivers
        for reader in [one.task.spec.reader]
    ]
    return name_of(f"receiving, stamp in {carrier}", about, clients)


def ceiling(receivers: Sequence[Receiver], carrier: Carrier, about: Mapping[str, str], cache: Path) -> Ceiling | None:
    """The subscribers' ceiling, from the cache or measured now; None where no no-op server can deliver to them.

    Raises:
        EnvironmentFailure: the no-op server or the clients do not start, or nothing was received.
    """
    systems = {one.task.spec.endpoint.system for one in receivers}
    if len(systems) != 1 or not systems <= set(SYSTEMS) or (systems == {"solace"} and carrier == "property"):
        return None
    return kept(
        cache, identity(receivers, carrier, about), lambda: Ceiling(measure(receivers, carrier), len(receivers))
    )


def measure(receivers: Sequence[Receiver], carrier: Carrier) -> float:
    """Messages per second of all the subscribers together. Raises like ``ceiling``."""
    with no_op_server(_server_of(receivers)) as server:
        specs = [one.task.spec for one in receivers]
        at_it = [SubscriberTask(replace(spec, endpoint=server.endpoint(spec.endpoint))) for spec in specs]
        return rate(at_it, server, carrier, "received")


def _server_of(receivers: Sequence[Receiver]) -> list[str]:
    """Arguments of Python that start the no-op server for these clients."""
    if receivers[0].task.spec.endpoint.system == "kafka":
        topics = {name: topic for one in receivers for name, topic in _kafka_topics(one).items()}
        return ["-m", "crep.harness.load.ceiling.kafka", json.dumps(topics)]
    size = round(sum(one.sizes.mean for one in receivers) / len(receivers))
    deliver = ("--deliver", str(_ENDLESS), "--size", str(size), "--run", str(RUN), "--when-told")
    return ["-m", "crep.harness.load.ceiling.smf", *deliver]


def _kafka_topics(one: Receiver) -> dict[str, dict[str, Any]]:
    spec = one.task.spec
    objects, published = spec.objects, one.publisher.spec
    deliver = {
        "sizes": one.sizes.to_json(),
        "topics": list(published.topics),
        "topic_header": objects["topic_header"] if objects["topic_in_header"] else None,
        "properties": {name: str(value) for name, value in published.properties.items()},
        "stamp_property": spec.stamp_property,
    }
    topics = {str(objects["topic"]): {"partitions": int(objects["partitions"]), "deliver": deliver}}
    turn = objects["turns"].get(spec.reader.name)
    return topics if turn is None else topics | {str(turn): {"partitions": 1, "deliver": None}}
