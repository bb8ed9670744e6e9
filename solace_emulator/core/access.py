"""Access control: passwords, ACL profiles with their exceptions."""

import hashlib
import hmac
import ipaddress
import os
from dataclasses import dataclass, field
from typing import Final

from .settings import AclProfileSettings
from .topics import TopicTrie

#: Exception lists of an ACL profile, by the name of their SEMP collection.
CONNECT: Final = "clientConnectExceptions"
PUBLISH: Final = "publishTopicExceptions"
SUBSCRIBE: Final = "subscribeTopicExceptions"
SHARE_NAME: Final = "subscribeShareNameExceptions"


def seal(password: str) -> str:
    """Return a salted hash, so that no journal holds a password. An empty password stays empty."""
    if not password:
        return ""
    salt = os.urandom(16)
    return f"{salt.hex()}${_digest(password, salt)}"


def opens(sealed: str, password: str) -> bool:
    """Whether ``password`` is the one that was sealed."""
    if not sealed:
        return password == ""
    salt, _, digest = sealed.partition("$")
    return hmac.compare_digest(digest, _digest(password, bytes.fromhex(salt)))


def _digest(password: str, salt: bytes) -> str:
    return hashlib.blake2b(password.encode(), key=salt).hexdigest()


def _networks(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(address, strict=False)


def is_network(address: str) -> bool:
    """Whether a connect exception can be one: an address or CIDR network."""
    try:
        _networks(address)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class AclProfile:
    """An ACL profile: default actions and exceptions.

    Not verified against a real broker: a wildcard subscription is held against the exceptions as if it were a topic,
    and also refused (default allow) when an exception lies inside it.
    """

    settings: AclProfileSettings
    exceptions: dict[str, set[str]] = field(
        default_factory=lambda: {CONNECT: set(), PUBLISH: set(), SUBSCRIBE: set(), SHARE_NAME: set()}
    )
    _publish: TopicTrie[int] = field(default_factory=TopicTrie)
    _subscribe: TopicTrie[int] = field(default_factory=TopicTrie)

    def add(self, kind: str, what: str) -> None:
        """Add an exception."""
        self.exceptions[kind].add(what)
        self._trie(kind).add(what, 0)

    def remove(self, kind: str, what: str) -> None:
        """Remove an exception."""
        self.exceptions[kind].discard(what)
        self._trie(kind).remove(what, 0)

    def may_connect(self, host: str) -> bool:
        """Whether a client may connect from this address."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            listed = False
        else:
            listed = any(address in _networks(network) for network in self.exceptions[CONNECT])
        return (self.settings.client_connect_default_action == "allow") != listed

    def may_publish(self, topic: str) -> bool:
        """Whether a client may publish to a topic."""
        listed = bool(self.exceptions[PUBLISH]) and bool(self._publish.match(topic))
        return (self.settings.publish_topic_default_action == "allow") != listed

    def may_subscribe(self, subscription: str) -> bool:
        """Whether a client may add a subscription (without any ``#share/…`` prefix)."""
        covered = bool(self._subscribe.match(subscription))
        if self.settings.subscribe_topic_default_action == "disallow":
            return covered
        inside: TopicTrie[int] = TopicTrie()
        inside.add(subscription, 0)
        return not covered and not any(inside.match(exception) for exception in self.exceptions[SUBSCRIBE])

    def may_share(self, name: str) -> bool:
        """Whether a client may use a share name."""
        listed = name in self.exceptions[SHARE_NAME]
        return (self.settings.subscribe_share_name_default_action == "allow") != listed

    def _trie(self, kind: str) -> TopicTrie[int]:
        return {PUBLISH: self._publish, SUBSCRIBE: self._subscribe}.get(kind) or TopicTrie()
