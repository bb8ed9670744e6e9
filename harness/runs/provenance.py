"""Where a number came from: the machine, and the crep that measured on it (METHOD rule 14)."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess  # asks git, bounded
from pathlib import Path

import crep
from crep.harness.runs.document import Harness, Host

_GIT_S = 10.0


def host() -> Host:
    """The machine that this process runs on."""
    return Host(
        system=platform.system(),
        kernel=platform.release(),
        cpu=cpu_model(),
        cores=_usable_cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        python=platform.python_version(),
    )


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as the kernel gives it, else what Python knows of the machine."""
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            field, _, value = line.partition(":")
            if field.strip() in {"model name", "Model", "Hardware"} and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    """Cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def harness() -> Harness:
    """The version of crep, and in a git checkout its commit and whether tracked files differ from it."""
    version = importlib.metadata.version("crep")
    package = Path(crep.__file__).resolve().parent
    # Only where git knows this very file: an installed crep may lie inside somebody else's checkout.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return Harness(version=version, commit=None, modified=None)
    changes = _git(package, "status", "--porcelain", "--untracked-files=no")
    return Harness(
        version=version,
        commit=_git(package, "rev-parse", "HEAD"),
        modified=None if changes is None else bool(changes),
    )


def _git(folder: Path, *arguments: str) -> str | None:
    """What git answers; None where there is no git, no checkout, or no answer in time."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(
            [git, "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_GIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def process_started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none such (or no ``/proc``).

    Together with the process id it names one process for good: ids are used again. Source: proc(5), field 22 of stat.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])
