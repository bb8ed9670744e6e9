"""What a broker does with messages: pure rules, no socket, no file, no task.

Reading order: ``settings`` (what can be configured), ``topics`` (matching), ``access`` (who may), ``entry``, ``queue``
and ``partitions`` (spooling, delivery, settlement), ``replay`` (the replay log), ``publisher`` (message ids and
outcomes), ``routing`` (who wants a topic), ``vpn`` (admission and traffic), ``broker`` (everything), ``recovery``
(from the journal's records, which ``log`` describes). Time comes in as a clock function; durability as a
:class:`~.log.Log`.
"""
