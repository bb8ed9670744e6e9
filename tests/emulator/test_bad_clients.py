"""One bad client never disturbs another: malformed frames, half frames, no login, no reading."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from solace.messaging.resources.topic import Topic

from crep.solace_emulator.smf import FrameSplitter, clientctrl, frame
from tests.emulator.messaging import direct_publisher, direct_receiver, drain, eventually, text
from tests.emulator.process import Emulator

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]


def raw(emulator: Emulator) -> socket.socket:
    """A bare connection to the SMF port."""
    host, _, port = emulator.ready["smf"].removeprefix("tcp://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def log_in(connection: socket.socket, name: str) -> dict[int, bytes]:
    """Log in by hand; return the answer's parameters."""
    params = [(clientctrl.CLIENT_NAME, frame.terminated(name)), (clientctrl.VPN_NAME, frame.terminated("default"))]
    smf = frame.parameter(frame.USER_NAME, base64.b64encode(b"default"))
    connection.sendall(frame.frame(frame.CLIENT_CTRL, smf, clientctrl.encode(clientctrl.LOGIN, params)))
    splitter = FrameSplitter(100_000)
    while True:
        for answer in splitter.feed(connection.recv(65536)):
            return clientctrl.decode(answer.body)[1]


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        frame.frame(frame.MESSAGE, b"", b"before login"),
        frame.HEADER.pack(3, frame.MESSAGE, 0, 1, 12, 2**32 - 1),
        frame.frame(frame.CLIENT_CTRL, b"", b"\x01\x00\xff\xff\xff\xff"),
    ],
    ids=["no SMF", "no login", "absurd length", "bad body"],
)
def test_what_is_no_smf_ends_that_connection_with_a_reason_in_the_log(emulator: Emulator, garbage: bytes) -> None:
    with raw(emulator) as bad, raw(emulator) as good:
        log_in(good, "good")
        bad.sendall(garbage)
        assert is_closed(bad)
        good.sendall(frame.KEEP_ALIVE_FRAME)
        assert good.recv(100) == frame.KEEP_ALIVE_FRAME
    assert "not SMF" in emulator.log


def test_garbage_after_login_frees_the_clients_name_and_subscriptions(emulator: Emulator) -> None:
    with raw(emulator) as bad:
        log_in(bad, "turned-bad")
        bad.sendall(b"\xff" * 100)
        assert is_closed(bad)
    assert eventually(lambda: emulator.semp("GET", "monitor/msgVpns/default/clients/turned-bad").status_code == 400)


def test_the_login_answer_says_that_this_is_the_emulator(emulator: Emulator) -> None:
    with raw(emulator) as connection:
        answer = log_in(connection, "asker")
    assert frame.text(answer[clientctrl.PLATFORM]) == "crep-emulator"
    assert frame.text(answer[clientctrl.SOFTWARE_VERSION]).startswith("crep-emulator ")
    assert "*" not in frame.text(answer[clientctrl.P2P_TOPIC])


def test_half_a_frame_waits_without_disturbing_anybody(emulator: Emulator, connect: Connect) -> None:
    whole = frame.KEEP_ALIVE_FRAME
    with raw(emulator) as slow:
        log_in(slow, "slow-writer")
        slow.sendall(whole[:5])
        service = connect(emulator, "unhurried")
        source = direct_receiver(service, "unhurried/>")
        direct_publisher(service).publish(bytearray(b"x"), _topic("unhurried/x"))
        assert [text(message) for message in drain(source, 1, acknowledge=False)] == ["x"]
        slow.sendall(whole[5:])
        assert slow.recv(100) == whole


def test_a_consumer_that_does_not_read_costs_bounded_memory_and_nobody_elses_messages(
    emulator: Emulator, connect: Connect
) -> None:
    """It is sent at most its egress limit, the rest is discarded and counted; another subscriber gets everything."""
    count, size = 700, 100_000
    with raw(emulator) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        log_in(deaf, "deaf")
        subscription = b"\x80" + frame.U32.pack(6 + len(b"flood/>\0")) + b"\x04" + b"flood/>\0"
        deaf.sendall(frame.frame(frame.SMP, b"", subscription))
        service = connect(emulator, "hearing")
        source = direct_receiver(service, "flood/>")
        publisher = direct_publisher(connect(emulator, "flooder"))
        received = 0
        before = _resident(emulator.pid)
        for _ in range(count // 10):
            for _ in range(10):
                publisher.publish(bytearray(size), _topic("flood/x"))
            received += len(drain(source, 10, acknowledge=False))
        assert received == count
        client = emulator.semp("GET", "monitor/msgVpns/default/clients/deaf").json()["data"]
        assert client["txDiscardedMsgCount"] > 0
        assert client["dataTxMsgCount"] + client["txDiscardedMsgCount"] == count
        assert _resident(emulator.pid) - before < 2 * 20_000 * 2048


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def _topic(name: str) -> Any:
    return Topic.of(name)


def test_a_connection_without_a_login_is_closed_in_the_end(emulator: Emulator) -> None:
    with raw(emulator) as silent:
        silent.settimeout(20)
        started = time.monotonic()
        assert is_closed(silent)
        assert time.monotonic() - started > 2
    assert "no login within 5 s" in emulator.log
