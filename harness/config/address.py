"""Addresses as people write them on the command line."""

from __future__ import annotations

from dataclasses import dataclass

from crep.harness.config.errors import UsageError


@dataclass(frozen=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, port: int) -> Address:
        """``HOST``, ``HOST:PORT`` or ``[IPv6]:PORT``; ``port`` where none is written.

        Raises:
            UsageError: it is neither.
        """
        host, colon, number = text.rpartition(":")
        if not colon or text.endswith("]"):
            host, number = text, str(port)
        host = host.removeprefix("[").removesuffix("]")
        if not host or not number.isdecimal() or int(number) > 65535:
            raise UsageError(f"{text!r} is no address", hint=f"write HOST or HOST:PORT, for example localhost:{port}")
        return cls(host, int(number))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
