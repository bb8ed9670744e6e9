"""``fill-disk``: no file of a broker process may grow beyond a few bytes, as if its disk were full.

The limit is the process's own (``RLIMIT_FSIZE``): a write beyond it fails with EFBIG where a full disk gives ENOSPC: to
a broker both are writes that failed. What it makes of that is told with its name:

* the emulator refuses messages until there is room, as a broker whose spool is full does;
* Kafka takes a log directory that cannot be written for lost, and ends when it has no other (``log.dirs``). Room alone
  brings it back then no more: healing starts it again.
"""

from __future__ import annotations

import resource
import time
from typing import cast

from crep.harness.brokers.contract import NotSupported
from crep.harness.faults.contract import Stage
from crep.harness.faults.on_nodes import OnNodes
from crep.harness.faults.undo import Undo, lift_file_limit, revive_broker

_RESTART_AFTER_S = 15.0
"""A process that has room again and answers nothing for so long does not come back by itself."""
_STARTS = 2  # of one node: what ends twice with room on its disk has another trouble


class FillDisk(OnNodes):
    """In effect while the limit holds for each process, or has ended it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        if not all(self.deployment.node_pid(node) for node in self.nodes):
            raise NotSupported(
                f"target {self.deployment.target!r}: crep has no hand on the process of {' and '.join(self.nodes)}"
            )
        self._room = cast(int, stage.event.parameters["room_bytes"])
        self._lifted_s = 0.0
        self._became: dict[str, str] = {}
        self._starts: dict[str, int] = {}

    @property
    def subject(self) -> str:
        """The nodes, with what became of them where that is known."""
        return " and ".join(f"{node}{self._became.get(node, '')}" for node in self.nodes)

    def undo(self) -> tuple[Undo, ...]:
        """Lift the limit of what runs, start what has ended; a broker that dies with crep needs neither."""
        if not self.deployment.outlives_us:
            return ()
        pids = [pid for node in self.nodes if (pid := self.deployment.node_pid(node)) is not None]
        return (*[lift for pid in pids for lift in lift_file_limit(pid)], revive_broker(self.deployment.target))

    def inject(self) -> int:
        """Set the limits; a file that is larger already cannot grow at all."""
        began = time.monotonic_ns()
        for node in self.nodes:
            self.deployment.limit_files(node, self._room)
        return began

    def confirmed(self) -> bool:
        """Whether each process has its limit, or has ended."""
        return all(self._has_limit(self.deployment.node_pid(node)) for node in self.nodes)

    def _has_limit(self, pid: int | None) -> bool:
        if pid is None:
            return True
        try:
            return resource.prlimit(pid, resource.RLIMIT_FSIZE)[0] == self._room
        except ProcessLookupError:
            return True

    def heal(self) -> None:
        """Lift the limits; start what has ended."""
        self._lifted_s = time.monotonic()
        for node in self.nodes:
            if self.deployment.node_pid(node) is None:
                self._start(node, " (ended when it could not write)")
            else:
                self.deployment.limit_files(node, None)
                self._became[node] = " (went on)"

    def _start(self, node: str, became: str) -> None:
        self._became[node] = became
        self._starts[node] = self._starts.get(node, 0) + 1
        self.deployment.start_node(node)

    def healed(self) -> bool:
        """Whether the nodes answer. One that ends just now, or stays silent though it has room, is started again."""
        for node in self.nodes:
            if self.deployment.probe_node(node):
                continue
            if self._starts.get(node, 0) < _STARTS:
                if self.deployment.node_pid(node) is None:
                    self._start(node, " (ended when it could not write)")
                elif not self._starts.get(node) and time.monotonic() - self._lifted_s > _RESTART_AFTER_S:
                    self.deployment.kill_node(node)
                    self._start(node, " (stayed silent though it had room again, and was restarted)")
            return False
        return True
