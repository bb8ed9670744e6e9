"""From a job to a replay that can run: its archive, its sink by the name of a target, its checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from crep.harness.brokers.contract import Endpoint
from crep.harness.brokers.registry import adapter
from crep.harness.brokers.streams import Sink, SinkSpec
from crep.harness.config.errors import CrepError, Interrupted, UsageError
from crep.replay.checkpoint import Checkpoint
from crep.replay.control import Control, Progress, State
from crep.replay.job import Destination, Job
from crep.replay.ledger import Ledger
from crep.replay.native import Fetched, fetch, origin_endpoint
from crep.replay.player import OnSent, Player, planned
from crep.replay.selection import Reader, Summary, Times

Reach = Callable[[str], Endpoint]
"""Target → where its broker is. Raises CrepError."""

STATE_FOLDER = ".replays"
_KAFKA_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
_MOST_NAMED = 3


def replay_folder(root: Path, replay_id: str) -> Path:
    """Where the checkpoint of a replay lies, beside the archives in ``root``."""
    return root / STATE_FOLDER / replay_id


class Replay:
    """A replay that is ready to run. A context manager; made by ``open_replay``."""

    def __init__(self, job: Job, endpoint: Endpoint, checkpoint: Checkpoint, reach: Reach, sent: OnSent) -> None:
        self._job, self._endpoint, self._checkpoint, self._reach, self._sent = job, endpoint, checkpoint, reach, sent
        self._stack = ExitStack()
        self._player: Player | None = None
        self._before = Progress("waiting", None, 0, 0, 0, 0, 0, 0, None, None, None, 0.0, str(job.pace))
        self._fetching: Fetched | None = None

    def __enter__(self) -> Replay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def progress(self) -> Progress:
        """How it stands; by any thread, at any time."""
        if self._player is not None:
            return self._player.progress()
        fetching = self._fetching
        return self._before if fetching is None else replace(self._before, state="fetching", selected=fetching.stored)

    def plan(self, control: Control | None = None) -> Summary:
        """Dry run: what would be sent, with the topics as they would be; a native replay is read for it.

        Raises:
            CrepError: as ``run``; Interrupted: ``control`` ended it.
        """
        player = self._ready(control or Control())
        if player is None:
            raise Interrupted("interrupted before all was read; the same replay id goes on")
        return player.plan()

    def run(self, control: Control) -> Ledger:
        """See ``Player.run``. A native replay is read first."""
        try:
            player = self._ready(control)
        except CrepError as error:
            self._before = replace(self._before, state="failed", reason=error.message)
            raise
        if player is None:
            state: State = "cancelled" if control.cancelled else "stopped"
            self._before = replace(self._before, state=state)
            return Ledger(self._job.id, state, 0, 0, 0, 0, 0, 0, {})
        return player.run(control)

    def _ready(self, control: Control) -> Player | None:
        """The player; None where ``control`` ended the reading of a native replay."""
        if self._player is not None:
            return self._player
        job = self._job
        times: Times = job.select.times
        if job.origin.archive is None:
            folder = self._checkpoint.folder / "fetched"
            self._fetching = Fetched()
            told = fetch(job, origin_endpoint(job, self._reach), folder, control, self._fetching)
            self._fetching = None
            if told is None:
                return None
            times = told
        else:
            folder = Path(job.origin.archive)
        reader = self._stack.enter_context(Reader(folder))
        topics: tuple[str, ...] = () if job.to.topic is None else (job.to.topic,)
        if self._checkpoint.durable is None and not topics:
            plan = planned(job, reader, times)
            require_names(self._endpoint.system, job.to, plan)
            topics = tuple(topic for topic, _ in plan.topics)
        sink = _sink(job, self._endpoint, topics)
        self._player = Player(job, reader, sink, self._checkpoint, times=times, sent=self._sent)
        return self._player


@contextmanager
def open_replay(
    job: Job, reach: Reach, folder: Path, *, sent: OnSent = lambda _stored, _at_ns: None
) -> Iterator[Replay]:
    """A replay with its checkpoint in ``folder``, which no other process may use meanwhile.

    Args:
        job: what is to be done.
        reach: where targets are.
        folder: see ``replay_folder``.
        sent: is told of each message that was handed over.

    Raises:
        UsageError: the job does not fit its target.
        EnvironmentFailure: the target does not run, or another process runs this replay.
    """
    endpoint = reach(job.to.target)
    if job.to.vpn is not None:
        if endpoint.system != "solace":
            raise UsageError(f"'vpn' is Solace's, and target {job.to.target!r} is {endpoint.system}")
        endpoint = replace(endpoint, vpn=job.to.vpn)
    if job.to.topic is not None and endpoint.system != "kafka":
        raise UsageError(
            f"'topic' (all into one) is Kafka's, and target {job.to.target!r} is {endpoint.system}",
            hint='rename topics by remap, for example {"topic": ">", "to": "replayed/{topic}"}',
        )
    checkpoint = Checkpoint(folder)
    try:
        with Replay(job, endpoint, checkpoint, reach, sent) as replay:
            yield replay
    finally:
        checkpoint.close()


def _sink(job: Job, endpoint: Endpoint, topics: tuple[str, ...]) -> Sink:
    settings: dict[str, Any] = dict(job.to.settings)
    if endpoint.system == "kafka" and job.pace.timed:
        settings = {"linger.ms": 0, **settings}  # waiting for a fuller batch would shift what is sent in time
    return adapter(endpoint.system).sink(
        SinkSpec(
            endpoint,
            f"crep-replay-{job.id}",
            settings,
            topic_header=job.to.topic_header,
            topic=job.to.topic,
            must_exist=topics,
        )
    )


def require_names(system: str, to: Destination, plan: Summary) -> None:
    """Look at every topic that would be sent to.

    Raises:
        UsageError: the broker could not take a name, with what to write instead.
    """
    if system != "kafka" or to.topic is not None:
        return
    bad = [topic for topic, _ in plan.topics if not _KAFKA_NAME.fullmatch(topic)]
    if bad:
        shown = ", ".join(map(repr, bad[:_MOST_NAMED])) + (
            f" and {len(bad) - _MOST_NAMED} more" if bad[_MOST_NAMED:] else ""
        )
        raise UsageError(
            f"these are no names of Kafka topics: {shown}",
            hint="send all to one topic (to: {topic: …, topic_header: crep-topic}), or rename by remap, "
            "for example {topic: orders/*/>, to: 'orders.{1}'}",
        )
