"""Who connects is known by the kernel's word: from the tables of sockets and processes, and from real children."""

from __future__ import annotations

import os
import socket
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from crep.harness import processes
from crep.harness.proxy import Latency, Rule, Stall
from crep.harness.proxy.party import Ends, Processes, inodes, party_in
from tests.proxy.conftest import Proxied

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
TCP = (
    HEAD
    + """\
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0 100 0 0 10 0
   1: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0 20 4 30 10 -1
   2: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 333 1 0 20 4 30 10 -1
   3: 0100007F:D432 0100007F:1F90 06 00000000:00000000 03:000017D7 00000000     0        0 0 3 0
"""
)
TCP6 = (
    HEAD
    + """\
   0: 0000000000000000FFFF00000100007F:D433 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 \
00000000  1000        0 444 1 0 20 4 30 10 -1
"""
)


@pytest.mark.skipif(sys.byteorder != "little", reason="the tables above are those of a little-endian machine")
def test_the_opener_s_socket_is_found_and_not_the_acceptor_s() -> None:
    asked = [Ends("127.0.0.1", port, "127.0.0.1", 8080) for port in (0xD431, 0xD432, 0xD433, 0xD434)]
    found = inodes([TCP.encode(), TCP6.encode()], asked)
    assert found == {asked[0]: 222, asked[2]: 444}


@pytest.mark.parametrize(
    ("environ", "party"),
    [
        (b"PATH=/bin\0CREP_PARTY=publishers\0HOME=/\0", "publishers"),
        (b"CREP_PARTY=kafka-1", "kafka-1"),
        (b"NOT_CREP_PARTY=publishers\0", None),
        (b"CREP_PARTY=\0", None),
        (b"", None),
        (b"CREP_PARTY=" + b"x" * 1000, "x" * 64),
    ],
)
def test_a_party_is_what_the_environment_says(environ: bytes, party: str | None) -> None:
    assert party_in(environ) == party


def proc_with(folder: Path, processes_: dict[int, tuple[bytes, list[str]]]) -> Path:
    (folder / "net").mkdir()
    (folder / "net" / "tcp").write_text(TCP)
    for pid, (environ, links) in processes_.items():
        (folder / str(pid) / "fd").mkdir(parents=True)
        (folder / str(pid) / "environ").write_bytes(environ)
        for number, target in enumerate(links):
            (folder / str(pid) / "fd" / str(number)).symlink_to(target)
    return folder


@pytest.mark.skipif(sys.byteorder != "little", reason="the tables above are those of a little-endian machine")
def test_a_process_that_has_ended_or_hides_is_nobody(tmp_path: Path) -> None:
    asked = Ends("127.0.0.1", 0xD431, "127.0.0.1", 8080)
    proc = proc_with(
        tmp_path,
        {
            7: (b"CREP_PARTY=subscribers\0", ["/dev/null", "socket:[333]"]),
            8: (b"CREP_PARTY=publishers\0", ["pipe:[222]", "socket:[222]"]),
            9: (b"", ["socket:[222]"]),
        },
    )
    finder = Processes(proc)
    assert finder.parties([asked]) == {asked: "publishers"}
    (proc / "8" / "environ").unlink()
    assert finder.parties([asked]) == {asked: "others"}
    (proc / "8" / "environ").write_bytes(b"CREP_PARTY=kafka-1\0")
    assert finder.parties([asked]) == {asked: "kafka-1"}


CLIENT = textwrap.dedent("""
    import socket, sys
    family = socket.AF_INET6 if sys.argv[2] == "6" else socket.AF_INET
    one = socket.socket(family)
    one.connect(("::ffff:127.0.0.1" if sys.argv[2] == "6" else "127.0.0.1", int(sys.argv[1])))
    while data := one.recv(1):
        one.sendall(data)
""")


@contextmanager
def child(party: str | None, port: int, family: str = "4") -> Iterator[processes.Child]:
    """A process that connects and echoes."""
    env = {name: value for name, value in os.environ.items() if name != "CREP_PARTY"}
    env |= {} if party is None else {"CREP_PARTY": party}
    process = processes.spawn([sys.executable, "-I", "-S", "-c", CLIENT, str(port), family], env=env)
    try:
        yield process
    finally:
        process.kill()


def echoes(node: socket.socket, within_s: float = 10.0) -> bool:
    node.settimeout(within_s)
    node.sendall(b"?")
    try:
        return node.recv(1) == b"?"
    except TimeoutError:
        return False


def test_two_processes_are_told_apart_and_only_one_is_stalled(clean: Proxied) -> None:
    clean.links.apply(Rule("r", frozenset({"publishers"}), frozenset({"node"}), None, "from-node", Stall()))
    with ExitStack() as stack:
        ends = {}
        for party in ("publishers", "subscribers"):
            stack.enter_context(child(party, clean.port))
            ends[party] = stack.enter_context(clean.node.next())
            assert clean.open(party) == 1
        assert echoes(ends["subscribers"])
        assert not echoes(ends["publishers"], 0.3)
        clean.links.clear("r")
        ends["publishers"].settimeout(10.0)
        assert ends["publishers"].recv(1) == b"?"


def test_a_process_that_speaks_ipv4_through_ipv6_sockets_is_known_too(clean: Proxied) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with child("kafka-2", clean.port, "6"), clean.node.next() as node:
        assert echoes(node)
        assert clean.open("kafka-2") == 1


def test_a_process_without_a_party_is_one_of_the_others(clean: Proxied) -> None:
    with child(None, clean.port), clean.node.next() as node:
        assert echoes(node)
        assert clean.open("others") == 1


def test_many_connections_at_once_all_find_their_party(clean: Proxied) -> None:
    clean.links.apply(Rule("r", frozenset({"publishers"}), frozenset({"node"}), None, "both", Latency(0.001)))
    with ExitStack() as stack:
        for number in range(6):
            stack.enter_context(child(("publishers", "subscribers")[number % 2], clean.port))
        own = [stack.enter_context(clean.connect()) for _ in range(60)]
        nodes = [stack.enter_context(clean.node.next()) for _ in range(66)]
        assert [clean.open(party) for party in ("publishers", "subscribers", "others")] == [3, 3, 60]
        assert len(own) == 60
        for node in nodes:
            node.close()
