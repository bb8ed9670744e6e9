"""The run folder: writing it so that a killed run stays readable, reading it back, and where a number came from.

Imports ``metrics``, ``config`` and ``checks.results`` only. Start reading at ``document`` (run.json), then ``folder``
(writes) and ``read`` (reads).
"""
