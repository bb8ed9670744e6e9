"""A replay log: its attributes as of SEMP 2.49, without the identifying ones."""

from typing import Final

from .attribute import flag, number

ATTRIBUTES: Final = (
    flag("egressEnabled", False),
    flag("ingressEnabled", False),
    number("maxSpoolUsage", 0, 0, 6000000),
    flag("topicFilterEnabled", False),
)
