"""What a timeline can do: one class per action, one file per family, and the choice among them.

``base`` says what an action is. Families: ``process`` (brokers), ``clients``, ``operator`` (administration and
resources), ``messages``; ``network`` joins as its actions come.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crep.harness.scenario.actions.clients import (
    ConnectionStorm,
    CrashPublisher,
    CrashReader,
    FreezeReader,
    PauseReader,
    Scale,
    SlowReader,
)
from crep.harness.scenario.actions.messages import Replay
from crep.harness.scenario.actions.operator import (
    DisconnectPublishers,
    DisconnectReader,
    FillDisk,
    LimitQueue,
    RevokePermission,
    ShutQueue,
    ThrottlePublishers,
)
from crep.harness.scenario.actions.process import (
    Exec,
    KillBroker,
    PauseBroker,
    RestartBroker,
    RollingRestart,
    StopBroker,
)

TimelineAction = Annotated[
    KillBroker  # process
    | StopBroker
    | PauseBroker
    | RestartBroker
    | RollingRestart
    | Exec
    | PauseReader  # clients
    | SlowReader
    | FreezeReader
    | CrashReader
    | CrashPublisher
    | Scale
    | ConnectionStorm
    | RevokePermission  # operator
    | LimitQueue
    | ShutQueue
    | ThrottlePublishers
    | DisconnectPublishers
    | DisconnectReader
    | FillDisk
    | Replay,  # messages
    Field(discriminator="do"),
]
"""An entry of ``timeline:``."""
