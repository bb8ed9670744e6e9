"""The one exception tree. Each class carries the exit code of the command that ends with it.

Exit codes: 0 ok, 1 checks failed, 2 usage or bad input, 3 broker or environment failure, 4 run invalid,
130 interrupted.
"""


class CrepError(Exception):
    """An error that a person can act on: the text says what is wrong, where, and what to do instead."""

    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n  {hint}")
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """The text, the hint, and what was noted on the way (``add_note``): for example what was left behind."""
        return "\n  ".join([super().__str__(), *getattr(self, "__notes__", ())])


class UsageError(CrepError):
    """Bad input: a file, an option, a name. Exit code 2."""

    exit_code = 2


class EnvironmentFailure(CrepError):
    """A broker, a port, a disk, a missing program. Exit code 3."""

    exit_code = 3


class RunInvalid(CrepError):
    """The run broke a rule of the method and carries no verdict. Exit code 4."""

    exit_code = 4


class Interrupted(CrepError):
    """The user (or a signal) ended the command; what was measured is kept. Exit code 130."""

    exit_code = 130
