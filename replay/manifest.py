"""What an archive says of itself: one small file, replaced as a whole."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from crep.harness.config.errors import UsageError
from crep.replay.segment import Segment, sync_folder

SCHEMA = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself. ``source``: target, place and system that it was captured from."""

    name: str
    source: dict[str, str]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)  # tells it from one that is made anew in its place
    segments: tuple[Segment, ...] = ()
    next_sequence: int = 0  # behind the last segment
    removed: int = 0  # messages that retention has removed
    damaged: int = 0  # messages of segments that were set aside
    positions: dict[str, tuple[int, int]] = field(default_factory=dict)  # Kafka: partition → next offset, latest ms
    schema: int = SCHEMA


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an archive.

    Raises:
        UsageError: there is none, it is damaged, or of a later version.
    """
    path = folder / MANIFEST
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data.get("schema") != SCHEMA:
            raise UsageError(
                f"{path}: schema {data.get('schema')!r} is not understood by this version, which has {SCHEMA}"
            )
        return Manifest(**{**data, "segments": tuple(Segment(**segment) for segment in data["segments"])})
    except FileNotFoundError:
        raise UsageError(f"{folder} is no archive: it has no {MANIFEST}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path} is damaged: {error}") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest as a whole."""
    draft = folder / f"{MANIFEST}.draft"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(manifest), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / MANIFEST)
    sync_folder(folder)
