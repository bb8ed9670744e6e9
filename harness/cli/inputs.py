"""From the words of the command line to a campaign: names or files, bindings, parameters, targets."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from crep.harness.brokers.mapping import load_mapping
from crep.harness.campaign import Campaign, Part
from crep.harness.config.errors import UsageError
from crep.harness.config.targets import Profile, Target, load_targets
from crep.harness.scenario import library
from crep.harness.scenario.binding import parse_binding
from crep.harness.scenario.campaign import is_campaign, load_campaign
from crep.harness.scenario.load import load_variants
from crep.harness.scenario.model import Scenario
from crep.harness.scenario.parts import Name


def require_name(text: str, option: str) -> str:
    """``text``, where it can name a scenario, a campaign and their folders.

    Raises:
        UsageError: it cannot; ``option`` says where it was written.
    """
    try:
        return TypeAdapter(Name).validate_python(text)
    except ValidationError as error:
        reason = error.errors()[0].get("ctx", {}).get("error", "")
        raise UsageError(f"{option}: {reason}", hint="for example orders-baseline") from None


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
    profile: Profile | None,
    targets: Path | None,
    out: Path,
    name: str | None,
) -> Campaign:
    """Read everything that the command line names; nothing is started.

    Raises:
        UsageError: a file, a name, a binding or a parameter is wrong.
    """
    if name is not None:
        require_name(name, f"--name {name}")
    known = load_targets(targets)
    files = [_file_of(word, campaign=not bindings) for word in what]
    campaigns = [load_campaign(file) for file in files if is_campaign(file)]
    if campaigns and (len(files) > 1 or bindings):
        raise UsageError("a campaign file stands alone: it names its own scenarios and bindings")
    overrides = parse_params(params)
    if campaigns:
        [written] = campaigns
        given = {**written.params, **overrides}
        scenarios = [one for file in written.scenarios for one in load_variants(file, given)]
        bindings, name = written.bindings, name or written.name
        repeat, profile = repeat or written.repeat, profile or written.profile
    else:
        scenarios = [one for file in files for one in load_variants(file, overrides)]
    for scenario in scenarios:
        check_services(scenario)
    if not bindings:
        raise UsageError("on which broker? Add --on TARGET (repeat it to compare)", hint=f"targets: {', '.join(known)}")
    try:
        parts = tuple(_part(scenario, bindings, repeat, known) for scenario in scenarios)
    except UsageError as error:
        if not campaigns:
            raise
        raise UsageError(f"{files[0]}: bindings: {error.message.removeprefix('--on ')}", hint=error.hint) from None
    named = {target for part in parts for binding in part.bindings for target in binding.sites.values()}
    return Campaign(
        name=name or scenarios[0].name,
        parts=parts,
        targets={target: _ready_for_use(known[target], profile) for target in sorted(named)},
        results=out,
    )


def check_services(scenario: Scenario) -> None:
    """What stands between the scenario's channels does what is declared of it, as far as that can be tried.

    Raises:
        UsageError: a bridge does not.
    """
    if any(channel.via is not None and channel.via.bridge for channel in scenario.definition.channels.values()):
        from crep.harness.cli.bridged import check_bridges  # noqa: PLC0415 - the bridge's language, for those who need it

        check_bridges(scenario)


def _file_of(word: str, *, campaign: bool) -> Path:
    """A built-in campaign may be named as its scenario is; with bindings on the command line the scenario is meant."""
    known = library.built_in_campaigns() if campaign else {}
    return known.get(word) or library.scenario_path(word)


def _part(scenario: Scenario, bindings: tuple[str, ...], repeat: int | None, known: dict[str, Target]) -> Part:
    bound = tuple(parse_binding(text, scenario.sites, known) for text in bindings)
    if len({str(binding) for binding in bound}) < len(bound):
        raise UsageError("a binding is given twice", hint="to run more often, use --repeat N")
    return Part(scenario, bound, repeat or scenario.measure.repeat)


def _ready_for_use(target: Target, profile: Profile | None) -> Target:
    """With the profile of the command line; its mapping is there and of its system, before any broker is started."""
    if target.mapping is not None and (system := load_mapping(target.mapping).system) != target.system:
        raise UsageError(
            f"target {target.name!r} is a {target.system} broker, and its mapping {target.mapping!r} is for {system}",
            hint="'crep list mappings' shows those there are",
        )
    return target if profile is None else target.with_profile(profile)
