"""The emulator as a child process, for tests: free ports, ended by pid, restarted at the same place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

MODULE = "crep.solace_emulator"
_READY_SECONDS = 20.0
_STOP_SECONDS = 10.0


class Emulator:
    """A running emulator on one data directory. After its end :meth:`start` takes the same ports again."""

    def __init__(
        self, folder: Path, *options: str, module: str = MODULE, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.ready: dict[str, Any] = {}
        self._options: tuple[str, ...] = options
        self._module = module
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start and wait for the ready line."""
        ports = ["--smf-port", _port(self.ready, "smf"), "--semp-port", _port(self.ready, "semp")]
        ports += ["--health-port", _port(self.ready, "health")]
        with (self.folder.parent / f"{self.folder.name}.log").open("a") as log:
            self._process = subprocess.Popen(
                command("--data-dir", str(self.folder), *ports, *self._options, module=self._module),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"no ready line; see {log.name}"
        self.ready = json.loads(line)

    @property
    def log(self) -> str:
        """What it has written to standard error."""
        return (self.folder.parent / f"{self.folder.name}.log").read_text()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """End it in order and return the exit code."""
        return self._end(signal.SIGTERM)

    def ended(self) -> int:
        """Wait for it to end by itself and return the exit code."""
        return self._wait()

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        return self._wait()

    def _wait(self) -> int:
        assert self._process is not None
        code = self._process.wait(_STOP_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
        return code

    # -- SEMP

    def semp(self, method: str, path: str, body: dict[str, Any] | None = None, **query: str) -> httpx.Response:
        """Send a SEMP request as the administrator. ``path`` begins with the interface."""
        return httpx.request(
            method,
            f"{self.ready['semp']}/SEMP/v2/{path}",
            auth=("admin", "admin"),
            json=body,
            params=query or None,
            timeout=10,
        )

    def queue(self, name: str, *subscriptions: str, vpn: str = "default", **attributes: Any) -> None:
        """Create an open queue with subscriptions."""
        opened = {"ingressEnabled": True, "egressEnabled": True, "permission": "delete"}
        self._expect(self.semp("POST", f"config/msgVpns/{vpn}/queues", {"queueName": name} | opened | attributes))
        for subscription in subscriptions:
            body = {"subscriptionTopic": subscription}
            self._expect(self.semp("POST", f"config/msgVpns/{vpn}/queues/{name}/subscriptions", body))

    def depth(self, name: str) -> int:
        """Messages in a queue."""
        answer = self._expect(self.semp("GET", f"monitor/msgVpns/default/queues/{name}"))
        depth: int = answer["collections"]["msgs"]["count"]
        return depth

    def monitor(self, name: str) -> dict[str, Any]:
        """A queue's monitor attributes."""
        data: dict[str, Any] = self._expect(self.semp("GET", f"monitor/msgVpns/default/queues/{name}"))["data"]
        return data

    @staticmethod
    def _expect(response: httpx.Response) -> dict[str, Any]:
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


def command(*options: str, module: str = MODULE) -> Sequence[str]:
    """The command line of an emulator with these options."""
    return (sys.executable, "-m", module, *options)


@contextmanager
def running(
    folder: Path, *options: str, module: str = MODULE, environment: Mapping[str, str] | None = None
) -> Iterator[Emulator]:
    """Run an emulator for the time of a block; ``environment`` is added to this process's own."""
    emulator = Emulator(folder, *options, module=module, environment=environment)
    emulator.start()
    try:
        yield emulator
    finally:
        emulator.kill()


def _port(ready: dict[str, Any], name: str) -> str:
    return str(ready[name]).rpartition(":")[2] if name in ready else "0"
