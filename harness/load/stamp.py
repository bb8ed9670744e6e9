"""The stamp that travels with each message: who sent it, as which one of which key, and when it was *due*.

======  ====  ============  =========================================================================================
offset  type  field         meaning
======  ====  ============  =========================================================================================
0       u32   run           number of the run; a message of another run is foreign
4       u16   publisher     unique in the run
6       u16   version       1
8       u64   sequence      per publisher, from 0; a resend carries its old one
16      i64   intended_ns   absolute CLOCK_MONOTONIC time at which the schedule wanted it sent
24      u32   key           number of the key
28      u32   key_sequence  per key, from 0
32      u32   copy          0 as published; a bridge or a replay writes its stage
36      u32   crc           CRC-32 of the payload that follows the stamp, then of the 36 bytes before
======  ====  ============  =========================================================================================

Little-endian, 40 bytes. With carrier ``payload`` the stamp stands before the payload's other bytes; with ``property``
it is a header or user property of 80 hexadecimal digits and the payload is left whole: digits come through every
client that forwards a message, and zeros do not (the vendor's Python API for Solace cuts bytes there). The check sum
runs over the payload *first*,
so that a sender adds only 36 bytes to a sum that it has computed once (METHOD rule 2).
"""

from __future__ import annotations

import random
import zlib
from binascii import unhexlify
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crep.harness.brokers.packed import Packed
from crep.harness.load.buffers import PayloadBuffers
from crep.harness.load.checksum import PayloadSums, head_sums, rows_at
from crep.harness.metrics.history import CORRUPT, FOREIGN, RECEIVED, Records
from crep.harness.scenario.documents import Documents

Carrier = Literal["payload", "property"]

STAMP = np.dtype(
    [
        ("run", "<u4"),
        ("publisher", "<u2"),
        ("version", "<u2"),
        ("sequence", "<u8"),
        ("intended_ns", "<i8"),
        ("key", "<u4"),
        ("key_sequence", "<u4"),
        ("copy", "<u4"),
        ("crc", "<u4"),
    ]
)
SIZE = 40
DIGITS = 2 * SIZE
SUMMED = 36  # bytes of the stamp that the check sum covers
VERSION = 1


@dataclass(frozen=True)
class Rendered:
    """Bodies and, with carrier ``property``, stamps of a block of messages; as ``brokers.contract.Batch`` has them."""

    bodies: Packed
    stamps: list[bytes] | None


class Renderer:
    """Renders the messages of one publisher; filler bytes are pseudo-random by ``seed``: nothing compresses them away.

    ``smallest`` is the smallest payload, in bytes, that it can render.
    """

    def __init__(
        self, *, run: int, publisher: int, seed: int, carrier: Carrier, documents: Documents | None = None
    ) -> None:
        self._documents = documents  # payloads by key, with carrier ``property``; None: filler
        self._run, self._publisher, self._carrier = run, publisher, carrier
        self._random = random.Random(f"filler {seed}")  # noqa: S311 - bytes without meaning
        self._filler = memoryview(b"")
        self._sums: dict[int, int] = {0: 0}  # length of filler → its CRC-32
        self._buffers = PayloadBuffers()
        self.smallest = SIZE if carrier == "payload" else 0

    def render(
        self,
        sequence: NDArray[np.uint64],
        intended_ns: NDArray[np.int64],
        key: NDArray[np.uint32],
        key_sequence: NDArray[np.uint32],
        size: NDArray[np.uint32],
    ) -> Rendered:
        """Arrays of equal length, ``intended_ns`` absolute, ``size`` in bytes of the whole payload.

        Raises:
            ValueError: a size is below ``smallest``.
        """
        heads = np.zeros(len(sequence), STAMP)
        heads["run"], heads["publisher"], heads["version"] = self._run, self._publisher, VERSION
        heads["sequence"], heads["intended_ns"] = sequence, intended_ns
        heads["key"], heads["key_sequence"] = key, key_sequence
        if self._documents is not None:
            return self._with_documents(heads, self._documents)
        lengths = size.astype(np.int64) - self.smallest
        if len(lengths) and (lengths == lengths[0]).all():  # as mostly: sorting them out takes longer than all the rest
            different, sums = lengths[:1], np.full(len(lengths), self._sum(int(lengths[0])), np.uint32)
        else:
            different, which = np.unique(lengths, return_inverse=True)
            sums = np.array([self._sum(length) for length in different.tolist()], np.uint32)[which]
        raw = heads.view(np.uint8).reshape(-1, SIZE)
        heads["crc"] = head_sums(raw[:, :SUMMED], sums)
        if self._carrier == "property":
            return Rendered(self._packed(None, lengths, different), _digits(raw))
        return Rendered(self._packed(raw, lengths, different), None)

    def _with_documents(self, heads: NDArray[Any], documents: Documents) -> Rendered:
        numbers = documents.number_of(heads["key"])
        raw = heads.view(np.uint8).reshape(-1, SIZE)
        heads["crc"] = head_sums(raw[:, :SUMMED], documents.sums[numbers])
        bodies = Packed.of([documents.bodies[number] for number in numbers.tolist()])
        return Rendered(bodies, _digits(raw))

    def _packed(
        self, heads: NDArray[np.uint8] | None, lengths: NDArray[np.int64], different: NDArray[np.int64]
    ) -> Packed:
        """Payloads of so much filler, behind their heads; ``different`` are the lengths that occur."""
        sizes = lengths + self.smallest
        starts = np.cumsum(sizes) - sizes
        if len(different) == 1:  # all in a row: no index is needed
            length = int(different[0])
            filler = np.frombuffer(self._filler, np.uint8, length)
            buffer = self._buffers.of(len(sizes), length + self.smallest, filler)
            if heads is not None:
                buffer.reshape(len(sizes), -1)[:, :SIZE] = heads
            return Packed(buffer, starts, sizes)
        buffer = np.empty(int(sizes.sum()), np.uint8)
        for length in different.tolist():
            filler = np.frombuffer(self._filler, np.uint8, length)
            of_it = np.flatnonzero(lengths == length)
            buffer[starts[of_it, None] + self.smallest + np.arange(length)] = filler
            if heads is not None:
                buffer[starts[of_it, None] + np.arange(SIZE)] = heads[of_it]
        return Packed(buffer, starts, sizes)

    def _sum(self, length: int) -> int:
        known = self._sums.get(length)
        if known is None:
            if length < 0:
                raise ValueError(f"a payload of {length + SIZE} B cannot hold the stamp of {SIZE} B")
            if length > len(self._filler):
                self._filler = memoryview(self._filler.tobytes() + self._random.randbytes(length - len(self._filler)))
            known = self._sums[length] = zlib.crc32(self._filler[:length])
        return known


def parse(
    bodies: Sequence[bytes],
    stamps: Sequence[bytes] | None,
    *,
    run: int,
    received_ns: NDArray[np.int64],
    redelivered: NDArray[np.uint8],
    sums: PayloadSums | None = None,
    documents: Documents | None = None,
) -> Records:
    """``RECEIVED`` records of a batch, in its order; the check sum of every message is verified.

    Args:
        bodies: whole payloads; where they are ``Packed`` none is copied.
        stamps: the property of each message (empty where it has none); None: the stamp is the payload's start.
        run: number of this run.
        received_ns: CLOCK_MONOTONIC time of each receipt.
        redelivered: ``brokers.contract.REDELIVERED_*`` of each message.
        sums: what earlier batches have taught; the records are the same without.
        documents: what was published, where a service has made other payloads of it since: the check sum is held
            against the document of the stamp's key. It vouches for the identity then, and not for the payload.

    Returns:
        Array of ``RECEIVED``. Whose sum does not match, or who has no whole stamp, is ``CORRUPT`` and has zero fields;
        what is intact and of another run, or of a version that we do not write, is ``FOREIGN``.
    """
    records = np.zeros(len(bodies), RECEIVED)
    if not len(records):
        return records
    packed = bodies if isinstance(bodies, Packed) else Packed.of(bodies)
    skipped = SIZE if stamps is None else 0
    if stamps is None:
        whole = packed.lengths >= SIZE
        fields = _fields(packed, whole)
    else:
        fields, whole = _fields_of(stamps)
    if documents is None:
        tails = np.maximum(packed.lengths - skipped, 0)
        tail_sums = (sums or PayloadSums()).of(packed.buffer, packed.starts + skipped, tails)
    else:
        tail_sums = documents.sums[documents.number_of(fields["key"])]
    intact = whole & (fields["crc"] == head_sums(fields.view(np.uint8).reshape(-1, SIZE)[:, :SUMMED], tail_sums))
    foreign = (fields["run"] != run) | (fields["version"] != VERSION)
    if foreign.any():
        records["fault"][foreign] = FOREIGN
    if not intact.all():
        fields[~intact] = 0
        records["fault"][~intact] = CORRUPT
    for name in ("sequence", "intended_ns", "key", "key_sequence", "publisher"):
        records[name] = fields[name]
    records["received_ns"], records["redelivered"] = received_ns, redelivered
    return records


def _fields(bodies: Packed, whole: NDArray[np.bool_]) -> NDArray[Any]:
    """The stamps before payloads; zeros where there is none: what lies behind a short payload is not ours to read."""
    if whole.all():
        return rows_at(bodies.buffer, bodies.starts, SIZE).view(STAMP)
    fields = np.zeros(len(bodies), STAMP)
    if whole.any():
        fields[whole] = rows_at(bodies.buffer, bodies.starts[whole], SIZE).view(STAMP)
    return fields


def _digits(raw: NDArray[np.uint8]) -> list[bytes]:
    """Stamps as properties carry them."""
    digits = raw.tobytes().hex().encode()
    return [digits[at : at + DIGITS] for at in range(0, len(digits), DIGITS)]


def _fields_of(stamps: Sequence[bytes]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The stamps that came as properties, and which of them are whole; zeros where one is not."""
    fields, whole = np.zeros(len(stamps), STAMP), np.ones(len(stamps), np.bool_)
    raw = _read(b"".join(stamps), DIGITS * len(stamps))
    if raw is None or any(len(stamp) != DIGITS for stamp in stamps):  # not as we write them: each by itself
        read = [_read(stamp, DIGITS) for stamp in stamps]
        whole = np.array([stamp is not None for stamp in read], np.bool_)
        raw = b"".join([stamp or bytes(SIZE) for stamp in read])
    fields.view(np.uint8)[:] = np.frombuffer(raw, np.uint8)
    return fields, whole


def _read(digits: bytes, length: int) -> bytes | None:
    """Bytes of so many digits, None where they are not as we write them: a letter that is a capital was damaged."""
    if len(digits) != length or digits != digits.lower():
        return None
    try:
        return unhexlify(digits)
    except ValueError:
        return None
