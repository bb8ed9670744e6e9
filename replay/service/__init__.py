"""The replay service: jobs that capture and replay, over REST, with a page to watch them.

Reading order: ``states`` (the life of a job), ``jobs`` (kept in SQLite), ``models`` (what goes over the wire), ``work``
(the process of one job), ``worker`` and ``supervisor`` (its other end), ``routes``, ``app`` behind ``guard``, and
``server``.
Imports the rest of ``replay``; nothing but ``crep replay serve`` imports it.
"""
