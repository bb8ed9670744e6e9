"""Changes of jobs as server-sent events (HTML Living Standard, section 9.2).

Each event is the whole job as it is then; its id is the job's revision. A slow reader misses steps in between, but not
the latest state, and nothing is queued for it. ``Last-Event-ID`` says what a reader has seen already.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from crep.replay.service.jobs import Job, JobStore
from crep.replay.service.problems import Problem
from crep.replay.service.states import ENDED

MOST_READERS = 50
_AT_MOST_EVERY_S = 0.2  # a person sees no more, and a page of 1,000 jobs is not drawn more often
_SIGN_OF_LIFE_S = 15.0

WriteJob = Callable[[Job], str]


class Changes:
    """Wakes the readers of event streams; ``notify`` may be called on any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._readers: set[asyncio.Event] = set()
        self.closing = False

    def attach(self) -> None:
        """Take the running loop as the one of the readers."""
        self._loop = asyncio.get_running_loop()

    def notify(self) -> None:
        """Something has changed."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """End every stream: a server that waits for open connections could not stop."""
        self.closing = True
        self.notify()

    def _wake(self) -> None:
        for reader in self._readers:
            reader.set()

    def see_room(self) -> None:
        """Before one more reader.

        Raises:
            Problem: there are too many.
        """
        if len(self._readers) >= MOST_READERS:
            raise Problem(
                429,
                "too-many-streams",
                "Too many event streams are open",
                f"{MOST_READERS} streams are read already",
                hint="close one, or ask for the job now and then",
                headers={"Retry-After": "5"},
            )

    @contextmanager
    def reader(self) -> Iterator[asyncio.Event]:
        """One more reader, in its body; the event is set when something has changed."""
        reader = asyncio.Event()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)


async def events_of(
    store: JobStore, changes: Changes, write: WriteJob, *, seen: int, only: str | None
) -> AsyncIterator[str]:
    """Events until the service stops, or (of one job) until nothing can change any more.

    Args:
        store: of the jobs.
        changes: wakes this.
        write: a job as JSON.
        seen: revision that is known to the reader already.
        only: the one job that is asked for; None: every job.
    """
    with changes.reader() as reader:
        yield "retry: 2000\n\n"
        while not changes.closing:
            reader.clear()
            jobs = await asyncio.to_thread(_jobs, store, seen, only)
            for job in sorted(jobs, key=lambda job: job.revision):
                if job.revision > seen:
                    yield f"id: {job.revision}\nevent: job\ndata: {write(job)}\n\n"
                    seen = job.revision
            if only is not None and all(job.state in ENDED for job in jobs):
                return
            try:
                await asyncio.wait_for(reader.wait(), _SIGN_OF_LIFE_S)
                await asyncio.sleep(_AT_MOST_EVERY_S)
            except TimeoutError:
                yield ": still here\n\n"


def _jobs(store: JobStore, seen: int, only: str | None) -> list[Job]:
    """What has changed; or the one job, changed or not, and nothing where it was forgotten."""
    if only is None:
        return store.all(after=seen)
    try:
        return [store.get(only)]
    except KeyError:
        return []
