"""The load engines: child processes that publish by an open-loop schedule, receive, and keep the history of it all.

May import ``scenario``, ``brokers``, ``config``, ``metrics`` and ``processes``. Start reading at ``engines`` (the
parent's side), then ``child`` and, for the rules, ``pacing`` and ``stamp``.

::

    Engines ── task, go, stop, finish (JSON lines, stdin) ──► child: one publisher, or one member of a reader
       ▲                                                        ├─► broker, by its adapter's bulk client
       └── ready, windows, notes, done (JSON lines, stdout) ────┤
                                                                └─► <run folder>/ledger (metrics.history)
"""
