"""All claims. A new one is a module and a line here."""

from __future__ import annotations

from soak.administered import (
    DISK_FULL,
    EGRESS_SHUT,
    FULL_AND_SILENT,
    FULL_AND_TOLD,
    FULL_AND_TOLD_WHEN_ENABLED,
    REVOKED,
    SHUT_AND_SILENT,
    SHUT_AND_TOLD,
    Administered,
)
from soak.bridge import BridgeJourney, ExactlyOnce, Together
from soak.chaos import Chaos
from soak.churn import Churn
from soak.claim import Claim
from soak.clients import STOCK_TRIALS
from soak.cluster import STOCK_FAILURES
from soak.ended import Ended
from soak.healed import HealedAfterInterrupt
from soak.journal import Journal
from soak.kill import Kill
from soak.lies import LiesCaught
from soak.rate import PlantedRate
from soak.replay import CaptureKilled, OnTime, Replayed, ReplayKilled
from soak.replay_service import ServiceKilled
from soak.verdicts import ComparedWithItself

CLAIMS: tuple[Claim, ...] = (
    Kill("kill-kafka", "kafka-local", measured_s=25),
    Kill("kill-solace-emulator", "solace-emulator", measured_s=18),
    Chaos("chaos-kafka", "kafka-local"),
    Chaos("chaos-solace-emulator", "solace-emulator"),
    Ended("sigkill-parent", "SIGKILL"),
    Ended("interrupt", "SIGINT"),
    HealedAfterInterrupt("interrupt-in-an-outage"),
    LiesCaught("lies"),
    Journal("emulator-kill9"),
    Churn("emulator-churn"),
    PlantedRate("find-rate"),
    ComparedWithItself("kafka-against-itself", delay_ms=0, allowed=1),
    ComparedWithItself("kafka-behind-5-ms", delay_ms=5),
    Administered("queue-full-and-told", "solace-emulator", FULL_AND_TOLD, rejected=True),
    Administered("queue-full-and-told-when-enabled", "solace-emulator", FULL_AND_TOLD_WHEN_ENABLED, rejected=True),
    Administered("queue-full-and-silent", "solace-emulator", FULL_AND_SILENT, lost=True),
    Administered("ingress-shut-and-silent", "solace-emulator", SHUT_AND_SILENT, lost=True),
    Administered("ingress-shut-and-told", "solace-emulator", SHUT_AND_TOLD, rejected=True),
    Administered("egress-shut", "solace-emulator", EGRESS_SHUT),
    Administered("permission-revoked-solace", "solace-emulator", REVOKED, rejected=True),
    Administered("permission-revoked-kafka", "kafka-local", REVOKED, rejected=True),
    Administered("disk-full-solace", "solace-emulator", DISK_FULL, rejected=True),
    Administered("disk-full-kafka", "kafka-local", DISK_FULL, rejected=None),
    *STOCK_FAILURES,
    *STOCK_TRIALS,
    BridgeJourney("bridge-solace-solace", "solace"),
    BridgeJourney("bridge-solace-kafka", "kafka"),
    ExactlyOnce("bridge-exactly-once"),
    Together("bridge-together-solace", "solace"),
    Together("bridge-together-kafka", "kafka"),
    Replayed("replay-kafka-to-solace", "kafka"),
    Replayed("replay-solace-to-kafka", "solace"),
    CaptureKilled("capture-kill9-kafka", "kafka"),
    CaptureKilled("capture-kill9-solace", "solace"),
    ReplayKilled("replay-kill9-kafka", "kafka"),
    ReplayKilled("replay-kill9-solace", "solace"),
    OnTime("replay-timing-kafka", "kafka"),
    OnTime("replay-timing-solace", "solace"),
    ServiceKilled("replay-service-killed"),
)
