"""A login that is refused while a worker runs: `make chaos`, or `pytest tests/broker/chaos_security.py`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient, UserScramCredentialUpsertion

from stream_app.kafka.clients.topics import Names
from tests.broker.broker import PASSWORD, USER, JavaBroker, start_java
from tests.broker.cluster import Cluster
from tests.broker.probes import figures, is_silent
from tests.broker.scenarios import check_outputs, check_state, keyed
from tests.broker.secured import WRONG, right, variables
from tests.broker.test_security import Service


@pytest.fixture
def own_broker() -> Iterator[JavaBroker]:
    made = start_java()
    yield made
    made.close()


def set_password(broker: JavaBroker, password: str) -> None:
    """Changes the password of the user; connections that are open stay, so the broker starts again."""
    with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, "SCRAM-SHA-512", password)])
    broker.stop()
    broker.start()


def test_a_password_that_changes_while_a_worker_runs(
    own_broker: JavaBroker, tmp_path: Path, fleet: list[bytes]
) -> None:
    """The worker says once what is wrong, is live and not ready, and goes on when its password is right again."""
    says = "it refused 'worker' (SCRAM-SHA-512); check user name and password; the worker waits, and is not ready"
    names = Names("secured", ())
    given = {**variables(right(own_broker)["SCRAM-SHA-512"]), "STREAM_APP_KAFKA_GROUP": names.group}
    given |= {"STREAM_APP_KAFKA_SOURCES": "[]", "STREAM_APP_KAFKA_FOLDER": str(tmp_path / "state")}
    given |= {"STREAM_APP_KAFKA_PARTITIONS": "6", "STREAM_APP_KAFKA_LEARNING": "false"}
    worker = Service(tmp_path, tmp_path / "worker.log", arguments=("worker",), variables=given)

    async def body() -> None:
        with KafkaAdminClient(bootstrap_servers=own_broker.bootstrap) as admin:
            cluster = Cluster(own_broker.bootstrap, admin, tmp_path, names, workers=[worker])
            cluster.make_topics()
            worker.start()
            await asyncio.to_thread(worker.said, "are open")
            await cluster.produce(names.events, keyed(fleet[:300]))
            await cluster.settle()
            await asyncio.to_thread(set_password, own_broker, "another")
            await asyncio.to_thread(worker.said, says)
            await cluster.produce(names.events, keyed(fleet[300:600]))
            seen = figures(worker)
            await asyncio.to_thread(set_password, own_broker, PASSWORD)
            await asyncio.to_thread(worker.said, "Kafka takes the connection again")
            await cluster.settle()
            assert (seen.live, seen.ready, "it refused" in seen.waiting_for) == (200, 503, True)
            assert not is_silent(seen, worker.log)
            await check_state(cluster, fleet[:600])
            await check_outputs(cluster, fleet[:600])

    try:
        asyncio.run(body())
    finally:
        if worker.running:
            worker.kill()
    log = worker.log.read_text()
    assert log.count(says) == 1
    assert not re.search(f"{PASSWORD}|{WRONG}", log)
