"""The player: sends what a job selects, at its pace, and keeps the books so that a kill costs nothing but repetition.

The life of a message::

    archive → read ahead → due → reserved in the checkpoint → handed to the sink → outcome → settled → recorded

*Acknowledged* and *rejected* are final. *Unknown* (the broker gave no outcome before the client library gave up) is
sent again, once everything under way has an outcome, in the order of the archive; as it may have arrived, it counts as
maybe doubled. Nothing else is ever sent twice by one run. Order is kept for each key, with one exception that no client
can avoid: a message that is sent again after an unknown outcome stands behind those that overtook it meanwhile.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from crep.harness.brokers.contract import Message, Outcome
from crep.harness.brokers.streams import Sent, Sink
from crep.harness.config.errors import CrepError, EnvironmentFailure, UsageError
from crep.replay.ahead import Ahead
from crep.replay.checkpoint import Checkpoint, Kept, Recorded, Settled, count_reason, rejection_line
from crep.replay.control import Control, Progress, State
from crep.replay.job import Job
from crep.replay.ledger import Ledger
from crep.replay.marking import marked
from crep.replay.pacing import Schedule
from crep.replay.remap import Remapping, Rule
from crep.replay.selection import Reader, Selection, Summary, Times
from crep.replay.stored import COLUMNS, Row, Stored, from_row

PATIENCE_S = 300.0
"""How long a broker may take nothing before a replay fails."""

_BURST = 100  # messages between two looks at outcomes and orders
_LOOK_S = 0.02
_CLOSE_S = 0.002  # within it a due time is slept for, as waiting for outcomes is not that exact
_RECORD_S = 0.2
_TELL_S = 0.1
_RATE_S = 2.0
_DRAIN_S = 10.0
_MOST_ATTEMPTS = 3
_NS = 1_000_000_000
_SEQUENCE, _CAPTURED, _STORED = (COLUMNS.index(name) for name in ("sequence", "captured_us", "stored_ms"))

OnSent = Callable[[Stored, int], None]
"""Called with each message that was handed over, and when (CLOCK_MONOTONIC ns)."""


def selection_of(job: Job, times: Times) -> Selection:
    """What a job selects, as the archive is asked for it."""
    select, timed = job.select, times != "none"  # else the broker has seen to it
    return Selection(
        from_us=_micro(select.begin) if timed else None,
        until_us=_micro(select.until) if timed else None,
        topic=select.topic,
        key=select.key,
        properties=tuple(select.properties.items()),
        payload=select.payload,
        limit=select.limit,
        times=times,
    )


def planned(job: Job, reader: Reader, times: Times) -> Summary:
    """What a job selects; nothing is sent. Topics are those that it will be sent to."""
    summary = reader.summary(selection_of(job, times))
    remapping = Remapping([Rule(one.topic, one.to) for one in job.remap])
    topics: dict[str, int] = {}
    for topic, count in summary.topics:
        new = job.to.topic or remapping(topic)
        topics[new] = topics.get(new, 0) + count
    return replace(summary, topics=tuple(sorted(topics.items(), key=lambda one: (-one[1], one[0]))))


def _micro(time_of: datetime | None) -> int | None:
    return None if time_of is None else round(time_of.timestamp() * 1_000_000)


class Player:
    """One run of one replay. ``run`` is called once; ``progress`` by any thread.

    Args:
        job: what is to be done.
        reader: the archive.
        sink: where to; not open. It is closed by ``run``.
        checkpoint: of this replay.
        times: which time of a message counts.
        sent: is told of each message that was handed over.
        patience_s: how long the broker may take nothing.
    """

    def __init__(
        self,
        job: Job,
        reader: Reader,
        sink: Sink,
        checkpoint: Checkpoint,
        *,
        times: Times = "captured",
        sent: OnSent = lambda _stored, _at_ns: None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._job, self._reader, self._sink, self._checkpoint = job, reader, sink, checkpoint
        self._times: Times = times
        self._told, self._patience_s = sent, patience_s
        self._remapping = Remapping([Rule(one.topic, one.to) for one in job.remap])
        self._schedule = Schedule(job.pace)
        self._under_way: dict[int, Row] = {}
        self._again: deque[Row] = deque()  # their outcome was unknown
        self._attempts = 0
        self._stuck = False  # the sink takes nothing now
        self._settled = Settled()
        self._lines: list[bytes] = []
        self._sent = self._taken = self._reserved_before = self._unrecorded = 0
        self._recorded_s = self._moved_s = self._told_s = 0.0
        self._rates: deque[tuple[float, int]] = deque()
        self._position_us: int | None = None
        self._books: Recorded | None = checkpoint.durable
        self._progress = Progress("waiting", None, 0, 0, 0, 0, 0, 0, None, None, None, 0.0, str(job.pace))
        if self._books is not None:
            self._tell("waiting")

    def progress(self) -> Progress:
        """How it stands; a tenth of a second old at most while it runs."""
        return self._progress

    def plan(self) -> Summary:
        """See ``planned``."""
        return planned(self._job, self._reader, self._times)

    # -- a run

    def run(self, control: Control) -> Ledger:
        """Send until all is settled or ``control`` ends it. A replay that is done already sends nothing.

        Raises:
            UsageError: the replay id belongs to another job, or was cancelled; a message has no time to be paced by.
            EnvironmentFailure: broker, archive or checkpoint fail; the same id goes on later.
        """
        try:
            books = self._known()
            if books.state == "done":
                return self._end("done")
            self._sink.open()  # before anything is written down: where it cannot, the id stays free
            try:
                self._begin(books)
                return self._play_and_keep(control)
            finally:
                self._sink.close()
        except BaseException as error:
            self._tell("failed", str(error))
            raise

    def _play_and_keep(self, control: Control) -> Ledger:
        try:
            return self._play(control)
        except CrepError:
            self._keep()
            raise

    def _keep(self) -> None:
        """What failed is told by whoever calls: here what is settled is recorded, if that can be done."""
        self._update_last()
        with suppress(EnvironmentFailure):  # the disk itself is what failed, or it fails too: a kill would do no less
            self._checkpoint.save(self._now(), self._lines)

    def _known(self) -> Recorded:
        """The books as they are before this run."""
        known, job = self._checkpoint.durable, self._job.identity(self._reader.manifest.id)
        if known is None:
            plan = self.plan()
            if plan.without_time and (self._job.pace.speed is not None):
                raise UsageError(
                    f"{plan.without_time} messages have no time of the broker's to be paced by",
                    hint="choose a pace such as 2000/s or 'fastest', or the time of capture",
                )
            known = Recorded(job, plan.count, plan.first_us, plan.last_us, plan.end_sequence)
        self._require_same(known, job)
        self._books = known
        if known.state == "cancelled":
            raise UsageError(f"replay {self._job.id!r} was cancelled", hint="give another id to begin anew")
        return known

    def _begin(self, known: Recorded) -> None:
        self._settled = Settled(known.upto, known.beyond_sequences())
        self._taken = known.to_upto()
        self._reserved_before = known.reserved
        known = replace(known, runs=known.runs + 1, reserved=max(known.reserved, self._taken + self._job.window))
        self._books = known
        self._checkpoint.begin(known)

    def _require_same(self, known: Recorded, job: dict[str, Any]) -> None:
        other = sorted(name for name in {*known.job, *job} if known.job.get(name) != job.get(name))
        if other:
            raise UsageError(
                f"replay id {self._job.id!r} belongs to another replay: {', '.join(other)} differ",
                hint="give another id; the same one only goes on with the same replay",
            )

    def _play(self, control: Control) -> Ledger:
        books = self._now()
        here = replace(
            selection_of(self._job, self._times),
            after_sequence=books.upto,
            until_sequence=books.until_sequence,
            limit=None,  # that is what ``until_sequence`` comes from
        )
        self._moved_s = self._recorded_s = time.monotonic()
        with Ahead(self._reader.rows(here)) as ahead:
            while not control.ending:
                self._take(self._sink.poll(0))
                self._look_after(control)
                if control.paused:
                    self._pause(control)
                elif self._again and not self._under_way:
                    self._send_again(control)
                elif ahead.exhausted and not self._under_way and not self._again:
                    break
                else:
                    self._advance(ahead)
        if control.ending:
            self._take(self._sink.drain(_DRAIN_S))
        return self._conclude("cancelled" if control.cancelled else "stopped" if control.ending else "done")

    def _advance(self, ahead: Ahead) -> None:
        """Send what is due, or wait a little."""
        for _ in range(_BURST):
            if self._again:  # first everything under way gets its outcome
                self._wait(_LOOK_S)
                return
            row = ahead.peek()
            if row is None:
                self._wait(_LOOK_S if ahead.exhausted else _CLOSE_S)
                return
            if row[_SEQUENCE] in self._settled:  # by the run before
                self._settled.expect(row[_SEQUENCE])
                self._taken += 1
                ahead.take()
                continue
            now = time.monotonic_ns()
            due = self._schedule.due_ns(self._time_of(row), now)
            if due > now:
                self._idle()
                self._wait((due - now) / _NS)
                return
            if self._taken >= self._durably_reserved() or not self._hand_over(row):
                self._record(at_once=True)
                self._stuck = True
                self._take(self._sink.poll(_CLOSE_S))
                return
            self._schedule.sent(self._time_of(row))
            self._settled.expect(row[_SEQUENCE])
            if self._taken < self._reserved_before:
                self._count_maybe_doubled()
            self._taken += 1
            ahead.take()

    def _durably_reserved(self) -> int:
        durable = self._checkpoint.durable
        return 0 if durable is None else durable.reserved

    def _hand_over(self, row: Row) -> bool:
        stored = from_row(row)
        if not self._sink.send(self._marked(stored), stored.sequence):
            return False
        self._under_way[stored.sequence] = row
        self._sent += 1
        self._stuck, self._moved_s = False, time.monotonic()
        self._position_us = self._time_of(row)
        self._told(stored, time.monotonic_ns())
        return True

    def _marked(self, stored: Stored) -> Message:
        return marked(stored, self._job.id, self._remapping, timed=self._times != "none")

    def _time_of(self, row: Row) -> int:
        if self._times == "captured":
            return int(row[_CAPTURED])
        return int(row[_STORED] or 0) * 1000 if self._times == "broker" else 0

    def _idle(self) -> None:
        """Nothing is asked of the broker now: its patience begins anew."""
        if not self._under_way:
            self._moved_s = time.monotonic()

    def _send_again(self, control: Control) -> None:
        """Everything has an outcome, and that of some was unknown: these first, in their order."""
        self._attempts += 1
        if self._attempts > _MOST_ATTEMPTS:
            raise EnvironmentFailure(
                f"the broker gave no outcome of {len(self._again)} messages, {_MOST_ATTEMPTS} times in turn",
                hint="look at the broker; the same replay id goes on",
            )
        waiting = deque(sorted(self._again, key=lambda row: int(row[_SEQUENCE])))
        self._again.clear()
        deadline = time.monotonic() + self._patience_s
        while waiting and time.monotonic() < deadline and not control.ending:
            if self._hand_over(waiting[0]):
                self._count_maybe_doubled()
                waiting.popleft()
            else:
                self._take(self._sink.poll(_CLOSE_S))
        self._again.extend(waiting)

    def _count_maybe_doubled(self) -> None:
        self._books = replace(self._now(), maybe_doubled=self._now().maybe_doubled + 1)

    # -- outcomes and books

    def _take(self, outcomes: list[Sent]) -> None:
        acknowledged = rejected = 0
        for one in outcomes:
            row = self._under_way.pop(one.token)
            if one.outcome is Outcome.ACKNOWLEDGED:
                acknowledged += 1
            elif one.outcome is Outcome.REJECTED:
                rejected += 1
                reason = one.reason or "no reason given"
                stored = from_row(row)
                count_reason(self._now().reasons, reason)
                self._lines.append(rejection_line(one.token, self._remapping(stored.message.topic), reason))
            else:
                self._again.append(row)
                continue
            self._settled.settle(one.token)
        if acknowledged or rejected:
            self._attempts = 0
            self._unrecorded += acknowledged + rejected
            books = self._now()
            self._books = replace(
                books, acknowledged=books.acknowledged + acknowledged, rejected=books.rejected + rejected
            )
        if outcomes:
            self._moved_s = time.monotonic()

    def _now(self) -> Recorded:
        if self._books is None:
            raise ValueError("the replay has not begun")
        return self._books

    def _look_after(self, control: Control) -> None:
        now = time.monotonic()
        pace = control.take_pace()
        if pace is not None:
            self._schedule.change(pace, time.monotonic_ns())
        if not control.paused:
            self._schedule.resume(time.monotonic_ns())
        if self._unrecorded * 4 >= self._job.window or now - self._recorded_s >= _RECORD_S:
            self._record()
        if now - self._told_s >= _TELL_S:
            self._tell("paused" if control.paused else "running")
        waits = bool(self._under_way or self._again or self._stuck)
        if waits and now - self._moved_s > self._patience_s:
            raise EnvironmentFailure(
                f"the broker has taken nothing for {self._patience_s:.0f} s: {len(self._under_way)} messages wait",
                hint="look at the broker; the same replay id goes on",
            )

    def _record(self, *, at_once: bool = False) -> None:
        """Let the checkpoint follow; nobody waits for it."""
        now = time.monotonic()
        if self._unrecorded == 0 or (at_once and now - self._recorded_s < _CLOSE_S):
            return
        self._update()
        self._checkpoint.save_soon(self._now(), self._lines)
        self._lines, self._unrecorded, self._recorded_s = [], 0, now

    def _update(self) -> None:
        """Bring the places in the books up to date with what is settled."""
        books = self._now()
        books = replace(books, upto=self._settled.upto, beyond=self._settled.runs_beyond(), reasons=dict(books.reasons))
        self._books = replace(books, reserved=max(books.reserved, books.to_upto() + self._job.window))

    def _update_last(self) -> None:
        """The same at the end of a run, when it is known what was sent: nothing else is reserved any more."""
        self._update()
        self._books = replace(self._now(), reserved=max(self._taken, self._reserved_before))

    def _pause(self, control: Control) -> None:
        self._schedule.pause(time.monotonic_ns())
        self._idle()
        control.wait(_LOOK_S)

    def _wait(self, seconds: float) -> None:
        """For the next due time, or for outcomes, whichever comes first."""
        if seconds <= _CLOSE_S:
            time.sleep(seconds)
        else:
            self._take(self._sink.poll(min(seconds - _CLOSE_S, _LOOK_S)))

    # -- the end, and what others see

    def _conclude(self, state: State) -> Ledger:
        self._update_last()
        kept: Kept = "done" if state == "done" else "cancelled" if state == "cancelled" else "open"
        self._books = replace(self._now(), state=kept)
        self._checkpoint.save(self._now(), self._lines)
        self._lines, self._unrecorded = [], 0
        return self._end(state)

    def _end(self, state: State) -> Ledger:
        self._tell(state)
        books, seen = self._now(), self._progress
        return Ledger(
            self._job.id,
            state,
            books.selected,
            books.acknowledged,
            books.rejected,
            seen.removed,
            books.maybe_doubled,
            books.runs,
            dict(books.reasons),
        )

    def _tell(self, state: State, reason: str | None = None) -> None:
        now, books = time.monotonic(), self._books
        self._told_s = now
        if books is None:
            self._progress = replace(self._progress, state=state, reason=reason)
            return
        self._rates.append((now, books.settled))
        while len(self._rates) > 2 and now - self._rates[0][0] > _RATE_S:
            self._rates.popleft()
        (since, before), span = self._rates[0], now - self._rates[0][0]
        self._progress = Progress(
            state,
            books.selected,
            self._sent,
            books.acknowledged,
            books.rejected,
            books.selected - books.settled if state == "done" else 0,
            len(self._under_way) + len(self._again),
            books.maybe_doubled,
            self._position_us,
            books.first_us,
            books.last_us,
            (books.settled - before) / span if span > 0 and since < now else 0.0,
            str(self._schedule.pace),
            reason or next(iter(books.reasons), None),
        )
