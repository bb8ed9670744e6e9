"""An emulator for tests in any framework: one process, and message VPNs that keep tests apart.

:mod:`.pytest_plugin` makes fixtures of it. Only the standard library is needed; clients are the test's own.
"""

from __future__ import annotations

import base64
import json
import select
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

_READY_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_REQUEST_SECONDS: Final = 15.0
_SPOOL_MEGABYTES: Final = 1500
_PERMISSIVE_PROFILE: Final = {
    "allowGuaranteedEndpointCreateEnabled": True,
    "allowGuaranteedMsgReceiveEnabled": True,
    "allowGuaranteedMsgSendEnabled": True,
    "allowSharedSubscriptionsEnabled": True,
}


class EmulatorError(Exception):
    """The emulator did not start, or refused a request: one line that says why."""


class EmulatorProcess:
    """A running emulator on free ports of this machine, with its data and its log below ``folder``.

    Raises :class:`EmulatorError` when it does not become ready in time. :meth:`stop` ends it.
    """

    def __init__(self, folder: Path, options: Sequence[str] = (), *, ready_within_s: float = _READY_SECONDS) -> None:
        self.log = folder / "emulator.log"
        ports = [part for name in ("smf", "semp", "health") for part in (f"--{name}-port", "0")]
        command = [sys.executable, "-m", str(__package__), "--data-dir", str(folder / "data"), *ports, *options]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        try:
            ready = self._ready_line(ready_within_s)
        except BaseException:
            self.stop()
            raise
        self.pid: int = ready["pid"]
        self.smf: str = ready["smf"]
        self.semp_url: str = ready["semp"]
        self._made = 0

    def _ready_line(self, within_s: float) -> dict[str, Any]:
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - it was asked for above
        line = stdout.readline() if select.select([stdout], [], [], within_s)[0] else b""
        if not line:
            said = self.log.read_text(errors="replace").strip().splitlines()
            raise EmulatorError(f"the emulator is not ready: {said[-1] if said else 'it says nothing'} ({self.log})")
        ready: dict[str, Any] = json.loads(line)
        return ready

    def stop(self) -> None:
        """End it, in order if that takes no longer than some seconds."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def semp(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a SEMP v2 request as the administrator; ``path`` begins with the interface. Raises EmulatorError."""
        request = urllib.request.Request(  # noqa: S310 - the address is the one this object has just started
            f"{self.semp_url}/SEMP/v2/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Basic " + base64.b64encode(b"admin:admin").decode()},
        )
        try:
            with urllib.request.urlopen(request, timeout=_REQUEST_SECONDS) as response:  # noqa: S310 - as above
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise EmulatorError(json.load(error)["meta"]["error"]["description"]) from None
        return answer

    def new_broker(self) -> SolaceBroker:
        """Make a message VPN that is open to any user and password, with all permissions and no queues."""
        self._made += 1
        name = f"test-{self._made}"
        vpn = {"enabled": True, "authenticationBasicType": "none", "maxMsgSpoolUsage": _SPOOL_MEGABYTES}
        self.semp("POST", "config/msgVpns", {"msgVpnName": name} | vpn)
        self.semp("PATCH", f"config/msgVpns/{name}/clientProfiles/default", _PERMISSIVE_PROFILE)
        self.semp("PATCH", f"config/msgVpns/{name}/clientUsernames/default", {"enabled": True})
        return SolaceBroker(self, name)


@dataclass(frozen=True, slots=True)
class SolaceBroker:
    """What a test sees of the emulator: one message VPN of its own."""

    emulator: EmulatorProcess
    vpn: str
    username: str = "default"
    password: str = "default"  # noqa: S105 - any is accepted

    @property
    def host(self) -> str:
        """Where clients connect, ``tcp://…``."""
        return self.emulator.smf

    @property
    def properties(self) -> dict[str, str]:
        """For ``MessagingService.builder().from_properties`` of the official Python client."""
        return {
            "solace.messaging.transport.host": self.host,
            "solace.messaging.service.vpn-name": self.vpn,
            "solace.messaging.authentication.basic.username": self.username,
            "solace.messaging.authentication.basic.password": self.password,
        }

    def queue(self, name: str, *subscriptions: str, **attributes: Any) -> None:
        """Make an open queue; ``attributes`` are SEMP's, like ``maxRedeliveryCount=3``. Raises EmulatorError."""
        opened = {"ingressEnabled": True, "egressEnabled": True, "permission": "delete"}
        self.semp("POST", "config", "/queues", {"queueName": name} | opened | attributes)
        for subscription in subscriptions:
            path = f"/queues/{quote(name, safe='')}/subscriptions"
            self.semp("POST", "config", path, {"subscriptionTopic": subscription})

    def depth(self, name: str) -> int:
        """Return the number of messages in a queue, delivered and unsettled ones included. Raises EmulatorError."""
        answer = self.semp("GET", "monitor", f"/queues/{quote(name, safe='')}")
        depth: int = answer["collections"]["msgs"]["count"]
        return depth

    def semp(
        self, method: str, interface: str, path: str = "", body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a SEMP v2 request; ``path`` is what follows this message VPN's own. Raises EmulatorError."""
        return self.emulator.semp(method, f"{interface}/msgVpns/{self.vpn}{path}", body)

    def close(self) -> None:
        """Disconnect the clients that are left and delete the message VPN with its queues. Raises EmulatorError."""
        self.semp("PATCH", "config", body={"enabled": False})
        while queues := self.semp("GET", "config", "/queues?select=queueName")["data"]:
            for queue in queues:
                self.semp("DELETE", "config", f"/queues/{quote(queue['queueName'], safe='')}")
        self.semp("DELETE", "config")
