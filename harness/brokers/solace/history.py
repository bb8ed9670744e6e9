"""The replay log of a message VPN, replayed into a queue of our own with the topic subscriptions that are asked for.

No queue of anybody else is touched, as a replay empties its queue first (the vendor's documentation, *Message Replay*).
The broker replays up to the present and has no mark for where that is: what is published meanwhile stands behind.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence

from crep.harness.brokers.contract import BrokerError, ClientEvent, Json, Message, NotSupported
from crep.harness.brokers.history import HistorySpec
from crep.harness.brokers.solace.semp import NOT_FOUND, NOT_SUPPORTED, Semp, SempError, path_of
from crep.harness.brokers.solace.streams import SolaceSource
from crep.harness.brokers.streams import GiveBack, SourceSpec

_LOOK_EVERY_S = 0.2
_MS = 1000


class SolaceHistory:
    """See ``history.History``. Needs SEMP; messages come in the order in which the broker took them."""

    def __init__(self, spec: HistorySpec) -> None:
        if spec.until_ms is not None:
            raise NotSupported(
                "Solace's replay log is replayed to the present, and its messages carry no time of the broker's",
                hint="leave the end out, or take the first so many (limit)",
            )
        if spec.offsets:
            raise NotSupported(
                "Solace has no offsets", hint="begin behind a replication group message id (after), or at a time"
            )
        if spec.topic_header is not None:
            raise NotSupported("'topic_header' is Kafka's: a Solace message has its topic")
        self._spec = spec
        self._vpn = path_of("msgVpns", spec.endpoint.vpn)
        self._queue = f"{spec.name}-{uuid.uuid4().hex[:12]}"
        self._at = f"{self._vpn}/{path_of('queues', self._queue)}"
        self._semp: Semp | None = None
        self._made = False
        self._looked_s = 0.0
        self._source = SolaceSource(
            SourceSpec(spec.endpoint, spec.name, (self._queue,), None, spec.settings, key_property=spec.key_property)
        )

    def open(self, give_back: GiveBack | None = None) -> None:
        """Make the queue, start the replay, and bind. Raises BrokerError."""
        del give_back
        self._semp = Semp(self._spec.endpoint)
        try:
            log = self._log()
            body = {"queueName": self._queue, "permission": "consume", "ingressEnabled": True, "egressEnabled": True}
            self._semp.post(f"config/{self._vpn}/queues", body)
            self._made = True
            for topic in self._spec.places:
                self._semp.post(f"config/{self._at}/subscriptions", {"subscriptionTopic": topic})
            self._semp.act(f"action/{self._at}/startReplay", {"replayLogName": log, **self._start()})
            self._source.open()
        except BaseException:
            self.close()
            raise

    def _start(self) -> Json:
        if self._spec.after is not None:
            return {"afterMsg": self._spec.after}
        if self._spec.since_ms is not None:
            return {"fromTime": self._spec.since_ms // _MS}
        return {}

    def _log(self) -> str:
        hint = f"make a replay log in message VPN {self._spec.endpoint.vpn!r}; it keeps what is published from then on"
        try:
            logs = self._semp_client().get_all(f"monitor/{self._vpn}/replayLogs")
        except SempError as error:
            if error.code not in (NOT_FOUND, NOT_SUPPORTED):
                raise
            logs = []
        if not logs:
            raise NotSupported(f"message VPN {self._spec.endpoint.vpn!r} has no replay log", hint=hint)
        return str(logs[0]["replayLogName"])

    def receive(self, max_messages: int, timeout_s: float) -> list[Message]:
        """See ``Source``."""
        return self._source.receive(max_messages, timeout_s)

    def accept(self, messages: Sequence[Message]) -> None:
        """Take them out of our own queue."""
        self._source.accept(messages)

    def fail(self, messages: Sequence[Message]) -> None:
        """Let them come again, from our own queue."""
        self._source.fail(messages)

    def ended(self) -> bool:
        """See ``History``; the broker is asked a few times a second."""
        if time.monotonic() - self._looked_s < _LOOK_EVERY_S:
            return False
        self._looked_s = time.monotonic()
        data = self._semp_client().get(f"monitor/{self._at}")["data"]
        if data.get("replayState") == "failed":
            raise BrokerError(f"the broker's replay failed: {data.get('replayFailureReason') or 'no reason given'}")
        return bool(data.get("replayState") == "complete")

    def backlog(self) -> int | None:
        """See ``Source``."""
        return self._source.backlog()

    def events(self) -> list[ClientEvent]:
        """See ``Source``."""
        return self._source.events()

    def effective_settings(self) -> dict[str, str]:
        """See ``Source``."""
        return self._source.effective_settings()

    def close(self) -> None:
        """Disconnect and remove the queue; a queue that a kill left behind is named after its reader."""
        self._source.close()
        semp, self._semp = self._semp, None
        if semp is not None:
            if self._made:
                with contextlib.suppress(BrokerError):  # the broker is gone, or the queue: nothing can be done here
                    semp.delete(f"config/{self._at}")
            semp.close()

    def _semp_client(self) -> Semp:
        if self._semp is None:
            raise BrokerError(f"history {self._spec.name!r} is not open")
        return self._semp
