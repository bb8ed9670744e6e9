"""How starting can fail."""


class StartFailure(Exception):
    """The environment does not allow to start: one line for a person, exit code 3."""
