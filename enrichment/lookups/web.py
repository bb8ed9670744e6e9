"""An HTTP service, with time-out, retries, a memory and a circuit breaker."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import httpx

from crep.enrichment.config import HttpLookup
from crep.enrichment.lookups import LookupFailed, Row
from crep.enrichment.lookups.breaker import Breaker
from crep.enrichment.lookups.cached import Cache

_BACKOFF_S = 0.05  # before the first retry; doubled for each further one


class Web:
    """GET, JSON object; 404 is *not found*, any other 4xx is a failure that is not tried again."""

    def __init__(self, spec: HttpLookup, transport: httpx.BaseTransport | None = None) -> None:
        try:
            httpx.URL(spec.url.replace("{value}", "x"))
        except httpx.InvalidURL as error:
            raise ValueError(f"{spec.url!r} is no address: {error}") from None
        self._spec = spec
        self._client = httpx.Client(timeout=spec.timeout, transport=transport)
        self._breaker = Breaker(spec.breaker_failures, spec.breaker_pause)
        self._cache = Cache(spec.cache, self._ask)
        self._counts = {"requests": 0, "failures": 0, "refused_by_breaker": 0}

    def get(self, value: Any) -> Row | None:
        """The answer's fields."""
        return self._cache.get(str(value))

    def _ask(self, value: str) -> Row | None:
        address = self._spec.url.replace("{value}", quote(value, safe=""))
        reason = ""
        for attempt in range(self._spec.retries + 1):
            if attempt:
                time.sleep(_BACKOFF_S * 2 ** (attempt - 1))
            if not self._breaker.allows():
                self._counts["refused_by_breaker"] += 1
                raise LookupFailed(f"{self._spec.url}: the circuit breaker is open{reason}")
            self._counts["requests"] += 1
            try:
                response = self._client.get(address)
            except httpx.HTTPError as error:
                reason = f": {type(error).__name__} {error}".rstrip()
                self._failed()
                continue
            if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                return self._answer(response)
            reason = f": status {response.status_code}"
            self._failed()
        raise LookupFailed(f"{self._spec.url} does not answer{reason}")

    def _answer(self, response: httpx.Response) -> Row | None:
        self._breaker.succeeded()
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        try:
            body = response.raise_for_status().json()
        except httpx.HTTPStatusError:
            raise LookupFailed(f"{self._spec.url} refuses: status {response.status_code}") from None
        except ValueError:
            raise LookupFailed(f"{self._spec.url} answers no JSON") from None
        if not isinstance(body, dict):
            raise LookupFailed(f"{self._spec.url} answers no JSON object")
        return body

    def _failed(self) -> None:
        self._counts["failures"] += 1
        self._breaker.failed()

    def state(self) -> dict[str, int | float | str]:
        """Requests, cache and breaker."""
        return {
            **self._counts,
            "cached": len(self._cache),
            "hits": self._cache.hits,
            "misses": self._cache.misses,
            "breaker": self._breaker.state,
            "breaker_opened": self._breaker.opened,
        }

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
