"""A group of commands that answers an unknown word with the nearest one, or with all there are."""

from __future__ import annotations

import rich_click as click

from crep.harness.config.errors import UsageError
from crep.harness.config.suggest import nearest


class CommandGroup(click.RichGroup):
    """``crep runn`` and ``crep list foo`` say what there is instead of only what there is not."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's.

        Raises:
            UsageError: the first word names no command.
        """
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            known = nearest(word, self.list_commands(ctx))
            raise UsageError(f"{ctx.command_path} {word}: there is no such command{known}")
        return super().resolve_command(ctx, args)
