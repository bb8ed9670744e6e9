"""What was measured once is kept: one file for the same clients, engines, libraries and machine::

    <cache>/ceilings/<digest of machine, engines, client library and settings>.json

The engines are known by what is in their sources, not by the commit: most commits change nothing that makes one faster.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import crep
from crep.harness.config.errors import EnvironmentFailure

_ENGINE_SOURCES = ("harness/brokers", "harness/load", "harness/metrics", "harness/scenario", "solace_emulator/smf")
"""What an engine runs, and the no-op servers; in the adapters and the scenario's language but for these modules, which
no engine's loop comes to."""
_NO_LOOP_COMES_TO = {
    "harness/brokers": re.compile(
        "admin|dead_letters|directions|facts|features|inspect|lag|layout|locate|locating|mapping|messages|operator|"
        "placement|quorum|quotas|registry|semp|stored|streams|topics|transactions"
    ),
    "harness/scenario": re.compile(
        "binding|campaign|chaos|daily|expectation|library|load|load_rules|message_rules|model|node_words|params|parts|"
        "plan|reference|rules|schema|side_words|timeline_rules|topics|vary|via_rules"
    ),
}
_NOTHING = re.compile("")


@dataclass(frozen=True)
class Ceiling:
    """Messages per second of so many clients together, against the no-op server."""

    per_s: float
    clients: int


def engine_digest(package: Path = Path(crep.__file__).parent) -> str:
    """Of the sources that decide how fast an engine is: it changes with them, and not with each commit."""
    digest = hashlib.sha256()
    for folder in _ENGINE_SOURCES:
        root, skipped = (package / folder).resolve(), _NO_LOOP_COMES_TO.get(folder, _NOTHING)
        for file in sorted(root.rglob("*.py")):
            place = file.relative_to(root)
            if not skipped.fullmatch(file.stem) and "actions" not in place.parts:
                digest.update(f"{folder}/{place}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def name_of(work: str, about: Mapping[str, str], clients: Sequence[Mapping[str, Any]]) -> str:
    """A file name from all that decides a ceiling.

    Args:
        work: what the clients do.
        about: the machine, and the versions of engines (``engine_digest``) and client library.
        clients: of each what makes it fast or slow.
    """
    text = json.dumps([work, dict(sorted(about.items())), list(clients)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def kept(cache: Path, name: str, measure: Callable[[], Ceiling]) -> Ceiling:
    """The ceiling of this name, measured now where it is not known yet.

    Raises:
        EnvironmentFailure: as ``measure``; or it cannot be kept.
    """
    file = cache / "ceilings" / f"{name}.json"
    try:
        return Ceiling(**json.loads(file.read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError):
        pass  # not measured yet, or a file that was cut off: measured anew
    found = measure()
    part = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(found.__dict__), encoding="ascii")
        part.replace(file)
    except OSError as error:
        raise EnvironmentFailure(
            f"the ceiling of the clients cannot be kept in {file.parent}: {error.strerror}",
            hint="make room, or name another cache folder with XDG_CACHE_HOME=DIR",
        ) from error
    return found
