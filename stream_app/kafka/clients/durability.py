"""What of the topics works, but would not outlast the loss of a broker."""

from __future__ import annotations

from kafka.admin import KafkaAdminClient

from stream_app.kafka.clients.in_sync import OFFSETS
from stream_app.kafka.clients.topics import Topic, find

#: Brokers from which on copies are of use without stopping all writes when one is lost.
_ENOUGH_BROKERS = 3


def find_risks(admin: KafkaAdminClient, topics: list[Topic]) -> list[str]:
    """What the loss of a broker would cost, where copies or settings could prevent it.

    Parameters
    ----------
    admin
        A connected client.
    topics
        The topics of the deployment; that of the offsets of consumer groups is looked at, too.

    Returns
    -------
    list[str]
        A line for each risk, with what to do.
    """
    visible = [topic["name"] for topic in admin.describe_topics([OFFSETS]) if topic["partitions"]]
    found = find(admin, [*(topic.name for topic in topics), *visible])
    brokers = len(admin.describe_cluster()["brokers"])
    single, stopping = [], []
    for name, topic in found.items():
        needed = int(topic.config.get("min.insync.replicas", "1"))
        if topic.copies == 1 and brokers >= _ENOUGH_BROKERS:
            single.append(name)
        elif needed >= topic.copies > 1:
            stopping.append(f"{name} ({needed} of {topic.copies})")
    risks = []
    if single:
        risks.append(
            f"there is only 1 copy of {', '.join(single)} although the cluster has {brokers} brokers: the loss of one "
            "broker loses what is in it; set `kafka.replication = 3` before the topics are made, or add copies with "
            "Kafka's kafka-reassign-partitions.sh"
        )
    if stopping:
        risks.append(
            f"all copies must be in sync (min.insync.replicas) of {', '.join(stopping)}: while one broker is away, "
            "nothing can be written; set it to one less than there are copies"
        )
    return risks
