"""A server of the Kafka protocol that keeps next to nothing: ``python -m crep.harness.load.ceiling.kafka TOPIC…``.

It is librdkafka's own mock cluster (``test.mock.num.brokers``: one broker, in this process, memory only, four
partitions a topic, and only the last 5 MB of each are kept). It does more than nothing, so that a ceiling measured
against it is rather too low than too high.

When it listens, one line of JSON goes to standard output: ``{"ready": true, "bootstrap": "127.0.0.1:…"}``. It ends when
its standard input is closed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from confluent_kafka import Producer

_WITHIN_S = 10.0


def main(topics: Sequence[str]) -> int:
    """Serve until standard input is closed."""
    holder = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    for topic in topics:
        holder.produce(topic, b"")  # makes it: clients do not ask for topics to be made
    if holder.flush(_WITHIN_S):
        sys.exit("librdkafka's mock cluster does not answer")
    (broker,) = holder.list_topics(timeout=_WITHIN_S).brokers.values()
    sys.stdout.write(json.dumps({"ready": True, "bootstrap": f"{broker.host}:{broker.port}"}) + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
