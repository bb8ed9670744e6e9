"""The enrichment bridge: source → decode → enrich → route → sink, with a ledger of what became of every message.

Reading order: ``config`` (what a bridge file may say), ``load`` (from a file to a checked bridge), ``pipeline`` (what
happens to one message: pure), ``steps``, ``codecs`` and ``lookups`` (its parts), ``examples`` (cases beside the file).
"""
