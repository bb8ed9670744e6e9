"""The store of jobs: what was written is there after a kill, for one service at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crep.harness.config.errors import EnvironmentFailure, UsageError
from crep.replay.service.jobs import JobStore, new_job
from crep.replay.service.states import State


def test_a_job_comes_back_as_it_was_last_changed(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    first = store.add(new_job("one", "replay", {"pace": "original"}))
    trouble = {"what": "gone", "hint": None}
    changed = store.change("one", lambda job: replace(job, state=State.FAILED, trouble=trouble, progress={"n": 1}))
    store._lock.close()  # as a kill leaves it: nothing was closed in order
    again = JobStore(tmp_path / "jobs.sqlite")
    assert again.get("one") == changed
    assert (again.revision, changed.revision, first.revision) == (2, 2, 1)
    assert again.all(after=2) == []


def test_a_second_service_on_the_same_jobs_is_refused(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    with pytest.raises(EnvironmentFailure, match="another service"):
        JobStore(tmp_path / "jobs.sqlite")
    store.close()
    JobStore(tmp_path / "jobs.sqlite").close()


def test_a_file_that_is_something_else_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_text("my notes, which are longer than the header of a database and no database at all" * 20)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="no store of jobs"):
        JobStore(path)
    assert path.read_bytes() == before


def test_ended_jobs_are_forgotten_beyond_a_limit_and_others_never(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite", keep=2)
    for number in range(5):
        state = State.COMPLETED if number else State.PAUSED
        store.add(replace(new_job(f"job-{number}", "replay", {}), state=state, created=float(number)))
    assert [job.id for job in store.all()] == ["job-4", "job-3", "job-0"]


def test_every_change_is_told_and_one_that_changes_nothing_is_not(tmp_path: Path) -> None:
    told: list[int] = []
    store = JobStore(tmp_path / "jobs.sqlite", changed=lambda: told.append(1))
    store.add(new_job("one", "replay", {}))
    store.change("one", lambda job: job)
    store.change("one", lambda job: replace(job, progress={"n": 1}))
    store.forget("one")
    assert len(told) == 3
    with pytest.raises(KeyError):
        store.get("one")
