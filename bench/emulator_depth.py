"""A deep queue on the emulator: memory, recovery, drain and what is left of the journal, against floors.

A million messages of 1 KiB are published, the process is killed, started again and the queue emptied.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import proc, smf
from crep.harness.runs.document import Harness, Host
from crep.solace_emulator.testing import EmulatorError, EmulatorProcess

SCHEMA = "crep-bench-emulator-depth/1"
MESSAGES = 1_000_000
SIZE = 1024  # bytes of payload
MOST_MEMORY_MB = 500.0
MOST_RECOVERY_S = 30.0
_VPN = "default"
_QUEUE = "deep"
_SHRINKS_WITHIN_S = 30.0
_WAITS_S = 300.0  # for a recovery that misses its floor
_MB = 1024 * 1024


@dataclass(frozen=True)
class Depth:
    """What a deep queue takes. Memory is the highest resident size in MB, of filling and of recovery with the drain."""

    messages: int
    size: int  # bytes of payload
    fill_per_s: float
    filled_mb: float
    recovery_s: float  # from the start of the process to its ready line
    recovery_cpu_s: float  # processor time of that; much less than the former means that the machine was busy
    recovered_mb: float
    drained_mb: float
    drain_per_s: float
    journal_full_mb: float
    journal_empty_mb: float

    @property
    def missed(self) -> tuple[str, ...]:
        """The floors that were missed, a line each."""
        found = []
        memory = max(self.filled_mb, self.recovered_mb, self.drained_mb)
        if memory >= MOST_MEMORY_MB:
            found.append(f"resident memory {memory:.0f} MB; the floor is less than {MOST_MEMORY_MB:.0f} MB")
        if self.recovery_s >= MOST_RECOVERY_S:
            found.append(f"recovered in {self.recovery_s:.1f} s; the floor is less than {MOST_RECOVERY_S:.0f} s")
        if self.journal_empty_mb > self.journal_full_mb / 2:
            found.append(f"the journal keeps {self.journal_empty_mb:.0f} MB of an empty queue")
        return tuple(found)


def measure(messages: int, size: int, say: Callable[[str], None]) -> Depth:
    """Fill, kill, recover, drain. Raises :class:`EmulatorError`, :class:`.smf.SmfError` and ``OSError``."""
    with tempfile.TemporaryDirectory(prefix="bench-depth-") as name:
        folder = Path(name)
        say(f"emulator: {messages:,} messages of {size:,} B into one queue")
        emulator = EmulatorProcess(folder)
        try:
            opened = {"ingressEnabled": True, "egressEnabled": True, "permission": "delete"}
            emulator.semp("POST", f"config/msgVpns/{_VPN}/queues", {"queueName": _QUEUE} | opened)
            started = time.monotonic()
            smf.publish(emulator.smf, _VPN, _QUEUE, range(messages), size)
            fill_s = time.monotonic() - started
            filled_mb = proc.peak_mb(emulator.pid)
            os.kill(emulator.pid, signal.SIGKILL)
        finally:
            emulator.stop()
        journal_full_mb = _journal_mb(folder)
        say("emulator: killed; recovering and draining")
        started = time.monotonic()
        emulator = EmulatorProcess(folder, ready_within_s=_WAITS_S)
        try:
            recovery_s = time.monotonic() - started
            recovery_cpu_s = proc.processor_s(emulator.pid)
            recovered_mb = proc.peak_mb(emulator.pid)
            started = time.monotonic()
            for expected, number in enumerate(smf.consume(emulator.smf, _VPN, _QUEUE, messages)):
                if number != expected:
                    raise EmulatorError(f"message {number} came where {expected} was due")
            drain_s = time.monotonic() - started
            drained_mb = proc.peak_mb(emulator.pid)
            journal_empty_mb = _shrunk_mb(folder, journal_full_mb / 2)
        finally:
            emulator.stop()
    return Depth(
        messages,
        size,
        messages / fill_s,
        filled_mb,
        recovery_s,
        recovery_cpu_s,
        recovered_mb,
        drained_mb,
        messages / drain_s,
        journal_full_mb,
        journal_empty_mb,
    )


def show(depth: Depth, console: Console) -> None:
    """Print the figures beside their floors."""
    table = Table(title=f"A queue of {depth.messages:,} messages of {depth.size:,} B on the emulator")
    for heading in ("figure", "measured", "floor"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    memory = f"< {MOST_MEMORY_MB:.0f} MB"
    rows = (
        ("fill, one bare SMF publisher", f"{depth.fill_per_s:,.0f} msg/s", ""),
        ("highest resident memory, filling", f"{depth.filled_mb:.0f} MB", memory),
        ("recovery after a kill, start to ready", f"{depth.recovery_s:.1f} s", f"< {MOST_RECOVERY_S:.0f} s"),
        ("processor time of that", f"{depth.recovery_cpu_s:.1f} s", ""),
        ("highest resident memory, recovery", f"{depth.recovered_mb:.0f} MB", memory),
        ("highest resident memory, drain", f"{depth.drained_mb:.0f} MB", memory),
        ("drain, one bare SMF consumer", f"{depth.drain_per_s:,.0f} msg/s", ""),
        ("journal, queue full", f"{depth.journal_full_mb:.0f} MB", ""),
        ("journal, queue drained", f"{depth.journal_empty_mb:.0f} MB", f"<= {depth.journal_full_mb / 2:.0f} MB"),
    )
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for line in depth.missed:
        console.print(f"missed: {line}", style="red", highlight=False, markup=False)


def to_json(depth: Depth, host: Host, harness: Harness, started_utc: str) -> dict[str, object]:
    """The figures and where they were taken."""
    return {
        "schema_version": SCHEMA,
        "started_utc": started_utc,
        "host": host.model_dump(),
        "harness": harness.model_dump(),
        "depth": asdict(depth) | {"missed": list(depth.missed)},
    }


def _journal_mb(folder: Path) -> float:
    total = 0
    for path in (folder / "data").glob("journal-*.log"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # it was dropped meanwhile
            continue
    return total / _MB


def _shrunk_mb(folder: Path, hoped_mb: float) -> float:
    """The journal's size once it is as small as hoped, or after a while."""
    deadline = time.monotonic() + _SHRINKS_WITHIN_S
    while (size := _journal_mb(folder)) > hoped_mb and time.monotonic() < deadline:
        time.sleep(0.1)
    return size
