"""Pure checks over what a run left: delivery ledger, order, outage, recovery, latency, expectations, statistics.

Imports ``scenario``, the broker contract's words and ``metrics``; never ``runs``: the caller hands in plain arrays.
``results`` is what the checks say. Start reading at ``ledger``, whose docstring is its specification, then at
``tally``, which keeps the same ledger in bitmaps while a run goes on (``balance`` reads it), then at ``evaluate``,
which joins all of them.
"""
