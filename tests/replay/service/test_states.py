"""The life of a job as a table: nothing is lost in a corner, and only what makes sense can be done."""

from __future__ import annotations

import pytest

from crep.replay.service.states import ENDED, WITH_PROCESS, Action, State, following, possible, stopped


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        (State.RUNNING, "pause cancel pace"),
        (State.PAUSING, "cancel"),
        (State.PAUSED, "resume cancel pace forget"),
        (State.INTERRUPTED, "resume cancel pace forget"),
        (State.FAILED, "resume cancel pace forget"),
        (State.CANCELLING, ""),
        (State.CANCELLED, "forget"),
        (State.COMPLETED, "forget"),
    ],
)
def test_what_can_be_done_in_each_state(state: State, actions: str) -> None:
    assert possible(state) == [Action(word) for word in actions.split()]


def test_a_job_without_a_process_never_waits_for_one() -> None:
    for state in State:
        if state not in WITH_PROCESS:
            assert following(state, Action.PAUSE) is None
            assert following(state, Action.CANCEL) in {None, State.CANCELLED}


@pytest.mark.parametrize(
    ("asked", "after"),
    [
        (State.PAUSING, State.PAUSED),
        (State.CANCELLING, State.CANCELLED),
        (State.RUNNING, State.INTERRUPTED),
    ],
)
def test_a_process_that_stopped_did_what_was_asked_or_was_interrupted(asked: State, after: State) -> None:
    assert stopped(asked) is after


def test_what_has_ended_only_can_be_forgotten() -> None:
    assert {action for state in ENDED for action in possible(state)} == {Action.FORGET}
