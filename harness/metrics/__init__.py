"""Layouts, names and units of everything that is measured: histogram buckets and the record of each message.

Imports nothing of crep. Start reading at ``history`` (what is kept of each message) and ``histogram``.
"""
