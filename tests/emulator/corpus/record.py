"""Record what the official client sends to the emulator: ``python -m tests.emulator.corpus.record``.

A relay between the two keeps the client's bytes. Each frame of another shape than those before becomes one file in
``recorded``. What names the machine (user, host, description in the login) is replaced before anything is written.
"""

from __future__ import annotations

import asyncio
import base64
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from solace.messaging.config.message_acknowledgement_configuration import Outcome
from solace.messaging.config.missing_resources_creation_configuration import MissingResourcesCreationStrategy
from solace.messaging.messaging_service import MessagingService
from solace.messaging.resources.queue import Queue
from solace.messaging.resources.share_name import ShareName
from solace.messaging.resources.topic import Topic
from solace.messaging.resources.topic_subscription import TopicSubscription

from crep.solace_emulator.smf import FrameSplitter, assured, clientctrl, frame, smp
from tests.emulator.corpus.files import RECORDED, write
from tests.emulator.messaging import direct_publisher, direct_receiver, end, persistent_publisher, receiver, send
from tests.emulator.process import running

_PROTOCOLS: Final = {
    frame.MESSAGE: "message",
    frame.SMP: "subscription",
    frame.ASSURED_CTRL: "assured",
    frame.ASSURED_PASS_THROUGH: "assured",
    frame.CLIENT_CTRL: "client",
    frame.KEEP_ALIVE: "keep-alive",
}
_ASSURED: Final = {
    assured.OPEN_FLOW: "open-flow",
    assured.CLIENT_ACK: "acknowledge",
    assured.BIND: "bind",
    assured.UNBIND: "unbind",
    assured.CLOSE_FLOW: "close-flow",
    assured.CREATE: "create",
    assured.DELETE: "delete",
}
_SMP: Final = {
    smp.ADD: "add",
    smp.REMOVE: "remove",
    smp.ADD_TO_QUEUE: "add-to-queue",
    smp.REMOVE_FROM_QUEUE: "remove-from-queue",
}


class Relay:
    """Passes bytes both ways and keeps those of the client."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sent: list[bytearray] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of the client."""
        kept = bytearray()
        self.sent.append(kept)
        broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(_pass(reader, broker_writer, kept), _pass(broker_reader, writer, None))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray | None) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            if kept is not None:
                kept += data
            writer.write(data)
            await writer.drain()
    writer.close()


def use(host: str) -> None:
    """Do a little of everything that the client can."""
    service = MessagingService.builder().from_properties(
        {
            "solace.messaging.transport.host": host,
            "solace.messaging.transport.keep-alive-interval": 500,
            "solace.messaging.service.vpn-name": "default",
            "solace.messaging.authentication.basic.username": "somebody",
            "solace.messaging.authentication.basic.password": "secret",
        }
    )
    service = service.build("recorded")
    service.connect()
    _direct(service)
    _guaranteed(service)
    _endpoints(service)
    time.sleep(1.0)  # a keep-alive or two
    service.disconnect()


def _direct(service: Any) -> None:
    source = direct_receiver(service, "direct/>")
    shared = service.create_direct_message_receiver_builder()
    shared = shared.with_subscriptions([TopicSubscription.of("shared/>")]).build(ShareName.of("group"))
    shared.start()
    publisher = direct_publisher(service)
    for payload in (bytearray(b"bytes"), "text", {"a": 1, "b": [True, "x", 2.5]}):
        message = service.message_builder().with_property("colour", "red").with_property("count", 7)
        message = message.with_correlation_id("c-1").with_application_message_id("m-1").with_sender_id("s-1")
        publisher.publish(message.build(payload), Topic.of("direct/x"))
    replier = service.request_reply().create_request_reply_message_receiver_builder()
    replier = replier.build(TopicSubscription.of("rpc/ping"))
    replier.start()
    requester = service.request_reply().create_request_reply_message_publisher_builder().build()
    requester.start()
    pending = requester.publish(service.message_builder().build("ping"), Topic.of("rpc/ping"), 5000)
    _, answer = replier.receive_message(5000)
    answer.reply(service.message_builder().build("pong"))
    pending.result(5)
    for one in (requester, replier, source, shared, publisher):
        end(one)


def _guaranteed(service: Any) -> None:
    publisher = persistent_publisher(service)
    for name in ("q", "grave"):
        end(_made(service, name))
    send(publisher, "made/x", "plain")
    message = service.message_builder().with_property("key", "k").with_priority(7)
    message = message.with_property("solace.messaging.message.persistent.time-to-live", 60_000)
    publisher.publish_await_acknowledgement(message.build({"structured": [1, None, "x"]}), Topic.of("made/y"), 5000)
    outcomes = (Outcome.FAILED, Outcome.REJECTED)
    source = receiver(service, "q", outcomes=outcomes)
    for outcome in (Outcome.FAILED, Outcome.ACCEPTED, Outcome.REJECTED):
        received = source.receive_message(5000)
        source.settle(received, outcome)
    source.add_subscription(TopicSubscription.of("more/>"))
    source.remove_subscription(TopicSubscription.of("more/>"))
    end(source)
    end(publisher)


def _made(service: Any, name: str) -> Any:
    builder = service.create_persistent_message_receiver_builder()
    builder = builder.with_missing_resources_creation_strategy(MissingResourcesCreationStrategy.CREATE_ON_START)
    made = builder.with_subscriptions([TopicSubscription.of("made/>")]).build(Queue.durable_exclusive_queue(name))
    made.start()
    return made


def _endpoints(service: Any) -> None:
    temporary = service.create_persistent_message_receiver_builder().build(Queue.non_durable_exclusive_queue())
    temporary.start()
    browser = service.create_message_queue_browser_builder().build(Queue.durable_exclusive_queue("grave"))
    browser.start()
    browser.receive_message(1000)
    browser.terminate()
    end(temporary)


def shape(one: frame.Frame) -> tuple[str, object]:
    """What a frame is called, and what tells it apart from others of that name: its parameters' types."""
    name = _PROTOCOLS.get(one.protocol, "other")
    keys: tuple[object, ...] = tuple(one.parameters())
    if name == "assured":
        decoded = assured.decode(one.body)
        return f"assured-{_ASSURED.get(decoded.kind, decoded.kind)}", (keys, tuple(key for key, _ in decoded.params))
    if name == "subscription":
        request = smp.decode(one.body)
        share = request.subscription.startswith("#share/")
        return f"subscription-{_SMP.get(request.kind, request.kind)}", (request.flags, share)
    if name == "message":
        guaranteed = "guaranteed" if one.flags & frame.FLAG_GUARANTEED else "direct"
        return f"message-{guaranteed}", (keys, len(one.body))
    return name, keys


def without_the_machine(one: frame.Frame) -> bytes:
    """Replace what the client says of its host in a login."""
    if one.protocol != frame.CLIENT_CTRL:
        return one.raw
    kind, params = clientctrl.decode(one.body)
    for key in (clientctrl.USER_ID, clientctrl.DESCRIPTION, clientctrl.PLATFORM):
        if key in params:
            params[key] = frame.terminated("a client")
    smf = frame.parameter(frame.USER_NAME, base64.b64encode(b"somebody"))
    smf += frame.parameter(frame.PASSWORD, base64.b64encode(b"secret"))
    return frame.frame(frame.CLIENT_CTRL, smf, clientctrl.encode(kind, list(params.items())), flags=one.flags)


async def _recorded(port: int, client: Callable[[str], None]) -> list[bytearray]:
    relay = Relay(port)
    listener = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    host = f"tcp://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    await asyncio.to_thread(client, host)
    listener.close()
    return relay.sent


def main() -> int:
    """Record and write the files."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "data", "--sync", "never") as emulator:
        port = int(emulator.ready["smf"].rpartition(":")[2])
        streams = asyncio.run(_recorded(port, use))
    seen: set[tuple[str, object]] = set()
    counts: dict[str, int] = {}
    for stream in streams:
        for one in FrameSplitter(10_000_000).feed(bytes(stream)):
            name, rest = shape(one)
            if (name, rest) in seen:
                continue
            seen.add((name, rest))
            counts[name] = counts.get(name, 0) + 1
            write(RECORDED / f"{name}-{counts[name]}.hex", "as the official client sends it", without_the_machine(one))
    sys.stdout.write(f"{sum(counts.values())} frames in {RECORDED}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
