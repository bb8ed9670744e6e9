"""Actions on what is sent: messages that go wrong on purpose, and stored ones that come again."""

from __future__ import annotations

from typing import Annotated, Literal

from crep.harness.scenario.actions.base import OnReader
from crep.harness.scenario.parts import NOT_YET


class Replay(OnReader):
    """Ask the replay service for stored messages."""

    do: Annotated[Literal["replay"], NOT_YET]
    archive: str
