"""What the clients of Solace have in common, whichever library they drive and whichever way messages go."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.messaging_service import MessagingService

from crep.harness.brokers.client_library import CLIENT, ClientName
from crep.harness.brokers.contract import ClientEvent, Endpoint, Json
from crep.harness.brokers.solace.events import EventLog
from crep.harness.brokers.solace.service import TERMINATE_MS, bounded, properties_of, shown


class ClientSpec(Protocol):
    """What every client is told, whatever it is for."""

    @property
    def endpoint(self) -> Endpoint:
        """Where its broker is."""

    @property
    def settings(self) -> Json:
        """Client settings."""

    @property
    def reconnect_for_s(self) -> float:
        """How long it tries to connect again."""


class SolaceClient:
    """Settings, connection events and their provenance.

    Args:
        spec: what the client is for.
        library: which library carries it, for the provenance.
        fixed: settings of the library that decide an outcome and cannot be set from outside.
    """

    def __init__(self, spec: ClientSpec, library: str, fixed: Mapping[str, str]) -> None:
        self._properties: Json = properties_of(spec.endpoint, spec.settings, spec.reconnect_for_s)
        self._fixed = {CLIENT: library, **fixed}
        self._log = EventLog()

    def instead_of(self, better: ClientName, reason: str) -> None:
        """Another library was asked for and cannot be used: say so among the events and in the provenance."""
        self._log.note("fallback", f"client {better!r} cannot be used, {self._fixed[CLIENT]} is used instead: {reason}")
        self._fixed[CLIENT] = f"{self._fixed[CLIENT]} ({better} cannot be used: {reason})"

    def events(self) -> list[ClientEvent]:
        """Connection events since the last call."""
        return self._log.take()

    def effective_settings(self) -> dict[str, str]:
        """The library, every property that it was given without the password, and what of it is fixed."""
        return shown(self._properties) | self._fixed


class Ends(Protocol):
    """The library's publishers and receivers, as far as their end goes."""

    def is_running(self) -> bool:
        """Whether it was started and not ended."""

    def terminate(self, grace_period: int) -> None:
        """End it; waits at most so many milliseconds for what is under way."""


class ApiClient(SolaceClient):
    """A client on the vendor's public Python API: one messaging service with one publisher or receiver."""

    def __init__(self, spec: ClientSpec, fixed: Mapping[str, str]) -> None:
        super().__init__(spec, "api", fixed)
        self._service: MessagingService | None = None
        self._worker: Ends | None = None

    def close(self) -> None:
        """End publisher or receiver, then disconnect: what has no outcome keeps none, what was not settled stays."""
        worker, self._worker = self._worker, None
        service, self._service = self._service, None
        if worker is not None:
            end(worker)
        if service is not None:
            bounded(service.disconnect)


def end(worker: Ends) -> None:
    """End a publisher or receiver that was started, within bounds."""
    if worker.is_running():
        bounded(lambda: _terminate(worker))


def _terminate(worker: Ends) -> None:
    try:
        worker.terminate(TERMINATE_MS)
    except PubSubPlusClientError:
        return  # says that messages are without a receipt, or were not taken: the caller has counted them so


class Patience:
    """How long one message that cannot be sent may hold up those behind it."""

    def __init__(self, limit_s: float = 5.0) -> None:
        self._limit_s = limit_s
        self._failing: tuple[int, float] | None = None  # sequence, and since when (monotonic s)

    def over(self, sequence: int) -> bool:
        """This message has failed again; True when it has for so long that it is to be given up."""
        now = time.monotonic()
        if self._failing is None or self._failing[0] != sequence:
            self._failing = sequence, now
        return now - self._failing[1] >= self._limit_s

    def renew(self) -> None:
        """What failed was not the message's fault."""
        self._failing = None
