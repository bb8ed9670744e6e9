"""A TCP relay between a client and the broker: where a test breaks or stops the network."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Relay:
    """A TCP relay to the broker that can cut its connections without a word, or stop passing bytes on."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target.split(",", maxsplit=1)[0])
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._closed = False
        self._flowing = threading.Event()
        self._flowing.set()
        self.host = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._closed:
                    near.close()
                    return
                far = socket.create_connection(self._target, 5)
                far.settimeout(None)
                self._pairs.append((near, far))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def freeze(self) -> None:
        """Pass nothing on any more: both sides see an open connection that is silent."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on what has come meanwhile, and what comes."""
        self._flowing.set()

    def cut(self) -> None:
        """Cut every connection; new ones are passed on again."""
        pairs, self._pairs = self._pairs, []
        self._flowing.set()
        for one in (side for pair in pairs for side in pair):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self) -> None:
        """End it."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # which wakes its thread; a close alone would not
        self._listener.close()
        self.cut()
