"""One route of a bridge as a run of crep places it: between two channels whose native objects the environment names.

The scenario's topics hold on both sides, whatever the brokers are: what is read comes under the topic that it was
published to, and the topic that the route makes is that of the scenario (``harness.brokers.directions``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from crep.enrichment.config import BridgeFile, DeadLetters, Destination, Place
from crep.enrichment.load import Bridge
from crep.enrichment.log import Log
from crep.enrichment.service import BridgeService
from crep.harness.brokers.directions import DEAD_TOPIC, FROM, TO, Directions
from crep.harness.brokers.streams import SinkSpec, SourceSpec
from crep.harness.config.errors import UsageError
from crep.harness.config.suggest import nearest

_FROM, _TO, _DEAD = "from", "to", "dead"


@dataclass(frozen=True)
class Placement:
    """Where a route reads, where it writes, and the native topic of what it gives up, on the side where it writes."""

    source: Directions
    sink: Directions
    dead_topic: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Placement:
        """What the variables say.

        Raises:
            UsageError: one is not set.
        """
        if DEAD_TOPIC not in environment:
            raise UsageError(f"the environment variable {DEAD_TOPIC} is not set", hint="a run of crep sets it")
        return cls(Directions.read(FROM, environment), Directions.read(TO, environment), environment[DEAD_TOPIC])


def _only(file: BridgeFile) -> str:
    if len(file.routes) > 1:
        raise UsageError(f"bridge {file.bridge} has several routes, so name one of them: {', '.join(file.routes)}")
    return next(iter(file.routes))


def placed(file: BridgeFile, route: str, placement: Placement) -> BridgeFile:
    """The bridge with that route alone (empty: the only one), between the placement's objects.

    Raises:
        UsageError: there is no such route, or it cannot be placed.
    """
    route = route or _only(file)
    written = file.routes.get(route)
    if written is None:
        raise UsageError(f"bridge {file.bridge} has no route {route!r}{nearest(route, file.routes)}")
    if written.exactly_once:
        raise UsageError(
            f"route {route!r} is exactly-once, within one cluster: in a scenario it has to be at-least-once"
        )
    source = placement.source
    here = Place(
        site=_FROM,
        queue=source.queue,
        topic=source.topic,
        group=source.group,
        topic_header=source.topic_header,
        settings=written.from_.settings,
    )
    changed = {
        "from_": here,
        "to": written.to.model_copy(update={"site": _TO}),
        "dead_letters": DeadLetters(site=_DEAD, topic=placement.dead_topic),
    }
    sites = {
        _FROM: file.sites[written.from_.site].model_copy(update={"target": None, "vpn": None}),
        _TO: file.sites[written.to.site].model_copy(update={"target": None, "vpn": None}),
        _DEAD: file.sites[written.to.site].model_copy(update={"target": None, "vpn": None}),
    }
    return file.model_copy(
        update={"sites": sites, "routes": {route: written.model_copy(update=changed)}, "examples": []}
    )


class PlacedBridge(BridgeService):
    """A bridge whose file is ``placed``."""

    def __init__(self, bridge: Bridge, placement: Placement, instance: str, log: Log) -> None:
        self._placement = placement
        source, sink = placement.source.endpoint, placement.sink.endpoint
        super().__init__(bridge, {_FROM: source, _TO: sink, _DEAD: sink}, instance, log)

    def _source_spec(self, name: str, place: Place) -> SourceSpec:
        spec = super()._source_spec(name, place)
        return replace(spec, topic_prefix=self._placement.source.topic_prefix or "")

    def _sink_spec(self, name: str, role: str, to: Destination) -> SinkSpec:
        sink = self._placement.sink
        return replace(
            super()._sink_spec(name, role, to),
            topic=sink.topic,
            topic_header=sink.topic_header,
            topic_prefix=sink.topic_prefix or "",
        )
