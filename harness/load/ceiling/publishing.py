"""How fast the same publishers are against a server that does nothing.

The run's own publishing clients, with their settings, sizes, carrier and guarantee, all of them at once and without a
schedule; what counts is what is acknowledged or, without acknowledgement, sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from crep.harness.load.ceiling.cache import Ceiling, kept, name_of
from crep.harness.load.ceiling.measure import LET_LOOSE_S, SYSTEMS, NoOpServer, no_op_server, rate
from crep.harness.load.engines import PublisherTask
from crep.harness.load.stamp import Carrier
from crep.harness.scenario.defects import Defects
from crep.harness.scenario.profile import Profile, hold

_FLAT_OUT_PER_S = 10_000_000.0  # nobody reaches it: everything is soon due, and the schedule is then no more work
_FASTEST_PER_S = 1_500_000.0  # of one client; the schedule holds so many
_LEFT_S = 1.0  # until the last client is ended
_QUEUE_KB, _QUEUE_MESSAGES = 32 << 10, 4
"""Of messages under way: kilobytes, and messages of the largest size, whichever is more. Against a server that answers
at once more make nothing faster, and a client without a schedule fills whatever it may."""
_QUEUE_LIMIT = "queue.buffering.max.kbytes"


def identity(tasks: Sequence[PublisherTask], carrier: Carrier, about: Mapping[str, str]) -> str:
    """What decides a ceiling, as a file name; ``about`` as in ``cache.name_of``."""
    clients = [
        {
            "system": task.spec.endpoint.system,
            "settings": {name: str(value) for name, value in sorted(task.spec.settings.items())},
            "guaranteed": task.spec.guaranteed,
            "sizes": task.plan.sizes.to_json(),
            "topics": len(task.spec.topics),
            "properties": task.spec.properties,
        }
        for task in tasks
    ]
    return name_of(f"publishing, stamp in {carrier}", about, clients)


def ceiling(tasks: Sequence[PublisherTask], carrier: Carrier, about: Mapping[str, str], cache: Path) -> Ceiling | None:
    """The publishers' ceiling, from the cache or measured now; None where there is no no-op server for their system.

    Raises:
        EnvironmentFailure: the no-op server or the clients do not start, or nothing went through.
    """
    systems = {task.spec.endpoint.system for task in tasks}
    if len(systems) != 1 or not systems <= set(SYSTEMS):
        return None
    return kept(cache, identity(tasks, carrier, about), lambda: Ceiling(measure(tasks, carrier), len(tasks)))


def measure(tasks: Sequence[PublisherTask], carrier: Carrier) -> float:
    """Messages per second of all the publishers together. Raises like ``ceiling``."""
    with no_op_server(_server_of(tasks)) as server:
        loose = [let_loose(task, server) for task in tasks]
        return rate(loose, server, carrier, "acknowledged" if tasks[0].spec.guaranteed else "sent")


def _server_of(tasks: Sequence[PublisherTask]) -> list[str]:
    """Arguments of Python that start the no-op server for these clients."""
    if tasks[0].spec.endpoint.system == "kafka":
        objects = [task.spec.objects for task in tasks]
        topics = {str(one["topic"]): {"partitions": int(one["partitions"]), "deliver": None} for one in objects}
        return ["-m", "crep.harness.load.ceiling.kafka", json.dumps(topics)]
    return ["-m", "crep.harness.load.ceiling.smf"]


def let_loose(task: PublisherTask, server: NoOpServer) -> PublisherTask:
    """The same client at the no-op server, and far behind time."""
    messages = _FASTEST_PER_S * (LET_LOOSE_S + _LEFT_S) * task.plan.of
    profile = Profile(tuple(hold(_FLAT_OUT_PER_S, messages / _FLAT_OUT_PER_S)))
    settings = dict(task.spec.settings)
    if task.spec.endpoint.system == "kafka":
        most_kb = max(_QUEUE_KB, _QUEUE_MESSAGES * (task.plan.sizes.largest // 1024 + 1))
        settings[_QUEUE_LIMIT] = min(most_kb, int(settings.get(_QUEUE_LIMIT, most_kb)))
    plan = replace(task.plan, profile=profile, defects=Defects())
    return PublisherTask(plan, replace(task.spec, endpoint=server.endpoint(task.spec.endpoint), settings=settings))
