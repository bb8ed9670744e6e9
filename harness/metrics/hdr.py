"""Histograms in the form that other tools read: HdrHistogram's V2 encoding, compressed, and its log of intervals.

The buckets are HdrHistogram's own (``histogram``), so nothing is rounded. V2 (Gil Tene's HdrHistogram,
``AbstractHistogram.encodeIntoByteBuffer`` and ``ZigZagEncoding``), all numbers big endian::

    u4 cookie 0x1c849313 · u4 bytes of the counts · u4 normalising offset 0 · u4 significant digits 3
    u8 lowest value 1 · u8 highest value · f8 conversion ratio 1.0 · counts

A count is a zigzag LEB128 number of at most nine bytes; a negative one is a run of so many zeros. Compressed: u4 cookie
0x1c849314 · u4 bytes · zlib. In a log it stands in base64.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Iterator

from crep.harness.metrics.histogram import Histogram

_COOKIE, _COMPRESSED = 0x1C849313, 0x1C849314  # the bases …03 and …04, and 0x10 for counts of any length
_DIGITS, _LOWEST = 3, 1
_HEAD = struct.Struct(">IIIIQQd")
_LONGEST = 9  # bytes of a number; the ninth has eight bits
_MS = 1e6  # the log gives maxima in milliseconds


def encode(histogram: Histogram) -> bytes:
    """The compressed V2 form, base64. Samples ≤ 0 are counted as 0."""
    counts = b"".join(_number(count) for count in _runs(histogram))
    highest = max(2 * _LOWEST, histogram.max_ns or 0)
    plain = _HEAD.pack(_COOKIE, len(counts), 0, _DIGITS, _LOWEST, highest, 1.0) + counts
    packed = zlib.compress(plain)
    return base64.b64encode(struct.pack(">II", _COMPRESSED, len(packed)) + packed)


def _runs(histogram: Histogram) -> Iterator[int]:
    """Counts by bucket up to the last one in use, runs of zeros as their negative length."""
    buckets, counts = histogram.sparse()
    at = 0
    for bucket, count in zip(buckets.tolist(), counts.tolist(), strict=True):
        if bucket > at:
            yield at - bucket
        yield count
        at = bucket + 1


def _number(value: int) -> bytes:
    left = (value << 1) ^ (value >> 63)  # zigzag of a 64 bit number
    out = bytearray()
    while left > 0x7F and len(out) < _LONGEST - 1:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


def log(started_s: float, intervals: Iterable[tuple[str, float, float, Histogram]]) -> str:
    """A histogram log (format version 1.3) of tagged intervals.

    Args:
        started_s: seconds since the epoch that the intervals' starts are relative to.
        intervals: tag, start and length in seconds, samples in nanoseconds; one line each, in this order.
    """
    lines = [
        "#[Logged with crep; values are nanoseconds, Interval_Max is milliseconds]",
        "#[Histogram log format version 1.3]",
        f"#[StartTime: {started_s:.3f} (seconds since epoch)]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    for tag, start_s, lasted_s, histogram in intervals:
        maximum = (histogram.max_ns or 0) / _MS
        name = "".join("_" if character in ", \n\r\t=" else character for character in tag)
        lines.append(f"Tag={name},{start_s:.3f},{lasted_s:.3f},{maximum:.3f},{encode(histogram).decode('ascii')}")
    return "\n".join(lines) + "\n"
