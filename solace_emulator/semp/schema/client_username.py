"""A client username: its attributes as of SEMP 2.49, without the identifying ones."""

from typing import Final

from .attribute import flag, text

ATTRIBUTES: Final = (
    text("aclProfileName", "default", 1, 32),
    text("clientProfileName", "default", 1, 32),
    flag("enabled", False),
    flag("guaranteedEndpointPermissionOverrideEnabled", False),
    text("password", "", 0, 128, write_only=True),
    flag("subscriptionManagerEnabled", False),
)
