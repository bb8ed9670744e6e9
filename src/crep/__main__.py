"""``python -m crep`` is the ``crep`` command."""

from crep.harness.cli.app import console_script

if __name__ == "__main__":
    console_script()
