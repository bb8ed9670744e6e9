"""The broker as one test sees it: a message VPN of its own, or names of its own in the one that was given."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from tests.emulator.conformance.address import Address
from tests.emulator.messaging import eventually

NOT_FOUND: Final = 6
_SPOOL_MEGABYTES: Final = 100
_EVERYTHING: Final = {
    "allowGuaranteedEndpointCreateEnabled": True,
    "allowGuaranteedMsgReceiveEnabled": True,
    "allowGuaranteedMsgSendEnabled": True,
    "allowSharedSubscriptionsEnabled": True,
}
OPEN_ACL: Final = {
    "clientConnectDefaultAction": "allow",
    "publishTopicDefaultAction": "allow",
    "subscribeTopicDefaultAction": "allow",
}
PASSWORD: Final = "conformance"


class Broker:
    """One test's part of the broker. Whatever is made here, or named by :meth:`unique`, goes with :meth:`close`.

    ``patience`` is how long (s) a change may take to show, ``moment_ms`` how long nothing has to come until a test
    takes it that nothing will: a real broker may be far away, and its monitor lags its configuration.
    """

    def __init__(self, address: Address, administrator: httpx.Client) -> None:
        self.address = address
        self.patience = 10.0 if address.emulated else 40.0
        self.moment_ms = 150 if address.emulated else 1500
        self._administrator = administrator
        self._made: list[str] = []
        self._trusted: list[str] = []
        self._mark = uuid.uuid4().hex[:8]
        self.vpn = address.vpn or f"conformance-{self._mark}"
        if address.vpn is None:
            vpn = {"enabled": True, "authenticationBasicType": "none", "maxMsgSpoolUsage": _SPOOL_MEGABYTES}
            self.expect("POST", "config/msgVpns", {"msgVpnName": self.vpn} | vpn)
        try:
            self.username = self.user("tester")
        except BaseException:
            self.close()
            raise

    # -- SEMP

    def semp(
        self, method: str, interface: str, path: str = "", body: Mapping[str, Any] | None = None, **query: str
    ) -> httpx.Response:
        """Send a request about this message VPN; ``path`` follows the VPN's own."""
        return self.request(method, f"{interface}/msgVpns/{self.vpn}{path}", body, **query)

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: str) -> httpx.Response:
        """Send any request; ``path`` begins with the interface."""
        return self._administrator.request(method, path, json=body, params=query or None)

    def expect(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a request that has to succeed and return the answer."""
        response = self.request(method, path, body)
        assert response.status_code == httpx.codes.OK, f"{response.status_code}: {response.text}"
        answer: dict[str, Any] = response.json()
        return answer

    def read(self, interface: str, path: str = "", **query: str) -> Any:
        """Return the data of an object or collection of this message VPN."""
        response = self.semp("GET", interface, path, None, **query)
        assert response.status_code == httpx.codes.OK, f"{response.status_code}: {response.text}"
        return response.json()["data"]

    # -- what a test makes

    def unique(self, name: str, collection: str = "queues") -> str:
        """Return a name of this test alone; an object that gets it, by whomever, is deleted at the end."""
        named = f"{name}-{self._mark}"
        self._made.append(f"/{collection}/{quoted(named)}")
        return named

    def make(self, collection: str, identifier: str, name: str, **attributes: Any) -> str:
        """Create an object with a name of this test alone, and return that."""
        named = self.unique(name, collection)
        self.expect("POST", f"config/msgVpns/{self.vpn}/{collection}", {identifier: named} | attributes)
        return named

    def queue(self, name: str, *subscriptions: str, **attributes: Any) -> str:
        """Create an open queue, and return its name; ``attributes`` are SEMP's."""
        opened = {"ingressEnabled": True, "egressEnabled": True, "permission": "delete"}
        named = self.make("queues", "queueName", name, **opened | attributes)
        for subscription in subscriptions:
            self.add(f"queues/{quoted(named)}/subscriptions", subscriptionTopic=subscription)
        return named

    def add(self, collection: str, **attributes: Any) -> None:
        """Create an object below one of this test's."""
        self.expect("POST", f"config/msgVpns/{self.vpn}/{collection}", attributes)

    def change(self, path: str, **attributes: Any) -> None:
        """Change attributes of an object of this message VPN; ``path`` is relative to it, empty for itself."""
        self.expect("PATCH", f"config/msgVpns/{self.vpn}{path and '/' + path}", attributes)

    def user(
        self,
        name: str,
        *,
        profile: Mapping[str, Any] | None = None,
        acl: Mapping[str, str] | None = None,
        **attributes: Any,
    ) -> str:
        """Create a client username with a client profile and an ACL profile of the same name, and return that.

        They allow everything unless ``profile`` changes it or ``acl`` says all of it.
        """
        profile_name = self.make("clientProfiles", "clientProfileName", name, **_EVERYTHING | dict(profile or {}))
        acl_name = self.make("aclProfiles", "aclProfileName", name, **OPEN_ACL if acl is None else acl)
        profiles = {"clientProfileName": profile_name, "aclProfileName": acl_name}
        settings = {"enabled": True, "password": PASSWORD} | profiles | attributes
        return self.make("clientUsernames", "clientUsername", name, **settings)

    def trust(self, authority: str) -> None:
        """Have the whole broker trust a certificate authority (PEM) for clients, until the end of the test."""
        name = f"conformance-{self._mark}"
        body = {"certAuthorityName": name, "certContent": authority}
        self.expect("POST", "config/clientCertAuthorities", body)
        self._trusted.append(f"config/clientCertAuthorities/{name}")

    # -- what a test looks at

    def monitor(self, queue: str) -> dict[str, Any]:
        """Return a queue's monitor attributes."""
        values: dict[str, Any] = self.read("monitor", f"/queues/{quoted(queue)}")
        return values

    def depth(self, queue: str) -> int:
        """Return the number of messages in a queue, delivered and unsettled ones included."""
        answer = self.expect("GET", f"monitor/msgVpns/{self.vpn}/queues/{quoted(queue)}")
        depth: int = answer["collections"]["msgs"]["count"]
        return depth

    def holds(self, queue: str, count: int) -> bool:
        """Wait for a queue to hold so many messages."""
        return self.becomes(lambda: self.depth(queue) == count)

    def counts(self, queue: str, **counters: int) -> bool:
        """Wait for a queue's counters to have these values."""
        return self.becomes(lambda: counters.items() <= self.monitor(queue).items())

    def becomes(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition, as long as this broker may take."""
        return eventually(condition, self.patience)

    # -- end

    def close(self) -> None:
        """Delete what was made, last first; with a message VPN of its own also what clients have left there."""
        if self.address.vpn is None:
            self.change("", enabled=False)  # which disconnects whoever is left
            for queue in self.read("config", "/queues", select="queueName", count="100"):
                self._made.append(f"/queues/{quoted(queue['queueName'])}")
            self._made.insert(0, "")
        for path in self._trusted:
            self.expect("DELETE", path)
        left = list(dict.fromkeys(reversed(self._made)))

        def deleted() -> bool:
            left[:] = [path for path in left if not self._gone(path)]  # one may have to wait for another that uses it
            return not left

        assert eventually(deleted, self.patience), f"message VPN {self.vpn}: these cannot be deleted: {left}"

    def _gone(self, path: str) -> bool:
        response = self.semp("DELETE", "config", path)
        return response.status_code == httpx.codes.OK or response.json()["meta"]["error"]["code"] == NOT_FOUND


def quoted(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")
