"""Which archives there are in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crep.harness.config.errors import UsageError
from crep.replay.manifest import MANIFEST, read_manifest


@dataclass(frozen=True)
class ArchiveInfo:
    """What an archive's manifest says. Times are Unix microseconds; what a capture has not closed yet is left out."""

    name: str
    source: dict[str, str]
    messages: int
    bytes: int
    first_us: int | None
    last_us: int | None
    segments: int
    removed: int
    damage: str | None = None  # why nothing can be said of it


def archive_info(folder: Path) -> ArchiveInfo:
    """One archive.

    Raises:
        UsageError: it is none, or its manifest is damaged.
    """
    manifest = read_manifest(folder)
    segments = manifest.segments
    return ArchiveInfo(
        folder.name,
        manifest.source,
        sum(segment.count for segment in segments),
        sum(segment.bytes for segment in segments),
        min((segment.first_us for segment in segments), default=None),
        max((segment.last_us for segment in segments), default=None),
        len(segments),
        manifest.removed,
    )


def archives(root: Path) -> list[ArchiveInfo]:
    """All archives in a folder, by name; one whose manifest cannot be read is among them, with its ``damage``."""
    found = []
    for path in sorted(root.glob(f"*/{MANIFEST}")):
        try:
            found.append(archive_info(path.parent))
        except UsageError as error:
            found.append(ArchiveInfo(path.parent.name, {}, 0, 0, None, None, 0, 0, error.message))
    return found
