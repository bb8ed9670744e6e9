"""The handle of an endpoint: the process beside this one that speaks Locust for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from crep.harness import processes
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.workers.frames import Header, encoded, read_frame

_EXIT_WAIT_S = 5.0
_LAST_BYTES = 1500

Hear = Callable[[Header, bytes], None]


class Link:
    """Starts ``python -m crep.harness.workers.endpoint ARGUMENTS`` and exchanges frames with it.

    Args:
        arguments: of the endpoint.
        hear: called in a thread of its own with each frame that the endpoint says, in order.
        ended: called in the same thread, last, with what became of the endpoint.

    Raises:
        EnvironmentFailure: Locust is not installed, or the process cannot be started.
    """

    def __init__(self, arguments: Sequence[str], *, hear: Hear, ended: Callable[[str], None]) -> None:
        if find_spec("locust") is None:
            raise EnvironmentFailure(
                "workers need Locust, which is not installed here", hint="python -m pip install locust"
            )
        self._hear, self._ended = hear, ended
        self._lock = threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by ``close``
        try:
            self._process = processes.spawn(
                [sys.executable, "-m", "crep.harness.workers.endpoint", *arguments],
                env={**os.environ, "LOCUST_SKIP_MONKEY_PATCH": "1"},
                stdin=processes.PIPE,
                stdout=processes.PIPE,
                stderr=self._errors.fileno(),
            )
        except OSError as error:
            self._errors.close()
            raise EnvironmentFailure(f"the Locust process cannot be started: {error}") from error
        self._reader = threading.Thread(target=self._read, name="locust link", daemon=True)
        self._reader.start()

    def say(self, header: Header, body: bytes = b"") -> None:
        """Hand a frame to the endpoint, from any thread; one that has ended gets none, and is reported as ended."""
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):  # ValueError: closed by ``close``
            self._process.stdin.write(encoded(header, body))
            self._process.stdin.flush()

    def close(self, grace_s: float = _EXIT_WAIT_S) -> None:
        """Tell the endpoint to take leave and end; kill it after ``grace_s`` seconds. Idempotent."""
        self.say({"quit": True})
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        self._process.kill()
        self._reader.join(_EXIT_WAIT_S)
        self._process.release()
        if not self._errors.closed:
            self._errors.close()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        while frame := read_frame(self._process.stdout):
            self._hear(*frame)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_WAIT_S)
        self._ended(self._last_words())

    def _last_words(self) -> str:
        code = self._process.poll()
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _LAST_BYTES))
        words = self._errors.read().decode(errors="replace").strip()
        return f"the Locust process ended (exit code {code})" + (f": {words}" if words else "")
