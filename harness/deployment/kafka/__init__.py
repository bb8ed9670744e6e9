"""Apache Kafka on this machine, from its published jars, without Docker.

Start reading at ``product``. ``jars.lock`` is the list of every jar with its checksum; ``lock`` reads and
``renew`` writes it, ``jars`` fetches it once, ``repository`` says from where, ``java`` finds a Java,
``settings`` holds the profiles, ``probe`` asks a running broker.
"""

from crep.harness.deployment.kafka.product import KafkaProduct

__all__ = ["KafkaProduct"]
