"""Engines on several machines, with Locust as the channel between them: ``crep run --workers N``, ``crep worker``.

May import ``load``, ``runs``, ``scenario``, ``brokers``, ``config``, ``metrics`` and ``processes``. Start reading at
``fleet`` (the master's side) and ``worker`` (the other one); ``clock`` and ``share`` are pure.

::

    machine of ``crep run``                                   machine of ``crep worker`` (one or more)
    ┌───────────────────────────────┐                         ┌────────────────────────────────────────┐
    │ runner ─► WorkerEngines, Fleet│                         │ worker ─► load.Engines ─► child engines│
    │              │ frames (pipe)  │                         │    │ frames (pipe)            │ ledger  │
    │           endpoint            │ ◄── Locust's channel ──►│ endpoint                 shipping      │
    │        (Locust master)        │   orders ► ◄ windows,   │ (Locust worker)                        │
    └───────────────────────────────┘     notes, records      └────────────────────────────────────────┘

Locust joins machines, watches over them by its heartbeats, carries the words, and shows live figures (``--web``). It
touches no message of a broker, and it runs in processes of its own: a process that is patched by gevent, or blocked by
a broker's client library, is no place for the other.
"""
