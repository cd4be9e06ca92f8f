"""`stream-app subscriptions`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.cli.flags import DEFAULT_URL, JsonFlag, print_json
from stream_app.cli.service_flags import TokenFileFlag, UrlFlag, part, service_of
from stream_app.cli.subscription_files import read_document, with_fields
from stream_app.cli.tables import table
from stream_app.errors import OptionsError

if TYPE_CHECKING:
    from stream_app.cli.service_client import Service

subscriptions = typer.Typer(
    help="Subscribe to flags and findings: messages to Slack, by e-mail, to webhooks and more.", rich_markup_mode="rich"
)

PATH = "/v1/subscriptions"
#: Subscriptions that are asked for at a time.
_PAGE = 1_000
_IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The id of the subscription.", show_default=False)]
FileFlag = Annotated[
    Path | None,
    typer.Option("-f", "--file", metavar="FILE", help="In TOML or JSON; - for standard input.", show_default=False),
]
_SetFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="FIELD=VALUE", help="A field, such as delivery.digest=day; again for more.", show_default=False
    ),
]
_PipelineFlag = Annotated[
    list[str] | None,
    typer.Option("--pipeline", metavar="GLOB", help="Only flags of this pipeline; again for more.", show_default=False),
]


@subscriptions.command("list")
def list_(url: UrlFlag = DEFAULT_URL, token_file: TokenFileFlag = None, json: JsonFlag = False) -> None:
    """List the subscriptions that the token may see.

    [bold]Example:[/]  stream-app subscriptions list
    """
    found = listed(service_of(url, token_file))
    if json:
        print_json({"subscriptions": found})
        return
    rows = [(each["id"], each["state"], each["sink"]["kind"], each["owner"], each["name"]) for each in found]
    typer.echo(table(("id", "state", "sink", "owner", "name"), rows) if rows else "there are no subscriptions")


@subscriptions.command()
def show(
    name: _IdArgument, url: UrlFlag = DEFAULT_URL, token_file: TokenFileFlag = None, json: JsonFlag = False
) -> None:
    """Show a subscription. Secrets are hidden.

    [bold]Example:[/]  stream-app subscriptions show ads-slack
    """
    _print(service_of(url, token_file).get(f"{PATH}/{part(name)}"), json)


@subscriptions.command()
def create(
    file: FileFlag = None,
    slack: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="To Slack, by the incoming webhook whose URL is in the file.", show_default=False
        ),
    ] = None,
    email: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS", help="By e-mail; again for more.", show_default=False)
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="To a webhook, signed.", show_default=False)
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Who subscribes.", show_default=False)] = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="Its id; made by the service if not set.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name for people.", show_default=False)] = None,
    pipeline: _PipelineFlag = None,
    fields: _SetFlag = None,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Subscribe: with flags for the usual cases, or with a file. The secret of a webhook is shown once.

    [bold]Example:[/]  stream-app subscriptions create --slack url.txt --owner ads --pipeline 'ads-*'
    """
    sinks = [
        flag for flag, given in (("-f", file), ("--slack", slack), ("--email", email), ("--webhook", webhook)) if given
    ]
    if len(sinks) != 1:
        raise OptionsError(f"expected one of -f, --slack, --email and --webhook, got {' and '.join(sinks) or 'none'}")
    body: dict[str, Any] = (
        _table(read_document(file), file) if file is not None else {"sink": _sink(slack, email, webhook)}
    )
    if owner is not None:
        body["owner"] = owner
    elif "owner" not in body:
        raise OptionsError("--owner: missing; expected who subscribes, such as a team")
    if id_ is not None:
        body["id"] = id_
    if name is not None or "name" not in body:
        body["name"] = name if name is not None else f"Flags of {', '.join(pipeline or ['all pipelines'])}"[:200]
    body = with_fields(_narrowed(body, pipeline), fields or ())
    _check({"id": "new", **body})
    _print(service_of(url, token_file).call("POST", PATH, body), json)


@subscriptions.command()
def change(
    name: _IdArgument,
    file: FileFlag = None,
    fields: _SetFlag = None,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Change fields of a subscription. A file is a merge patch: fields that it does not name stay, null removes one.

    [bold]Example:[/]  stream-app subscriptions change ads-slack --set delivery.min_hold_seconds=600
    """
    body = with_fields(_table(read_document(file), file) if file is not None else {}, fields or ())
    if not body:
        raise OptionsError("nothing to change; give --set or -f")
    _print(service_of(url, token_file).call("PATCH", f"{PATH}/{part(name)}", body), json)


@subscriptions.command()
def pause(
    name: _IdArgument, url: UrlFlag = DEFAULT_URL, token_file: TokenFileFlag = None, json: JsonFlag = False
) -> None:
    """Send nothing for now. Messages that wait are kept.

    [bold]Example:[/]  stream-app subscriptions pause ads-slack
    """
    _act(service_of(url, token_file), name, "pause", json, f"{name} is paused")


@subscriptions.command()
def resume(
    name: _IdArgument, url: UrlFlag = DEFAULT_URL, token_file: TokenFileFlag = None, json: JsonFlag = False
) -> None:
    """Send again: after a pause, or after the service has disabled the subscription.

    [bold]Example:[/]  stream-app subscriptions resume ads-slack
    """
    _act(service_of(url, token_file), name, "resume", json, f"{name} is active")


@subscriptions.command()
def delete(
    name: _IdArgument, url: UrlFlag = DEFAULT_URL, token_file: TokenFileFlag = None, json: JsonFlag = False
) -> None:
    """Delete a subscription, with the messages that wait for it.

    [bold]Example:[/]  stream-app subscriptions delete ads-slack
    """
    service_of(url, token_file).call("DELETE", f"{PATH}/{part(name)}")
    if json:
        print_json({"deleted": name})
    else:
        typer.echo(f"{name} is deleted")


@subscriptions.command("test")
def send_test(
    name: _IdArgument, url: UrlFlag = DEFAULT_URL, token_file: TokenFileFlag = None, json: JsonFlag = False
) -> None:
    """Send a made-up flag or finding. The exit code is 1 when it did not arrive.

    [bold]Example:[/]  stream-app subscriptions test ads-slack
    """
    result = service_of(url, token_file).call("POST", f"{PATH}/{part(name)}/test")
    if json:
        print_json(result)
    elif result["succeeded"]:
        typer.echo("a made-up message was sent, and was taken")
        if result["reason"]:
            typer.echo(f"with the default text; {result['reason']}")
    if not result["succeeded"]:
        from stream_app.cli.service_client import ServiceError

        raise ServiceError(f"the made-up message did not arrive: {result['reason']}")


@subscriptions.command("rotate-secret")
def rotate_secret(
    name: _IdArgument, url: UrlFlag = DEFAULT_URL, token_file: TokenFileFlag = None, json: JsonFlag = False
) -> None:
    """Give a webhook a new secret, which is shown once. For a day messages are signed with the former one too.

    [bold]Example:[/]  stream-app subscriptions rotate-secret ads-hook
    """
    made = service_of(url, token_file).call("POST", f"{PATH}/{part(name)}/rotate-secret")
    if json:
        print_json(made)
    else:
        _print_secret(made)


@subscriptions.command()
def preview(
    name: Annotated[str | None, typer.Argument(metavar="[ID]", help="A subscription.", show_default=False)] = None,
    file: FileFlag = None,
    pipeline: _PipelineFlag = None,
    fields: _SetFlag = None,
    url: UrlFlag = DEFAULT_URL,
    token_file: TokenFileFlag = None,
    json: JsonFlag = False,
) -> None:
    """Count what a subscription, or a draft, would have sent over the days for which records are kept.

    [bold]Example:[/]  stream-app subscriptions preview --pipeline 'ads-*' --set delivery.digest=day
    """
    if name is not None and file is not None:
        raise OptionsError("ID and -f exclude each other; give one")
    service = service_of(url, token_file)
    body: dict[str, Any] = {}
    if name is not None:
        found = service.get(f"{PATH}/{part(name)}")
        body = {field: found[field] for field in ("name", "owner", "types", "filter", "delivery") if field in found}
    elif file is not None:
        body = _table(read_document(file), file)
    made = service.call("POST", f"{PATH}/preview", with_fields(_narrowed(body, pipeline), fields or ()))
    if json:
        print_json(made)
        return
    from stream_app.figures.numbers import plural

    money = f" worth {made['money']:,.2f}" if made.get("money") is not None else ""
    sent, flags = plural(made["messages"], "message"), plural(made["flags"], "flag")
    findings = f" and {plural(made['findings'], 'finding')}" if made.get("findings") else ""
    typer.echo(f"over the last {made['days']} days: {sent} about {flags}{findings}")
    typer.echo(f"with {made['node_hours']:,.1f} node-hours ahead{money}; {made['pushed']:,} of the runs were pushed")
    for reason, count in sorted(made["dropped"].items()):
        typer.echo(f"not sent, {reason}: {count:,}")


def listed(service: Service) -> list[dict[str, Any]]:
    """All subscriptions that the token may see."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = service.get(PATH, limit=_PAGE, after=after)
        found += page["subscriptions"]
        after = page["next"]
        if after is None:
            return found


def _act(service: Service, name: str, action: str, json: bool, done: str) -> None:
    made = service.call("POST", f"{PATH}/{part(name)}/{action}")
    if json:
        print_json(made)
    else:
        typer.echo(done)


def _sink(slack: Path | None, email: list[str] | None, webhook: str | None) -> dict[str, Any]:
    """The sink that flags give."""
    if slack is not None:
        from stream_app.options import read_secret

        return {"kind": "slack", "webhook_url": read_secret(None, slack, "--slack")}
    if email:
        return {"kind": "email", "to": email}
    return {"kind": "webhook", "url": webhook}


def _narrowed(body: dict[str, Any], pipeline: list[str] | None) -> dict[str, Any]:
    """A subscription to the pipelines that flags give."""
    if not pipeline:
        return body
    chosen = body.get("filter", {})
    if not isinstance(chosen, dict):
        raise OptionsError("filter: expected a table")
    return {**body, "filter": {**chosen, "pipeline": pipeline}}


def _check(body: Mapping[str, Any]) -> None:
    """Checks a new subscription before it is sent."""
    from stream_app.alerts.subscriptions import SubscriptionError, make_subscription

    try:
        make_subscription(body)
    except SubscriptionError as error:
        raise OptionsError(str(error)) from None


def _table(document: Any, file: Path | None) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise OptionsError(f"{file}: expected a table with the fields of a subscription")
    return document


def _print(shown: dict[str, Any], json: bool) -> None:
    """Prints a subscription."""
    if json:
        print_json(shown)
        return
    rows = [row for row in _rows(shown, "") if row[0] != "secret"]
    typer.echo(table((), rows))
    _print_secret(shown)


def _print_secret(shown: dict[str, Any]) -> None:
    if shown.get("secret"):
        typer.echo(f"The secret for the receiver, which is shown only now:\n\n{shown['secret']}")


def _rows(value: Mapping[str, Any], place: str) -> list[tuple[str, str]]:
    """The fields of a value, one a row."""
    rows = []
    for name, each in value.items():
        if isinstance(each, dict) and each:
            rows += _rows(each, f"{place}{name}.")
        elif isinstance(each, list) and not any(isinstance(item, dict | list) for item in each):
            rows.append((f"{place}{name}", ", ".join(map(str, each))))
        elif each not in ({}, "", None):
            rows.append((f"{place}{name}", str(each)))
    return rows
