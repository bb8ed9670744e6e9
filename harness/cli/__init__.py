"""The command line: one module per command, no logic. ``main`` is the entry point of the ``crep`` command.

Start reading at ``app`` (which commands there are, exit codes).
Commands call ``campaign``, ``deployment`` and ``reports``.
"""

from crep.harness.cli.app import main

__all__ = ["main"]
