"""The harness: a scenario goes in, a run folder comes out.

Arrows point one way: ``cli → runner → {load, faults, checks, runs, deployment} → brokers → {config, metrics}``.
Start reading at ``runner`` for the phases of a run, or at ``brokers.contract`` for what a broker adapter must offer.
"""
