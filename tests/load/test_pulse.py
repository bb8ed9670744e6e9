from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from crep.harness.brokers.contract import ClientEvent
from crep.harness.load.background import HistoryWriter
from crep.harness.load.meter import Meter
from crep.harness.load.pulse import BEAT_NS, Line, Pulse
from crep.harness.metrics.history import MARK, OUTCOME, read_records

LATER_NS = 1 << 62


def said(lines: list[Line]) -> list[dict[str, Any]]:
    return [line() if callable(line) else line for line in lines]


def test_a_beat_in_steps_does_what_a_whole_beat_does(tmp_path: Path) -> None:
    done = []
    for stepwise in (False, True):
        folder = tmp_path / str(stepwise)
        folder.mkdir()
        history = HistoryWriter(folder, {"a": OUTCOME}, marks="m")
        history.append("a", np.zeros(3, OUTCOME))
        meter, lines, before = Meter(LATER_NS), list[Line](), list[int]()
        meter.add("sent", LATER_NS, 5)
        pulse = Pulse(meter, history, lines.append, lambda: [ClientEvent(7, "down", "gone")], before.append)
        steps = 0
        if stepwise:
            while pulse.step(LATER_NS + steps):  # the clock goes on between the steps
                steps += 1
            assert steps > 2
        else:
            pulse.beat(LATER_NS)
        assert not pulse.step(LATER_NS + BEAT_NS - 1)
        history.close(10)
        messages = said(lines)
        for message in messages:
            message.get("window", {}).get("counters", {}).pop("cpu_ns", None)
        done.append((before, read_records(folder / "m", MARK)[0].tolist()[0], messages))
    assert done[0] == done[1]
    assert done[0][:2] == ([LATER_NS], LATER_NS)


def test_a_mark_vouches_for_no_time_after_its_beat_began(tmp_path: Path) -> None:
    history = HistoryWriter(tmp_path, {"a": OUTCOME}, marks="m")
    pulse = Pulse(Meter(0), history, lambda line: None, list)
    pulse.step(LATER_NS)
    while pulse.step(LATER_NS + 60_000_000):  # what was done in between is not settled
        pass
    history.close(10)
    assert read_records(tmp_path / "m", MARK)["until_ns"][0] == LATER_NS


def test_a_report_says_until_when_it_is_whole_and_not_when_it_was_written(tmp_path: Path) -> None:
    history = HistoryWriter(tmp_path, {"a": OUTCOME}, marks="m")
    lines = list[Line]()
    meter = Meter(LATER_NS)
    pulse = Pulse(meter, history, lines.append, list, until=lambda now_ns: now_ns - 250_000_000)
    pulse.beat(LATER_NS + 1_000_000_000)
    history.close(10)
    assert [message["window"]["told_s"] for message in said(lines)] == [0.75]


def test_that_nothing_happened_is_said_sooner_than_what_did(tmp_path: Path) -> None:
    history = HistoryWriter(tmp_path, {"a": OUTCOME}, marks="m")
    reports = []
    for busy in (False, True):
        lines, meter = list[Line](), Meter(LATER_NS)
        pulse = Pulse(meter, history, lines.append, list)
        for beat in range(31):
            if busy:
                meter.add("sent", LATER_NS + beat * BEAT_NS, 1)
            pulse.beat(LATER_NS + beat * BEAT_NS)
        reports.append(len({message["window"]["told_s"] for message in said(lines)}))
    history.close(10)
    assert reports == [7, 4]
