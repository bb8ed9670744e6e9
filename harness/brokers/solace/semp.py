"""SEMP v2 over HTTP: just what provisioning and observing need.

Errors are told apart by ``meta.error.code``: a broker answers a missing object with HTTP 400 and code 6. One session
(cookie) is kept, since a broker has few of them.
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import quote

import httpx

from crep.harness.brokers.contract import BrokerError, Endpoint, Json

NOT_FOUND, ALREADY_EXISTS, INVALID_PARAMETER, NOT_SUPPORTED, NOT_ALLOWED = 6, 10, 11, 14, 89
_STILL_STARTING = 412  # message spool data not available yet
_UNAUTHORISED_LEVEL = 72
_TIMEOUT_S = 5.0
_PAGE = 100


class SempError(BrokerError):
    """The broker refused a request; ``code`` is ``meta.error.code``."""

    def __init__(self, message: str, code: int, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


def path_of(*segments: str) -> str:
    """A SEMP path; slashes and commas inside a name are percent-encoded."""
    return "/".join(quote(segment, safe="") for segment in segments)


class Semp:
    """A client for one broker. Paths are relative to ``/SEMP/v2``, e.g. ``config/msgVpns/default/queues``."""

    def __init__(self, endpoint: Endpoint, transport: httpx.BaseTransport | None = None) -> None:
        if not endpoint.semp:
            raise BrokerError(f"target {endpoint.target!r} has no SEMP address (http://host:port)")
        self._endpoint = endpoint
        self._http = httpx.Client(
            base_url=f"{endpoint.semp.rstrip('/')}/SEMP/v2/",
            auth=(endpoint.admin_username or "admin", endpoint.admin_password),
            timeout=_TIMEOUT_S,
            verify=_trust(endpoint),
            transport=transport,
            trust_env=False,  # a broker is reached directly, never through a web proxy
        )

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
        where = self._endpoint.semp
        try:
            answer = self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise BrokerError(
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
            raise self._refusal(meta["error"], f"{method} {path}")
        return dict(body)

    def _refusal(self, error: Json, request: str) -> SempError:
        code = int(error.get("code", 0))
        hint = {
            _STILL_STARTING: "the broker's guaranteed messaging is still starting: try again in a moment",
            _UNAUTHORISED_LEVEL: "the administrator's access level is too low: it needs vpn/read-write",
        }.get(code)
        text = f"SEMP at {self._endpoint.semp} refuses {request}: {error.get('description')} (code {code})"
        return SempError(text, code, hint=hint)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def _trust(endpoint: Endpoint) -> ssl.SSLContext | bool:
    tls = endpoint.tls
    if tls is None or tls.ca_file is None:
        return True
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.check_hostname = tls.verify_host
    return context
