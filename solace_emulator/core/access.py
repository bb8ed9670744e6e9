"""Access control: passwords, ACL profiles with their exceptions."""

import hashlib
import hmac
import ipaddress
import os
import re
from dataclasses import dataclass, field
from typing import Final

from .settings import AclProfileSettings
from .topics import TopicTrie, covers, overlap

#: Exception lists of an ACL profile, by the name of their SEMP collection.
CONNECT: Final = "clientConnectExceptions"
PUBLISH: Final = "publishTopicExceptions"
SUBSCRIBE: Final = "subscribeTopicExceptions"
SHARE_NAME: Final = "subscribeShareNameExceptions"

#: What a topic exception may name in place of the username of the client that it is applied to.
USERNAME: Final = re.compile(r"\$client-username(?!-hash)")
_USERNAMES_CACHED: Final = 1000


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

    A topic exception may have ``$client-username`` in it. Not verified: that it can be part of a level, and what
    becomes of a username that is no plain part of a topic, since it has a slash or wildcard in it. Here such a user is
    let through by no exception with the variable, and kept out by each, so that no name widens what its user may do.
    """

    settings: AclProfileSettings
    exceptions: dict[str, set[str]] = field(
        default_factory=lambda: {CONNECT: set(), PUBLISH: set(), SUBSCRIBE: set(), SHARE_NAME: set()}
    )
    _publish: TopicTrie[int] = field(default_factory=TopicTrie)
    _share: TopicTrie[int] = field(default_factory=TopicTrie)  # a share name is one level, and may end in *
    _variable: dict[str, set[str]] = field(default_factory=lambda: {PUBLISH: set(), SUBSCRIBE: set()})
    _publish_as: dict[str, TopicTrie[int]] = field(default_factory=dict)  # by username

    def add(self, kind: str, what: str) -> None:
        """Add an exception."""
        self.exceptions[kind].add(what)
        self._publish_as.clear()
        if kind in self._variable and USERNAME.search(what):
            self._variable[kind].add(what)
        else:
            self._trie(kind).add(what, 0)

    def remove(self, kind: str, what: str) -> None:
        """Remove an exception."""
        self.exceptions[kind].discard(what)
        self._publish_as.clear()
        if kind in self._variable:
            self._variable[kind].discard(what)
        self._trie(kind).remove(what, 0)

    def change(self, settings: AclProfileSettings) -> None:
        """Apply other default actions."""
        self.settings = settings
        self._publish_as.clear()

    def may_connect(self, host: str) -> bool:
        """Whether a client may connect from this address."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            listed = False
        else:
            listed = any(address in _networks(network) for network in self.exceptions[CONNECT])
        return (self.settings.client_connect_default_action == "allow") != listed

    def may_publish(self, topic: str, username: str) -> bool:
        """Whether a client of this username may publish to a topic."""
        listed = bool(self.exceptions[PUBLISH]) and bool(self._publish.match(topic))
        if not listed and self._variable[PUBLISH]:
            listed = bool(self._published_as(username).match(topic))
        return (self.settings.publish_topic_default_action == "allow") != listed

    def may_subscribe(self, subscription: str, username: str) -> bool:
        """Whether a client of this username may add a subscription (without any ``#share/…`` prefix)."""
        exceptions = self.exceptions[SUBSCRIBE]
        if self._variable[SUBSCRIBE]:
            exceptions = exceptions - self._variable[SUBSCRIBE]
            exceptions |= self._resolved(SUBSCRIBE, username, self.settings.subscribe_topic_default_action)
        if self.settings.subscribe_topic_default_action == "disallow":
            return any(covers(exception, subscription) for exception in exceptions)
        return not any(overlap(exception, subscription) for exception in exceptions)

    def may_share(self, name: str) -> bool:
        """Whether a client may use a share name."""
        listed = bool(self._share.match(name))
        return (self.settings.subscribe_share_name_default_action == "allow") != listed

    def _published_as(self, username: str) -> TopicTrie[int]:
        found = self._publish_as.get(username)
        if found is None:
            if len(self._publish_as) >= _USERNAMES_CACHED:
                self._publish_as.clear()
            found = self._publish_as[username] = TopicTrie()
            for topic in self._resolved(PUBLISH, username, self.settings.publish_topic_default_action):
                found.add(topic, 0)
        return found

    def _resolved(self, kind: str, username: str, default_action: str) -> set[str]:
        """Return the exceptions that have the variable, with a username in its place."""
        exceptions = self._variable[kind]
        if username and not any(sign in username for sign in "/*>"):
            return {USERNAME.sub(lambda _: username, exception) for exception in exceptions}
        if default_action == "disallow":
            return set()
        return {
            "/".join("*" if USERNAME.search(level) else level for level in exception.split("/"))
            for exception in exceptions
        }

    def _trie(self, kind: str) -> TopicTrie[int]:
        return {PUBLISH: self._publish, SHARE_NAME: self._share}.get(kind) or TopicTrie()
