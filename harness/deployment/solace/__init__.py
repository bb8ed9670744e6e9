"""The Solace emulator on this machine, in a process of its own, or two. Start reading at ``product``, then ``pair``."""

from crep.harness.deployment.solace.pair import EmulatorPairProduct
from crep.harness.deployment.solace.product import EmulatorProduct

__all__ = ["EmulatorPairProduct", "EmulatorProduct"]
