"""Access control: passwords, ACL profiles with their exceptions."""

import hashlib
import hmac
import ipaddress
import os
from dataclasses import dataclass, field
from typing import Final

from .settings import AclProfileSettings
from .topics import TopicTrie, covers, overlap

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
    """Whether a connect exception can be one: a network with its mask, like 10.0.0.0/8."""
    try:
        _networks(address)
    except ValueError:
        return False
    return "/" in address


@dataclass(slots=True)
class AclProfile:
    """An ACL profile: default actions and exceptions.

    Not verified against a real broker: how a wildcard subscription relates to exceptions. Here one exception that has a
    topic in common with it refuses it (default allow), and one exception has to match all of it (default disallow), so
    that nobody gets a topic which he could not subscribe to by name.
    """

    settings: AclProfileSettings
    exceptions: dict[str, set[str]] = field(
        default_factory=lambda: {CONNECT: set(), PUBLISH: set(), SUBSCRIBE: set(), SHARE_NAME: set()}
    )
    _publish: TopicTrie[int] = field(default_factory=TopicTrie)
    _share: TopicTrie[int] = field(default_factory=TopicTrie)  # a share name is one level, and may end in *

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
        exceptions = self.exceptions[SUBSCRIBE]
        if self.settings.subscribe_topic_default_action == "disallow":
            return any(covers(exception, subscription) for exception in exceptions)
        return not any(overlap(exception, subscription) for exception in exceptions)

    def may_share(self, name: str) -> bool:
        """Whether a client may use a share name."""
        listed = bool(self._share.match(name))
        return (self.settings.subscribe_share_name_default_action == "allow") != listed

    def _trie(self, kind: str) -> TopicTrie[int]:
        return {PUBLISH: self._publish, SHARE_NAME: self._share}.get(kind) or TopicTrie()
