"""What a bridge exports: Prometheus text on ``/metrics``, and ``/health`` (200 while every route runs, else 503).

Counters are the ledger's own figures, read when they are asked for: nothing is counted twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crep.enrichment.forwarding import Forwarding
from crep.enrichment.lookups import Lookup
from crep.harness.brokers.contract import BrokerError

_BREAKER = {"closed": 0, "half-open": 1, "open": 2}
_PERCENTILES = (50, 99)
HealthOf = Callable[[], Mapping[str, str]]
"""Route → ``running``, or why it does not run."""


class BridgeCollector(Collector):
    """One look at flows and lookups."""

    def __init__(self, flows: Mapping[str, Forwarding], lookups: Mapping[str, Lookup]) -> None:
        self._flows, self._lookups = flows, lookups

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client."""
        yield from self._counted()
        yield from self._gauges()
        yield from self._lookup_states()

    def _counted(self) -> Iterable[Metric]:
        families = {
            name: CounterMetricFamily(f"crep_bridge_{name}", text, labels=["route"])
            for name, text in (
                ("received", "Messages taken from the source"),
                ("redelivered", "Messages that the broker flagged as redelivered"),
                ("split_extra", "Parts beyond the first that messages were split into"),
                ("acknowledged", "Parts that the sink acknowledged"),
                ("resent", "Parts handed over again because the outcome was unknown"),
                ("given_back", "Messages of aborted transactions (exactly once)"),
            )
        }
        filtered = CounterMetricFamily("crep_bridge_filtered", "Parts filtered, by step", labels=["route", "step"])
        dead = CounterMetricFamily("crep_bridge_dead_lettered", "Dead letters, by step", labels=["route", "step"])
        for route, flow in self._flows.items():
            ledger = flow.state.ledger
            for name, family in families.items():
                family.add_metric([route], ledger[name])
            for step, count in ledger["filtered"].items():
                filtered.add_metric([route, step], count)
            for step, count in ledger["dead_lettered"].items():
                dead.add_metric([route, step], count)
        yield from (*families.values(), filtered, dead)

    def _gauges(self) -> Iterable[Metric]:
        in_flight = GaugeMetricFamily("crep_bridge_in_flight", "Parts taken and not settled", labels=["route"])
        waiting = GaugeMetricFamily("crep_bridge_waiting", "Parts for which the sink has no room", labels=["route"])
        added = GaugeMetricFamily(
            "crep_bridge_added_latency_seconds",
            "From receipt at the source to the sink's acknowledgement, over the latest 10,000 parts",
            labels=["route", "quantile"],
        )
        for route, flow in self._flows.items():
            state = flow.state
            in_flight.add_metric([route], state.in_flight)
            waiting.add_metric([route], state.waiting)
            if samples := list(flow.added_ns):
                for rank, value in zip(_PERCENTILES, np.percentile(samples, _PERCENTILES), strict=True):
                    added.add_metric([route, f"{rank / 100:g}"], float(value) / 1e9)
        yield from (in_flight, waiting, added)

    def _lookup_states(self) -> Iterable[Metric]:
        state = GaugeMetricFamily(
            "crep_bridge_lookup",
            "Counters and states of lookups; breaker: 0 closed, 1 half-open, 2 open",
            labels=["lookup", "what"],
        )
        for name, lookup in self._lookups.items():
            for what, value in lookup.state().items():
                state.add_metric([name, what], _BREAKER[value] if isinstance(value, str) else value)
        yield state


class Endpoint:
    """The HTTP server of metrics and health, on the loopback address unless told otherwise.

    Raises:
        BrokerError: the port is taken.
    """

    def __init__(self, host: str, port: int, collector: Collector, health: HealthOf) -> None:
        registry = CollectorRegistry()
        registry.register(collector)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, "text/plain; version=0.0.4; charset=utf-8", generate_latest(registry))
                elif self.path == "/health":
                    routes = dict(health())
                    well = all(state == "running" for state in routes.values())
                    self._answer(200 if well else 503, "application/json", orjson.dumps({"routes": routes}))
                else:
                    self._answer(404, "text/plain", b"there are /metrics and /health\n")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Requests are not logged."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise BrokerError(f"metrics cannot be offered at {host}:{port}: {error.strerror}") from error
        self.address = f"http://{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
