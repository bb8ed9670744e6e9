"""A channel's tally in ``ledger/``: what it comes to, small enough to be written every few seconds.

::

    <channel>.npz          numbers, and where each piece lies: written by temporary file and rename
    <channel>.<n>.pieces   pieces of bitmaps (zlib), appended where they changed; ``n`` rises when it is written anew

``numpy.load`` reads the first. Names: ``publisher.<id>.<what>``, ``reader.<name>.<what>``, ``position.<file>`` (records
of that file that are folded). A bitmap is an array of (offset, length) per piece of ``checks.bitmap.CHUNK`` numbers;
offset −1 is an empty piece, −2 a whole one.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crep.harness.checks.bitmap import CHUNK, EMPTY, WHOLE, Bitmap
from crep.harness.checks.tally import ChannelTally, PublisherTally, ReaderTally
from crep.harness.config.errors import UsageError
from crep.harness.metrics.histogram import Histogram

VERSION = 1
_EMPTY, _WHOLE = -1, -2
Arrays = dict[str, NDArray[Any]]


class Store:
    """Writes one channel's tally again and again. Methods raise ``OSError``."""

    def __init__(self, folder: Path, tally: ChannelTally, positions: dict[str, int]) -> None:
        self._folder, self._tally, self._positions = folder, tally, positions
        self._places: dict[str, list[tuple[int, int]]] = {}
        self._generation = _latest_generation(folder, tally.channel)
        for _, bitmap in _bitmaps(tally):
            bitmap.changed.update(range(bitmap.chunks))  # a new file of pieces begins with all of them
        self._next_file()

    def save(self, *, anew: bool = False) -> None:
        """Append the pieces that changed, then replace the numbers. ``anew``: into a file that holds nothing else."""
        if anew:
            for _, bitmap in _bitmaps(self._tally):
                bitmap.changed.update(range(bitmap.chunks))
            self._next_file()
        arrays = _numbers(self._tally) | {f"position.{name}": np.array(at) for name, at in self._positions.items()}
        with self._pieces.open("ab") as file:
            for name, bitmap in _bitmaps(self._tally):
                places = self._places.setdefault(name, [])
                places += [(_EMPTY, 0)] * (bitmap.chunks - len(places))
                for chunk in sorted(bitmap.changed):
                    places[chunk] = _append(file, bitmap, chunk)
                bitmap.changed.clear()
                arrays[name] = np.array(places, np.int64).reshape(-1, 2)
        arrays |= {"version": np.array(VERSION), "generation": np.array(self._generation)}
        path = numbers_file(self._folder, self._tally.channel)
        temporary = path.with_name(f".{path.name}.part")
        with temporary.open("wb") as numbers:
            np.savez_compressed(numbers, **arrays)  # type: ignore[arg-type]
        temporary.replace(path)
        for other in self._folder.glob(f"{self._tally.channel}.*.pieces"):
            if other != self._pieces:
                other.unlink()

    def _next_file(self) -> None:
        self._generation += 1
        self._pieces = pieces_file(self._folder, self._tally.channel, self._generation)
        self._pieces.unlink(missing_ok=True)
        self._places.clear()

    @staticmethod
    def load(folder: Path, tally: ChannelTally) -> dict[str, int]:
        """Bring an empty tally to what was saved.

        Returns:
            Records folded, by file; nothing where nothing was saved.

        Raises:
            UsageError: it is damaged, or of another run or version.
        """
        path = numbers_file(folder, tally.channel)
        if not path.exists():
            return {}
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays: Arrays = {name: file[name] for name in file.files}
            if int(arrays["version"]) != VERSION:
                raise UsageError(f"{path}: is of version {int(arrays['version'])}; this crep reads {VERSION}")
            pieces = pieces_file(folder, tally.channel, int(arrays["generation"])).read_bytes()
            _restore(tally, arrays, pieces)
        except (OSError, KeyError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            hint = "Copy the run folder again, or leave it out."
            raise UsageError(f"{path}: damaged: {error}", hint=hint) from error
        return {name.removeprefix("position."): int(at) for name, at in arrays.items() if name.startswith("position.")}


def numbers_file(folder: Path, channel: str) -> Path:
    """The numbers of a channel's tally."""
    return folder / f"{channel}.npz"


def pieces_file(folder: Path, channel: str, generation: int) -> Path:
    """The pieces of a channel's bitmaps."""
    return folder / f"{channel}.{generation}.pieces"


def _latest_generation(folder: Path, channel: str) -> int:
    return max((int(path.name.split(".")[-2]) for path in folder.glob(f"{channel}.*.pieces")), default=0)


def _append(file: Any, bitmap: Bitmap, chunk: int) -> tuple[int, int]:
    bits = bitmap.chunk(chunk)
    if bits is WHOLE:
        return _WHOLE, 0
    if bits is EMPTY:
        return _EMPTY, 0
    data = zlib.compress(bits.tobytes(), 1)
    offset = file.tell()
    file.write(data)
    return offset, len(data)


def _bitmaps(tally: ChannelTally) -> Iterator[tuple[str, Bitmap]]:
    for publisher in tally.publishers:
        for what in ("sent", "acknowledged", "rejected", "accepted"):
            yield f"publisher.{publisher.planned.publisher}.{what}", getattr(publisher, what)
    for reader in tally.readers:
        for what, bitmaps in _bitmaps_of(reader).items():
            for number, bitmap in bitmaps.items():
                yield f"reader.{reader.spec.name}.{what}.{number}", bitmap


def _bitmaps_of(reader: ReaderTally) -> dict[str, dict[int, Bitmap]]:
    return {what: getattr(reader, what) for what in ("received", "wanted", *_LATER)}


_OF_PUBLISHER = ("sent_per_second", "acknowledged_per_second")
_OF_READER = ("highest", "members", "per_second", "awaited")
_LATER = ("marked", "unmarked")  # bitmaps that an earlier crep did not have
_NUMBERS_OF_READER = ("latest_ns", "late_receipts", "late_sends")


def _numbers(tally: ChannelTally) -> Arrays:
    arrays: Arrays = {}
    for publisher in tally.publishers:
        prefix = f"publisher.{publisher.planned.publisher}."
        arrays[prefix + "strays"] = np.array(publisher.strays)
        arrays |= {prefix + name: getattr(publisher, name) for name in _OF_PUBLISHER}
    for reader in tally.readers:
        prefix = f"reader.{reader.spec.name}."
        arrays |= {prefix + name: getattr(reader, name) for name in _OF_READER}
        arrays |= {prefix + name: np.array(getattr(reader, name)) for name in _NUMBERS_OF_READER}
        arrays[prefix + "service.buckets"], arrays[prefix + "service.counts"] = reader.service.sparse()
        arrays[prefix + "never_sent"] = np.array(sorted(reader.never_sent), np.uint64).reshape(-1, 2)
        arrays |= {f"{prefix}count.{kind}": np.array(count) for kind, count in reader.counts.items()}
        arrays |= {f"{prefix}anomalies.{kind}": reader.anomalies.of(kind) for kind in reader.anomalies.kinds}
    return arrays


def _restore(tally: ChannelTally, arrays: Arrays, pieces: bytes) -> None:
    for publisher in tally.publishers:
        _restore_publisher(publisher, arrays, pieces)
    for reader in tally.readers:
        _restore_reader(reader, arrays, pieces)


def _restore_publisher(publisher: PublisherTally, arrays: Arrays, pieces: bytes) -> None:
    prefix = f"publisher.{publisher.planned.publisher}."
    publisher.strays = int(arrays[prefix + "strays"])
    for name in _OF_PUBLISHER:
        setattr(publisher, name, arrays[prefix + name])
    for what in ("sent", "acknowledged", "rejected", "accepted"):
        setattr(publisher, what, _bitmap(arrays[prefix + what], pieces))


def _restore_reader(reader: ReaderTally, arrays: Arrays, pieces: bytes) -> None:
    prefix = f"reader.{reader.spec.name}."
    for name in _OF_READER:
        setattr(reader, name, arrays[prefix + name])
    for name in _NUMBERS_OF_READER:
        setattr(reader, name, int(arrays[prefix + name]))
    reader.service = service_of(arrays, reader.spec.name)
    reader.never_sent = {(int(number), int(sequence)) for number, sequence in arrays[prefix + "never_sent"]}
    for name, array in arrays.items():
        if name.startswith(prefix + "count."):
            reader.counts[name.removeprefix(prefix + "count.")] = int(array)
        elif name.startswith(prefix + "anomalies."):
            reader.anomalies.keep(name.removeprefix(prefix + "anomalies."), array)
    for what, bitmaps in _bitmaps_of(reader).items():
        for number in bitmaps:
            name = f"{prefix}{what}.{number}"
            if name in arrays or what not in _LATER:
                bitmaps[number] = _bitmap(arrays[name], pieces)


def service_of(arrays: Arrays, reader: str) -> Histogram:
    """Service times of a reader."""
    prefix = f"reader.{reader}.service."
    return Histogram.from_sparse(arrays[prefix + "buckets"], arrays[prefix + "counts"])


def _bitmap(places: NDArray[Any], pieces: bytes) -> Bitmap:
    chunks = []
    for offset, length in places.tolist():
        if offset in (_EMPTY, _WHOLE):
            chunks.append(EMPTY if offset == _EMPTY else WHOLE)
            continue
        data = zlib.decompress(pieces[offset : offset + length])
        if len(data) != CHUNK // 8:
            raise ValueError("a piece of a bitmap has a wrong length")
        chunks.append(np.frombuffer(data, np.uint8).copy())
    return Bitmap.of_chunks(chunks)


def saved_service(folder: Path, channel: str, reader: str) -> Histogram:
    """Service times of a reader over the measured phase, as saved; empty where nothing was.

    Raises:
        UsageError: the file is damaged.
    """
    path = numbers_file(folder, channel)
    if not path.exists():
        return Histogram()
    try:
        with np.load(path, allow_pickle=False) as file:
            names = [f"reader.{reader}.service.{part}" for part in ("buckets", "counts")]
            return service_of({name: file[name] for name in names}, reader)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: damaged: {error}", hint="Copy the run folder again, or leave it out.") from error
