"""The replay service: capture messages into an archive, and send them again, to the same broker or to another.

::

    broker ─ Source ─► capture ─► journal ─► segments ─► selection ─► player ─ Sink ─► broker
                        └── archive: manifest, known ──┘               └── checkpoint, ledger

Reading order: ``stored`` (a message in an archive), ``journal`` and ``segment`` (its two forms on disk), ``manifest``,
``known`` and ``archive`` (all together, crash-safe), ``capture``; ``job`` (what is ordered), ``remap``, ``pacing`` and
``marking`` (pure rules), ``selection`` (which messages), ``checkpoint``, ``player`` (sends them, with a ledger that
survives a kill), ``native`` (from a broker's own history), ``opening`` and ``capturing`` (by the names of targets);
``service`` is the same over REST, ``on_demand`` a capture that a run of crep asks for replays. May import brokers,
deployment and config.
"""
