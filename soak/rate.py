"""``crep find-rate`` against a capacity that was planted: the rate that it finds is that capacity."""

from __future__ import annotations

import json
import random
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from crep.solace_emulator.testing import EmulatorProcess
from soak.claim import Verdict
from soak.crep_outside import crep_in
from tests.fakes.throttle import Throttle

LEAST_PER_S, MOST_PER_S = 300, 900
"""Far below what the emulator takes, and what a busy machine of two cores sends."""
WITHIN = 0.05
_WITHIN_S = 1200.0


@dataclass(frozen=True)
class PlantedRate:
    """One search from 400/s, each end confirmed twice as is the default."""

    name: str
    count: int = 20
    allowed: int = 2

    @property
    def text(self) -> str:
        """The sentence."""
        return (
            f"`crep find-rate` on the Solace emulator behind a throttle that lets a random number of {LEAST_PER_S} to "
            f"{MOST_PER_S} messages a second through ends with a rate within {WITHIN:.0%} of it; two of twenty may "
            "miss."
        )

    def trial(self, seed: int, folder: Path) -> Verdict:
        """One search."""
        capacity = random.Random(f"{self.name} {seed}").uniform(LEAST_PER_S, MOST_PER_S)  # noqa: S311 - repeatable
        with ExitStack() as stack:
            emulator = EmulatorProcess(folder)
            stack.callback(emulator.stop)
            upstream = urlsplit(emulator.smf)
            throttle = stack.enter_context(Throttle((str(upstream.hostname), int(upstream.port or 0)), capacity))
            crep = stack.enter_context(crep_in(folder))
            admin = {"username": "admin", "password_env": "PLANTED_PASSWORD"}
            solace = {"smf": throttle.address, "semp": emulator.semp_url, "admin": admin}
            targets = {"planted": {"system": "solace", "source": "address", "solace": solace}}
            (folder / "targets.yaml").write_text(json.dumps({"targets": targets}))
            words = ("find-rate", "--on", "planted", "--targets", "targets.yaml", "--from", "400/s")
            short = ("-p", "hold=5 s", "-p", "size=100 B", "-p", "publishers=1")
            done = crep(*words, *short, env={"PLANTED_PASSWORD": "admin"}, timeout=_WITHIN_S)
        (folder / "output.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
        files = list((folder / "results" / "find-rate").glob("2*/find-rate.json"))
        if not files:
            return Verdict((f"nothing was found, exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}",))
        found = json.loads(files[0].read_text())
        rate, probes = found["highest_held_per_s"], float(len(found["probes"]))
        if found["ended"] != "found":
            return Verdict((f"the search ended {found['ended']} after {probes:.0f} probes",), {"probes": probes})
        off = rate / capacity - 1
        why = () if abs(off) <= WITHIN else (f"found {rate:g}/s of {capacity:.1f}/s",)
        return Verdict(why, {"probes": probes, "off by %": round(100 * off, 2)})
