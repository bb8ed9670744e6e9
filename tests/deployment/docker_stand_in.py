"""A program ``docker`` for machines without Docker's daemon: each container is an emulator, on the ports it was told.

It knows the commands that crep gives and no others, so that a new one fails the tests until it is known here.
``CREP_TEST_DOCKER`` names its folder: ``<service>.json`` there are the emulator's options, ``<service>.pid`` says that
the container was made, and every command is appended to ``commands``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ["CREP_TEST_DOCKER"])
REFUSED = 125  # Docker's own exit code for a command that it does not take


def main(words: list[str]) -> int:
    with (FOLDER / "commands").open("a") as log:
        log.write(" ".join(words) + "\n")
    match words:
        case ["version", "--format", form]:
            say("0.0.0 linux/amd64" if " " in form else "0.0.0")
        case ["compose", "version"]:
            say("stand-in")
        case ["compose", "--file", _, "--project-name", _, "--profile", _, *rest]:
            return compose(rest)
        case ["inspect", "--format", "{{json .State}}", service]:
            pid = alive(service)
            say(json.dumps({"Running": pid > 0, "Paused": pid > 0 and stands_still(pid), "Pid": pid}))
        case ["inspect", "--format", "{{.Config.Image}} {{.Image}}", service]:
            say(f"emulator-of-{service} sha256:0")
        case ["logs", "--tail", _, service]:
            say((FOLDER / f"{service}.log").read_text(errors="replace"))
        case ["kill", "--signal", "KILL", service]:
            end(service, signal.SIGKILL)
        case ["stop", "--time", _, service]:
            end(service, signal.SIGTERM)
        case ["pause", service]:
            os.kill(alive(service), signal.SIGSTOP)
        case ["unpause", service]:
            os.kill(alive(service), signal.SIGCONT)
        case ["start", service]:
            start(service)
        case _:
            sys.stderr.write(f"unknown command: {words}" + "\n")
            return REFUSED
    return 0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def compose(words: list[str]) -> int:
    match words:
        case ["up", "--detach"]:
            for made in FOLDER.glob("*.json"):
                if not alive(made.stem):
                    start(made.stem)
        case ["ps", "--all", "--quiet", service]:
            say(service if (FOLDER / f"{service}.pid").exists() else "")
        case ["down", "--volumes", "--timeout", _]:
            for made in FOLDER.glob("*.pid"):
                end(made.stem, signal.SIGKILL)
                made.unlink()
        case _:
            sys.stderr.write(f"unknown command: compose {words}" + "\n")
            return REFUSED
    return 0


def start(service: str) -> None:
    options = json.loads((FOLDER / f"{service}.json").read_text())
    with (FOLDER / f"{service}.log").open("ab") as log:
        command = [sys.executable, "-m", "crep.solace_emulator", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    (FOLDER / f"{service}.pid").write_text(str(process.pid))


def alive(service: str) -> int:
    """Pid of the container's process; 0 where there is none, or only its remains."""
    try:
        pid = int((FOLDER / f"{service}.pid").read_text())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if state in {"Z", "X"} else pid


def stands_still(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def end(service: str, how: signal.Signals) -> None:
    pid = alive(service)
    if pid:
        os.kill(pid, how)
        deadline = time.monotonic() + 10
        while alive(service) and time.monotonic() < deadline:
            time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
