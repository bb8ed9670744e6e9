"""What Solace's ``sdkperf`` prints when it ends: lines of ``<words> = <number> [<unit>]``.

Known from output and scripts that others published (the C, Java and MQTT editions print the same words); not verified
with a run of it. Of a log with several ends, the last one counts.
"""

from __future__ import annotations

import re
from pathlib import Path

from crep.harness.config.errors import UsageError
from crep.harness.runs.importing.document import Figure, Imported
from crep.harness.runs.importing.source import read_source

_NUMBER = r"\s*=\s*(?P<value>\d[\d,]*(?:\.\d+)?)[ \t]*(?P<unit>[A-Za-zµ]*)"
_LINES = (
    (r"Total Messages transmitted", "Messages sent", "messages"),
    (r"Computed publish rate \(msg/sec\)", "Published", "msg/s"),
    (r"Total Messages? received across all subscribers", "Messages received", "messages"),
    (r"Computed subscriber rate \(msg/sec across all subscribers\)", "Consumed", "msg/s"),
    (r"Messages received with discard indication", "Received with discard indication", "messages"),
    (r"Average latency for subs", "Latency mean", ""),
    (r"50th percentile latency", "Latency p50", ""),
    (r"95th percentile latency", "Latency p95", ""),
    (r"99th percentile latency", "Latency p99", ""),
    (r"99\.9th percentile latency", "Latency p99.9", ""),
)
"""(words, name of the figure, its unit; empty: as printed behind the number)."""
_OPTIONS = {"mt": "message type", "msa": "message size", "mr": "rate asked", "mn": "messages asked", "cc": "clients"}
_OPTION = re.compile(r"(?:^|\s)-(?P<name>mt|msa|mr|mn|cc)[= ]\s*(?P<value>[\w.]+)")
_REMARKS = (
    "Latency begins when a message was sent, not when it should have been.",
    "Order and loss are not checked unless sdkperf was asked to; nothing of that is imported.",
)


def read_sdkperf(path: Path, imported_utc: str) -> Imported:
    """The printed output of one sdkperf.

    Raises:
        UsageError: it cannot be read, or holds none of its closing lines.
    """
    raw, sha256 = read_source(path)
    text = raw.decode("utf-8", "replace")
    figures = tuple(figure for words, name, unit in _LINES if (figure := _last(text, words, name, unit)) is not None)
    if not figures:
        raise UsageError(
            f"{path}: holds none of the lines that sdkperf prints at its end, such as 'Total Messages transmitted = …'",
            hint="keep what it prints: sdkperf_java.sh … > result.txt",
        )
    return Imported(
        tool="sdkperf",
        name=path.stem,
        driver="Solace",
        file=path.name,
        sha256=sha256,
        imported_utc=imported_utc,
        settings={_OPTIONS[one["name"]]: one["value"] for one in _OPTION.finditer(text)},
        figures=figures,
        remarks=_REMARKS,
    )


def _last(text: str, words: str, name: str, unit: str) -> Figure | None:
    found = None
    for found in re.finditer(rf"(?<![\d.]){words}{_NUMBER}", text):  # noqa: B007 - the last one is wanted
        pass
    if found is None:
        return None
    return Figure(name=name, value=float(found["value"].replace(",", "")), unit=unit or found["unit"])
