"""`stream-app topics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from stream_app.cli.assembly import connection_of, names_of
from stream_app.cli.flags import ConfigFlag, JsonFlag
from stream_app.cli.kafka_flags import ServersFlag, load_kafka_options, print_json, talking_to_kafka

if TYPE_CHECKING:
    from stream_app.kafka.clients.topics import Topic
    from stream_app.options import KafkaOptions

topics = typer.Typer(help="Make the topics in Kafka that a worker needs, and check them.", rich_markup_mode="rich")


@topics.command()
def apply(config: ConfigFlag = None, bootstrap_servers: ServersFlag = None, json: JsonFlag = False) -> None:
    """Make what is missing and set what differs. A second time there is nothing left to do.

    Nothing is removed, and the partitions of a topic that is there stay as they are.

    [bold]Example:[/]  stream-app topics apply --bootstrap-servers localhost:9092
    """
    options = load_kafka_options(config, bootstrap_servers).kafka

    from stream_app.kafka.clients import topics as kafka_topics

    done = _asked(
        options, lambda admin, wanted: kafka_topics.apply(admin, wanted, options.partitions, options.replication)
    )
    if json:
        print_json({"done": done})
    else:
        typer.echo("\n".join(done or ["all topics are as they should be"]))


@topics.command()
def check(config: ConfigFlag = None, bootstrap_servers: ServersFlag = None, json: JsonFlag = False) -> None:
    """Say which topics are missing or not as they should be. Ends with 1 when any is; nothing is changed.

    [bold]Example:[/]  stream-app topics check --bootstrap-servers localhost:9092
    """
    options = load_kafka_options(config, bootstrap_servers).kafka

    from stream_app.kafka.clients import topics as kafka_topics

    problems = _asked(options, kafka_topics.check)
    if json:
        print_json({"problems": problems})
    else:
        typer.echo("\n".join(problems or ["all topics are as they should be"]))
    if problems:
        raise typer.Exit(1)


def _asked(options: KafkaOptions, ask: Callable[[Any, list[Topic]], list[str]]) -> list[str]:
    """What `ask` says, given an admin client and the topics of the deployment."""
    from stream_app.kafka.clients.topics import catalogue

    wanted = catalogue(names_of(options), options.partitions, options.replication)
    with talking_to_kafka():
        admin = connection_of(options).admin()
        try:
            return ask(admin, wanted)
        finally:
            admin.close()
