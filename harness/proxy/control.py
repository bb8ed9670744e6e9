"""Orders to the proxy, on its own side: each line in is one order, each answered by a line out.

What a control line ordered lives as long as the line: its rules are taken back when it ends. So a parent that is
SIGKILLed leaves nothing cut.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from crep.harness.proxy.links import specs_to_json, state_to_json
from crep.harness.proxy.loop import READ, WRITE, Loop
from crep.harness.proxy.rules import PLANES, Link, rule_from_json
from crep.harness.proxy.server import Server

LONGEST_LINE = 1 << 16
_MOST = 1 << 16  # bytes, or seconds, of a probe
_MOST_UNREAD = 1 << 20  # answers that nobody fetches


class ControlLine:
    """One giver of orders. Speaks first: what the links are.

    Args:
        read: non-blocking descriptor of orders.
        write: non-blocking descriptor of answers; may be the same.
        ended: called once, when the other end is gone or does not keep to the protocol.
    """

    def __init__(self, loop: Loop, server: Server, read: int, write: int, ended: Callable[[], None]) -> None:
        self._loop, self._server, self._read, self._write, self._ended = loop, server, read, write, ended
        self._in, self._out = bytearray(), bytearray()
        self._rules: set[str] = set()
        self._over = False
        self._say({"ready": {"links": specs_to_json(server.specs)}})
        if not self._over:
            self._watch()

    def handle(self, events: int) -> None:
        """Orders came, or answers can go."""
        if events & WRITE:
            self._flush()
        if events & ~WRITE and not self._over:
            self._hear()
        if not self._over:
            self._watch()

    def _watch(self) -> None:
        waiting = WRITE if self._out else 0
        if self._read == self._write:
            self._loop.watch(self._read, READ | waiting, self)
        else:
            self._loop.watch(self._read, READ, self)
            self._loop.watch(self._write, waiting, self)

    def _hear(self) -> None:
        try:
            got = os.read(self._read, LONGEST_LINE)
        except BlockingIOError:
            return
        except ConnectionError:
            got = b""
        if not got:
            self._end()
            return
        self._in += got
        *lines, rest = self._in.split(b"\n")
        self._in = bytearray(rest)
        for line in lines:
            self._order(bytes(line))
        if len(rest) > LONGEST_LINE:
            self._say({"id": None, "error": f"an order has at most {LONGEST_LINE} bytes"})
            self._end()

    def _order(self, line: bytes) -> None:
        number: object = None
        try:
            order = json.loads(line)
            if not isinstance(order, dict):
                raise ValueError("an order must be an object")
            number = order.get("id")
            self._carry_out(order, lambda ok: self._say({"id": number, "ok": ok}))
        except (ValueError, KeyError, TypeError, RecursionError) as error:  # the proxy outlives any order
            text = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            self._say({"id": number, "error": text})

    def _carry_out(self, order: Mapping[str, Any], answer: Callable[[Mapping[str, Any]], None]) -> None:
        do = order.get("do")
        if do == "apply":
            rule = rule_from_json(order["rule"])
            applied = self._server.apply(rule)
            self._rules.add(rule.id)
            answer(asdict(applied))
        elif do == "clear":
            self._server.clear(str(order["rule"]))
            self._rules.discard(str(order["rule"]))
            answer({})
        elif do == "state":
            answer(state_to_json(self._server.state()))
        elif do == "probe":
            if order["plane"] not in PLANES:
                raise ValueError(f"unknown plane {order['plane']!r}; write one of: {', '.join(PLANES)}")
            link = Link(str(order["party"]), str(order["node"]), order["plane"])
            size, timeout_s = _number("size", order), _number("timeout_s", order)
            self._server.probe(link, int(size), timeout_s, lambda seconds: answer({"seconds": seconds}))
        else:
            raise ValueError(f"unknown order {do!r}; there are: apply, clear, state, probe")

    def _say(self, word: Mapping[str, Any]) -> None:
        if not self._over:
            self._out += json.dumps(word).encode() + b"\n"
            self._flush()

    def _flush(self) -> None:
        try:
            while self._out:
                del self._out[: os.write(self._write, self._out)]
        except BlockingIOError:
            if len(self._out) > _MOST_UNREAD:
                self._end()
            else:
                self._watch()
        except (BrokenPipeError, ConnectionError):
            self._end()

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        self._loop.watch(self._read, 0, self)
        self._loop.watch(self._write, 0, self)
        for rule in self._rules:
            self._server.clear(rule)
        self._ended()


def _number(key: str, order: Mapping[str, Any]) -> float:
    value = order[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST:
        raise ValueError(f"{key} must be a number above 0 and at most {_MOST}, not {value!r}")
    return value


class ControlSocket:
    """Takes orders from everybody who connects to a Unix socket."""

    def __init__(self, loop: Loop, server: Server, listener: socket.socket) -> None:
        self._loop, self._server, self._listener = loop, server, listener
        listener.setblocking(False)
        loop.watch(listener.fileno(), READ, self)

    def handle(self, events: int) -> None:
        """Somebody wants to give orders."""
        try:
            line, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        line.setblocking(False)
        ControlLine(self._loop, self._server, line.fileno(), line.fileno(), line.close)
