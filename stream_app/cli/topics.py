"""`stream-app topics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from stream_app.cli.assembly import connection_of, names_of
from stream_app.cli.flags import ConfigFlag, JsonFlag
from stream_app.cli.kafka_flags import ReplicationFlag, ServersFlag, kafka_errors, load_kafka_options, print_json

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

    from stream_app.kafka.clients.topics import Topic
    from stream_app.options import KafkaOptions

topics = typer.Typer(help="Create and check the topics that a worker needs in Kafka.", rich_markup_mode="rich")


@topics.command()
def apply(
    config: ConfigFlag = None,
    bootstrap_servers: ServersFlag = None,
    replication: ReplicationFlag = None,
    json: JsonFlag = False,
) -> None:
    """Create missing topics and correct their settings. A second call finds nothing to do.

    No topic is deleted, and the numbers of partitions and copies of an existing topic are not changed.

    [bold]Example:[/]  stream-app topics apply --bootstrap-servers localhost:9092 --replication 1
    """
    options = load_kafka_options(config, bootstrap_servers, {"kafka.replication": replication}).kafka

    from stream_app.kafka.clients import topics as kafka_topics

    done = _call(
        options, lambda admin, wanted: kafka_topics.apply(admin, wanted, options.partitions, options.replication)
    )
    if json:
        print_json({"done": done})
    else:
        typer.echo("\n".join(done or ["all topics are as they should be"]))


@topics.command()
def check(
    config: ConfigFlag = None,
    bootstrap_servers: ServersFlag = None,
    replication: ReplicationFlag = None,
    json: JsonFlag = False,
) -> None:
    """Check which topics are missing or have other settings. The exit code is 1 when any is; nothing is changed.

    Warns of topics that would not outlast the loss of a broker although the cluster has enough of them.

    [bold]Example:[/]  stream-app topics check --bootstrap-servers localhost:9092
    """
    options = load_kafka_options(config, bootstrap_servers, {"kafka.replication": replication}).kafka

    from stream_app.kafka.clients import topics as kafka_topics
    from stream_app.kafka.clients.durability import find_risks

    risks: list[str] = []

    def ask(admin: KafkaAdminClient, wanted: list[Topic]) -> list[str]:
        risks.extend(find_risks(admin, wanted))
        return kafka_topics.check(admin, wanted)

    problems = _call(options, ask)
    if json:
        print_json({"problems": problems, "warnings": risks})
    else:
        warnings = [f"warning: {risk}" for risk in risks]
        typer.echo("\n".join([*(problems or ["all topics are as they should be"]), *warnings]))
    if problems:
        raise typer.Exit(1)


def _call(options: KafkaOptions, ask: Callable[[Any, list[Topic]], list[str]]) -> list[str]:
    """The result of `ask`, called with an admin client and the topics of the deployment."""
    from stream_app.kafka.clients.topic_catalogue import catalogue

    wanted = catalogue(names_of(options), options.partitions, options.replication)
    with kafka_errors():
        admin = connection_of(options).admin()
        try:
            return ask(admin, wanted)
        finally:
            admin.close()
