"""Orders to a proxy, from the side that gives them: JSON lines there and back, matched by number.

::

    ◄── {"ready": {"links": [...]}}                      first of all (or {"failed": "why"})
    ──► {"id": 7, "do": "apply", "rule": {...}}          ◄── {"id": 7, "ok": {...}}
    ──► {"id": 8, "do": "state"}                         ◄── {"id": 8, "error": "why"}

Answers may come in another order than the questions: a probe takes its time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotAnswered
from typing import IO, Any

from crep.harness.proxy.links import (
    Applied,
    LinkSpec,
    ProxyFailed,
    ProxyState,
    specs_from_json,
    state_from_json,
)
from crep.harness.proxy.rules import Link, Rule, rule_to_json

ANSWER_WITHIN_S = 15.0
"""A proxy answers in well under a millisecond; on a machine that swaps it may be seconds."""

_CLOSE_WAIT_S = 5.0


class Orders:
    """`Links` over a pair of byte streams, whose other end is the proxy. Not used before ``ready``.

    Args:
        read: what the proxy says.
        write: what it is told.
    """

    def __init__(self, read: IO[bytes], write: IO[bytes]) -> None:
        self._read, self._write = read, write
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Mapping[str, Any]]] = {}
        self._ready: Future[Mapping[str, Any]] = Future()
        self._ended: str | None = None
        self._specs: tuple[LinkSpec, ...] = ()
        self._listener = threading.Thread(target=self._listen, name="proxy-answers", daemon=True)
        self._listener.start()

    def ready(self, within_s: float) -> None:
        """Wait until the proxy listens.

        Raises:
            ProxyFailed: it said why not, it ended, or it says nothing.
        """
        self._specs = specs_from_json(self._result(self._ready, within_s, "get ready")["links"])

    @property
    def specs(self) -> tuple[LinkSpec, ...]:
        """The links, with the ports that they really have."""
        return self._specs

    def apply(self, rule: Rule) -> Applied:
        """Put the rule into effect; returns when it is."""
        return Applied(**self._ask("apply", rule=rule_to_json(rule)))

    def clear(self, rule_id: str) -> None:
        """Take the rule back; returns when that is done."""
        self._ask("clear", rule=rule_id)

    def state(self) -> ProxyState:
        """Connections, bytes and rules now."""
        return state_from_json(self._ask("state"))

    def probe(self, link: Link, *, size: int = 1, timeout_s: float = 0.5) -> float | None:
        """Seconds of a round trip to an echo, treated as the link's connections are; None: none in time."""
        answer = self._ask(
            "probe", timeout_s, party=link.party, node=link.node, plane=link.plane, size=size, timeout_s=timeout_s
        )
        seconds: float | None = answer["seconds"]
        return seconds

    def close(self) -> None:
        """Release the streams, whose other end is gone by now. Idempotent."""
        self._listener.join(_CLOSE_WAIT_S)
        for stream in (self._write, self._read):
            with contextlib.suppress(BrokenPipeError, ConnectionError):
                stream.close()

    def _ask(self, do: str, takes_s: float = 0.0, /, **details: Any) -> Mapping[str, Any]:
        answer: Future[Mapping[str, Any]] = Future()
        number = next(self._numbers)
        line = json.dumps({"id": number, "do": do, **details}).encode() + b"\n"
        with self._lock:
            if self._ended is not None:
                raise ProxyFailed(self._ended)
            self._waiting[number] = answer
            try:
                self._write.write(line)
                self._write.flush()
            except (OSError, ValueError) as error:  # ValueError: closed here
                del self._waiting[number]
                raise ProxyFailed(f"the fault proxy is gone: {error}") from error
        try:
            return self._result(answer, ANSWER_WITHIN_S + takes_s, do)
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    @staticmethod
    def _result(answer: Future[Mapping[str, Any]], within_s: float, what: str) -> Mapping[str, Any]:
        try:
            return answer.result(within_s)
        except NotAnswered:
            raise ProxyFailed(f"the fault proxy did not {what} within {within_s:.0f} s") from None

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed by ``close``, or cut
            for line in self._read:
                if line.endswith(b"\n"):  # else it was ended in the middle of a word
                    self._hear(json.loads(line))
        with self._lock:
            self._ended = "the fault proxy has ended"
            unanswered = [self._ready, *self._waiting.values()]
        for one in unanswered:
            if not one.done():
                one.set_exception(ProxyFailed("the fault proxy has ended"))

    def _hear(self, word: Mapping[str, Any]) -> None:
        if "ready" in word:
            self._ready.set_result(word["ready"])
        elif "failed" in word:
            self._ready.set_exception(ProxyFailed(word["failed"]))
        else:
            with self._lock:
                answer = self._waiting.pop(word["id"], None) if word["id"] is not None else None
            if answer is None:
                return  # whoever asked has given up
            if "error" in word:
                answer.set_exception(ProxyFailed(f"the fault proxy refused: {word['error']}"))
            else:
                answer.set_result(word["ok"])
