"""One bad client never disturbs another: malformed frames, half frames, no login, no reading."""

from __future__ import annotations

import base64
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from solace.messaging.resources.topic import Topic

from crep.solace_emulator.smf import FrameSplitter, assured, clientctrl, frame
from tests.emulator.corpus.files import corpus
from tests.emulator.messaging import (
    direct_publisher,
    direct_receiver,
    drain,
    eventually,
    persistent_publisher,
    receiver,
    text,
)
from tests.emulator.process import Emulator

pytestmark = pytest.mark.emulator

Connect = Callable[..., Any]


def raw(emulator: Emulator) -> socket.socket:
    """A bare connection to the SMF port."""
    host, _, port = emulator.ready["smf"].removeprefix("tcp://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def log_in(connection: socket.socket, name: str, more: list[tuple[int, bytes]] | None = None) -> dict[int, bytes]:
    """Log in by hand; return the answer's parameters."""
    params = [(clientctrl.CLIENT_NAME, frame.terminated(name)), (clientctrl.VPN_NAME, frame.terminated("default"))]
    params += more or []
    smf = frame.parameter(frame.USER_NAME, base64.b64encode(b"default"))
    connection.sendall(frame.frame(frame.CLIENT_CTRL, smf, clientctrl.encode(clientctrl.LOGIN, params)))
    splitter = FrameSplitter(100_000)
    while data := connection.recv(65536):
        for answer in splitter.feed(data):
            return clientctrl.decode(answer.body)[1]
    raise ConnectionError("closed instead of an answer to the login")


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


def test_a_file_of_the_corpus_as_it_is_or_changed_ends_at_most_its_own_connection(emulator: Emulator) -> None:
    emulator.queue("q", "v/>", "made/>")
    chance = random.Random(7)
    with raw(emulator) as good, ExitStack() as opened:
        log_in(good, "among-the-vicious")
        for number, content in enumerate(corpus().values()):
            changed = bytearray(content)
            changed[chance.randrange(len(changed))] ^= chance.randrange(1, 256)
            for sent in (content, content[: len(content) // 2], bytes(changed)):
                bad = opened.enter_context(raw(emulator))
                with suppress(ConnectionError):
                    log_in(bad, f"vicious-{number}-{len(sent)}")
                    bad.sendall(sent)
        good.sendall(frame.KEEP_ALIVE_FRAME)
        assert good.recv(100) == frame.KEEP_ALIVE_FRAME
    assert "Traceback" not in emulator.log
    assert "Fatal error" not in emulator.log


def test_newcomers_that_never_log_in_make_room_for_those_who_do(emulator: Emulator) -> None:
    silent = [raw(emulator) for _ in range(300)]
    try:
        with raw(emulator) as good:
            assert frame.text(log_in(good, "in-the-flood")[clientctrl.CLIENT_NAME]) == "in-the-flood"
        assert is_closed(silent[0])
        assert "connections have not logged in" in emulator.log
    finally:
        for one in silent:
            one.close()


def test_who_never_logs_in_and_who_falls_silent_is_dropped_and_who_promised_nothing_is_not(emulator: Emulator) -> None:
    """The interval that a client names at its login is what it is measured by; one of 1 s is given 9 s."""
    keep_alive = [(clientctrl.KEEP_ALIVE_INTERVAL, frame.U32.pack(1))]
    with raw(emulator) as nameless, raw(emulator) as promising, raw(emulator) as quiet:
        log_in(promising, "promising", keep_alive)
        log_in(quiet, "quiet")
        started = time.monotonic()
        for one, at_least in ((nameless, 2), (promising, 5)):
            one.settimeout(30)
            assert is_closed(one)
            assert time.monotonic() - started > at_least
        quiet.sendall(frame.KEEP_ALIVE_FRAME)
        assert quiet.recv(100) == frame.KEEP_ALIVE_FRAME
    assert "no login within 5 s" in emulator.log
    assert "silent for 9 s" in emulator.log


def answers(connection: socket.socket, requests: list[bytes]) -> list[tuple[int, bytes]]:
    """Send requests; return each answer's code and the text behind it."""
    splitter = FrameSplitter(100_000)
    found: list[tuple[int, bytes]] = []
    connection.sendall(b"".join(requests))
    while len(found) < len(requests) and (data := connection.recv(65536)):
        for answer in splitter.feed(data):
            response = answer.parameters()[frame.RESPONSE]
            found.append((frame.number(response[:4]), response[4:]))
    return found


def test_nobody_piles_up_flows_or_subscriptions(emulator: Emulator) -> None:
    emulator.semp("PATCH", "config/msgVpns/default", {"maxSubscriptionCount": 50})
    tag = frame.correlation(b"\0\0\1")
    opening = frame.frame(frame.ASSURED_CTRL, tag, assured.encode(4, assured.OPEN_FLOW, []))
    try:
        with raw(emulator) as greedy:
            log_in(greedy, "greedy")
            flows = answers(greedy, [opening] * 1002)
            assert [code for code, _ in flows] == [200] * 1000 + [503] * 2
            topics = [b"pile/%d\0" % number for number in range(60)]
            adding = [b"\x80" + frame.U32.pack(6 + len(topic)) + b"\x0c" + topic for topic in topics]
            added = answers(greedy, [frame.frame(frame.SMP, tag, body) for body in adding])
            assert added.count((400, b"Max Num Subscriptions Exceeded")) >= 10
        assert eventually(lambda: emulator.semp("GET", "monitor/msgVpns/default/clients/greedy").status_code == 400)
        with raw(emulator) as modest:  # what the greedy one had is free again
            log_in(modest, "modest")
            assert answers(modest, [frame.frame(frame.SMP, tag, adding[0]), opening]) == [(200, b"OK")] * 2
    finally:
        emulator.semp("PATCH", "config/msgVpns/default", {"maxSubscriptionCount": 500_000})


# -- one that behaves among fifty that do not


class Rage:
    """Bad clients of several kinds, each doing its worst again and again until it is told to stop."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._over = threading.Event()
        self._files = list(corpus().values())
        self.attempts = 0

    @contextmanager
    def of(self, each: int) -> Iterator[Rage]:
        """Let so many of each kind rage during a block."""
        kinds = (self._garbage, self._corpus, self._half_frame, self._deaf, self._taking_over)
        threads = [threading.Thread(target=self._repeat, args=(kind, n)) for kind in kinds for n in range(each)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in threads:
                thread.join(20)

    def _repeat(self, kind: Callable[[socket.socket, int], None], number: int) -> None:
        while not self._over.is_set():
            with suppress(OSError), raw(self._emulator) as bad:
                self.attempts += 1
                kind(bad, number)
            self._over.wait(0.1)

    def _garbage(self, bad: socket.socket, _: int) -> None:
        bad.sendall(b"\xff" * 10_000)
        is_closed(bad)

    def _corpus(self, bad: socket.socket, number: int) -> None:
        log_in(bad, f"corpus-{number}")
        for content in self._files[number::10]:
            bad.sendall(content)

    def _half_frame(self, bad: socket.socket, number: int) -> None:
        log_in(bad, f"half-{number}")
        bad.sendall(struct.pack(">BBBBII", 3, frame.MESSAGE, 0, 1, 12, 30_000_000) + bytes(1_000_000))
        self._over.wait(2)

    def _deaf(self, bad: socket.socket, number: int) -> None:
        log_in(bad, f"deaf-{number}")
        subscription = b"\x80" + frame.U32.pack(6 + len(b"calm/>\0")) + b"\x04" + b"calm/>\0"
        bad.sendall(frame.frame(frame.SMP, b"", subscription))
        self._over.wait(3)

    def _taking_over(self, bad: socket.socket, _: int) -> None:
        log_in(bad, "everybody's name")


def test_one_that_behaves_goes_on_while_fifty_rage_and_memory_stays_bounded(
    emulator: Emulator, connect: Connect
) -> None:
    emulator.queue("calm", "calm/>")
    service = connect(emulator, "calm")
    publisher, source = persistent_publisher(service), receiver(service, "calm")
    before = _resident(emulator.pid)
    slowest, sent = 0.0, 0
    with Rage(emulator).of(10) as rage:
        ends = time.monotonic() + 4
        while time.monotonic() < ends:
            started = time.monotonic()
            publisher.publish_await_acknowledgement(bytearray(1000), _topic("calm/x"), 10_000)
            slowest = max(slowest, time.monotonic() - started)
            sent += 1
    assert len(drain(source, sent)) == sent
    assert service.is_connected
    assert rage.attempts > 100
    assert sent > 20
    assert slowest < 3.0
    assert _resident(emulator.pid) - before < 300_000_000
    assert "Traceback" not in emulator.log
    source.terminate(500)


# -- the REST side


def http(emulator: Emulator, sent: bytes) -> bytes:
    """Send bytes to SEMP and return everything that comes back until the connection ends or nothing comes for 2 s."""
    host, _, port = emulator.ready["semp"].removeprefix("http://").partition(":")
    received = b""
    with closing(socket.create_connection((host, int(port)), timeout=2)) as connection:
        with suppress(ConnectionError):
            connection.sendall(sent)
        with suppress(TimeoutError, ConnectionError):
            while data := connection.recv(65536):
                received += data
    return received


def request(target: str = "/SEMP/v2/config/about/api", body: bytes = b"", method: str = "GET", more: str = "") -> bytes:
    """An authorised request on a connection that is closed afterwards."""
    login = base64.b64encode(b"admin:admin").decode()
    head = f"{method} {target} HTTP/1.1\r\nHost: h\r\nAuthorization: Basic {login}\r\nConnection: close\r\n{more}"
    return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


QUEUES = "/SEMP/v2/config/msgVpns/default/queues"


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        (b"\x16\x03\x01\x02\x00" * 10 + b"\r\n\r\n", 400, b""),
        (b"GET / HTTP/9.9\r\n\r\n", 400, b""),
        (b"GET //[ HTTP/1.1\r\n\r\n", 400, b""),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, b""),
        (b"GET / HTTP/1.1\r\n: nameless\r\n\r\n", 400, b""),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400, b""),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, b""),
        (b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413, b""),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501, b""),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n", 413, b""),
        (request(f"{QUEUES}/%zz"), 400, b"INVALID_PATH"),
        (request(f"{QUEUES}/%ff%fe"), 400, b"INVALID_PATH"),
        (request(f"{QUEUES}?where=%ff"), 400, b"INVALID_PARAMETER"),
        (request(f"{QUEUES}?count={'9' * 5000}"), 400, b"INVALID_PARAMETER"),
        (request(f"{QUEUES}?where=queueName=={'*a' * 3000}"), 200, b'"data": []'),
        (request(QUEUES, b"{", "POST"), 400, b"PARSE_ERROR"),
        (request(QUEUES, b"\xff\xfe", "POST"), 400, b"PARSE_ERROR"),
        (request(QUEUES, b"[" * 500_000, "POST"), 400, b"PARSE_ERROR"),
        (request(QUEUES, b'{"a":' * 100_000, "POST"), 400, b"PARSE_ERROR"),
        (request(QUEUES, b'{"queueName": "\\ud800"}', "POST"), 400, b"PARSE_ERROR"),
        (request(QUEUES, b'{"queueName": "x", "maxTtl": NaN}', "POST"), 400, b"PARSE_ERROR"),
        (request(QUEUES, b'{"queueName": "x", "maxTtl": ' + b"9" * 5000 + b"}", "POST"), 400, b"PARSE_ERROR"),
        (request(QUEUES, b'{"queueName": "x", "maxTtl": 1e400}', "POST"), 400, b"INVALID_PARAMETER"),
        (request(QUEUES, b"[]", "POST"), 400, b"PARSE_ERROR"),
        (request(method="BREW"), 400, b"INVALID_PATH"),
    ],
)
def test_a_bad_request_is_answered_as_one(emulator: Emulator, sent: bytes, status: int, said: bytes) -> None:
    answer = http(emulator, sent)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert said in answer
    assert emulator.semp("GET", "config/about/api").status_code == 200
    assert "Traceback" not in emulator.log


def test_pipelined_requests_are_answered_in_order(emulator: Emulator) -> None:
    keep = request().replace(b"Connection: close\r\n", b"")
    other = request(QUEUES).replace(b"Connection: close\r\n", b"")
    answers = http(emulator, keep + other + keep + request("/nowhere")).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"200", b"200", b"400"]
    assert [b"/queues" in answer for answer in answers] == [False, True, False, False]


def test_a_head_request_has_the_length_of_the_body_and_no_body(emulator: Emulator) -> None:
    head, _, body = http(emulator, request(method="HEAD")).partition(b"\r\n\r\n")
    assert b"Content-Length: " in head
    assert body == b""


def test_requests_that_never_end_make_room_for_whole_ones(emulator: Emulator) -> None:
    host, _, port = emulator.ready["semp"].removeprefix("http://").partition(":")
    slow = [socket.create_connection((host, int(port)), timeout=10) for _ in range(220)]
    try:
        for one in slow:
            with suppress(ConnectionError):
                one.sendall(b"GET / HT")
        assert emulator.semp("GET", "config/about/api").status_code == 200
    finally:
        for one in slow:
            one.close()
