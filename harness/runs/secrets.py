"""What never reaches a run folder: values of settings whose names tell of a secret (METHOD rule 14).

crep takes passwords from the environment and adapters leave theirs out; but a target's ``client`` and ``settings`` may
name any property of a client library or broker, and what those are called is known only by convention.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "(hidden)"

_TELLS = re.compile(
    r"passw|passphrase|secret|token|credential|jaas|private.?key|oauthbearer\.config|\.pem$", re.IGNORECASE
)


def without_secrets(data: Any) -> Any:
    """``data`` (mappings, lists, scalars) with every value hidden whose key tells of a secret; empty ones stay."""
    if isinstance(data, Mapping):
        return {
            key: HIDDEN
            if value and not isinstance(value, Mapping) and _TELLS.search(str(key))
            else without_secrets(value)
            for key, value in data.items()
        }
    if isinstance(data, list | tuple):
        return [without_secrets(value) for value in data]
    return data
