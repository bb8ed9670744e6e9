"""``python -m crep.harness.proxy --links JSON [--socket PATH]``: the proxy's process.

Without a socket it takes orders from standard input and ends with it. With one it stands until it gets SIGTERM, says
that it is ready on standard output and closes that. Exit codes: 0 it was ended; 3 it could not listen, and said why;
else a defect, with its traceback on standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crep.harness.proxy import unix
from crep.harness.proxy.control import ControlLine, ControlSocket
from crep.harness.proxy.links import specs_from_json, specs_to_json
from crep.harness.proxy.loop import Loop
from crep.harness.proxy.party import PartyFinder, Processes
from crep.harness.proxy.server import Server

SWITCH_S = 1e-4
"""How long the thread that looks parties up may keep the interpreter from the loop. By default 5 ms: all latency."""


def main() -> int:
    """Serve until the end."""
    parser = argparse.ArgumentParser(prog="python -m crep.harness.proxy", description="TCP fault proxy")
    parser.add_argument("--links", required=True, help="the links, as JSON")
    parser.add_argument("--socket", type=Path, help="take orders here instead of from standard input")
    chosen = parser.parse_args()
    sys.setswitchinterval(SWITCH_S)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    threading.excepthook = _end_at_once
    loop = Loop()
    try:
        server = Server(loop, specs_from_json(json.loads(chosen.links)), PartyFinder(Processes()))
        control = None if chosen.socket is None else ControlSocket(loop, server, unix.listen(chosen.socket))
    except OSError as error:
        _say({"failed": f"the fault proxy cannot listen: {error.strerror or error}"})
        return 3
    if control is None:
        for descriptor in (0, 1):
            os.set_blocking(descriptor, False)
        ControlLine(loop, server, 0, 1, loop.stop)
    else:
        signal.signal(signal.SIGTERM, lambda *_: loop.stop())
        _say({"ready": {"links": specs_to_json(server.specs)}})
        _close_output()
    gc.freeze()  # what was imported lives to the end; collections need not look at it
    loop.run()
    if chosen.socket is not None:
        with contextlib.suppress(FileNotFoundError):
            chosen.socket.unlink()
    return 0


def _say(word: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(word) + "\n")
    sys.stdout.flush()


def _close_output() -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def _end_at_once(what: threading.ExceptHookArgs) -> None:
    """A proxy without its party finder would hold every new connection for ever."""
    threading.__excepthook__(what)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
