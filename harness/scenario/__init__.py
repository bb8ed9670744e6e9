"""What a scenario means: the model of its YAML and the pure rules behind it. Starts nothing, connects to nothing.

May import ``brokers`` (the contract and the mapping reader) and ``config``. Reading order: ``model`` (the language) →
``rules`` (what cannot be combined) → ``load`` (file in, ``Scenario`` out) → ``profile``, ``assignment``, ``sizes``,
``topics`` (pure functions of seed and message number) → ``plan`` (all that a run needs) → ``expectation``, ``binding``,
``campaign``. Beside them: ``library`` (what comes with crep), ``schema`` and ``reference`` (made from the model).
"""
