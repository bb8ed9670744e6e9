from __future__ import annotations

from crep.harness.config.errors import UsageError


def test_an_error_says_its_hint_and_its_notes() -> None:
    error = UsageError("it is wrong", hint="write it so")
    error.add_note("something was left behind")
    assert str(error) == "it is wrong\n  write it so\n  something was left behind"


def test_an_error_without_more_is_one_line() -> None:
    assert str(UsageError("it is wrong")) == "it is wrong"
