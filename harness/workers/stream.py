"""``crep run --stream``: what engines measure, as JSON lines for another program, while the run goes on."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from typing import Any, BinaryIO

from crep.harness.load.contract import MakeEngines, Said
from crep.harness.load.engines import Engines
from crep.harness.load.protocol import Window
from crep.harness.workers.words import to_message


class StreamedEngines(Engines):
    """Engines of this machine whose windows are also written to a stream; one that nobody reads any more gets none."""

    def __init__(self, *, stream: BinaryIO, **options: Any) -> None:
        super().__init__(**options)
        self._stream = stream

    def take(self, timeout_s: float) -> list[Said]:
        """As ``Engines.take``; each window has been written, and flushed, as ``words.to_message`` puts it."""
        said = super().take(timeout_s)
        lines = [json.dumps(to_message(one, 0)).encode() + b"\n" for one in said if isinstance(one, Window)]
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(b"".join(lines))
            self._stream.flush()
        return said


def streamed(stream: BinaryIO) -> MakeEngines:
    """Engines of this machine that write their windows there."""
    return partial(StreamedEngines, stream=stream)
