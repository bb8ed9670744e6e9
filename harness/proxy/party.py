"""Which party opened a connection: source port → inode of its socket → process that holds it → ``CREP_PARTY``.

Sources: proc(5): ``/proc/net/tcp`` (addresses in hexadecimal, each 32-bit word in the host's byte order), links
``/proc/<pid>/fd/* -> socket:[inode]``, ``/proc/<pid>/environ`` as it was at exec. All of it can be read for processes
of the same user, without root.

Asking the kernel instead of letting parties register leaves no race: a process is a party from its first instruction,
and a client library may open connections as it likes.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import queue
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from crep.harness.proxy.links import PARTY_VARIABLE
from crep.harness.proxy.rules import OTHERS

_MARK = f"{PARTY_VARIABLE}=".encode()
_LONGEST_NAME = 64
_INODE = 9  # column of /proc/net/tcp


class Ends(NamedTuple):
    """A connection as its opener sees it: own address and port, the proxy's address and port. IPv4 text."""

    host: str
    port: int
    peer_host: str
    peer_port: int


def inodes(tables: Iterable[bytes], wanted: Iterable[Ends]) -> dict[Ends, int]:
    """The inode of each opener's socket. Pure.

    Args:
        tables: the texts of ``/proc/net/tcp`` and ``/proc/net/tcp6``; Java opens IPv4 connections by IPv6 sockets.
        wanted: connections; those that are in no table, or whose socket belongs to nobody any more, are left out.
    """
    keys = {key: ends for ends in wanted for key in _keys(ends)}
    found: dict[Ends, int] = {}
    for table in tables:
        for line in table.splitlines()[1:]:
            columns = line.split(None, _INODE + 1)
            ends = keys.get(b" ".join(columns[1:3]))
            if ends is not None and columns[_INODE] != b"0":
                found[ends] = int(columns[_INODE])
    return found


def _keys(ends: Ends) -> tuple[bytes, bytes]:
    """Both columns as the tables have them: IPv4, and IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2)."""
    four, six = [], []
    for host, port in ((ends.host, ends.port), (ends.peer_host, ends.peer_port)):
        address = ipaddress.IPv4Address(host).packed
        four.append(_column(address, port))
        six.append(_column(bytes(10) + b"\xff\xff" + address, port))
    return " ".join(four).encode(), " ".join(six).encode()


def _column(address: bytes, port: int) -> str:
    order = "<" if sys.byteorder == "little" else ">"
    words = struct.unpack(f"{order}{len(address) // 4}I", address)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"


def party_in(environ: bytes) -> str | None:
    """The party that a process's environment names; None: none."""
    for entry in environ.split(b"\0"):
        if entry.startswith(_MARK):
            return entry[len(_MARK) :].decode(errors="replace")[:_LONGEST_NAME] or None
    return None


class Processes:
    """The processes that are parties. Those that opened connections before are looked at first."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._known: dict[int, None] = {}

    def parties(self, wanted: Iterable[Ends]) -> dict[Ends, str]:
        """The party behind each connection; `OTHERS` where that cannot be known."""
        ends = tuple(wanted)
        by_inode = {inode: one for one, inode in inodes(self._tables(), ends).items()}
        found: dict[Ends, str] = {}
        for pid, party in self._candidates():
            for inode in self._sockets(pid) & by_inode.keys():
                found[by_inode.pop(inode)] = party
                self._known[pid] = None
            if not by_inode:
                break
        return {one: found.get(one, OTHERS) for one in ends}

    def _tables(self) -> Iterator[bytes]:
        for name in ("tcp", "tcp6"):
            with contextlib.suppress(FileNotFoundError):  # no IPv6
                yield (self._proc / "net" / name).read_bytes()

    def _candidates(self) -> Iterator[tuple[int, str]]:
        known = tuple(self._known)
        for pid in known:
            party = self._party(pid)
            if party is None:
                del self._known[pid]  # it has ended
            else:
                yield pid, party
        pids = {int(entry.name) for entry in self._proc.iterdir() if entry.name.isdigit()}
        for pid in sorted(pids.difference(self._known), reverse=True):  # one that is new here is new everywhere
            party = self._party(pid)
            if party is not None:
                yield pid, party

    def _party(self, pid: int) -> str | None:
        try:
            return party_in((self._proc / str(pid) / "environ").read_bytes())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None

    def _sockets(self, pid: int) -> set[int]:
        found: set[int] = set()
        with (
            contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError),
            os.scandir(self._proc / str(pid) / "fd") as entries,
        ):
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                    target = os.readlink(entry.path)  # noqa: PTH115 - no object each: a broker holds thousands
                    if target.startswith("socket:["):
                        found.add(int(target[8:-1]))
        return found


Told = Callable[[str], None]


class PartyFinder:
    """Looks parties up in a thread of its own, all that wait at once, so that no other connection stands still."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._asked: queue.SimpleQueue[tuple[Ends, Told]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="party-finder", daemon=True).start()

    def ask(self, ends: Ends, told: Told) -> None:
        """Call ``told`` with the party, from this object's thread. Never waits."""
        self._asked.put((ends, told))

    def _serve(self) -> None:
        while True:
            asked = [self._asked.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    asked.append(self._asked.get_nowait())
            parties: Mapping[Ends, str] = self._processes.parties([ends for ends, _ in asked])
            for ends, told in asked:
                told(parties[ends])
