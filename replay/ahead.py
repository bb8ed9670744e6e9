"""Reading ahead of the sender, on a thread of its own: opening a segment takes longer than a gap between messages."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from queue import Empty, Full, Queue
from types import TracebackType

from crep.replay.stored import Row

_BATCHES = 20
_LOOK_S = 0.2


class Ahead:
    """The rows of an iterable, some thousand ahead; used by one thread, as a context manager.

    Args:
        batches: rows in portions, as ``Reader.rows`` gives them.
    """

    def __init__(self, batches: Iterable[list[Row]]) -> None:
        self._batches = batches
        self._ready: Queue[list[Row]] = Queue(_BATCHES)
        self._here: deque[Row] = deque()
        self._read_all = self._ending = False
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="read-ahead", daemon=True)

    def __enter__(self) -> Ahead:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        self._thread.join()

    def _read(self) -> None:
        try:
            for rows in self._batches:
                while not self._ending:
                    try:
                        self._ready.put(rows, timeout=_LOOK_S)
                        break
                    except Full:
                        continue
                if self._ending:
                    return
        except BaseException as error:  # noqa: BLE001 - raised again on the thread that reads on
            self._broken = error
        finally:
            self._read_all = True

    def peek(self) -> Row | None:
        """The next row; None: none is there yet, or ever (``exhausted``). Raises what reading raised."""
        if not self._here:
            try:
                self._here.extend(self._ready.get_nowait())
            except Empty:
                if self._read_all and self._broken is not None and self._ready.empty():
                    raise self._broken from None
                return None
        return self._here[0]

    def take(self) -> None:
        """The row that ``peek`` gave is done with."""
        self._here.popleft()

    @property
    def exhausted(self) -> bool:
        """Nothing more will come. To be asked before ``peek``."""
        return self._read_all and self._ready.empty() and not self._here and self._broken is None
