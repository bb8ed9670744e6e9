"""Faults, one per file, and the timeline that injects them at their declared times.

Acts on a ``deployment`` that the runner hands in; knows no broker. Start reading at ``contract``; a new fault is one
file and one line in ``registry``.
"""
