"""What master and worker say to each other through their endpoints.

===========  =======================================  ===============================================================
direction    message                                  meaning
===========  =======================================  ===============================================================
to master    ``{"hello": {name, version, host}}``     I would like to work
to worker    ``{"welcome": name}``                    you do, under this name
to worker    ``{"refused": reason}``                  you do not, and end
to worker    ``{"prepare": {tasks, ahead_ns, …}}``    start these engines; tasks carry passwords (docs/workers.md)
to master    ``{"ready": {client: settings}}``        all are connected
to master    ``{"unable": reason, "broker": bool}``   they are not, and have been ended
to worker    ``{"go": t0_ns}``                        the first measured message is due then, by the master's clock
to worker    ``{"stop": true}``                       publishers: an early end
to worker    ``{"pause": [channel, readers]}``        these readers receive nothing until ``resume``
to worker    ``{"crash": [client]}``                  act on these, as far as they are yours; likewise ``freeze``,
                                                      ``thaw``, ``begin``, ``leave``, and ``slow`` ([clients, ns])
to master    ``{"states": {client: state}}``          how my clients are, where that has changed
to master    ``{"window": …, "client": …}``           as an engine says it; likewise ``note``, ``done``, ``failed``
to master    ``{"records": file, "first": n}``        body: records, or marks; ``{"arrived": true}`` gives credit back
to worker    ``{"finish": seconds}``                  close what still runs
to worker    ``{"kill": true}``                       end all engines at once
to master    ``{"ended": true}``                      all engines have ended, all records are sent
to master    ``{"broken": reason}``                   this worker cannot go on
===========  =======================================  ===============================================================

Each message to the master carries ``n``, counted from 0: one that is lost is noticed.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from crep.harness.load.contract import Said
from crep.harness.load.protocol import (
    Client,
    ClientNote,
    EngineFailed,
    PublisherDone,
    Window,
    window_from_json,
    window_to_json,
)
from crep.harness.metrics.histogram import Histogram

Message = dict[str, Any]


def to_message(said: Said, ahead_ns: int) -> Message:
    """What an engine said, with times of the clock that ours is ahead of by so much."""
    if isinstance(said, Window):
        histograms = {name: Histogram.from_sparse(*sparse) for name, sparse in said.histograms.items()}
        client = Client(said.client, said.role, said.channel, said.reader, said.publisher, said.member)
        return {"window": window_to_json(said.second, said.counters, histograms, said.told_s), "client": asdict(client)}
    if isinstance(said, ClientNote):
        return {"note": asdict(said) | {"at_ns": said.at_ns - ahead_ns}}
    return {"done" if isinstance(said, PublisherDone) else "failed": asdict(said)}


def from_message(message: Message) -> Said | None:
    """What an engine said; None where the message is about something else."""
    if "window" in message:
        return window_from_json(message["window"], Client(**message["client"]))
    if "note" in message:
        return ClientNote(**message["note"])
    if "done" in message:
        return PublisherDone(**message["done"])
    return EngineFailed(**message["failed"]) if "failed" in message else None
