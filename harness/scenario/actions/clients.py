"""Actions on publishing and receiving clients."""

from __future__ import annotations

from typing import Annotated, Literal

from crep.harness.config.units import PositiveDuration
from crep.harness.scenario.actions.base import OnReader
from crep.harness.scenario.parts import NOT_YET, Count


class PauseReader(OnReader):
    """Let all members of a reader stop reading, and go on later: a backlog builds and is drained under load."""

    do: Literal["pause-reader"]
    resume_after: PositiveDuration

    HEAL_KEY = "resume_after"
    ENDS = "the reader would go on"
    STILL = "the reader that was paused at {at} still stands then"
    EXCLUSIVE = "reading"

    @property
    def heal_after_s(self) -> float:
        """Until they read again."""
        return self.resume_after


class Scale(OnReader):
    """Change the number of a reader's members."""

    do: Annotated[Literal["scale"], NOT_YET]
    to: Count
