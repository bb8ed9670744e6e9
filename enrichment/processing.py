"""What happens to a message in its lane, whatever the route's guarantee."""

from __future__ import annotations

from threading import Event

from crep.enrichment.failure import Failure
from crep.enrichment.forwarding import Note
from crep.enrichment.lookups import LookupFailed
from crep.enrichment.part import Part
from crep.enrichment.pipeline import Pipeline
from crep.enrichment.record import StepFailed

RETRY_LOOKUP_S = 0.2


class Processing:
    """Takes a part through the pipeline and puts the result into it.

    A lookup that does not answer holds up its lane, and nothing is lost by waiting: it is asked again until
    ``at_once`` is set, after which the part comes back without a result.
    """

    def __init__(self, pipeline: Pipeline, note: Note, at_once: Event) -> None:
        self._pipeline, self._note, self._at_once = pipeline, note, at_once

    def __call__(self, part: Part) -> Part:
        """Process it."""
        while True:
            try:
                part.result = self._pipeline.forward(part.source)
            except StepFailed as failure:
                part.result = Failure(failure.step, failure.reason)
            except LookupFailed as failure:
                self._note("lookup-failed", part.source, Failure("lookup", str(failure)))
                if not self._at_once.wait(RETRY_LOOKUP_S):
                    continue
            return part
