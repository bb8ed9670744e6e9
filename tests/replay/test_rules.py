"""Pure rules: due times, settled places, topic names, and that a selection finds what a plain loop finds."""

from __future__ import annotations

import random
import re
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.brokers.contract import Message
from crep.replay.archive import Archive, Rolling
from crep.replay.checkpoint import Settled
from crep.replay.job import Job
from crep.replay.pacing import Pace, Schedule
from crep.replay.remap import Remapping, Rule, topic_expression
from crep.replay.selection import Reader, Selection
from crep.replay.stored import Stored, properties_of, properties_text

MS = 1_000_000  # ns


@pytest.mark.parametrize("text", ["original", "x10", "x0.5", "2000/s", "fastest", "30/min"])
def test_a_pace_is_read_as_it_is_written(text: str) -> None:
    assert str(Pace.parse(text)) == text
    assert Pace.parse(Pace.parse(text)) == Pace.parse(text)


@pytest.mark.parametrize("text", ["", "10", "x0", "x-1", "fast", "0/s", "x", "10/parsec", None, 5])
def test_what_is_no_pace_is_refused_with_the_forms_there_are(text: object) -> None:
    with pytest.raises(ValueError, match=r"a pace is|a rate needs"):
        Pace.parse(text)


def dues(schedule: Schedule, times_us: list[int], now_ns: int = 0) -> list[int]:
    found = []
    for at_us in times_us:
        found.append(schedule.due_ns(at_us, now_ns))
        schedule.sent(at_us)
    return found


@given(
    gaps=st.lists(st.integers(0, 10_000_000), min_size=1, max_size=50),
    speed=st.floats(0.01, 100),
    began_ns=st.integers(0, 10**15),
)
def test_original_timing_keeps_every_gap_divided_by_the_speed(gaps: list[int], speed: float, began_ns: int) -> None:
    times = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    found = dues(Schedule(Pace(speed=speed)), times, began_ns)
    assert found[0] == began_ns
    for at_us, due in zip(times, found, strict=True):
        assert due - began_ns == pytest.approx((at_us - times[0]) * 1000 / speed, abs=1)


def test_a_fixed_rate_is_kept_without_drift_and_as_fast_as_possible_is_always_due() -> None:
    assert dues(Schedule(Pace(rate=3.0)), [0] * 3001, 5)[::3000] == [5, 5 + 1000 * 1_000_000_000]
    assert dues(Schedule(Pace()), [7, 3, 900], 42) == [42, 42, 42]


def test_a_message_older_than_its_forerunner_is_due_with_it() -> None:
    assert dues(Schedule(Pace(speed=1.0)), [1000, 5000, 2000, 6000]) == [0, 4 * MS, 4 * MS, 5 * MS]


@given(pauses=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 500)), max_size=10), speed=st.floats(0.1, 10))
def test_a_pause_moves_everything_behind_it_by_its_length(pauses: list[tuple[int, int]], speed: float) -> None:
    schedule, now, late = Schedule(Pace(speed=speed)), 0, 0
    schedule.due_ns(0, 0)
    schedule.sent(0)
    for after_ms, for_ms in pauses:
        now += after_ms * MS
        schedule.pause(now)
        schedule.pause(now + 1)  # twice is once
        now += for_ms * MS
        late += for_ms * MS
        schedule.resume(now)
        schedule.resume(now)
    assert schedule.due_ns(10_000, now) == pytest.approx(late + 10 * MS / speed, abs=2)


def test_another_pace_counts_from_the_moment_it_is_asked_for() -> None:
    schedule = Schedule(Pace(speed=1.0))
    dues(schedule, [0, 10_000])
    schedule.change(Pace(speed=10.0), 14 * MS)  # 4 ms of the gap to 20,000 are over, 6 ms are left
    assert schedule.due_ns(20_000, 14 * MS) == 14 * MS + 600_000
    schedule.sent(20_000)
    schedule.change(Pace(rate=100.0), 15 * MS)
    assert dues(schedule, [20_000, 20_000], 15 * MS) == [15 * MS, 25 * MS]
    schedule.change(Pace(speed=1.0), 100 * MS)
    assert schedule.due_ns(21_000, 100 * MS) == 101 * MS


def test_what_is_overdue_when_the_pace_changes_is_sent_at_once() -> None:
    schedule = Schedule(Pace(speed=1.0))
    dues(schedule, [0])
    schedule.change(Pace(speed=0.5), 50 * MS)  # the sink was stuck: 20 ms were due long ago
    assert schedule.due_ns(20_000, 50 * MS) <= 50 * MS


@given(selected=st.sets(st.integers(0, 60), min_size=1), seed=st.integers(0, 1000), kills=st.integers(0, 3))
def test_whatever_the_order_of_outcomes_and_kills_every_message_is_settled_once(
    selected: set[int], seed: int, kills: int
) -> None:
    dice, todo = random.Random(seed), sorted(selected)
    settled, total = Settled(), set[int]()
    for last in [False] * kills + [True]:
        here = [one for one in todo if one > settled.upto]
        assert [one for one in here if one not in settled] == [one for one in todo if one not in total]
        for one in here:
            settled.expect(one)
        sent = [one for one in here if one not in settled]
        dice.shuffle(sent)
        for one in sent if last else sent[: len(sent) // 2]:
            settled.settle(one)
            total.add(one)
        runs = settled.runs_beyond()
        settled = Settled(settled.upto, [one for a, b in runs for one in range(a, b + 1)])  # as the file has it
    assert (settled.upto, settled.beyond) == (todo[-1], set())


LEVEL = st.text("ab*", max_size=3)
PATTERN = st.lists(LEVEL, min_size=1, max_size=3).map("/".join).filter(bool) | st.just("a/>")
TOPIC = st.lists(st.text("ab.[", max_size=3), min_size=1, max_size=4).map("/".join)


@given(pattern=PATTERN, topic=TOPIC)
def test_a_pattern_means_what_its_levels_mean(pattern: str, topic: str) -> None:
    wanted, levels = pattern.split("/"), topic.split("/")
    if wanted[-1] == ">":
        wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
        enough = len(topic.split("/")) > len(wanted) and topic != "/".join(levels) + "/"
    else:
        enough = len(wanted) == len(levels)
    parts = [re.fullmatch(re.escape(w).replace(r"\*", ".*"), level) for w, level in zip(wanted, levels, strict=False)]
    assert bool(re.fullmatch(topic_expression(pattern), topic)) == (enough and all(parts))


@pytest.mark.parametrize("pattern", ["", "a>", ">/a", "a/>b", "a/>/b"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no topic pattern"):
        topic_expression(pattern)


def test_the_first_rule_that_matches_gives_the_name() -> None:
    remapping = Remapping([Rule("orders/*/>", "x/{1}/{2}"), Rule("*.eu", "{1}-{topic}"), Rule("orders/>", "rest")])
    assert remapping("orders/eu/new/big") == "x/eu/new/big"
    assert remapping("orders/eu") == "rest"
    assert remapping("pay.eu") == "pay-pay.eu"
    assert remapping("else") == "else"
    with pytest.raises(ValueError, match="1 wildcard"):
        Rule("orders/*", "{2}")
    with pytest.raises(ValueError, match="places are"):
        Rule("orders/*", "{region}")


VALUE = st.text(max_size=5) | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.binary(max_size=5)
PROPERTIES = st.dictionaries(st.text(string.ascii_letters + '"/~\\ é$.', max_size=4), VALUE, max_size=3)


@given(properties=PROPERTIES)
def test_properties_of_every_type_come_back_as_they_went(properties: dict[str, Any]) -> None:
    assert properties_of(properties_text(properties)) == properties


MESSAGES = st.lists(
    st.tuples(
        st.integers(0, 100),  # time
        st.sampled_from(["orders/eu", "orders/us/new", "pay.eu", "pay\neu"]),
        st.sampled_from([None, "k", "é", b"\xff"]),
        st.dictionaries(st.sampled_from(["a", 'q"/~', "é $."]), st.sampled_from(["1", "x"]), max_size=2),
        st.sampled_from([b"", b"hello 12", b"\xff\xfe", "grün".encode()]),
    ),
    min_size=1,
    max_size=30,
)
SELECTIONS = st.builds(
    Selection,
    from_us=st.none() | st.integers(0, 100),
    until_us=st.none() | st.integers(0, 100),
    topic=st.sampled_from([None, "orders/>", "orders/*", "*eu", "pay.eu"]),
    key=st.sampled_from([None, "k", "é"]),
    properties=st.sampled_from([(), (("a", "1"),), (('q"/~', "x"),), (("é $.", "1"), ("a", "x"))]),
    payload=st.sampled_from([None, "l+o [0-9]", "ü", "^$"]),
    after_sequence=st.integers(-1, 10),
    until_sequence=st.none() | st.integers(0, 40),
    limit=st.none() | st.integers(1, 10),
)


def plainly(rows: list[Stored], selection: Selection) -> list[int]:
    """The same by a loop."""
    found = []
    for one in rows:
        message = one.message
        try:
            text = message.payload.decode()
        except UnicodeDecodeError:
            text = None
        fits = (
            (selection.from_us is None or one.captured_us >= selection.from_us)
            and (selection.until_us is None or one.captured_us < selection.until_us)
            and (selection.topic is None or re.fullmatch(topic_expression(selection.topic), message.topic))
            and (selection.key is None or message.key == selection.key)
            and all(message.properties.get(name) == value for name, value in selection.properties)
            and (selection.payload is None or (text is not None and re.search(selection.payload, text)))
            and one.sequence > selection.after_sequence
            and (selection.until_sequence is None or one.sequence < selection.until_sequence)
        )
        if fits:
            found.append(one.sequence)
    return found if selection.limit is None else found[: selection.limit]


@settings(max_examples=12, deadline=None)
@given(given_messages=MESSAGES, selections=st.lists(SELECTIONS, min_size=1, max_size=5), parts=st.integers(1, 12))
def test_a_selection_finds_what_a_plain_loop_finds(
    given_messages: list[Any], selections: list[Selection], parts: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    archive = Archive(folder, {"target": "t", "place": "p", "system": "s"}, Rolling(merge_below=1 << 20))
    for start in range(0, len(given_messages), parts):
        archive.append(
            [
                (at, Message(topic, body, key, named))
                for at, topic, key, named, body in given_messages[start : start + parts]
            ]
        )
        if start % 2:
            archive.roll()
    with Reader(folder) as reader:  # the archive is still open: part of it is in its journal
        rows = list(reader.messages(Selection()))
        assert [one.message.payload for one in rows] == [one[4] for one in given_messages]
        for selection in selections:
            expected = plainly(rows, selection)
            assert [one.sequence for one in reader.messages(selection)] == expected
            summary = reader.summary(selection)
            assert summary.count == sum(count for _, count in summary.topics) == len(expected)
            assert summary.end_sequence == (expected[-1] + 1 if expected else 0)
    archive.close()


def test_a_job_comes_back_from_its_json() -> None:
    job = Job.model_validate(
        {
            "id": "a-1",
            "from": {"target": "k", "topics": ["t"], "offsets": {0: 5}},
            "to": {"target": "s", "settings": {"x": 1}},
            "select": {"from": "2026-11-30T14:00:00+01:00", "properties": {"a": "1"}},
            "remap": [{"topic": "*", "to": "again/{1}"}],
            "pace": "x10",
        }
    )
    assert Job.model_validate_json(job.model_dump_json(by_alias=True)) == job
    assert job.identity("i") == Job.model_validate_json(job.model_dump_json(by_alias=True)).identity("i")
    assert job.identity("i") == job.model_copy(update={"pace": Pace(), "window": 9}).identity("i")
