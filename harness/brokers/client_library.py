"""Which library carries a system's bulk clients: ``client: native`` or ``api`` in a mapping or a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from crep.harness.config.errors import UsageError

CLIENT = "client"
"""The setting's name; also the entry in a client's effective settings that says what was used."""

ClientName = Literal["native", "api"]


def client_asked(settings: Mapping[str, object], *, system: str, native: str, api: str) -> ClientName:
    """What the settings ask for: the C library unless they say ``api``.

    Args:
        settings: of a mapping and a target.
        system: the product, for the error.
        native: what the C library is, for the error.
        api: what the public API is, for the error.

    Raises:
        UsageError: another word.
    """
    asked = settings.get(CLIENT, "native")
    if asked == "native":
        return "native"
    if asked == "api":
        return "api"
    raise UsageError(
        f"the {system} client has no library {asked!r}",
        hint=f"write client: native ({native}, the default) or client: api ({api})",
    )
