"""An SMF and SEMP v2 server that the official Solace clients accept: one process, no container.

It imports nothing but the standard library and itself (``pytest_plugin`` alone needs pytest). It claims semantics,
never timings, and says everywhere that it is ``crep-emulator``. Start reading at ``smf``, then ``core``; ``server``
puts everything together; ``testing`` starts it for somebody else's tests::

      official client                                   REST client
            | TCP, TLS                                       | HTTP
      +-----v------+   frames   +-----------+          +-----v-----+
      | connection |----------->|  session  |          |   http    |      edge: sockets, bounds
      +------------+   smf/     | (1 each)  |          +-----+-----+
                                +-----+-----+                |
                                      | messages, flows      | objects
                                +-----v----------------------v-----+
                                |  core: vpn, topics, queue, acl   |      rules: no I/O
                                +-----+----------------------^-----+
                                      | records              | recovery
                                +-----v----------------------+-----+
                                |  journal: group commit, segments |      edge: files
                                +----------------------------------+
"""
