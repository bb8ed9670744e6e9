"""The ``crep`` command: commands by name, imported when asked for, and one place that turns errors into exit codes."""

from __future__ import annotations

import sys
from importlib import import_module

import rich_click as click
from rich.console import Console

from crep import __version__
from crep.harness.cli.group import CommandGroup
from crep.harness.config.errors import CrepError, Interrupted

EXIT_CODES = """Exit codes: 0 ok (also not supported by a target, unless --strict) · 1 checks failed ·
2 usage or bad input · 3 broker or environment failure · 4 run invalid · 130 interrupted (what was measured is kept)."""

COMMANDS = {
    "run": "run",
    "demo": "demo",
    "find-rate": "find_rate",
    "worker": "worker",
    "report": "report",
    "verify": "verify",
    "import": "importing",
    "export": "exporting",
    "validate": "validate",
    "init": "init",
    "schema": "schema",
    "list": "listing",
    "broker": "broker",
    "doctor": "doctor",
    "bridge": "bridge",
    "replay": "replay",
}
"""Command → module of this package; the module offers ``command``."""


class _Commands(CommandGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"crep.harness.cli.{COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command


@click.command(
    cls=_Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="crep")
def app() -> None:
    """Drive event brokers with one scenario, inject failures, prove what was lost, and report it."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. Errors are one or a few lines on standard error."""
    try:
        outcome = app.main(args=arguments, prog_name="crep", standalone_mode=False)
    except Interrupted as error:
        _say(error.message)
        return error.exit_code
    except CrepError as error:
        _say(f"error: {error}")
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return 130
    except BrokenPipeError:  # `crep list … | head`
        sys.stderr.close()
        return 0
    return outcome if isinstance(outcome, int) else 0


def _say(text: str) -> None:
    Console(stderr=True).print(text, style="red", highlight=False, markup=False, soft_wrap=True)


def console_script() -> None:
    """Entry point of the installed ``crep`` command."""
    sys.exit(main())
