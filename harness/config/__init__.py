"""Units, YAML with positions, targets, secrets, resources and the exception tree: what every other package may use.

Imports nothing of crep. Reading order: ``errors`` (exit codes) → ``units`` → ``yaml`` (data, positions, complaints) →
``resources`` (files that come with crep) → ``targets`` (what a broker deployment is called).
"""
