"""How fast the same publishers are against a server that does nothing (METHOD rule 8).

The run's own publishing clients, with their settings, sizes, carrier and guarantee, all of them at once, are let loose
without a schedule for two seconds; what is acknowledged (or, without acknowledgement, sent) in the second one is their
ceiling on this machine. It is kept in a file, so that the same clients on the same machine are measured once, also by a
later crep whose engines are the same (``engine_digest``)::

    <cache>/ceilings/<digest of machine, engines, client library and settings>.json
"""

from __future__ import annotations

import hashlib
import json
import queue
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import crep
from crep.harness import processes
from crep.harness.brokers.contract import Endpoint
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.load.engines import EngineFailed, Engines, PublisherTask, Window
from crep.harness.load.stamp import Carrier
from crep.harness.scenario.defects import Defects
from crep.harness.scenario.profile import Profile, hold

WORTH_MEASURING_PER_S = 5_000.0
"""Messages per second of one client below which it is far from any ceiling: nothing is measured there."""
BOUND = 0.7
"""Share of the ceiling above which the client, and not the broker, may be what is measured."""
SYSTEMS = ("kafka", "solace")
"""Those that have a no-op server."""
_FLAT_OUT_PER_S = 10_000_000.0  # nobody reaches it: everything is soon due, and the schedule is then no more work
_FASTEST_PER_S = 1_500_000.0  # of one client; the schedule holds so many
_WARM_UP_S, _MEASURED_S = 1.0, 1
_READY_WITHIN_S = 20.0
_LAST_WORDS_S = 0.5  # windows are told once a second
_QUEUE_KB, _QUEUE_MESSAGES = 32 << 10, 4
"""Of messages under way: kilobytes, and messages of the largest size, whichever is more. Against a server that answers
at once more make nothing faster, and a client without a schedule fills whatever it may."""
_QUEUE_LIMIT = "queue.buffering.max.kbytes"
_ENGINE_SOURCES = ("harness/brokers", "harness/load", "harness/metrics", "harness/scenario", "solace_emulator/smf")
"""What an engine runs, and the no-op servers."""


@dataclass(frozen=True)
class Ceiling:
    """Messages per second of so many publishing clients together, against the no-op server."""

    per_s: float
    clients: int


def identity(tasks: Sequence[PublisherTask], carrier: Carrier, about: Mapping[str, str]) -> str:
    """What decides a ceiling, as a file name.

    Args:
        tasks: the publishing clients.
        carrier: where the stamp travels.
        about: the machine, and the versions of engines (``engine_digest``) and client library.
    """
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
    text = json.dumps([dict(sorted(about.items())), carrier, clients], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def engine_digest(package: Path = Path(crep.__file__).parent) -> str:
    """Of the sources that decide how fast an engine is: it changes with them, and not with each commit."""
    digest = hashlib.sha256()
    for folder in _ENGINE_SOURCES:
        root = (package / folder).resolve()
        for file in sorted(root.rglob("*.py")):
            digest.update(f"{folder}/{file.relative_to(root)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def ceiling(tasks: Sequence[PublisherTask], carrier: Carrier, about: Mapping[str, str], cache: Path) -> Ceiling | None:
    """The publishers' ceiling, from the cache or measured now; None where there is no no-op server for their system.

    Raises:
        EnvironmentFailure: the no-op server or the clients do not start, or nothing went through.
    """
    systems = {task.spec.endpoint.system for task in tasks}
    if len(systems) != 1 or not systems <= set(SYSTEMS):
        return None
    file = cache / "ceilings" / f"{identity(tasks, carrier, about)}.json"
    try:
        return Ceiling(**json.loads(file.read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError):
        pass  # not measured yet, or a file that was cut off: measured anew
    found = Ceiling(measure(tasks, carrier), len(tasks))
    _keep(file, found)
    return found


def _keep(file: Path, found: Ceiling) -> None:
    part = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(found.__dict__), encoding="ascii")
        part.replace(file)
    except OSError as error:
        raise EnvironmentFailure(
            f"the ceiling of the clients cannot be kept in {file.parent}: {error.strerror}",
            hint="make room, or name another cache folder with XDG_CACHE_HOME=DIR",
        ) from error


def measure(tasks: Sequence[PublisherTask], carrier: Carrier) -> float:
    """Messages per second of all the publishers together. Raises like ``ceiling``."""
    system = tasks[0].spec.endpoint.system
    with no_op_server(_server_of(tasks)) as said, TemporaryDirectory(prefix="crep-ceiling-") as folder:
        loose = [_let_loose(task, said) for task in tasks]
        engines = Engines(
            publishers=loose,
            subscribers=[],
            run_number=0,
            folder=Path(folder),
            carrier=carrier,
            keep_records=False,
        )
        try:
            engines.start(_READY_WITHIN_S)
            count = _count(engines, "acknowledged" if tasks[0].spec.guaranteed else "sent")
        finally:
            engines.kill()
    if not count:
        raise EnvironmentFailure(f"the {system} clients got nothing through to the server that does nothing")
    return count / _MEASURED_S


def _server_of(tasks: Sequence[PublisherTask]) -> list[str]:
    """Arguments of Python that start the no-op server for these clients."""
    if tasks[0].spec.endpoint.system == "kafka":
        return ["-m", "crep.harness.load.ceiling.kafka", *sorted({str(task.spec.objects["topic"]) for task in tasks})]
    return ["-m", "crep.harness.load.ceiling.smf"]


def _let_loose(task: PublisherTask, said: Mapping[str, Any]) -> PublisherTask:
    """The same client at the no-op server, without login and encryption, which that has not, and far behind time."""
    old = task.spec.endpoint
    endpoint = Endpoint(old.system, old.target, bootstrap=said.get("bootstrap"), smf=said.get("smf"), vpn=old.vpn)
    messages = _FASTEST_PER_S * (_WARM_UP_S + _MEASURED_S) * task.plan.of
    profile = Profile(tuple(hold(_FLAT_OUT_PER_S, messages / _FLAT_OUT_PER_S)))
    settings = dict(task.spec.settings)
    if old.system == "kafka":
        most_kb = max(_QUEUE_KB, _QUEUE_MESSAGES * (task.plan.sizes.largest // 1024 + 1))
        settings[_QUEUE_LIMIT] = min(most_kb, int(settings.get(_QUEUE_LIMIT, most_kb)))
    plan = replace(task.plan, profile=profile, defects=Defects())
    return PublisherTask(plan, replace(task.spec, endpoint=endpoint, settings=settings))


def _count(engines: Engines, counter: str) -> int:
    """What went through in the measured seconds; the first second is warm-up."""
    start_ns = time.monotonic_ns()
    engines.go(start_ns)
    end_s = _WARM_UP_S + _MEASURED_S
    deadline_s = start_ns / 1e9 + end_s + _LAST_WORDS_S
    count, waited_for = 0, {client.name for client in engines.clients}
    while waited_for and (left := deadline_s - time.monotonic()) > 0:
        for said in engines.take(left):
            if isinstance(said, EngineFailed):
                raise EnvironmentFailure(f"{said.client} failed against the server that does nothing: {said.reason}")
            if isinstance(said, Window):
                if _WARM_UP_S <= said.second < end_s:
                    count += said.counters.get(counter, 0)
                if said.second >= end_s:  # seconds are told in their order
                    waited_for.discard(said.client)
    return count


@contextmanager
def no_op_server(arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A no-op server in a process of its own; what it said when it was ready."""
    child = processes.spawn([sys.executable, *arguments], stdin=processes.PIPE, stdout=processes.PIPE)
    first: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    out = child.stdout
    assert out is not None  # noqa: S101 - asked for above
    threading.Thread(target=lambda: first.put(out.readline()), name="no-op server", daemon=True).start()
    try:
        said = json.loads(first.get(timeout=_READY_WITHIN_S) or b"null")
        if not said:
            raise EnvironmentFailure("the server that does nothing ended at once")
        yield said
    except queue.Empty:
        raise EnvironmentFailure("the server that does nothing does not get ready") from None
    finally:
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
