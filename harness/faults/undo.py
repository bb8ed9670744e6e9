"""What heals a fault when the process that injected it is gone: plain data, carried out by anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crep.harness.deployment.contract import Json


@dataclass(frozen=True)
class Undo:
    """One act: ``kind`` says who carries it out, ``what`` with which particulars. Never a secret: it lies on disk."""

    kind: str
    what: Mapping[str, Json]
