"""What crep's checks cost: the load engines against a bare client loop and a no-op broker, interleaved in one session.

``make bench`` (``python -m bench`` from the checkout) prints ratios; on a shared machine absolute rates tell little and
stand beside them. Nothing is printed that was not measured in that run.

Reading order: ``summary`` (rounds, ratios; pure) → ``brokers`` (Kafka, the Solace emulator, the no-op broker) →
``engine`` and ``bare`` (the same work with and without crep) → ``session`` (what is measured, in which order) →
``table``. No part of crep; may import everything of ``crep.harness``.
"""
