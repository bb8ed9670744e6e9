"""What Linux tells of a process: its memory and its processor time. Other systems do not: ``OSError``."""

from __future__ import annotations

import os
from pathlib import Path


def resident_mb(pid: int) -> float:
    """The resident size now."""
    return _status_mb(pid, "VmRSS:")


def peak_mb(pid: int) -> float:
    """The highest resident size since its start."""
    return _status_mb(pid, "VmHWM:")


def processor_s(pid: int) -> float:
    """The processor time that it has taken so far, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime, stime: proc(5), fields 14 and 15


def _status_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise OSError(f"the system does not tell the memory of process {pid}")
