"""How busy the host's processors are while a run measures (METHOD rule 17), from the kernel's own counters."""

from __future__ import annotations

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
