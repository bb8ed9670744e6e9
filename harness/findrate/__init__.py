"""The highest rate that a binding holds: a bracketing search over whole runs, every one of which is kept.

``search`` is the search (pure: from the probes so far to the next rate), ``criteria`` says whether a run held its rate
and what gave way, ``conduct`` makes the runs. Imported by ``cli`` only.
"""
