"""From the words of the command line to a campaign: names or files, bindings, parameters, targets."""

from __future__ import annotations

from pathlib import Path

from crep.harness.campaign import Campaign
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Target, find_target, load_targets
from crep.harness.scenario.binding import Binding, parse_binding
from crep.harness.scenario.load import load_scenario
from crep.harness.scenario.model import Scenario


def parse_params(pairs: tuple[str, ...]) -> dict[str, str]:
    """``("rate=500/s",)`` → ``{"rate": "500/s"}``.

    Raises:
        UsageError: no equals sign, or a name twice.
    """
    params: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"-p {pair}: a parameter is written name=value, for example -p rate=500/s")
        if name in params:
            raise UsageError(f"-p {pair}: {name} is set twice")
        params[name] = value
    return params


def campaign_from(
    what: tuple[str, ...],
    *,
    bindings: tuple[str, ...],
    params: tuple[str, ...],
    repeat: int | None,
    profile: str | None,
    targets: Path | None,
    out: Path,
    name: str | None,
) -> Campaign:
    """Read everything that the command line names; nothing is started.

    Raises:
        UsageError: a file, a name, a binding or a parameter is wrong.
    """
    raise NotImplementedError
