"""Brokers as things with nodes and processes: local ones started here, embedded ones, and addresses.

May import ``brokers``, ``config``, ``metrics`` and ``processes``. Start reading at ``contract``, then ``sources``,
which decides what a target becomes; ``local`` runs processes, ``kafka`` and ``solace`` say which.
"""

from crep.harness.brokers.contract import NotSupported
from crep.harness.deployment.contract import Deployment, DeploymentError, UnknownNode
from crep.harness.deployment.sources import deploy, proxy_on_request

__all__ = ["Deployment", "DeploymentError", "NotSupported", "UnknownNode", "deploy", "proxy_on_request"]
