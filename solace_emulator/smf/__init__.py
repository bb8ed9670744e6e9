"""SMF version 3 on the wire: pure codecs from bytes to values and back.

Nothing here knows a session, a queue or a socket. Every decoder is total: whatever the bytes, it returns a value or
raises :class:`ProtocolError`. Reading order: ``frame`` (what all frames share), ``message``, then the control protocols
``clientctrl``, ``smp``, ``assured``, and ``sdt`` for structured payload metadata.
"""

from .frame import Frame, FrameSplitter, ProtocolError

__all__ = ["Frame", "FrameSplitter", "ProtocolError"]
