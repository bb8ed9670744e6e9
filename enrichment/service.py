"""A running bridge: a thread for each route, metrics beside them, and an orderly end.

When one route fails the others are stopped in order too: a bridge runs whole, or says why it does not.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from crep.enrichment.config import Destination, Place, Route
from crep.enrichment.exactly_once import ExactlyOnceFlow
from crep.enrichment.flow import Flow
from crep.enrichment.forwarding import Forwarding
from crep.enrichment.load import Bridge
from crep.enrichment.log import Log
from crep.enrichment.metrics import BridgeCollector
from crep.enrichment.metrics import Endpoint as MetricsEndpoint
from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.registry import adapter, transactions
from crep.harness.brokers.streams import Sink, SinkSpec, Source, SourceSpec
from crep.harness.config.errors import CrepError

DRAIN_WITHIN_S = 60.0
COLLECT_AFTER = 100_000
"""New objects that a collection waits for: more than belong to the messages in flight, which are no garbage and would
be looked at again and again. That took more than a tenth of a message's processor time."""
_LOOK_S = 0.2
_LAST_S = 20.0


class BridgeService:
    """Every route of a bridge.

    Args:
        bridge: checked, and open while this runs.
        endpoints: site → where its broker is.
        instance: tells several processes of one bridge apart in client names.
        log: takes what happens.
    """

    def __init__(self, bridge: Bridge, endpoints: Mapping[str, Endpoint], instance: str, log: Log) -> None:
        self._bridge, self._instance, self._log = bridge, instance, log
        self._endpoints = {
            name: endpoints[name] if site.vpn is None else replace(endpoints[name], vpn=site.vpn)
            for name, site in bridge.file.sites.items()
            if name in endpoints
        }
        self.flows = {name: self._flow(name, route) for name, route in bridge.file.routes.items()}
        self._errors: dict[str, BaseException] = {}
        self._threads: dict[str, threading.Thread] = {}

    def _flow(self, name: str, route: Route) -> Forwarding:
        bridge, pipeline, note = self._bridge.file.bridge, self._bridge.pipelines[name], self._log.of_route(name)
        if route.exactly_once:
            at_once = threading.Event()
            return ExactlyOnceFlow(
                pipeline,
                transactions(
                    self._source_spec(name, route.from_),
                    self._sink_spec(name, "sink", route.to),
                    self._client(name, "sink"),
                    at_once.is_set,
                ),
                dead_topic=route.dead_letters.topic,
                where=(bridge, name),
                workers=route.workers,
                in_flight=route.in_flight,
                deduplicate_s=route.deduplicate,
                note=note,
                at_once=at_once,
            )
        sink = self._sink(self._sink_spec(name, "sink", route.to))
        dead = sink if route.dead_letters.site == route.to.site else self._dead_sink(name, route.dead_letters.site)
        return Flow(
            pipeline,
            self._source(name, route.from_),
            sink,
            dead,
            dead_topic=route.dead_letters.topic,
            where=(bridge, name),
            workers=route.workers,
            in_flight=route.in_flight,
            deduplicate_s=route.deduplicate,
            note=note,
        )

    def _client(self, route: str, role: str) -> str:
        return f"crep-bridge-{self._bridge.file.bridge}-{route}-{role}-{self._instance}"

    def _source_spec(self, name: str, place: Place) -> SourceSpec:
        where = place.topic if place.queue is None else place.queue
        return SourceSpec(
            self._endpoints[place.site],
            self._client(name, "source"),
            (str(where),),
            place.group,
            dict(place.settings),
            self._patience(place.site),
            topic_header=place.topic_header,
        )

    def _sink_spec(self, name: str, role: str, to: Destination) -> SinkSpec:
        return SinkSpec(self._endpoints[to.site], self._client(name, role), dict(to.settings), self._patience(to.site))

    def _patience(self, site: str) -> float:
        return self._bridge.file.sites[site].reconnect

    def _source(self, name: str, place: Place) -> Source:
        return adapter(self._endpoints[place.site].system).source(self._source_spec(name, place))

    def _sink(self, spec: SinkSpec) -> Sink:
        return adapter(spec.endpoint.system).sink(spec)

    def _dead_sink(self, name: str, site: str) -> Sink:
        return self._sink(
            SinkSpec(self._endpoints[site], self._client(name, "dead"), reconnect_for_s=self._patience(site))
        )

    def serve(self, host: str, port: int) -> MetricsEndpoint:
        """Offer metrics and health; port 0 takes a free one."""
        return MetricsEndpoint(host, port, BridgeCollector(self.flows, self._bridge.lookups), self.health)

    def health(self) -> dict[str, str]:
        """Route → ``running``, ``ended``, or why it failed."""
        return {
            name: f"failed: {self._errors[name]}"
            if name in self._errors
            else "running"
            if (thread := self._threads.get(name)) is not None and thread.is_alive()
            else "ended"
            for name in self.flows
        }

    def run(self, stopping: Callable[[], bool], at_once: Callable[[], bool] = lambda: False) -> None:
        """Forward until ``stopping`` says so; then what is under way is settled, within 60 s.

        Raises:
            CrepError: a route failed; the others were stopped in order.
        """
        gc.collect()
        gc.freeze()  # what was loaded lives to the end: collections need not look at it
        gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
        for name, flow in self.flows.items():
            self._threads[name] = threading.Thread(target=self._route, args=(name, flow), name=f"route-{name}")
            self._threads[name].start()
        self._log.write("started", routes=",".join(self.flows), instance=self._instance)
        try:
            while not stopping() and not self._errors and self._alive():
                time.sleep(_LOOK_S)
        finally:
            self._end(at_once)
        for name, flow in self.flows.items():
            self._log.write("stopped", route=name, ledger=flow.ledger.line(flow.state.in_flight))
        for error in self._errors.values():
            raise error

    def _end(self, at_once: Callable[[], bool]) -> None:
        for flow in self.flows.values():
            flow.stop()
        deadline = time.monotonic() + DRAIN_WITHIN_S
        while self._alive() and time.monotonic() < deadline and not at_once():
            time.sleep(_LOOK_S)
        for name, thread in self._threads.items():
            if thread.is_alive():
                self._log.write("not-drained", route=name, hint="what is not settled stays at the source")
                self.flows[name].stop(at_once=True)
        for thread in self._threads.values():
            thread.join(_LAST_S)

    def _alive(self) -> bool:
        return any(thread.is_alive() for thread in self._threads.values())

    def _route(self, name: str, flow: Flow) -> None:
        try:
            flow.run()
        except BaseException as error:  # noqa: BLE001 - raised again by ``run``, on the thread that waits for it
            self._errors[name] = error
            self._log.write("failed", route=name, reason=error.message if isinstance(error, CrepError) else repr(error))

    def ledgers(self) -> dict[str, dict[str, Any]]:
        """Route → its ledger as plain data."""
        return {name: flow.ledger.document(flow.in_flight) for name, flow in self.flows.items()}
