import pytest

from crep.harness.scenario.expectation import METRICS, format_value, parse_expectation

READERS = {
    "orders": {"billing": ("billing",), "screen": ("screen-1", "screen-2"), "audit": ("audit",)},
    "trades": {"audit": ("audit",)},
}


@pytest.mark.parametrize(
    ("text", "subjects", "name", "threshold", "when"),
    [
        ("billing.lost == 0", ("orders.billing",), "lost", 0, "always"),
        ("orders.billing.lost==0", ("orders.billing",), "lost", 0, "always"),
        ("screen.corrupt <= 3", ("orders.screen-1", "orders.screen-2"), "corrupt", 3, "always"),
        ("trades.audit.duplicates < 5", ("trades.audit",), "duplicates", 5, "always"),
        ("orders.outage.publish < 15 s", ("orders",), "outage.publish", 15, "always"),
        ("billing.latency.p99 < 50 ms outside faults", ("orders.billing",), "latency.p99", 0.05, "outside faults"),
        ("billing.latency.p99.9 < 1 s during faults", ("orders.billing",), "latency.p99.9", 1, "during faults"),
        ("orders.throughput.acknowledged >= 1900/s", ("orders",), "throughput.acknowledged", 1900, "always"),
        ("orders.recovery < 20 s", ("orders",), "recovery", 20, "always"),
    ],
)
def test_an_expectation_is_understood(
    text: str, subjects: tuple[str, ...], name: str, threshold: float, when: str
) -> None:
    parsed = parse_expectation(text, READERS)
    assert (parsed.subjects, parsed.name, parsed.threshold, parsed.when) == (subjects, name, threshold, when)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("billing.lots == 0", "a reader has no metric 'lots'; did you mean 'lost'?"),
        ("biling.lost == 0", "there is no channel or reader 'biling'; did you mean 'billing'?"),
        ("audit.lost == 0", "reader 'audit' exists in orders and trades; write orders.audit.lost"),
        ("orders.lost == 0", "'lost' is a metric of a reader, not of a channel"),
        ("billing.rejected == 0", "'rejected' is a metric of a channel, not of a reader"),
        ("billing == 0", "'billing' names no metric"),
        ("billing.latency < 5 ms", "latency needs a statistic"),
        ("billing.latency.p98 < 5 ms", "latency has no 'p98'; did you mean"),
        ("billing.lost.p99 == 0", "lost is a plain number"),
        ("billing.latency.p99 == 5 ms", "measured, so it never equals a number"),
        ("billing.lost = 0", "operator '=' is not understood; write =="),
        ("billing.lost != 0", "operator '!=' is not understood"),
        ("billing.lost == 0 s", "counted in messages: write a whole number, not '0 s'"),
        ("billing.latency.p99 < 50", "a duration needs a number and a unit"),
        ("orders.throughput.sent > 5 s", "a rate needs a number and a unit"),
        ("billing.lost == 0 outside faults", "one number for the whole run"),
        ("billing.latency.p99 < 5 ms outside fault", "'outside fault' is not understood"),
        ("billing.lost", "is not understood"),
        ("lost nothing", "is not understood"),
        ("", "is not understood"),
    ],
)
def test_a_wrong_expectation_says_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        parse_expectation(text, READERS)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("operator", "holding"),
    [("==", [5]), ("<", [4]), ("<=", [4, 5]), (">", [6]), (">=", [5, 6])],
)
def test_an_operator_holds_for_the_values_that_it_says(operator: str, holding: list[float]) -> None:
    parsed = parse_expectation(f"billing.lost {operator} 5", READERS)
    assert [value for value in (4, 5, 6) if parsed.holds(value)] == holding


def test_requirements_of_its_own_replace_none_of_the_threshold() -> None:
    parsed = parse_expectation("billing.lost == 0", READERS)
    assert parsed.evidencing(["INT-N2"]).evidences == ("INT-N2",)
    assert parsed.evidencing(["INT-N2"]).threshold == parsed.threshold


def test_counts_are_functional_and_measurements_are_performance() -> None:
    assert {(metric.unit == "messages", metric.kind) for metric in METRICS} == {
        (True, "functional"),
        (False, "performance"),
    }
    assert len({(metric.level, metric.name) for metric in METRICS}) == len(METRICS)


def test_values_are_printed_in_their_unit() -> None:
    assert [format_value(1234, "messages"), format_value(0.05, "s"), format_value(2000, "/s")] == [
        "1,234",
        "50 ms",
        "2000/s",
    ]
