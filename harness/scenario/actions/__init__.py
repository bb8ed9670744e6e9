"""What a timeline can do: one class per action, one file per family, and the choice among them.

``base`` says what an action is. Families: ``process`` (brokers), ``clients``, ``messages``; ``network`` and
``operator`` join as their actions come.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crep.harness.scenario.actions.clients import PauseReader, Scale
from crep.harness.scenario.actions.messages import Replay
from crep.harness.scenario.actions.process import KillBroker

TimelineAction = Annotated[
    KillBroker  # process
    | PauseReader  # clients
    | Scale
    | Replay,  # messages
    Field(discriminator="do"),
]
"""An entry of ``timeline:``."""
