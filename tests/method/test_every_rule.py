"""Each rule of the method has a test that is named after it, and docs/method.md says which and where it is enforced."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \| [^|]+ \| ([^|]+) \| `test_rule_(\d\d)_…`: ([^|]+) \|$", re.MULTILINE)
RULES = list(range(1, 19))


def rows() -> list[tuple[int, str, int, str]]:
    """Rule, where it is enforced, the number in its tests' names, and how it is broken."""
    text = (CHECKOUT / "docs" / "method.md").read_text(encoding="utf-8")
    return [(int(rule), where, int(named), how) for rule, where, named, how in ROW.findall(text)]


def test_every_rule_has_a_test_named_after_it() -> None:
    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_rules_*.py")]
    named = {int(number) for text in texts for number in re.findall(r"^def test_rule_(\d\d)_", text, re.MULTILINE)}
    assert sorted(named) == RULES


def test_the_page_names_for_every_rule_its_tests_and_where_it_is_enforced() -> None:
    assert [rule for rule, *_ in rows()] == RULES
    assert all(rule == named for rule, _, named, _ in rows())


def test_every_file_that_the_page_names_for_a_rule_is_there() -> None:
    for rule, where, _, how in rows():
        files = re.findall(r"`([a-z_*/]+(?:\.py|/))`", where)
        assert files, f"rule {rule} is enforced nowhere"
        for name in files:
            assert any(list((CHECKOUT / top).glob(name)) for top in ("harness", ".")), f"rule {rule}: {name}"
        for name in re.findall(r"`(tests/[a-z_/]+\.py)`", how):
            assert (CHECKOUT / name).is_file(), f"rule {rule}: {name}"
