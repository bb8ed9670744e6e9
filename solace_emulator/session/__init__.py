"""What one SMF connection does: login, subscriptions, publishing, consuming. One state machine per connection.

A session gets whole frames and answers through a :class:`~.wire.Wire`; it knows no socket and no event loop.
``session`` dispatches, ``login``, ``subscriptions``, ``publishing`` and ``consuming`` each know one protocol.
"""

from .session import Session

__all__ = ["Session"]
