"""Units, YAML with positions, targets, secrets, resources and the exception tree: what every other package may use.

Imports nothing of crep. Start reading at ``errors`` (exit codes) and ``targets`` (what a broker deployment is called).
"""
