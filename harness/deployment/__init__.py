"""Brokers as things with nodes and processes: local ones started here, embedded ones, and addresses.

May import ``brokers``, ``config``, ``metrics`` and ``processes``. Start reading at ``contract``.
"""
