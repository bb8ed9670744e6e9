"""What the client alone can do: servers that do nothing, one per protocol, each a process of its own (METHOD rule 8).

A rate that an engine reaches against a broker says something about the broker only where it stays well below the rate
that the same engine, with the same settings, reaches here. May import ``load`` and the protocols' codecs.
"""
