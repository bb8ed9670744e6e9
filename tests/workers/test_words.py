from __future__ import annotations

import io

import numpy as np
import pytest

from crep.harness.config.address import Address
from crep.harness.config.errors import UsageError
from crep.harness.load.contract import Said
from crep.harness.load.protocol import ClientNote, EngineFailed, PublisherDone, Window
from crep.harness.metrics.histogram import Histogram
from crep.harness.workers.entries import response_times
from crep.harness.workers.fleet import PORT
from crep.harness.workers.frames import encoded, read_frame
from crep.harness.workers.words import from_message, to_message

MS = 1_000_000


def a_histogram(*values_ns: int) -> Histogram:
    histogram = Histogram()
    histogram.record(np.array(values_ns, np.int64))
    return histogram


@pytest.mark.parametrize(
    "said",
    [
        ClientNote("p0", 70, "reconnecting", "broker went away"),
        PublisherDone("p0", 0, "orders", intended=9, sent=9, acknowledged=8, rejected=1, rejection_reasons={"full": 1}),
        EngineFailed("p0", "ended by signal 9"),
    ],
)
def test_what_an_engine_says_is_the_same_behind_the_channel(said: Said) -> None:
    assert from_message(to_message(said, 0)) == said


def test_a_window_is_the_same_behind_the_channel() -> None:
    sparse = a_histogram(5, 5, 70_000).sparse()
    window = Window(3, "b-0", "subscriber", "orders", "billing", None, 0, {"received": 3}, {"latency": sparse}, 3.5)
    behind = from_message(to_message(window, 123))
    assert isinstance(behind, Window)
    assert [part.tolist() for part in behind.histograms["latency"]] == [part.tolist() for part in sparse]
    assert (behind.second, behind.client, behind.reader, behind.counters) == (3, "b-0", "billing", {"received": 3})


def test_a_note_is_told_in_the_masters_time() -> None:
    assert from_message(to_message(ClientNote("p0", 70, "down", "gone"), 50)) == ClientNote("p0", 20, "down", "gone")


def test_a_frame_comes_back_whole_and_a_torn_one_not_at_all() -> None:
    frames = encoded({"event": "said", "n": 1}, b"\x00records\n") + encoded({"quit": True})
    stream = io.BytesIO(frames)
    assert read_frame(stream) == ({"event": "said", "n": 1}, b"\x00records\n")
    assert read_frame(stream) == ({"quit": True}, b"")
    assert read_frame(stream) is None
    for length in range(len(frames) - len(encoded({"quit": True}))):
        assert read_frame(io.BytesIO(frames[:length])) is None


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("ams-1", "ams-1", 5557),
        ("10.0.0.7:7000", "10.0.0.7", 7000),
        ("[::1]:7000", "::1", 7000),
        ("[::1]", "::1", 5557),
    ],
)
def test_an_address_is_a_host_and_maybe_a_port(text: str, host: str, port: int) -> None:
    assert Address.parse(text, port=PORT) == Address(host, port)
    assert Address.parse(str(Address(host, port)), port=PORT) == Address(host, port)


@pytest.mark.parametrize("text", ["", ":5557", "ams-1:", "ams-1:port", "ams-1:70000"])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="localhost:5557"):
        Address.parse(text, port=PORT)


def test_response_times_keep_two_digits_below_a_millisecond_and_every_sample() -> None:
    times = response_times(a_histogram(123_456, 123_999, 5 * MS, 2_345 * MS, -3).sparse())
    assert sum(times.values()) == 5
    assert times[0.12] == 2
    assert times[5.0] == 1
    assert max(times) == pytest.approx(2300, abs=51)
    assert min(times) < 0.001
