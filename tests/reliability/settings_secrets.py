"""Secrets in settings: errors of wrong ones, and what right ones print of themselves."""

from __future__ import annotations

import os
import pprint
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stream_app.alerts.guard import AddressGuard
from stream_app.alerts.registered import register
from stream_app.alerts.secrets import Vault
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.making import SinkMaker
from stream_app.alerts.subscriptions import make_subscription
from stream_app.cli.alert_assembly import alerts_of, tokens_of
from stream_app.cli.assembly import checkpoint_key_of, connection_of, webhooks_of
from stream_app.errors import StreamAppError
from stream_app.options import load
from tests.reliability.seeds import Seeds

#: Settings that hold secrets.
SECRETS = (
    "alerts.key", "alerts.mail_password", "alerts.slack_signing_secret", "alerts.slack_token",
    "kafka.checkpoint_key", "kafka.password", "serve.mlflow_webhook_secret", "serve.token",
)  # fmt: skip
#: Values that are wrong, in TOML; `{}` is the secret.
WRONG = ('["{}"]', '{{a = "{}"}}', '"{}', '"{}" "{}"', '"{}"\n{key} = "{}"', "'''{}", '"\\q{}"', '"{}\\u0000"')


@contextmanager
def environment(given: dict[str, str]) -> Iterator[None]:
    """Only these of our variables are set."""
    before = {name: value for name, value in os.environ.items() if name.startswith("STREAM_APP_")}
    for name in before:
        del os.environ[name]
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            os.environ.pop(name, None)
        os.environ.update(before)


def attempt(seeds: Seeds, path: Path | None, variables: dict[str, str]) -> None:
    """Loads settings and makes of them what commands make; keeps what is said where that fails."""
    with environment(variables):
        try:
            options = load(path)
            for make in (alerts_of, tokens_of, webhooks_of):
                make(options)
            for of_kafka in (connection_of, checkpoint_key_of):
                of_kafka(options.kafka)
        except StreamAppError as error:
            seeds.saw("errors of settings", str(error), repr(error), "".join(traceback.format_exception(error)))


def refused_settings(folder: Path, seeds: Seeds) -> None:
    """Each secret in each wrong form, in the file, in a variable, and in a file of its own."""
    path, own = folder / "settings.toml", folder / "secret"
    for name in SECRETS:
        section, key = name.split(".")
        variable = f"STREAM_APP_{section}_{key}".upper()
        for wrong in WRONG:
            secret = seeds.make(f"{name} = {wrong}")
            content = f"[{section}]\n{key} = {wrong.replace('{key}', key)}\n".replace("{{", "{").replace("}}", "}")
            path.write_text(content.replace("{}", secret))
            path.chmod(0o600)
            attempt(seeds, path, {})
            attempt(seeds, None, {variable: wrong.replace("{}", secret).replace("\x00", "")})
            attempt(seeds, None, {f"STREAM_APP_{section}".upper(): f'{{"{key}": {wrong.replace("{}", secret)}'})
        short, secret = seeds.short(f"{name}, too short"), seeds.make(f"{name}, in two places")
        path.write_text(f'[{section}]\n{key} = "{short}"\n')
        attempt(seeds, path, {})
        path.write_text(f'[{section}]\n{key}s = "{secret}"\n')
        attempt(seeds, path, {})
        for content, mode in ((secret.encode(), 0o666), (secret.encode() + b"\xff", 0o600), (short.encode(), 0o600)):
            own.write_bytes(content)
            own.chmod(mode)
            attempt(seeds, None, {f"{variable}_FILE": str(own)})
        attempt(seeds, None, {f"{variable}_FILE": str(own), variable: secret})
        path.write_text(f'[{section}]\n{key} = "{secret}"\n')
        path.chmod(0o666)
        attempt(seeds, path, {})
    for entry in ('sha256 = "{}"', 'token = "{}"', 'sha256 = ["{}"]', 'sha256 = "{}'):
        own.write_text(
            f'[[tokens]]\nname = "n"\n{entry}\n'.replace("{}", seeds.make(f"a token for its digest, {entry}"))
        )
        own.chmod(0o600)
        attempt(seeds, None, {"STREAM_APP_ALERTS_TOKENS_FILE": str(own)})


def printed(folder: Path, seeds: Seeds) -> None:
    """What settings, subscriptions and what is made of them print of themselves."""
    path = folder / "right.toml"
    lines: dict[str, list[str]] = {}
    for name in SECRETS:
        section, key = name.split(".")
        lines.setdefault(section, []).append(f'{key} = "{seeds.make(name)}"')
    lines["alerts"] += ['mail_host = "m"', 'mail_username = "u"']
    lines["kafka"] += ['protocol = "SASL_SSL"', 'username = "u"']
    path.write_text("\n".join(f"[{section}]\n" + "\n".join(each) for section, each in lines.items()))
    path.chmod(0o600)
    with environment({}):
        options = load(path)
    sinks: list[dict[str, Any]] = [
        {"kind": "webhook", "url": "https://example.com", "secret": seeds.whsec("a secret of a webhook"),
         "headers": {"Authorization": seeds.make("a header")}},
        {"kind": "slack", "webhook_url": seeds.make("a webhook_url of Slack", "https://example.com/{}")},
        {"kind": "slack", "token": seeds.make("a token of a bot"), "channel": "#c"},
        {"kind": "apprise", "url": seeds.make("a url of apprise", "json://{}")},
    ]  # fmt: skip
    made = [make_subscription({"id": "s", "name": "n", "owner": "ann", "sink": sink}) for sink in sinks]
    registered = [register(each, 0) for each in made]
    maker = SinkMaker(HttpClient(AddressGuard()))
    things: list[Any] = [
        options, alerts_of(options), tokens_of(options), webhooks_of(options), connection_of(options.kafka),
        Vault(b"a key for these trials"), *made, *registered, *(maker(each) for each in registered),
    ]  # fmt: skip
    for each in things:
        seeds.saw("what objects print", repr(each), str(each), pprint.pformat(each))
        if hasattr(each, "model_dump_json"):
            seeds.saw("what objects print", each.model_dump_json())
