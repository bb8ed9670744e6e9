"""Where imported results lie: ``<folder>/<tool>/<name>-<first digits of the file's SHA-256>/imported.json``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from crep.harness.config.errors import UsageError
from crep.harness.runs.disk import replace_file, writing
from crep.harness.runs.importing.document import Imported

DOCUMENT = "imported.json"


def keep(imported: Imported, folder: Path) -> Path:
    """Write it; the same file imported again takes its own place. Returns its folder.

    Raises:
        EnvironmentFailure: the folder cannot be written.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", imported.name).strip(".-") or "result"
    place = folder / imported.tool / f"{name}-{imported.sha256[:8]}"
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
    replace_file(place / DOCUMENT, imported.model_dump_json(indent=1).encode() + b"\n")
    return place


def find_imported(paths: Iterable[Path]) -> list[Imported]:
    """Every imported result at or below the paths, each source file once, by tool, name and file.

    Raises:
        UsageError: one of them is damaged.
    """
    found = {file for path in paths for file in path.resolve().rglob(DOCUMENT)}
    once = {(one.tool, one.sha256): one for one in map(_read, sorted(found))}
    return sorted(once.values(), key=lambda one: (one.tool, one.name, one.file, one.sha256))


def _read(path: Path) -> Imported:
    try:
        return Imported.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(f"{path}: is damaged: {error}", hint="import the result again") from error
