"""Names that come over the network and become folders: nothing in them can lead out of the service's own folder."""

from __future__ import annotations

import re

_ARCHIVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def archive_name(text: str) -> str:
    """The name itself.

    Raises:
        ValueError: it is none.
    """
    if not _ARCHIVE.fullmatch(text):
        raise ValueError(
            f"{text!r} is no name of an archive: letters, digits, '.', '_' and '-', at most 100, "
            "and a letter or digit first"
        )
    return text
