"""Does a bridge do what the scenario declares of it? Tried on messages of the scenario, before anything is started.

The ledger holds what arrives to what is declared, message by message; this finds the plain mistakes before an hour is
spent on them: a route that is not there, a topic rule or a filter that the bridge has and the scenario does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from crep.enrichment.config import HttpLookup
from crep.enrichment.load import Bridge, load_bridge
from crep.enrichment.lookups import LookupFailed
from crep.enrichment.pipeline import Pipeline
from crep.enrichment.record import StepFailed
from crep.harness.brokers.contract import ChannelSpec, Message
from crep.harness.config.errors import UsageError
from crep.harness.config.suggest import nearest
from crep.harness.config.yaml import Problem, parse_yaml, refuse
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.plan import Plan, ServicePlan, plan

MOST_TRIED = 200
"""Keys whose message is tried, each with its topic and its document."""


def check_bridges(scenario: Scenario) -> None:
    """Try every bridge of a scenario.

    Raises:
        UsageError: one is wrong in itself, has no such route, or does something else than the scenario declares.
    """
    made = plan(scenario)
    problems = [
        Problem(("channels", service.channel, "via"), text)
        for service in made.services
        if service.bridge is not None
        for text in _differences(service, made, scenario.folder / service.bridge)
    ]
    if problems:
        path = Path(scenario.file_name)
        refuse(problems, parse_yaml(scenario.text, path)[1], path)


def _differences(service: ServicePlan, made: Plan, path: Path) -> Iterator[str]:
    with load_bridge(path) as bridge:
        route = service.route or next(iter(bridge.file.routes))
        if route not in bridge.file.routes:
            yield f"bridge {bridge.file.bridge} has no route {route!r}{nearest(route, bridge.file.routes)}"
        elif service.route is None and len(bridge.file.routes) > 1:
            yield f"bridge {bridge.file.bridge} has several routes; name one: {', '.join(bridge.file.routes)}"
        elif bridge.file.routes[route].exactly_once:
            yield f"route {route!r} is exactly-once, within one cluster: in a scenario it has to be at-least-once"
        elif not _asks_others(bridge):
            difference = _tried(bridge.pipelines[route], service, made)
            if difference:
                yield f"the bridge does something else than is declared here. {difference}"


def _asks_others(bridge: Bridge) -> bool:
    """A service that a bridge asks is not to be asked for a try."""
    return any(isinstance(lookup, HttpLookup) for lookup in bridge.file.lookups.values())


def _tried(pipeline: Pipeline, service: ServicePlan, made: Plan) -> str | None:
    """The first difference; None where all that was tried went as declared."""
    source, filled = (_spec(made, name) for name in (service.source, service.channel))
    (publisher, *_) = made.feeders_of(service.channel)
    keys = np.arange(min(source.keys, MOST_TRIED), dtype=np.uint32)
    numbers = publisher.assignment.topic_of(keys).tolist()
    documents = publisher.documents
    for key, topic in zip(keys.tolist(), numbers, strict=True):
        body = b"\0" * max(publisher.payload_sizes)
        if documents is not None:
            body = documents.bodies[int(documents.number_of(keys[key : key + 1])[0])]
        declared = f"as {filled.topics[topic]}" if service.kept[topic] else "not at all"
        found = _outcome(pipeline, Message(source.topics[topic], body, key=str(key)))
        if found != declared:
            message = f"A message to {source.topics[topic]} goes on {found}"
            return f"{message}; declared is that it goes on {declared}"
    return None


def _spec(made: Plan, channel: str) -> ChannelSpec:
    return next(spec for specs in made.channels.values() for spec in specs if spec.name == channel)


def _outcome(pipeline: Pipeline, message: Message) -> str:
    """How the message goes on, in words."""
    try:
        processed = pipeline.process(message)
    except StepFailed as failure:
        return f"to the dead letters ({failure.step}: {failure.reason})"
    except LookupFailed as failure:
        raise UsageError(f"a lookup of the bridge does not answer: {failure}") from failure
    topics = [part.topic for part in processed.out]
    if len(topics) > 1:
        return f"as {len(topics)} messages, and there can be one for each"
    return f"as {topics[0]}" if topics else "not at all"
