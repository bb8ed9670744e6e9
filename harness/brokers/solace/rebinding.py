"""A client on the public API whose receiver is made anew when the broker has ended its flow.

A flow that the broker ends (its queue's egress was shut, the permission was taken) ends the library's receiver: another
one is made, as an application would, until the budget for reconnecting is spent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NoReturn

from solace.messaging.errors.pubsubplus_client_error import PubSubPlusClientError
from solace.messaging.messaging_service import MessagingService
from solace.messaging.utils.life_cycle_control import TerminationEvent, TerminationNotificationListener

from crep.harness.brokers.contract import BrokerError
from crep.harness.brokers.solace.binding import BindAgain
from crep.harness.brokers.solace.client import ApiClient, ClientSpec
from crep.harness.brokers.solace.errors import reason_of
from crep.harness.brokers.solace.events import EventLog


class FlowLoss(TerminationNotificationListener):  # type: ignore[misc]
    """A lost flow (queue deleted, egress shut) ends the receiver; this is its only sign."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def on_termination(self, termination_event: TerminationEvent) -> None:
        """Note why."""
        self._log.note("error", f"the receiver was ended: {termination_event.message}")


class RebindingClient(ApiClient):
    """See above. What was received on an ended flow cannot be settled on the next one: it comes again there.

    Args:
        spec: what the client is for.
        fixed: see ``SolaceClient``.
        what: who cannot receive, in errors.
    """

    def __init__(self, spec: ClientSpec, fixed: Mapping[str, str], what: str) -> None:
        super().__init__(spec, fixed)
        self._what = what
        self._bind_again = BindAgain(spec.reconnect_for_s)

    def _start(self, service: MessagingService) -> None:
        """Make a receiver and start it. Raises PubSubPlusClientError."""
        raise NotImplementedError

    def _may_bind_again(self) -> bool:
        """Whether a new flow can take the place of the ended one: not for a direct subscription, say."""
        return True

    def _flow_ended(self, error: PubSubPlusClientError) -> None:
        """Bind again later where the broker has ended the flow.

        Raises:
            BrokerError: that has been tried for long enough, or it is the connection that is lost.
        """
        now, reason = time.monotonic(), reason_of(error)
        self._bind_again.failed(reason, now)
        connected = self._service is not None and self._service.is_connected
        if not self._may_bind_again() or not connected or self._bind_again.over(now):
            self._give_up(reason, error)
        self._log.reconnecting(f"the broker has ended the flow, binding again: {reason}")

    def _give_up(self, reason: str, error: PubSubPlusClientError) -> NoReturn:
        self._log.gave_up(reason)
        raise BrokerError(f"{self._what} cannot receive: {reason}") from error

    def _flow_is_there(self, timeout_s: float) -> bool:
        """Whether there is a receiver to ask; without one, try to have another when it is time to."""
        if not self._bind_again.going_on:
            return True
        if self._service is None or not self._bind_again.due(time.monotonic()):
            time.sleep(timeout_s)
            return False
        try:
            self._start(self._service)
        except PubSubPlusClientError as error:
            self._flow_ended(error)
            return False
        self._bind_again.succeeded()
        self._log.reconnected("the flow is bound again")
        return True
