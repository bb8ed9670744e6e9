"""The Solace emulator on this machine, in a process of its own. Start reading at ``product``."""

from crep.harness.deployment.solace.product import EmulatorProduct

__all__ = ["EmulatorProduct"]
