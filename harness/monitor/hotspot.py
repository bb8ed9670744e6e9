"""Garbage collections of a running Java virtual machine, without asking it: HotSpot keeps counters in a shared file.

``/tmp/hsperfdata_<user>/<pid>`` is what ``jstat`` reads (``-XX:+UsePerfData``, on by default; OpenJDK
``share/runtime/perfMemory.hpp``). A header (``PerfDataPrologue``) is followed by entries (``PerfDataEntry``)::

    u4 magic 0xcafec0c0 big endian · u1 byte order (1 little) · u1 major 2 · u1 minor 0 · u1 accessible
    i4 used · i4 overflow · i8 modified · i4 offset of the first entry · i4 entries

    i4 length · i4 offset of the name · i4 vector length · u1 type ('J' long, 'B' byte) · 3 × u1 · i4 offset of value

The machine is not disturbed: nothing is sent to it and nobody waits for it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"\xca\xfe\xc0\xc0"
_PROLOGUE = struct.Struct("4sBBBB")
_LARGEST = 1 << 20  # the file is 32 KiB unless -XX:PerfDataMemorySize says more
_FREQUENCY = "sun.os.hrt.frequency"


@dataclass(frozen=True)
class Collections:
    """Since the machine was started: how many garbage collections stopped it, and for how many seconds in all."""

    count: int
    stopped_s: float


def collections_of(pid: int, temporary: Path = Path("/tmp")) -> Collections | None:  # noqa: S108 - fixed in HotSpot
    """What the machine with that process id counted; None where the process is none, or keeps no such file."""
    for path in temporary.glob(f"hsperfdata_*/{pid}"):
        try:
            with path.open("rb") as file:
                data = file.read(_LARGEST)
        except OSError:
            continue  # another user's, or it has just ended
        return _collections(longs(data))
    return None


def _collections(counters: dict[str, int]) -> Collections | None:
    """``sun.gc.collector.<n>`` are the collectors of the heap's parts; ``time`` counts ticks with the world stopped."""
    frequency = counters.get(_FREQUENCY, 0)
    names = [name for name in counters if name.startswith("sun.gc.collector.")]
    if not frequency or not names:
        return None
    count = sum(counters[name] for name in names if name.endswith(".invocations"))
    ticks = sum(counters[name] for name in names if name.endswith(".time"))
    return Collections(count, ticks / frequency)


def longs(data: bytes) -> dict[str, int]:
    """Every counter of type ``long`` by name; none of a file that is cut off, being written, or of another layout."""
    if len(data) < 32:
        return {}
    magic, little, major, _, accessible = _PROLOGUE.unpack_from(data)
    if magic != _MAGIC or major != 2 or not accessible:
        return {}
    order = "<" if little else ">"
    at, entries = struct.unpack_from(f"{order}ii", data, 24)
    found: dict[str, int] = {}
    for _ in range(entries):
        if not 32 <= at <= len(data) - 20:
            break
        length, name_at, vector, kind, value_at = struct.unpack_from(f"{order}iiicxxxi", data, at)
        name_end = data.find(b"\0", at + name_at)
        if kind == b"J" and vector == 0 and name_end > 0 and at + value_at + 8 <= len(data):
            (found[data[at + name_at : name_end].decode("ascii", "replace")],) = struct.unpack_from(
                f"{order}q", data, at + value_at
            )
        if length <= 0:
            break
        at += length
    return found
