"""Apache Kafka on this machine, from its published jars, without Docker.

Start reading at ``product`` (one node) and ``cluster`` (three brokers, three controllers). ``settings`` holds what
topologies and profiles set, ``software`` is what they are run with. ``jars.lock`` is the list of every jar with its
checksum; ``lock`` reads and ``renew`` writes it, ``jars`` fetches it once, ``repository`` says from where, ``java``
finds a Java, ``probe`` asks a running broker.
"""

from crep.harness.deployment.kafka.cluster import KafkaClusterProduct
from crep.harness.deployment.kafka.product import KafkaProduct

__all__ = ["KafkaClusterProduct", "KafkaProduct"]
