"""The files of the corpus: hexadecimal bytes, and lines of comment that begin with #."""

from __future__ import annotations

from pathlib import Path
from typing import Final

RECORDED: Final = Path(__file__).parent / "recorded"
VICIOUS: Final = Path(__file__).parent / "vicious"
_BYTES_IN_A_LINE: Final = 32


def read(path: Path) -> bytes:
    """Return a file's bytes."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return bytes.fromhex("".join(lines))


def write(path: Path, comment: str, raw: bytes) -> None:
    """Write a file."""
    lines = [raw[at : at + _BYTES_IN_A_LINE].hex() for at in range(0, len(raw), _BYTES_IN_A_LINE)]
    path.write_text("\n".join([f"# {comment}", *lines]) + "\n")


def corpus() -> dict[str, bytes]:
    """Return every file's bytes by its name."""
    paths = sorted([*RECORDED.glob("*.hex"), *VICIOUS.glob("*.hex")])
    return {f"{path.parent.name}/{path.stem}": read(path) for path in paths}
