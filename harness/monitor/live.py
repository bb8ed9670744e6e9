"""The live view: phase, elapsed and total, messages, lateness and events as they happen.

On a terminal one panel is redrawn in place and events scroll above it; elsewhere (CI, a file) a plain line is written
every few seconds and for each event. Clients report about once a second, each at its own moment, so a reader's count
can run ahead of the publishers'.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from crep.harness.monitor.lateness import SECONDS

PLAIN_EVERY_S = 5.0
REDRAWS_PER_S = 4.0


@dataclass
class Status:
    """What the runner knows now. Counts are messages since the engines started."""

    run: str = ""
    number: int = 0
    runs: int = 0
    phase: str = "starting"
    elapsed_s: float = 0.0
    total_s: float | None = None
    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0
    received: dict[str, int] = field(default_factory=dict)
    lateness: str = ""
    backlog: dict[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


class LiveView:
    """Context manager around a whole campaign. Methods may be called from any thread."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._terminal = self._console.is_terminal
        self._live: Live | None = None
        self._last_plain = 0.0
        self._last_phase = ("", "")
        self._phase_began = time.monotonic()
        self.status = Status()

    def __enter__(self) -> LiveView:
        if self._terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._panel,
                refresh_per_second=REDRAWS_PER_S,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def event(self, text: str, *, style: str = "") -> None:
        """Say one thing that happened; it stays on the screen."""
        stamp = time.strftime("%H:%M:%S")
        if self._terminal:
            self._console.print(Text.assemble((f"{stamp}  ", "dim"), (text, style)))
        else:
            self._plain(f"{stamp}  {text}")

    def refresh(self) -> None:
        """Show ``status``; cheap enough to be called often. A terminal is redrawn between calls, too."""
        phase, now = (self.status.run, self.status.phase), time.monotonic()
        new = phase != self._last_phase
        if new:
            self._last_phase, self._phase_began = phase, now
        if not self._terminal and (new or now - self._last_plain >= PLAIN_EVERY_S):
            self._last_plain = now
            self._plain(f"{time.strftime('%H:%M:%S')}  {self._line()}")

    def _plain(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _line(self) -> str:
        s = self.status
        clock = f"{s.elapsed_s:5.1f}" + (f"/{s.total_s:.0f} s" if s.total_s else " s")
        parts = [f"run {s.number}/{s.runs} {s.run}", f"{s.phase} {clock}"]
        if s.sent:
            parts.append(f"sent {s.sent:,}  acknowledged {s.acknowledged:,}")
        if s.rejected:
            parts.append(f"rejected {s.rejected:,}")
        parts += [f"{reader} received {count:,}" for reader, count in sorted(s.received.items())]
        if s.lateness:
            parts.append(f"lateness {s.lateness}")
        parts += [f"{reader} backlog {count:,}" for reader, count in sorted(s.backlog.items()) if count]
        return "  ·  ".join(parts)

    def _panel(self) -> Group:
        s = self.status
        bar = Table.grid(padding=(0, 1))
        total = s.total_s or 0.0
        waited = time.monotonic() - self._phase_began  # the runner has no word while it waits for clients to be ready
        clock = f"{max(s.elapsed_s, 0):.0f} / {total:.0f} s" if total else f"{waited:.0f} s"
        bar.add_row(
            Text(f"{s.phase:<14}", style="cyan"),
            ProgressBar(total=total or None, completed=min(max(s.elapsed_s, 0.0), total), width=40, pulse=not total),
            Text(clock, style="dim"),
        )
        if not s.number:  # brokers are starting
            return Group(Text(s.run, style="bold"), bar)
        head = Text.assemble(
            (f"run {s.number}/{s.runs}  ", "dim"), (s.run, "bold"), "  ", (" ".join(s.labels), "yellow")
        )
        counts = Table.grid(padding=(0, 2))
        for name, value in self._counts():
            counts.add_row(Text(name, style="dim"), Text(value, justify="right"))
        return Group(head, bar, counts)

    def _counts(self) -> list[tuple[str, str]]:
        s = self.status
        rows = [("sent", f"{s.sent:,}"), ("acknowledged", f"{s.acknowledged:,}")]
        if s.rejected:
            rows.append(("rejected", f"{s.rejected:,}"))
        for reader, count in sorted(dict(s.received).items()):  # copied at once: the redrawing thread reads, too
            backlog = s.backlog.get(reader)
            rows.append((f"{reader} received", f"{count:,}" + (f"   backlog {backlog:,}" if backlog else "")))
        rows.append((f"lateness, last {SECONDS} s", s.lateness or "–"))
        return rows
