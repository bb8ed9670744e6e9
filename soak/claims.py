"""All claims. A new one is a module and a line here."""

from __future__ import annotations

from soak.churn import Churn
from soak.claim import Claim
from soak.ended import Ended
from soak.journal import Journal
from soak.kill import Kill
from soak.lies import LiesCaught
from soak.rate import PlantedRate
from soak.verdicts import ComparedWithItself

CLAIMS: tuple[Claim, ...] = (
    Kill("kill-kafka", "kafka-local", measured_s=25),
    Kill("kill-solace-emulator", "solace-emulator", measured_s=18),
    Ended("sigkill-parent", "SIGKILL"),
    Ended("interrupt", "SIGINT"),
    LiesCaught("lies"),
    Journal("emulator-kill9"),
    Churn("emulator-churn"),
    PlantedRate("find-rate"),
    ComparedWithItself("kafka-against-itself", delay_ms=0, allowed=1),
    ComparedWithItself("kafka-behind-5-ms", delay_ms=5),
)
