"""The proxy's only busy thread: readiness of sockets, timers, and calls from other threads.

One thread, because then a rule is in effect on every connection at the same moment, and because two threads for each
connection were measured to be no faster: both add some 25 µs to a round trip and carry several hundred MB/s.
"""

from __future__ import annotations

import heapq
import itertools
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

READ, WRITE = select.EPOLLIN, select.EPOLLOUT

_WAKE_BYTES = 4096


class Handler(Protocol):
    """Is told what its descriptor is ready for."""

    def handle(self, events: int) -> None:
        """``events`` are those of epoll_ctl(2); hang-up and error come unasked."""
        ...


class Loop:
    """Runs until `stop`. All methods but `call` and `stop` belong to the thread that runs it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._calls: deque[Callable[[], None]] = deque()
        self._stopped = False
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self.watch(self._woken.fileno(), READ, self)

    def watch(self, fd: int, mask: int, handler: Handler) -> None:
        """Tell ``handler`` when ``fd`` is ready. With an empty mask it hears nothing, not even hang-ups.

        (A registered descriptor with an empty mask would still report these, for ever.)
        """
        known = fd in self._handlers
        if not mask:
            if known:
                del self._handlers[fd]
                self._epoll.unregister(fd)
        elif known:
            self._handlers[fd] = handler
            self._epoll.modify(fd, mask)
        else:
            self._handlers[fd] = handler
            self._epoll.register(fd, mask)

    def at(self, when_s: float, act: Callable[[], None]) -> None:
        """Call ``act`` once, at that time (``time.monotonic``) or soon after."""
        heapq.heappush(self._timers, (when_s, next(self._numbers), act))

    def call(self, act: Callable[[], None]) -> None:
        """Call ``act`` in the loop's thread. From any thread."""
        self._calls.append(act)
        try:
            self._waker.send(b"\0")
        except BlockingIOError:
            return  # so full that it wakes anyway

    def stop(self) -> None:
        """Return from `run` soon. From any thread, and from signal handlers."""
        self._stopped = True
        self.call(lambda: None)

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopped:
            for fd, events in self._ready():
                handler = self._handlers.get(fd)  # None: an earlier event of this round closed it
                if handler is not None:
                    handler.handle(events)
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()

    def handle(self, events: int) -> None:
        """Another thread called."""
        self._woken.recv(_WAKE_BYTES)
        for _ in range(len(self._calls)):
            self._calls.popleft()()

    def _ready(self) -> list[tuple[int, int]]:
        if not self._timers:
            return self._epoll.poll()
        # epoll_wait(2) counts in milliseconds and rounds up; select(2) waits to the microsecond
        left_s = max(0.0, self._timers[0][0] - time.monotonic())
        select.select([self._epoll], [], [], left_s)
        return self._epoll.poll(0)
