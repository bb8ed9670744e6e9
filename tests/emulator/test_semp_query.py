"""The query parameters of SEMP as pure rules: patterns, select, where, pages."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crep.solace_emulator.semp import query
from crep.solace_emulator.semp.errors import SempError

NAMES = frozenset({"maxTtl", "maxMsgSize", "maxBindCount", "owner", "egressEnabled"})


def reference(pattern: str) -> re.Pattern[str]:
    """The same pattern as a regular expression, which may take very long."""
    parts = re.findall(r"\\.|\*|[^\\*]+|\\$", pattern, re.DOTALL)
    return re.compile("".join(".*" if part == "*" else re.escape(part.removeprefix("\\")) for part in parts), re.DOTALL)


@given(st.text("ab*\\", max_size=12), st.text("ab*\\", max_size=12))
def test_patterns_match_as_the_equivalent_regular_expression(pattern: str, text: str) -> None:
    lone_escape = pattern.endswith("\\") and (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1
    expected = reference(pattern[:-1] + "\\\\" if lone_escape else pattern).fullmatch(text) is not None
    assert query.matches(pattern, text) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "matching"),
    [
        ("red*", "red", True),
        ("*", "", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*a", "a", False),
        (r"a\*", "a*", True),
        (r"a\*", "ab", False),
        ("#P2P/*", "#P2P/QTMP/x", True),
    ],
)
def test_patterns(pattern: str, text: str, matching: bool) -> None:
    assert query.matches(pattern, text) is matching


def test_no_pattern_takes_long() -> None:
    started = time.monotonic()
    assert not query.matches("*a" * 2000 + "b", "a" * 10_000)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("select", "left"),
    [
        ("", NAMES),
        ("owner", {"owner"}),
        ("max*", {"maxTtl", "maxMsgSize", "maxBindCount"}),
        ("max*,-maxMsg*,-maxTtl", {"maxBindCount"}),
        ("-owner", NAMES - {"owner"}),
    ],
)
def test_select_leaves(select: str, left: set[str]) -> None:
    assert query.parse(f"select={select}").chosen(NAMES) == left


@pytest.mark.parametrize("select", ["unheardOf", "owner,unheard*", "-unheardOf", "max*,-maxTtl,owner"])
def test_a_selection_of_nothing_and_an_inclusion_behind_an_exclusion_are_errors(select: str) -> None:
    with pytest.raises(SempError, match="select"):
        query.parse(f"select={select}").chosen(NAMES)


@pytest.mark.parametrize(
    ("where", "accepted"),
    [
        ("owner==al*", True),
        ("owner!=al*", False),
        ("owner>alic", True),
        ("owner<B", False),  # byte by byte: capitals come first
        ("maxTtl>=10,maxTtl<=10", True),
        ("maxTtl<9", False),
        ("egressEnabled==true", True),
        ("absent==x", False),
        ("owner==a%5C,b", False),
    ],
)
def test_where_accepts(where: str, accepted: bool) -> None:
    values = {"owner": "alice", "maxTtl": 10, "egressEnabled": True}
    assert query.parse(f"where={where}").accepts(lambda: values) is accepted


@pytest.mark.parametrize(
    "raw",
    ["where=owner", "where=%3D%3Dx", "count=-1", "count=%C2%B2", "cursor=YXQ6LTE%3D", "opaquePassword=short", "x=1"],
)
def test_what_is_no_query_is_an_error(raw: str) -> None:
    with pytest.raises(SempError, match="INVALID_PARAMETER"):
        query.parse(raw)


def test_a_page_reads_its_rows_and_no_more() -> None:
    read: list[int] = []

    def rows() -> Iterator[int]:
        for number in range(1_000_000):
            read.append(number)
            yield number

    first = query.page(query.parse("count=3"), rows(), 1_000_000)
    assert (first.rows, first.total, len(read)) == ((0, 1, 2), 1_000_000, 3)
    assert first.cursor is not None
    second = query.page(query.parse(f"count=3&cursor={first.cursor}"), range(5), 5)
    assert (second.rows, second.cursor) == ((3, 4), None)


@given(st.text(max_size=40))
def test_any_query_string_is_parsed_or_refused(raw: str) -> None:
    with contextlib.suppress(SempError):
        query.parse(raw).chosen(NAMES)
