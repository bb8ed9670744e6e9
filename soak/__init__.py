"""The full counts behind crep's claims: each tried many times, resumable, written to ``docs/soak.md`` with an interval.

``make soak`` (``python -m soak`` from the checkout) goes on where it stopped; ``--only NAME``, ``--count N`` and
``--minutes M`` make it shorter. Trial *i* of a claim is made from seed *i*.

Reading order: ``claim`` (what a claim is) → ``claims`` (the list; a new one is a line there) → one module per claim →
``trials`` (the record, one JSON line per trial) → ``interval`` (pure) → ``page``. No part of crep; may import
everything of ``crep.harness``, and of the tests what drives crep from outside, the broker that lies, and the trials
that a test shares.
"""
