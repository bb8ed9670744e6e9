"""Faults at random: drawn by a seed, before the run, so that a drawn timeline is as declared as a written one."""

from __future__ import annotations

import random
from bisect import insort
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from crep.harness.config.units import Duration, PositiveDuration
from crep.harness.scenario.actions import ACTIONS, TimelineAction
from crep.harness.scenario.actions.base import Action
from crep.harness.scenario.parts import Part

_DIGITS = 3  # times are drawn in whole milliseconds, so that the drawn timeline can be written down exactly


def _entry(given: Any) -> Any:
    """A word alone stands for an action with the keys that it takes at random; a mapping has all but the time."""
    if isinstance(given, str) and given in ACTIONS:
        keys = ACTIONS[given].AT_RANDOM
        if keys is None:
            raise ValueError(f"{given!r} needs keys of its own: write {{do: {given}, …}} without 'at'")
        return {"do": given, "at": "0 s", **keys}
    if isinstance(given, str):
        given = {"do": given}
    if isinstance(given, dict):
        for key in ("at", "every", "times"):
            if key in given:
                raise ValueError(f"'{key}' is drawn, so it is not written here")
        return {"at": "0 s", **given}
    return given


_WRITTEN = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "enum": sorted(word for word, kind in ACTIONS.items() if kind.AT_RANDOM is not None)},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ]
    }
)

MenuEntry = Annotated[TimelineAction, BeforeValidator(_entry), _WRITTEN]
"""An action without its time, or its word alone."""


class Chaos(Part):
    """Faults that are drawn at random: which, and when. The drawn timeline stands in ``run.json``."""

    menu: list[MenuEntry] = Field(
        min_length=1, description="what may happen, each as likely: words, or entries of a timeline without their times"
    )
    mean_gap: PositiveDuration = Field(
        description="mean of the time from one to the next, which is exponential: they come independently of each other"
    )
    from_: Duration = Field(
        2.0, alias="from", description="none comes before: there the clients show that they can keep the schedule"
    )
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] | None = Field(
        None, description="decides all of it; default that of `measure`"
    )


def draw(chaos: Chaos, end_s: float, seed: int, beside: Iterable[Action] = ()) -> list[Action]:
    """The actions with their times, in order. The same arguments give the same.

    Two that exclude each other never overlap: the later one is put off until the first is over, as far as declared, and
    has had time to settle.

    Args:
        chaos: what is drawn from.
        end_s: all are healed before, as far as declared.
        seed: where the scenario gives no other.
        beside: what happens besides, with its times.
    """
    dice = random.Random(chaos.seed if chaos.seed is not None else seed)  # noqa: S311 - repeatable, not secret
    taken: dict[str, list[tuple[float, float]]] = {}
    for one in beside:
        insort(taken.setdefault(one.EXCLUSIVE, []), _taken(one, one.at))
    drawn: list[Action] = []
    at_s = chaos.from_
    while (at_s := at_s + dice.expovariate(1.0 / chaos.mean_gap)) < end_s:
        action = chaos.menu[dice.randrange(len(chaos.menu))]
        others = taken.setdefault(action.EXCLUSIVE, [])
        start_s = round(at_s, _DIGITS)
        if action.EXCLUSIVE:
            start_s = _free_from(start_s, action, others)
        if start_s + (action.heal_after_s or 0.0) < end_s:
            insort(others, _taken(action, start_s))
            drawn.append(action.model_copy(update={"at": start_s}))
    return sorted(drawn, key=lambda action: action.at)


def _taken(action: Action, at_s: float) -> tuple[float, float]:
    """From when until when nothing else of its kind may come."""
    return at_s, round(at_s + (action.heal_after_s or 0.0) + action.SETTLES_S, _DIGITS)


def _free_from(start_s: float, action: Action, others: list[tuple[float, float]]) -> float:
    """The first moment from ``start_s`` on at which none of the others, by their times, is in the action's way."""
    for begins_s, ends_s in others:
        _, until_s = _taken(action, start_s)
        if begins_s <= until_s and start_s <= ends_s:
            start_s = round(ends_s + 10**-_DIGITS, _DIGITS)
    return start_s
