import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crep.harness.scenario.profile import Profile, Segment, Wave, burst, hold, kepler, ramp

rates = st.floats(0.5, 5_000)
segments = st.builds(Segment, rates, rates, st.floats(0.01, 20))
profiles = st.builds(Profile, st.lists(segments, min_size=1, max_size=5).map(tuple), st.floats(0, 10))


def area(profile: Profile, until_s: float) -> float:
    """The integral of the rate from 0, by the trapezoid of each segment: exact for linear pieces."""
    total, start = 0.0, 0.0
    for segment in profile.segments:
        length = min(max(until_s - start, 0.0), segment.duration_s)
        end_rate = segment.start + (segment.end - segment.start) * length / segment.duration_s
        total += (segment.start + end_rate) / 2 * length
        start += segment.duration_s
    return total


def test_a_constant_rate_spaces_messages_evenly_with_exact_counts() -> None:
    profile = Profile(tuple(hold(2000, 30)), warm_up_s=3)
    assert (profile.count, profile.warm_up_count, profile.duration_s) == (66_000, 6_000, 30)
    times = profile.intended_ns(np.arange(profile.count))
    assert (times[0], times[6_000], times[-1]) == (-3_000_000_000, 0, 29_999_500_000)
    assert set(np.diff(times)) == {500_000}


def test_a_ramp_sends_the_integral_of_its_rate() -> None:
    profile = Profile(tuple(ramp(1000, 3000, 10)))
    assert profile.count == 20_000
    half = np.searchsorted(profile.intended_ns(np.arange(20_000)), 5_000_000_000)
    assert half == 7_500  # 1000·5 + 200·5²/2


def test_bursts_come_on_top_of_the_rate_before() -> None:
    profile = Profile((*hold(100, 2), *burst(100, 1000, 1, every_s=4, times=2)))
    assert profile.duration_s == 10
    assert profile.rate_at([1, 2.5, 4, 6.5, 8]).tolist() == [100, 1000, 100, 1000, 100]
    per_second = np.bincount(profile.intended_ns(np.arange(profile.count)) // 1_000_000_000)
    assert per_second.tolist() == [100, 100, 1000, 100, 100, 100, 1000, 100, 100, 100]


def test_a_burst_as_long_as_its_interval_leaves_nothing_between() -> None:
    assert list(burst(100, 1000, 2, every_s=2, times=1)) == [Segment(1000, 1000, 2)]


@given(profiles)
@settings(max_examples=60, deadline=None)
def test_times_never_go_back_and_warm_up_lies_before_zero(profile: Profile) -> None:
    times = profile.intended_ns(np.arange(profile.count))
    assert (np.diff(times) >= 0).all()
    assert (times[: profile.warm_up_count] < 0).all()
    assert times[profile.warm_up_count] == 0
    assert times[0] >= -profile.warm_up_s * 1e9 - 1
    assert times[-1] <= profile.duration_s * 1e9 + 1


@given(profiles, st.data())
@settings(max_examples=80, deadline=None)
def test_the_intended_time_is_where_the_integral_of_the_rate_reaches_the_number(
    profile: Profile, data: st.DataObject
) -> None:
    number = data.draw(st.integers(profile.warm_up_count, profile.count - 1))
    at_s = float(profile.intended_ns(number)) / 1e9
    # a rounding of one nanosecond at the highest rate is far less than a thousandth of a message
    assert area(profile, at_s) == pytest.approx(number - profile.warm_up_count, abs=1e-3)


@given(profiles)
@settings(max_examples=60, deadline=None)
def test_the_number_of_messages_is_the_integral_of_the_rate(profile: Profile) -> None:
    measured = profile.count - profile.warm_up_count
    assert area(profile, profile.duration_s) - 1e-3 <= measured <= area(profile, profile.duration_s) + 1 + 1e-3
    assert profile.warm_up_count == pytest.approx(profile.first_rate * profile.warm_up_s, abs=1)


@given(profiles, st.data())
@settings(max_examples=40, deadline=None)
def test_a_message_has_the_same_time_alone_and_among_others(profile: Profile, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, profile.count - 1))
    assert profile.intended_ns(number) == profile.intended_ns(np.arange(profile.count))[number]


def test_the_rate_is_zero_outside_the_schedule() -> None:
    profile = Profile((Segment(10, 20, 10),), warm_up_s=2)
    assert profile.rate_at([-2.1, -2, -0.1, 0, 5, 9.99, 10]).round(2).tolist() == [0, 10, 10, 10, 15, 19.99, 0]


@given(profiles)
def test_a_profile_survives_its_way_to_the_engine(profile: Profile) -> None:
    assert Profile.from_json(profile.to_json()) == profile


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-1, 1, 1)])
def test_a_rate_or_duration_of_zero_is_refused(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Segment(*numbers)


waves = st.builds(
    lambda low, swing, period, duration: Wave(low, low + swing, period, duration),
    st.floats(0.5, 2_000),
    st.floats(0.5, 5_000),
    st.floats(0.1, 100),
    st.floats(0.1, 50),
)


@given(waves, st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_a_waves_time_is_where_its_integral_reaches_the_number(wave: Wave, share: float) -> None:
    messages = wave.messages * share
    at_s = float(wave.time_of(np.array([messages]))[0])
    angle = 2 * np.pi * at_s / wave.period_s
    swing = (wave.high - wave.low) / 2 * np.sin(angle) * wave.period_s / (2 * np.pi)
    assert (wave.low + wave.high) / 2 * at_s - swing == pytest.approx(messages, abs=1e-6, rel=1e-9)
    assert -1e-9 <= at_s <= wave.duration_s + 1e-9


@given(st.floats(0, 0.999_999), st.lists(st.floats(0, 1_000), min_size=1, max_size=50))
@settings(max_examples=100, deadline=None)
def test_kepler_is_solved_for_each_element_by_itself(eccentricity: float, means: list[float]) -> None:
    solved = kepler(np.array(means), eccentricity)
    assert solved - eccentricity * np.sin(solved) == pytest.approx(np.array(means), abs=1e-9, rel=1e-12)
    assert solved.tolist() == [float(kepler(np.array([mean]), eccentricity)[0]) for mean in means]


def test_a_wave_begins_low_and_is_high_after_half_a_period() -> None:
    profile = Profile((Wave(100, 900, 10, 20),), warm_up_s=1)
    assert profile.rate_at([0, 5, 10, 15]).tolist() == pytest.approx([100, 900, 100, 900])
    assert (profile.count, profile.warm_up_count) == (10_100, 100)
    times = profile.intended_ns(np.arange(profile.count))
    assert (np.diff(times) >= 0).all()
    per_second = np.bincount(times[100:] // 1_000_000_000)
    assert per_second.argmax() in (4, 5, 14, 15)
    assert not profile.constant
    assert profile.held(12).constant


@given(st.builds(Profile, st.lists(segments | waves, min_size=1, max_size=4).map(tuple), st.floats(0, 5)), st.data())
@settings(max_examples=40, deadline=None)
def test_publishers_together_send_the_global_schedule_exactly(profile: Profile, data: st.DataObject) -> None:
    """Whatever the profile and the arrivals: message i of publisher p of P is number i·P + p."""
    publishers = data.draw(st.integers(1, 9))
    poisson = data.draw(st.none() | st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 3)))
    profile = Profile(profile.segments, profile.warm_up_s, poisson)
    count = min(profile.count, 5_000)
    parts = [profile.intended_ns(np.arange(p, count, publishers)) for p in range(publishers)]
    union = np.sort(np.concatenate(parts))
    assert union.tolist() == profile.intended_ns(np.arange(count)).tolist()
    assert Profile.from_json(json.loads(json.dumps(profile.to_json()))) == profile
