import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from crep.harness.config import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5 s", 5),
        ("5s", 5),
        ("200 ms", 0.2),
        ("2 min", 120),
        ("1 h", 3600),
        ("1.5 s", 1.5),
        ("3 us", 3e-6),
        ("0 ms", 0),
    ],
)
def test_a_duration_is_understood_with_every_unit(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", [5, 5.0, "5", "5 sec", "s", "-5 s", "5 s 3", "1,5 s", "", None, True, "5 S", "5 KiB"])
def test_a_duration_without_a_known_unit_is_refused_with_the_accepted_forms(text: object) -> None:
    with pytest.raises(ValueError, match="200 ms"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("100 B", 100), ("1 KiB", 1024), ("1 kB", 1000), ("1 MB", 10**6), ("0.5 KiB", 512)]
)
def test_decimal_and_binary_sizes_are_told_apart(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["0.3 B", "1 KB", "1024", 1024, "1 Kib"])
def test_a_size_that_is_ambiguous_or_not_whole_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a size"):
        units.parse_size(text)


@pytest.mark.parametrize(("text", "rate"), [("2000/s", 2000), ("60/min", 1), ("8640000/day", 100), ("0.5 / s", 0.5)])
def test_a_rate_is_understood_per_second_minute_hour_and_day(text: str, rate: float) -> None:
    assert units.parse_rate(text) == rate


@pytest.mark.parametrize("text", [2000, "2000", "2000 s", "2000/ms", "-1/s", "/s"])
def test_a_rate_without_its_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="2000/s"):
        units.parse_rate(text)


def test_a_share_above_the_whole_is_refused() -> None:
    assert units.parse_share("2.5 %") == 0.025
    with pytest.raises(ValueError, match="at most 100"):
        units.parse_share("101 %")


@given(st.integers(0, 10**12))
def test_a_formatted_size_is_read_back_exactly(size: int) -> None:
    assert units.parse_size(units.format_size(size)) == size


@given(st.integers(1, 10**10).map(lambda thousandths: thousandths / 1000))
def test_a_formatted_duration_is_read_back_to_six_digits(seconds: float) -> None:
    assert units.parse_duration(units.format_duration(seconds)) == pytest.approx(seconds, rel=1e-5)


@given(st.floats(1e-4, 1e7))
def test_a_formatted_rate_is_read_back(rate: float) -> None:
    assert units.parse_rate(units.format_rate(rate)) == pytest.approx(rate, rel=1e-8)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (0.35, "350 ms"), (5, "5 s"), (120, "2 min"), (90, "90 s"), (-3, "-3 s")]
)
def test_a_duration_is_printed_in_the_usual_unit(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text


@pytest.mark.parametrize("text", ["5000000/day × 4", "5000000/day x 4", "5000000 / day×4"])
def test_a_daily_volume_times_its_peak_is_a_rate(text: str) -> None:
    assert units.parse_rate(text) == pytest.approx(5_000_000 * 4 / 86_400)


@pytest.mark.parametrize("text", ["5000000/day ×", "5000000/day × 0", "5000000/day 4", "4 × 5000000/day"])
def test_half_a_peak_factor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        _positive_rate(text)


def _positive_rate(text: str) -> float:
    return float(TypeAdapter(units.Rate).validate_python(text))
