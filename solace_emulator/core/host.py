"""What a queue asks of the broker around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .entry import Entry, SpooledMessage
    from .log import Log
    from .queue import Queue
    from .queue_stats import Burial


class Host(Protocol):
    """What a queue needs from the broker around it."""

    @property
    def log(self) -> Log:
        """Where changes are written."""
        ...

    def now_ms(self) -> int:
        """Return the time in milliseconds since 1970."""
        ...

    def next_delivery_id(self) -> int:
        """Return an id higher than all before it, across restarts as well."""
        ...

    def wake(self, queue: Queue) -> None:
        """See to it that :meth:`Queue.dispatch` is called soon."""
        ...

    def await_durable(self, queue: Queue) -> None:
        """See to it that :meth:`Queue.dispatch` is called when more of the log is durable."""
        ...

    def released(self, number: int, spooled: SpooledMessage) -> None:
        """A queue, by its number, holds the message no longer."""
        ...

    def held_again(self, queue: Queue, spooled: SpooledMessage) -> None:
        """A queue holds a message that is on the spool already."""
        ...

    @property
    def may_read(self) -> bool:
        """Whether messages may be read back from the journal in this turn; if not, have the queue woken again."""
        ...

    def lose(self, spooled: SpooledMessage) -> None:
        """A message cannot be read back: take it from all its queues."""
        ...

    def bury(self, queue: Queue, entry: Entry) -> Burial:
        """Move a dead message to the queue's dead message queue, where there is one for it."""
        ...
