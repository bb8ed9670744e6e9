"""How busy the host's processors (METHOD rule 17) and each client's process (rule 8) are while a run measures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

STAT = Path("/proc/stat")


class ProcessorWatch:
    """Busy share of all cores between looks. Where the kernel offers no counters it knows nothing, and says so."""

    def __init__(self, stat: Path = STAT) -> None:
        self._stat = stat
        self._begin = self._read()

    def busy(self) -> float | None:
        """Share of processor time that was not idle since this object was made, 0…1; None where unknown."""
        now = self._read()
        if self._begin is None or now is None or now[1] == self._begin[1]:
            return None
        return (now[0] - self._begin[0]) / (now[1] - self._begin[1])

    def _read(self) -> tuple[int, int] | None:
        """(busy, all) in clock ticks; the first line's fields are user nice system idle iowait irq softirq steal."""
        try:
            fields = [int(field) for field in self._stat.read_text().splitlines()[0].split()[1:9]]
        except OSError:
            return None
        idle = fields[3] + fields[4]
        return sum(fields) - idle, sum(fields)


class WorkerLoad:
    """Processor time of each client's process, all its threads together, over the measured phase."""

    def __init__(self, measured_s: float) -> None:
        self._measured_s = measured_s
        self._used_ns: Counter[str] = Counter()

    def used(self, client: str, second: int, cpu_ns: int) -> None:
        """A client used so much up to a second of the run (relative to t0), since it said so last."""
        if 0 <= second < self._measured_s:
            self._used_ns[client] += cpu_ns

    def busiest(self) -> tuple[str, float]:
        """The client that used most, and its share of one core (of several cores: above 1); nobody: ``("", 0)``."""
        [(client, used_ns)] = self._used_ns.most_common(1) or [("", 0)]
        return client, used_ns / 1e9 / self._measured_s
