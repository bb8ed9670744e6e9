"""Stands in for the emulator in tests of processes: its options, listeners and health check, no messaging.

With ``--write FILE`` it lets that file grow. A file ``reason`` in the data folder makes it end with that text and code
3, as the real one does for a taken port.
"""

from __future__ import annotations

import argparse
import contextlib
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health-check/guaranteed-active" else 404)
        self.end_headers()


class Server(HTTPServer):
    def server_bind(self) -> None:  # HTTPServer's own looks up the host's name, which can take seconds
        socketserver.TCPServer.server_bind(self)


def write(path: Path) -> None:
    """Let a file grow, as long as that is allowed."""
    with path.open("wb", buffering=0) as file:
        while True:
            with contextlib.suppress(OSError):
                file.write(b"more")
            time.sleep(0.01)


def main() -> None:
    options = argparse.ArgumentParser()
    for listener in ("smf", "semp", "health"):
        options.add_argument(f"--{listener}-port", type=int, required=True)
    for name in ("host", "data-dir", "sync", "admin-user", "admin-password"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--role", default="primary")
    options.add_argument("--write")
    chosen = options.parse_args()
    data = Path(chosen.data_dir)
    data.mkdir(exist_ok=True)
    reason = data / "reason"
    if reason.exists():
        sys.stderr.write(f"{reason.read_text()}\n")
        sys.exit(3)
    with (data / "starts").open("a") as starts:
        starts.write("start\n")
    if chosen.write:
        threading.Thread(target=write, args=(Path(chosen.write),), daemon=True).start()
    smf = socketserver.ThreadingTCPServer((chosen.host, chosen.smf_port), socketserver.BaseRequestHandler, False)
    smf.allow_reuse_address = True
    smf.server_bind()
    smf.server_activate()
    threading.Thread(target=smf.serve_forever, daemon=True).start()
    Server((chosen.host, chosen.health_port), Health).serve_forever()


main()
