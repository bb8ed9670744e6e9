"""Where a target's broker is, for programs that work with a broker that stands already: bridge and replay."""

from __future__ import annotations

from crep.harness.brokers.contract import Endpoint
from crep.harness.config.errors import EnvironmentFailure
from crep.harness.config.targets import Target
from crep.harness.deployment import standing
from crep.harness.deployment.address import AddressDeployment


def endpoint_of(target: Target) -> Endpoint:
    """Where clients connect.

    Raises:
        EnvironmentFailure: a local target was not started, or nothing answers at an address.
    """
    if target.source == "address":
        deployment = AddressDeployment(target)
        deployment.start(lambda _: None)
        return deployment.endpoint()
    attached = standing.attach(target, any_profile=True)
    if attached is None:
        raise EnvironmentFailure(
            f"target {target.name!r} does not run", hint=f"start it first: crep broker start {target.name}"
        )
    return attached.endpoint()
