"""Broker adapters: ``contract`` is the whole interface; one package per system, each with its mapping files.

May import ``config`` and ``metrics`` only; adapters never import each other. Start reading at ``contract``, then
``registry``. How to add a broker: docs/add-a-broker.md.
"""
