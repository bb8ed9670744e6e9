"""How the broker says no."""


class Refused(Exception):
    """A request is answered with this code and text.

    Clients compare the text exactly, upper and lower case included, to choose their error: the pairs used are those
    that the official client is known to map.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


def over_quota() -> Refused:
    """There is no room: no quota left, or no space on the disk."""
    return Refused(503, "Spool Over Quota")
