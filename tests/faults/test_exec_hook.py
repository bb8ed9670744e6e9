"""A user's own commands as a fault, with a file as the thing that is failed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from crep.harness.brokers.contract import NotSupported
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Hook, Target, read_targets
from crep.harness.faults.contract import Stage
from crep.harness.faults.registry import make_fault
from crep.harness.faults.undo import carry_out as undo
from crep.harness.scenario.plan import TimelineEvent
from tests.faults.staging import all_steps, carry_out

ADDRESS = {"bootstrap": "broker-1:9092"}


def where(target: Target, hook: str = "cut", heal_after_s: float | None = 0.2) -> Stage:
    event = TimelineEvent(0, 0.0, "exec", "bus", heal_after_s=heal_after_s, parameters={"hook": hook})
    deployment = cast(Any, SimpleNamespace(target=target.name, allow_faults=target.allow_faults, nodes=()))
    nothing = cast(Any, SimpleNamespace(close=lambda: None))
    return Stage(event, target, deployment, nothing, nothing, nothing, seed=1)


def target(file: Path, *, allow_faults: bool = True) -> Target:
    hook = Hook.model_validate(
        {"start": f"touch {file}", "confirm": ["test", "-e", str(file)], "heal": f"rm -f '{file}'"}
    )
    return Target.model_validate(
        {
            "name": "theirs",
            "system": "kafka",
            "source": "address",
            "kafka": ADDRESS,
            "allow_faults": allow_faults,
            "exec": {"cut": hook},
        }
    )


def test_a_hook_starts_confirms_and_heals_what_crep_has_no_hand_on(tmp_path: Path) -> None:
    file = tmp_path / "cut"
    stage = where(target(file))
    done = carry_out(stage)
    all_steps(done)
    assert done.subject == "hook cut"
    assert not file.exists()


def test_a_hook_that_fails_is_told_with_what_it_printed(tmp_path: Path) -> None:
    broken = Hook(start=[sys.executable, "-c", "raise SystemExit('no such container')"], confirm=["true"])
    failing = target(tmp_path / "x").model_copy(update={"exec": {"cut": broken}})
    done = carry_out(where(failing))
    assert done.step == "failed"
    assert "no such container" in (done.error or "")


def test_what_a_hook_began_can_be_ended_without_crep(tmp_path: Path) -> None:
    fault = make_fault(where(target(tmp_path / "cut")))
    fault.inject()
    assert fault.confirmed()
    for act in fault.undo():
        assert undo(act) is not None
    assert fault.healed()


def test_a_broker_of_somebody_else_is_left_alone_unless_its_target_says_otherwise(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="allow_faults: true"):
        make_fault(where(target(tmp_path / "cut", allow_faults=False)))


def test_an_unknown_hook_is_refused_before_any_load(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match=r"'exec: cutt'.*did you mean 'cut'"):
        make_fault(where(target(tmp_path / "cut"), hook="cutt"))


def test_a_command_that_cannot_be_split_is_refused_at_its_place(tmp_path: Path) -> None:
    file = tmp_path / "targets.yaml"
    file.write_text(
        "targets:\n"
        "  theirs:\n"
        "    {system: kafka, source: address, kafka: {bootstrap: 'b:1'},\n"
        "     exec: {cut: {start: \"touch 'x\", confirm: 'true'}}}\n"
    )
    with pytest.raises(UsageError, match=r"targets.yaml:4:.*exec.cut.start: .*cannot be split"):
        read_targets(file)
