"""What a timeline can do: one class per action, one file per family, and the choice among them.

``base`` says what an action is. Families: ``process`` (brokers), ``clients``, ``operator`` (administration and
resources), ``network``, ``messages``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, get_args

from pydantic import Field

from crep.harness.scenario.actions.base import Action
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
from crep.harness.scenario.actions.network import (
    AddLatency,
    HalfOpenLinks,
    LimitBandwidth,
    Partition,
    RefuseLinks,
    ResetLinks,
    StallLinks,
)
from crep.harness.scenario.actions.operator import (
    BadCertificate,
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
from crep.harness.scenario.actions.services import KillBridge, PauseBridge, StopBridge

TimelineAction = Annotated[
    KillBroker  # process
    | StopBroker
    | PauseBroker
    | RestartBroker
    | RollingRestart
    | Exec
    | KillBridge  # services
    | StopBridge
    | PauseBridge
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
    | BadCertificate
    | AddLatency  # network
    | LimitBandwidth
    | StallLinks
    | ResetLinks
    | RefuseLinks
    | HalfOpenLinks
    | Partition
    | Replay,  # messages
    Field(discriminator="do"),
]
"""An entry of ``timeline:``."""

ACTIONS: Mapping[str, type[Action]] = {
    get_args(kind.model_fields["do"].annotation)[0]: kind for kind in get_args(get_args(TimelineAction)[0])
}
"""Every action by its word."""
