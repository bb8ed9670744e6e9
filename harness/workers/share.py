"""Which worker carries out which task. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from crep.harness.load.protocol import Client, PublisherTask, SubscriberTask

Task = PublisherTask | SubscriberTask


def shares(
    publishers: Sequence[PublisherTask], subscribers: Sequence[SubscriberTask], workers: int
) -> list[list[Task]]:
    """Each worker's tasks, dealt in turn, publishers first: no worker has two more than another, nor two publishers."""
    deck: list[Task] = [*publishers, *subscribers]
    return [deck[worker::workers] for worker in range(workers)]


def crossing(clients: Sequence[Client], worker_of: dict[str, str]) -> dict[str, set[str]]:
    """Reader → the workers whose clocks its latency is measured with, where those are several.

    Args:
        clients: every client of the run.
        worker_of: client name → worker.
    """
    found: dict[str, set[str]] = {}
    for reader in {(one.channel, one.reader) for one in clients if one.reader is not None}:
        senders = {worker_of[one.name] for one in clients if one.publisher is not None and one.channel == reader[0]}
        members = {worker_of[one.name] for one in clients if (one.channel, one.reader) == reader}
        if any(sender != member for sender in senders for member in members):
            found[f"{reader[0]}.{reader[1]}"] = senders | members
    return dict(sorted(found.items()))
