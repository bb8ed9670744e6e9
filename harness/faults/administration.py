"""Calls of a broker's operator as plain data, so that an act can be undone by somebody else than who did it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from crep.harness.brokers.contract import Endpoint, Provisioned
from crep.harness.brokers.operator import Operator
from crep.harness.brokers.registry import adapter
from crep.harness.config.targets import Target
from crep.harness.deployment import standing
from crep.harness.deployment.address import endpoint_of
from crep.harness.deployment.contract import Json

Call: TypeAlias = "tuple[Json, ...]"
"""The name of a method of `Operator` that undoes, and its arguments."""

_UNDOING = {"allow", "unlimit", "unthrottle", "open"}


def carry_out_calls(operator: Operator, calls: Sequence[Sequence[Json]]) -> None:
    """Make them, in their order.

    Raises:
        BrokerError: the broker does not answer, or refuses.
        ValueError: a call that undoes nothing.
    """
    for name, *arguments in calls:
        if name not in _UNDOING:
            raise ValueError(f"{name!r} is no call that undoes something")
        getattr(operator, str(name))(*arguments)


def described(target: Target, provisioned: Provisioned, channel: str, calls: Sequence[Call]) -> dict[str, Json]:
    """All that `carry_out` needs. No secret is in it: a target names the variables of its passwords."""
    return {
        "target": target.model_dump(mode="json"),
        "run_id": provisioned.run_id,
        "mapping": provisioned.mapping,
        "objects": {channel: provisioned.objects[channel]},
        "calls": [list(call) for call in calls],
    }


def carry_out(what: Mapping[str, Any]) -> str | None:
    """Undo what was described; None where the broker is gone, and the act with it.

    Raises:
        EnvironmentFailure: the broker does not answer or refuses; a password's variable is not set.
    """
    target = Target.model_validate(what["target"])
    endpoint = _endpoint(target)
    if endpoint is None:
        return None
    admin = adapter(target.system).admin(endpoint)
    operator = admin.operator(Provisioned(what["run_id"], what["mapping"], what["objects"], {}))
    try:
        carry_out_calls(operator, what["calls"])
    finally:
        admin.close()
    return f"{target.name}: " + ", ".join(" ".join(map(str, call)) for call in what["calls"])


def _endpoint(target: Target) -> Endpoint | None:
    if target.source in ("address", "docker"):
        return endpoint_of(target)
    found = standing.attach(target)
    return None if found is None else found.endpoint()
