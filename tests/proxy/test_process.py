"""The proxy's process: how it starts, what it answers, and that it never outlives whom it should not."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from crep.harness import processes
from crep.harness.deployment.ports import free_port
from crep.harness.processes import Adopted, ProcessIdentity
from crep.harness.proxy import (
    Link,
    LinkSpec,
    ProxyFailed,
    ProxyProcess,
    Refuse,
    Rule,
    Stall,
    port_of,
    standing_links,
    start_standing,
)
from crep.harness.proxy.control import LONGEST_LINE
from crep.harness.proxy.links import specs_to_json
from crep.harness.proxy.process import SOCKET
from tests.proxy.conftest import Proxied

NOWHERE = LinkSpec("node", "client", 0, ("127.0.0.1", 9))
LINK = Link("others", "node", "client")
STALL = Rule("r", None, frozenset({"node"}), None, "both", Stall())
ENDS_WITHIN_S = 20.0


def ended(pid: int) -> bool:
    deadline = time.monotonic() + ENDS_WITHIN_S
    while ProcessIdentity.of(pid) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_taken_port_is_told_with_its_link() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        proxy = ProxyProcess()
        with pytest.raises(ProxyFailed, match=rf"node, client: port {port}.*in use"):
            proxy.start([NOWHERE, LinkSpec("node", "client", port, ("127.0.0.1", 9))])
        assert proxy.pid is None


def test_an_unknown_host_is_told() -> None:
    with pytest.raises(ProxyFailed, match=r"no\.such\.host\.invalid"):
        ProxyProcess().start([LinkSpec("node", "client", 0, ("no.such.host.invalid", 9))])


def test_links_have_the_ports_that_they_got_and_stop_is_idempotent() -> None:
    proxy = ProxyProcess()
    specs = proxy.start([NOWHERE, LinkSpec("node", "quorum", 0, ("127.0.0.1", 9))])
    assert len({spec.listen for spec in specs} - {0}) == 2
    pid = proxy.pid
    assert pid is not None
    proxy.stop()
    proxy.stop()
    assert ended(pid)
    with pytest.raises(ProxyFailed, match="not been started"):
        proxy.links()


def test_an_order_to_a_proxy_that_was_killed_fails_and_does_not_wait() -> None:
    proxy = ProxyProcess()
    proxy.start([NOWHERE])
    links = proxy.links()
    assert proxy.pid is not None
    os.kill(proxy.pid, signal.SIGKILL)
    started = time.monotonic()
    with pytest.raises(ProxyFailed):
        _ = [links.state() for _ in range(10)]
    assert time.monotonic() - started < ENDS_WITHIN_S
    proxy.stop()


def test_an_order_that_cannot_be_is_refused_with_the_reason_and_the_next_one_works(clean: Proxied) -> None:
    with pytest.raises(ProxyFailed, match="no link leads to kafka-9; there are links to: node"):
        clean.links.apply(Rule("r", None, frozenset({"kafka-9"}), None, "both", Stall()))
    with pytest.raises(ProxyFailed, match="no link leads to node on plane quorum"):
        clean.links.probe(Link("others", "node", "quorum"))
    with pytest.raises(ProxyFailed, match="size must be a number"):
        clean.links.probe(LINK, size=65_537)
    clean.links.clear("never applied")
    assert clean.links.state().rules == ()


@contextmanager
def by_hand(*more: str) -> Iterator[tuple[IO[bytes], IO[bytes], subprocess.Popen[bytes]]]:
    """The proxy's own standard input and output."""
    command = [sys.executable, "-m", "crep.harness.proxy", "--links", json.dumps(specs_to_json([NOWHERE])), *more]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert "ready" in json.loads(process.stdout.readline())
            yield process.stdin, process.stdout, process
        finally:
            process.kill()


def told(stdin: IO[bytes], stdout: IO[bytes], line: bytes) -> Any:
    stdin.write(line + b"\n")
    stdin.flush()
    return json.loads(stdout.readline())


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"", None),
        (b"hello", None),
        (b"\xff\xfe\x00", None),
        (b"[1]", None),
        (b'{"id": 1}', 1),
        (b'{"id": 2, "do": "explode"}', 2),
        (b'{"id": 3, "do": "apply"}', 3),
        (b'{"id": 4, "do": "apply", "rule": {"id": "x"}}', 4),
        (b'{"id": 5, "do": "probe", "party": "a", "node": "node", "plane": "client", "size": NaN, "timeout_s": 1}', 5),
        (
            b'{"id": 6, "do": "probe", "party": "a", "node": "node", "plane": "client", "size": 1, "timeout_s": 1e999}',
            6,
        ),
        (b'{"id": 7, "do": "probe", "party": "a", "node": "node", "plane": "air", "size": 1, "timeout_s": 1}', 7),
        (b'{"id": 8, "do": "clear"}', 8),
        (b"[" * 30_000, None),
    ],
)
def test_a_malformed_order_gets_an_error_line_and_the_proxy_goes_on(line: bytes, number: int | None) -> None:
    with by_hand() as (stdin, stdout, process):
        answer = told(stdin, stdout, line)
        assert answer["id"] == number
        assert answer["error"]
        assert told(stdin, stdout, b'{"id": 9, "do": "state"}')["ok"]["rules"] == []
        stdin.close()
        assert process.wait(ENDS_WITHIN_S) == 0


def test_an_order_without_an_end_ends_the_line() -> None:
    with by_hand() as (stdin, stdout, process):
        stdin.write(b"x" * (LONGEST_LINE + 2))
        stdin.flush()
        assert "at most" in json.loads(stdout.readline())["error"]
        assert process.wait(ENDS_WITHIN_S) == 0


def test_bad_options_are_usage() -> None:
    done = processes.run([sys.executable, "-m", "crep.harness.proxy"], timeout_s=ENDS_WITHIN_S)
    assert done.code == 2


PARENT = textwrap.dedent("""
    import sys, time
    from crep.harness.proxy import LinkSpec, ProxyProcess
    proxy = ProxyProcess()
    [spec] = proxy.start([LinkSpec("node", "client", int(sys.argv[2]), ("127.0.0.1", int(sys.argv[1])))])
    print(proxy.pid, spec.listen, flush=True)
    time.sleep(60)
""")


def test_a_parent_that_is_killed_leaves_no_proxy_and_no_connection(proxied: Proxied) -> None:
    words = [PARENT, str(proxied.node.port), str(free_port())]  # one that nobody takes when it is free again
    with subprocess.Popen([sys.executable, "-c", *words], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid, port = (int(word) for word in parent.stdout.readline().split())
        with socket.create_connection(("127.0.0.1", port), ENDS_WITHIN_S) as party, proxied.node.next() as node:
            parent.send_signal(signal.SIGKILL)
            assert ended(pid)
            for one in (party, node):
                try:
                    assert one.recv(1) == b""
                except ConnectionResetError:
                    continue
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), ENDS_WITHIN_S)


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[tuple[Path, ProcessIdentity]]:
    """A standing proxy in a folder whose name is too long for the address of a Unix socket."""
    folder = tmp_path / ("a long name " * 10).strip()
    folder.mkdir()
    identity, specs = start_standing([NOWHERE], folder)
    assert specs[0].listen != 0
    try:
        yield folder, identity
    finally:
        Adopted(identity).terminate(5.0)


def test_whoever_comes_later_can_order_a_standing_proxy(standing: tuple[Path, ProcessIdentity]) -> None:
    folder, _ = standing
    with standing_links(folder) as one, standing_links(folder) as other:
        one.apply(STALL)
        assert other.probe(LINK, timeout_s=0.1) is None
        one.clear("r")
        assert other.probe(LINK, timeout_s=5.0) is not None
        assert port_of(one.specs, "node", "client") == other.specs[0].listen


def test_what_was_ordered_of_a_standing_proxy_ends_with_who_ordered_it(standing: tuple[Path, ProcessIdentity]) -> None:
    folder, _ = standing
    with standing_links(folder) as links:
        links.apply(Rule("refuse", None, frozenset({"node"}), None, "both", Refuse()))
        assert links.state().refusing
    commander = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from crep.harness.proxy import Rule, Stall, standing_links
        with standing_links(Path(sys.argv[1])) as links:
            links.apply(Rule("stall", None, frozenset({"node"}), None, "both", Stall()))
            print("cut", flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", commander, folder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"cut\n"
        with standing_links(folder) as links:
            assert links.state().rules == ("stall",)
            assert links.state().refusing == ()
            process.send_signal(signal.SIGKILL)
            process.wait(ENDS_WITHIN_S)
            deadline = time.monotonic() + ENDS_WITHIN_S
            while links.state().rules and time.monotonic() < deadline:
                time.sleep(0.02)
            assert links.state().rules == ()
            assert links.probe(LINK, timeout_s=5.0) is not None


def test_a_standing_proxy_is_ended_in_order_and_takes_its_socket_along(standing: tuple[Path, ProcessIdentity]) -> None:
    folder, identity = standing
    assert (folder / SOCKET).stat().st_mode & 0o077 == 0
    Adopted(identity).terminate(ENDS_WITHIN_S)
    assert not (folder / SOCKET).exists()
    with pytest.raises(ProxyFailed, match="no fault proxy answers"), standing_links(folder):
        pass


def test_a_standing_proxy_that_cannot_listen_says_why(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ProxyFailed, match="in use"):
        start_standing([LinkSpec("node", "client", other.getsockname()[1], ("127.0.0.1", 9))], tmp_path)
