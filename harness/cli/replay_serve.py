"""``crep replay serve``: the replay service over REST, with a page."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

import orjson
import rich_click as click

from crep.harness.cli.options import ARCHIVES, TARGETS
from crep.harness.config.address import Address
from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.harness.config.targets import load_targets
from crep.harness.runner import Stop
from crep.replay.service.app import application
from crep.replay.service.dry_run import DryRuns
from crep.replay.service.guard import Token, new_token, read_token
from crep.replay.service.jobs import JobStore
from crep.replay.service.routes import Service
from crep.replay.service.server import Certificate, Server, is_loopback
from crep.replay.service.stream import Changes
from crep.replay.service.supervisor import Supervisor
from crep.replay.service.worker import Places

TOKEN_VARIABLE = "CREP_REPLAY_TOKEN"  # noqa: S105 - the variable's name
_PORT = 8765
_LOOK_S = 0.5


@click.command("serve")
@ARCHIVES
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="folder of the jobs and their logs; default: .service in the archives' folder",
)
@click.option(
    "--listen", default=f"127.0.0.1:{_PORT}", show_default=True, metavar="HOST:PORT", help="port 0: any free one"
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"file with the token that requests must show; or the variable {TOKEN_VARIABLE}; default: a new one, printed",
)
@click.option("--tls-certificate", type=click.Path(path_type=Path), metavar="PEM", help="for HTTPS, with --tls-key")
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="PEM")
@click.option("--max-jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="jobs at the same time")
@click.option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    help="go on at once with the jobs that the end of the service before interrupted",
)
@TARGETS
def command(
    root: Path,
    state: Path | None,
    listen: str,
    token_file: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    max_jobs: int,
    resume: bool,
    targets: Path | None,
) -> int:
    """Serve capture and replay jobs over REST, and a page to watch and start them, until Ctrl-C or SIGTERM.

    At the end every job is brought to a checkpoint; the next start goes on with it.
    """
    address = Address.parse(listen, port=_PORT)
    text, generated = _token(token_file, address)
    places = Places(_made(root), _made(root / ".service" if state is None else state), targets)
    known, changes = load_targets(targets), Changes()
    with Stop() as stop, ExitStack() as ends:
        store = JobStore(places.state / "jobs.sqlite", changed=changes.notify)
        ends.callback(store.close)
        supervisor = Supervisor(store, places, max_jobs, _say)
        service = Service(supervisor, changes, DryRuns(places), places.archives, known)
        server = Server(application(service, Token(text)), address, _certificate(tls_certificate, tls_key))
        ends.callback(server.stop)
        ends.callback(changes.close)
        ends.callback(supervisor.stop)
        server.start()
        supervisor.take_up(resume=resume)
        _announce(server, text if generated else None, address)
        while not stop.requested.wait(_LOOK_S):
            if not server.alive:
                raise EnvironmentFailure("the HTTP server has ended by itself")
        _say("stopping: jobs are brought to a checkpoint")
    return 0


def _token(file: Path | None, address: Address) -> tuple[str, bool]:
    """The token, and whether it was made here.

    Raises:
        UsageError: the service would be reachable from elsewhere with a token that nobody chose.
    """
    if file is not None:
        return read_token(file), False
    if given := os.environ.get(TOKEN_VARIABLE):
        return given, False
    if not is_loopback(address.host):
        raise UsageError(
            f"--listen {address}: other machines can reach the service there, so it needs a token of yours",
            hint=f"write one into a file and name it with --token-file, or set {TOKEN_VARIABLE}",
        )
    return new_token(), True


def _certificate(certificate: Path | None, key: Path | None) -> Certificate | None:
    if (certificate is None) != (key is None):
        raise UsageError("--tls-certificate and --tls-key go together")
    return None if certificate is None or key is None else Certificate(certificate, key)


def _announce(server: Server, generated: str | None, address: Address) -> None:
    click.echo(orjson.dumps({"ready": True, "pid": os.getpid(), "url": server.url}).decode())
    sys.stdout.flush()
    if generated is not None:
        _say(f"token, shown only now: {generated}")
        _say(f"page: {server.url}/#token={generated}")
    if not is_loopback(address.host) and server.url.startswith("http:"):
        _say("note: what is sent, the token too, can be read on the way; give --tls-certificate and --tls-key")


def _made(folder: Path) -> Path:
    """The folder as an absolute path, made where it is not there.

    Raises:
        EnvironmentFailure: it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFailure(f"the folder {folder} cannot be made: {error.strerror}") from None
    return folder.resolve()


def _say(line: str) -> None:
    click.echo(line, err=True)
