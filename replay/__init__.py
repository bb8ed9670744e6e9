"""The replay service: capture messages into an archive, and send them again, to the same broker or to another.

Reading order: ``stored`` (a message in an archive), ``journal`` and ``segment`` (its two forms on disk), ``archive``
(both together, crash-safe), ``capture``, ``selection`` (which messages), ``pacing``, ``player`` (sends them, with a
ledger that survives a kill).
"""
