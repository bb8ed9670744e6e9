"""The life of a job, as a table.

::

                     pause            resume
        ┌► running ────────► pausing ──► paused ─┐
        │     │ │                                │
        │     │ └─ cancel ─► cancelling ─► cancelled
        │     ├─ its end ──► completed
        │     ├─ a fault ──► failed ─────┐
        │     └─ a crash ──► interrupted ┤
        └────────────── resume ──────────┘

*Pausing* and *cancelling* last until the job's process has brought what is under way to a checkpoint. A paused,
interrupted or failed job has no process, and goes on from its checkpoint when it is resumed.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Of a job."""

    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"
    FAILED = "failed"


class Action(StrEnum):
    """What a person can do to a job."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    PACE = "pace"
    FORGET = "forget"


WITH_PROCESS = frozenset({State.RUNNING, State.PAUSING, State.CANCELLING})
"""States in which a process works for the job."""
RESUMABLE = frozenset({State.PAUSED, State.INTERRUPTED, State.FAILED})
ENDED = frozenset({State.COMPLETED, State.CANCELLED})
"""Nothing will ever change any more."""

_FOLLOWING = {
    Action.PAUSE: {State.RUNNING: State.PAUSING},
    Action.RESUME: dict.fromkeys(RESUMABLE, State.RUNNING),
    Action.CANCEL: {
        State.RUNNING: State.CANCELLING,
        State.PAUSING: State.CANCELLING,
        **dict.fromkeys(RESUMABLE, State.CANCELLED),
    },
    Action.PACE: {state: state for state in (State.RUNNING, *RESUMABLE)},
    Action.FORGET: {state: state for state in (*ENDED, *RESUMABLE)},
}

_STOPPED = {State.PAUSING: State.PAUSED, State.CANCELLING: State.CANCELLED}


def following(state: State, action: Action) -> State | None:
    """The state that an action leads to; None where it cannot be done."""
    return _FOLLOWING[action].get(state)


def possible(state: State) -> list[Action]:
    """What can be done to a job in that state."""
    return [action for action in Action if state in _FOLLOWING[action]]


def stopped(state: State) -> State:
    """The state after a job's process has stopped at a checkpoint without being done: what was asked, if it was."""
    return _STOPPED.get(state, State.INTERRUPTED)
