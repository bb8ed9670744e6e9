"""SEMP v2 over HTTP: just what provisioning and observing need.

Errors are told apart by ``meta.error.code``: a broker answers a missing object with HTTP 400 and code 6. One session
(cookie) is kept, since a broker has few of them.

A redundancy pair has an address for each of its two messaging nodes, and only the active one knows clients, queues and
messages. Which one that is says the state of the message VPN, ``up`` or ``standby`` (SEMP v2 monitor, MsgVpn.state; not
tried on a real pair); a standby that does not answer at all is passed over too.
"""

from __future__ import annotations

import ssl
import time
from typing import Any
from urllib.parse import quote

import httpx

from crep.harness.brokers.contract import BrokerError, Endpoint, Json

NOT_FOUND, ALREADY_EXISTS, INVALID_PARAMETER, NOT_SUPPORTED, NOT_ALLOWED = 6, 10, 11, 14, 89
_STILL_STARTING = 412  # message spool data not available yet
_UNAUTHORISED_LEVEL = 72
_TIMEOUT_S = 5.0
_PAGE = 100
_LOOK_AGAIN_S = 1.0  # who is active changes in seconds


class SempError(BrokerError):
    """The broker refused a request; ``code`` is ``meta.error.code``."""

    def __init__(self, message: str, code: int, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class _Unreachable(BrokerError):
    """No answer at all."""


def path_of(*segments: str) -> str:
    """A SEMP path; slashes and commas inside a name are percent-encoded."""
    return "/".join(quote(segment, safe="") for segment in segments)


class Semp:
    """A client for one broker, or for the active node of a pair.

    Paths are relative to ``/SEMP/v2``, e.g. ``config/msgVpns/default/queues``.
    """

    def __init__(self, endpoint: Endpoint, transport: httpx.BaseTransport | None = None) -> None:
        if not endpoint.semp:
            raise BrokerError(f"target {endpoint.target!r} has no SEMP address (http://host:port)")
        self._endpoint = endpoint
        self._nodes = {
            address: httpx.Client(
                base_url=f"{address.rstrip('/')}/SEMP/v2/",
                auth=(endpoint.admin_username or "admin", endpoint.admin_password),
                timeout=_TIMEOUT_S,
                verify=_trust(endpoint),
                transport=transport,
                trust_env=False,  # a broker is reached directly, never through a web proxy
            )
            for address in endpoint.semp.split(",")
        }
        self._active = next(iter(self._nodes))
        self._looked_s = -_LOOK_AGAIN_S

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of all nodes, as the endpoint lists them."""
        return tuple(self._nodes)

    def active(self, *, now: bool = False) -> str:
        """The address of the node that serves: of a pair the one whose message VPN is up, as of a second ago.

        Args:
            now: look, whenever that was done before.

        Raises:
            BrokerError: neither node of a pair says so.
        """
        if len(self._nodes) > 1 and (now or time.monotonic() - self._looked_s >= _LOOK_AGAIN_S):
            self._active = self._look()
            self._looked_s = time.monotonic()
        return self._active

    def _look(self) -> str:
        said = []
        for address in sorted(self._nodes, key=lambda one: one != self._active):
            try:
                answer = self._exchange(address, "GET", f"monitor/{path_of('msgVpns', self._endpoint.vpn)}")
                state = answer["data"].get("state")
            except BrokerError as error:
                said.append(error.message)
                continue
            if state == "up":
                return address
            said.append(f"{address}: message VPN {self._endpoint.vpn!r} is {state}")
        raise BrokerError(f"target {self._endpoint.target!r}: no node is active ({'; '.join(said)})")

    def get(self, path: str, **query: str | int) -> Json:
        """The whole answer: ``data``, ``collections`` (monitor), ``meta``."""
        return self._ask("GET", path, params=query)

    def get_all(self, path: str, **query: str | int) -> list[Json]:
        """The ``data`` of a collection over all its pages."""
        found: list[Json] = []
        asked: dict[str, str | int] = {"count": _PAGE, **query}
        while True:
            answer = self._ask("GET", path, params=asked)
            found += answer["data"]
            following = answer["meta"].get("paging", {}).get("nextPageUri")
            if following is None:
                return found
            asked = {**asked, "cursor": str(httpx.URL(following).params["cursor"])}

    def post(self, path: str, body: Json) -> Json:
        """Create."""
        return self._ask("POST", path, json=body)

    def patch(self, path: str, body: Json) -> Json:
        """Change the attributes that are named."""
        return self._ask("PATCH", path, json=body)

    def act(self, path: str, body: Json | None = None) -> Json:
        """Carry out an action; it needs a body, if only an empty one."""
        return self._ask("PUT", path, json=body or {})

    def delete(self, path: str) -> None:
        """Delete."""
        self._ask("DELETE", path)

    def _ask(self, method: str, path: str, **request: Any) -> Json:
        try:
            return self._exchange(self.active(), method, path, **request)
        except _Unreachable:
            self._looked_s = -_LOOK_AGAIN_S  # whoever asks again finds the one that took over
            raise

    def _exchange(self, where: str, method: str, path: str, **request: Any) -> Json:
        try:
            answer = self._nodes[where].request(method, path, **request)
        except httpx.TransportError as error:
            raise _Unreachable(
                f"SEMP at {where} (target {self._endpoint.target!r}) cannot be reached: {error}",
                hint="check that the broker runs and that this is its management address (SEMP, often port 8080)",
            ) from error
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise BrokerError(
                f"SEMP at {where} refuses the login of administrator {self._endpoint.admin_username or 'admin'!r}",
                hint="the password comes from the environment variable that the target's admin.password_env names",
            )
        try:
            body = answer.json()
            meta = body["meta"]
        except (ValueError, KeyError, TypeError) as error:
            raise BrokerError(
                f"{where} answers HTTP {answer.status_code} without a SEMP body: is it a broker?"
            ) from error
        if "error" in meta:
            raise _refusal(where, meta["error"], f"{method} {path}")
        return dict(body)

    def close(self) -> None:
        """Close the connections."""
        for node in self._nodes.values():
            node.close()


def _refusal(where: str, error: Json, request: str) -> SempError:
    code = int(error.get("code", 0))
    hint = {
        _STILL_STARTING: "the broker's guaranteed messaging is still starting: try again in a moment",
        _UNAUTHORISED_LEVEL: "the administrator's access level is too low: it needs vpn/read-write",
    }.get(code)
    text = f"SEMP at {where} refuses {request}: {error.get('description')} (code {code})"
    return SempError(text, code, hint=hint)


def _trust(endpoint: Endpoint) -> ssl.SSLContext | bool:
    tls = endpoint.tls
    if tls is None or tls.ca_file is None:
        return True
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.check_hostname = tls.verify_host
    return context
