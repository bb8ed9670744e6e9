"""What cannot be combined where a service fills a channel from another one, and what its transform comes to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crep.harness.config.suggest import nearest
from crep.harness.config.yaml import Loc, Problem
from crep.harness.scenario.model import Definition, Via
from crep.harness.scenario.topics import named_levels, renamed, selection

READER = "via-"
"""Before the name of the channel that it fills: what a service is called as a reader of the channel that it takes."""


@dataclass(frozen=True)
class Forwarding:
    """For each topic of the channel that a service takes: the topic that its messages go out under, and whether."""

    topics: tuple[str, ...]
    kept: NDArray[np.bool_]


def forwarding(via: Via, definition: Definition) -> Forwarding:
    """What is declared of a service. Raises ValueError where its topic rule makes no sense."""
    source = definition.channels[via.from_]
    topics = source.concrete_topics
    kept = selection(via.keeps, topics)
    if via.topic is None:
        return Forwarding(topics, kept)
    levels = [named for template in source.templates for named in named_levels(template)]
    return Forwarding(tuple(renamed(via.topic, named) for named in levels), kept)


def via_problems(definition: Definition) -> list[Problem]:
    """Every such combination that makes no sense."""
    return [
        problem
        for name, channel in definition.channels.items()
        if channel.via is not None
        for problem in _via(channel.via, definition, ("channels", name))
    ]


def _via(via: Via, definition: Definition, loc: Loc) -> Iterator[Problem]:
    here: Loc = (*loc, "via")
    source = definition.channels.get(via.from_)
    if source is None:
        text = f"there is no channel {via.from_!r}{nearest(via.from_, definition.channels)}"
        yield Problem((*here, "from"), text)
        return
    if source.via is not None:
        text = f"channel {via.from_!r} is filled by a service itself; take from the channel that publishers send to"
        yield Problem((*here, "from"), text)
        return
    try:
        kept = forwarding(via, definition).kept
    except ValueError as error:
        yield Problem((*here, "topic"), str(error))
        return
    if not kept.any():
        text = f"{via.keeps!r} selects none of the topics of {via.from_!r}, for example {source.concrete_topics[0]!r}"
        yield Problem((*here, "keeps"), text)
    files = {load.message.file for load in definition.load if load.to == via.from_}
    if len(files) > 1:
        text = f"load entries of channel {via.from_!r} have different documents, or some have none: behind the service"
        yield Problem((*here, "from"), f"{text} nobody could tell which of them a message had")
    for entry, load in enumerate(definition.load):
        if load.to == via.from_ and load.message.ttl is not None:
            text = f"a service stands behind channel {via.from_!r}: what it has taken expires no more; take out 'ttl'"
            yield Problem(("load", entry, "message", "ttl"), text)
