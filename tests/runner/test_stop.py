from __future__ import annotations

import os
import signal

import pytest

from crep.harness.config.errors import Interrupted
from crep.harness.runner.stop import Stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_wish_and_the_second_an_end(number: signal.Signals) -> None:
    with Stop() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        assert stop.requested.is_set()
        assert not stop.at_once.is_set()
        with pytest.raises(Interrupted):
            stop.check()
        with pytest.raises(Interrupted, match="at once"):
            os.kill(os.getpid(), number)
        assert stop.at_once.is_set()


def test_the_first_signal_ends_at_once_what_has_nothing_to_keep() -> None:
    with Stop() as stop:
        with pytest.raises(Interrupted, match="before anything was measured"), stop.impatiently():
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted), stop.impatiently():
            pytest.fail("it begins nothing that is not wanted any more")


def test_signals_mean_what_they_meant_before_once_it_is_over() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Stop():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
