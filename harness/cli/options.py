"""Options that several commands have in common. Imports nothing slow: every command line loads it."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

TARGETS = click.option(
    "--targets", type=click.Path(path_type=Path), metavar="FILE", help="more targets, beside the built-in ones"
)
ARCHIVES = click.option(
    "--archives",
    "root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("archives"),
    show_default=True,
    metavar="DIR",
    help="folder that holds the archives",
)
