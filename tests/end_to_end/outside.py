"""crep from outside: the command in a process of its own, and a search for what it may have left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SMALL = """\
scenario: small
durability: {copies: 1, sync: disk}
channels:
  orders:
    topics: "orders/{region:eu,us}/{type:new,paid}"
    keys: 20
    readers:
      billing: {share: group, members: 2, delivery: at-least-once}
      screen: {share: all, delivery: at-most-once}
load:
  - {to: orders, publishers: 1, mode: guaranteed, message: {size: 256 B}, rate: {total: [{hold: 200/s, for: 3 s}]}}
measure: {warm_up: 1 s, drain: 20 s, repeat: 1, seed: 7, lateness: 2 s}
expect:
  - billing.lost == 0
"""
"""A run of about ten seconds. Its lateness limit is wide: the machine that runs the tests is small and shared."""


@dataclass
class Crep:
    """Runs the command in ``folder``. Every process that comes of it carries ``mark`` in its environment.

    ``env`` is added to what every command sees.
    """

    folder: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    env: dict[str, str] = field(default_factory=dict)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "CREP_TEST_MARK": self.mark, "COLUMNS": "200", **self.env, **(extra or {})}

    def __call__(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "crep", *arguments],
            cwd=self.folder,
            env=self.environment(env),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return self._start("-m", "crep", *arguments)

    def start_script(self, text: str) -> subprocess.Popen[str]:
        """A program in place of the command."""
        return self._start("-c", text)

    def _start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def scenario(self, text: str = SMALL, name: str = "small.yaml") -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def processes(self) -> dict[int, str]:
        """Every living process that came of this object: pid → command line."""
        found = {}
        wanted = f"CREP_TEST_MARK={self.mark}".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
            except OSError:
                continue  # it ended while we looked
        return found

    def assert_nothing_runs(self, within_s: float = 5.0) -> None:
        deadline = time.monotonic() + within_s
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left, f"left behind: {left}"
