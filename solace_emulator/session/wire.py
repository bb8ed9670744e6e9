"""What a session asks of its connection."""

from typing import Protocol


class Wire(Protocol):
    """The connection under a session."""

    @property
    def peer(self) -> str:
        """The client's address, ``host:port``."""
        ...

    @property
    def certificate_name(self) -> str | None:
        """The common name of the client's certificate, which a trusted authority has signed; None without one."""
        ...

    @property
    def buffered(self) -> int:
        """Bytes handed over and not taken by the network yet."""
        ...

    def send(self, frame: bytes) -> None:
        """Send a frame after those before it."""
        ...

    def close(self, reason: str) -> None:
        """Send what is buffered, as far as the client takes it soon, and close; the reason goes to the log."""
        ...

    def accept_large_frames(self) -> None:
        """The client has logged in: frames up to the largest message may come now."""
        ...

    def expect_keep_alives(self, seconds: int) -> None:
        """The client has promised to send something every so many seconds; 0: it has promised nothing."""
        ...
