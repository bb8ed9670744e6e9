"""An ACL profile: its attributes as of SEMP 2.49, without the identifying ones."""

from typing import Final

from .attribute import choice

ATTRIBUTES: Final = (
    choice("clientConnectDefaultAction", "disallow", "allow", "disallow"),
    choice("publishTopicDefaultAction", "disallow", "allow", "disallow"),
    choice("subscribeShareNameDefaultAction", "allow", "allow", "disallow"),
    choice("subscribeTopicDefaultAction", "disallow", "allow", "disallow"),
)
