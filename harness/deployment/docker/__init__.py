"""Brokers in containers, by the compose files of ``solace-docker/`` or of the user's own.

``compose`` runs Docker's commands, ``settle`` does what a fresh Solace broker needs before it is one of ours (message
VPNs, leadership of the configuration in a redundancy group), ``deployment`` is the whole as a `contract.Deployment`.
"""

from crep.harness.deployment.docker.deployment import DockerDeployment

__all__ = ["DockerDeployment"]
