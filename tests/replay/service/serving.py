"""The service as its users run it: ``crep replay serve`` as a process of its own, asked over HTTP."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

TOKEN = "a-token-for-the-tests-0123456789"
API = "/api/v1"


class Served:
    """One service after the other on one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.pid = 0
        self._process: subprocess.Popen[str] | None = None
        self._client = httpx.Client(timeout=30)  # one for all: making one takes longer than many requests
        token = folder / "token"
        token.write_text(TOKEN + "\n")
        token.chmod(0o600)

    def targets(self, targets: Mapping[str, Any]) -> None:
        """Which brokers jobs can name."""
        (self.folder / "crep-targets.yaml").write_text(json.dumps({"targets": dict(targets)}))

    def start(self, *options: str) -> None:
        """Start, and wait for its ready line."""
        with (self.folder / "service.log").open("a") as log:
            self._process = subprocess.Popen(
                [*COMMAND, "--listen", "127.0.0.1:0", "--token-file", "token", "--max-jobs", "2", *options],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log
        ready = json.loads(line)
        self.url, self.pid = ready["url"], ready["pid"]

    @property
    def runs(self) -> bool:
        """Whether it does."""
        return self._process is not None and self._process.poll() is None

    @property
    def authorized(self) -> dict[str, str]:
        """The headers of a request that shows the token."""
        return {"Authorization": f"Bearer {TOKEN}"}

    def worker(self, job_id: str) -> int:
        """The process of a job, as the service tells it."""
        return int(re.findall(rf"job {job_id} .* runs as process (\d+)", self.log)[-1])

    @property
    def log(self) -> str:
        """What it has told so far."""
        return (self.folder / "service.log").read_text()

    def ask(self, method: str, path: str, body: object = None, *, token: str | None = TOKEN) -> httpx.Response:
        """One request."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self._client.request(method, f"{self.url}{path}", json=body, headers=headers)

    def order(self, body: Mapping[str, Any]) -> str:
        """Start a job; its id."""
        answer = self.ask("POST", f"{API}/jobs", body)
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["id"]
        assert answer.headers["Location"] == f"{API}/jobs/{found}"
        return found

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as it is."""
        found: dict[str, Any] = self.ask("GET", f"{API}/jobs/{job_id}").json()
        return found

    def until(
        self, job_id: str, state: str, *, progress: tuple[str, int] = ("", 0), within_s: float = 40
    ) -> dict[str, Any]:
        """Wait until a job is in a state (and a counter has come so far)."""
        deadline = time.monotonic() + within_s
        name, least = progress
        while True:
            job = self.job(job_id)
            if job["state"] == state and (not name or (job["progress"].get(name) or 0) >= least):
                return job
            assert time.monotonic() < deadline, (job, self.log)
            time.sleep(0.1)

    def kill(self) -> None:
        """As a crash does it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def close(self) -> None:
        """Whatever happened."""
        self._client.close()
        if self._process is not None:
            self.kill()

    def stop(self) -> int:
        """In order."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        self._process = None
        return code


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """A service that is ended whatever happens."""
    served = Served(folder)
    try:
        yield served
    finally:
        served.close()


COMMAND = (sys.executable, "-m", "crep", "replay", "serve")
