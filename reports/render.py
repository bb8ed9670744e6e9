"""Write a `Comparison` as files. Each renderer gets the same blocks and figures; none computes anything."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.reports.comparison import Comparison
from crep.reports.figures import figures
from crep.reports.html import render_html
from crep.reports.pdf import render_pdf
from crep.reports.story import story

FORMATS = ("pdf", "html", "json")


def render(comparison: Comparison, out_dir: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write ``report.<format>`` for each format into ``out_dir`` (created) and return the paths, in that order.

    Raises:
        UsageError: a format that is not one of ``FORMATS``.
        EnvironmentFailure: the folder cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"there is no report format {unknown[0]!r}", hint=f"formats: {', '.join(FORMATS)}")
    document = report_json(comparison)
    blocks = story(comparison)
    drawn = figures(comparison) if {"pdf", "html"} & set(formats) else {}
    written = []
    for name in formats:
        if name == "pdf":
            data = render_pdf(comparison, blocks, drawn, document)
        elif name == "html":
            data = render_html(comparison, blocks, drawn).encode()
        else:
            data = document
        written.append(_write(out_dir / f"report.{name}", data))
    return written


def report_json(comparison: Comparison) -> bytes:
    """``report.json``: the comparison with sorted keys, so that two reports can be compared line by line."""
    plain = comparison.model_dump(mode="json")
    return (json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _write(path: Path, data: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot write the report {path}: {error.strerror}",
            hint="check the folder's rights and the free disk space",
        ) from error
    return path
