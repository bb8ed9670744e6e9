"""``crep worker``: engines on this machine for a run that is started on another."""

from __future__ import annotations

import platform

import rich_click as click
from rich.console import Console

from crep.harness.config.address import Address
from crep.harness.runner import Stop
from crep.harness.workers.fleet import PORT
from crep.harness.workers.worker import Worker


@click.command("worker")
@click.option("--master", required=True, metavar="HOST[:PORT]", help=f"machine of `crep run --workers`; port {PORT}")
@click.option("--name", default=platform.node, metavar="NAME", help="name in results; default: the machine's")
@click.option(
    "--wait", type=click.IntRange(min=1), default=600, show_default=True, metavar="SECONDS", help="for the master"
)
def command(master: str, name: str, wait: int) -> int:
    """Join a run that was started with `crep run … --workers N` and carry out a share of it on this machine.

    Ends with the master. The brokers of the run must be reachable from here under the same names.
    """
    address, console = Address.parse(master, port=PORT), Console(stderr=True)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    with Stop() as stop:
        Worker(address.host, address.port, name=name, say=say, check=stop.check).serve(wait)
    return 0
