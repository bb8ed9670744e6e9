"""``crep replay``: capture messages into an archive, look at archives, send messages again."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.table import Table

from crep.harness.cli.group import CommandGroup
from crep.harness.cli.options import ARCHIVES
from crep.harness.cli.replay_capture import capture
from crep.harness.cli.replay_run import run
from crep.harness.config.errors import UsageError
from crep.replay.archive import verify_archive
from crep.replay.listing import archives as listed

_MICRO = 1_000_000
_WIDTH = 120  # columns that a line needs
_COMMANDS = {"capture": capture, "run": run}
_LAZY = {"serve": "crep.harness.cli.replay_serve"}
"""Commands that need more than the others; their modules offer ``command``."""


class _Replay(CommandGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["capture", "archives", "run", *_LAZY]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _LAZY:
            found: click.Command = import_module(_LAZY[cmd_name]).command
            return found
        return super().get_command(ctx, cmd_name)


@click.group("replay", cls=_Replay)
def command() -> None:
    """Capture messages into an archive, and send them again: to the same broker or to another one."""


@command.command("archives")
@ARCHIVES
@click.option("--verify", is_flag=True, help="compare every file with its check sum; exit code 1 if one is wrong")
def archives(root: Path, verify: bool) -> int:
    """List the archives of a folder: what they hold, from where and of when."""
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}", hint="--archives DIR names the one that holds your archives")
    found, console = listed(root), Console()
    if not found:
        console.print(f"{root} holds no archive; 'crep replay capture' makes one", highlight=False)
        return 0
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    table = Table("archive", "from", "messages", "size", "first", "last", "removed", box=None, header_style="bold")
    for one in found:
        where = f"{one.source.get('place', '?')} @ {one.source.get('target', '?')}"
        size = f"{one.bytes / (1 << 20):,.1f} MiB"
        row = (where, f"{one.messages:,}", size, _time(one.first_us), _time(one.last_us), f"{one.removed:,}")
        table.add_row(one.name, *(row if one.damage is None else ("[red]cannot be read[/red]", *[""] * 5)))
    console.print(table, highlight=False)
    wrong = [one.damage for one in found if one.damage is not None]
    if verify:
        wrong += [f"{one.name}: {what}" for one in found if not one.damage for what in verify_archive(root / one.name)]
    for line in wrong:
        console.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
    if verify and not wrong:
        console.print("all files are as they were written", highlight=False)
    return 1 if wrong else 0


def _time(at_us: int | None) -> str:
    return "" if at_us is None else f"{datetime.fromtimestamp(at_us / _MICRO, UTC):%Y-%m-%d %H:%M:%S}Z"


for _command in _COMMANDS.values():
    command.add_command(_command)
