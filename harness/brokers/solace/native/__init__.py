"""The hot path of the load engines on the C library that the official wheel carries, called through ctypes.

Same contract, same settings, same events as the clients on the public API beside this package; another price per
message. Poll mode: no thread of the library's, everything happens in the engine's own thread. May import the rest of
the Solace adapter.

Start reading at ``library`` (what is declared of the C API), then ``session`` (context, connection, events),
``publisher`` and ``subscriber``.
"""
