"""T18: secrets on every path through the product. The amount is the flags that are delivered.

Every setting and field that holds a secret has a text that is found wherever it gets out: in logs at DEBUG, answers,
metrics, files, command lines, errors of wrong settings, and what settings print of themselves.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from stream_app.alerts.access import digest_of
from tests.broker.secured import WRONG, right, variables
from tests.reliability.flagging import Flagging, flagging
from tests.reliability.rig import REPOSITORY, own_broker, until
from tests.reliability.seeds import Seeds
from tests.reliability.settings_secrets import printed, refused_settings
from tests.support.leaky import WAYS, Leaky, leaky

NAME = "secrets on every path: settings, logs at DEBUG, answers, files, failing sinks"
AMOUNT = 3
LOUD = "tests.reliability.loud"
#: Seconds for which a worker or a service has time to reach Kafka.
LONG_SECONDS = 6
#: Fields of a sink that hold secrets, and whatever else may be given there.
ODD: tuple[Any, ...] = (["{}"], {"a": "{}"}, "{}\n", "{}\u00e9", "{}" * 60)


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    """Each part has secrets of its own."""
    parts = {"service": service, "settings": settings, "Kafka": kafka}
    done: dict[str, Any] = so_far.get("parts", {})
    broken: list[str] = list(so_far.get("broken", []))
    for name, part in parts.items():
        if name not in done:
            folder = work / name
            folder.mkdir(parents=True, exist_ok=True)
            seeds = Seeds()
            part(folder, seeds, amount)
            hits = seeds.hits()
            done[name] = {**seeds.figures(), "hits": len(hits)}
            broken += [f"{name}: {hit}" for hit in hits]
            yield {"parts": done, "broken": broken}


def settings(folder: Path, seeds: Seeds, _: int) -> None:
    """Settings that are wrong in every way, and what right ones print of themselves."""
    refused_settings(folder, seeds)
    printed(folder, seeds)


def service(folder: Path, seeds: Seeds, amount: int) -> None:
    """`serve` with all its secrets: sinks that fail and give away what they were given, wrong requests, and its end."""
    tokens = folder / "tokens.toml"
    ann = seeds.make("a token", "sapp_{}")
    tokens.write_text(f'[[tokens]]\nname = "ann"\nsha256 = "{digest_of(ann)}"\nscope = "write"\n')
    tokens.chmod(0o600)
    token = seeds.make("serve.token")
    with leaky() as sinks:
        config = f"""
            [serve]
            token = "{token}"
            mlflow_webhook_secret = "{seeds.make("serve.mlflow_webhook_secret")}"
            access_log = true
            [kafka]
            username = "u"
            password = "{seeds.make("kafka.password")}"
            checkpoint_key = "{seeds.make("kafka.checkpoint_key")}"
            [alerts]
            key = "{seeds.make("alerts.key")}"
            tokens_file = "{tokens}"
            allowed_networks = ["127.0.0.0/8"]
            slack_token = "{seeds.make("alerts.slack_token", "xoxb-{}")}"
            mail_host = "127.0.0.1"
            mail_port = {sinks.mail_port}
            mail_security = "none"
            mail_username = "u"
            mail_password = "{seeds.make("alerts.mail_password")}"
            """
        with flagging(folder, config, {"PYTHONASYNCIODEBUG": "1"}, LOUD) as made:
            made.token = token
            names = subscribe(made, sinks, seeds)
            ask(made, seeds, names, ann)
            made.begin(amount)
            for number in range(amount):
                made.flag(number)
            for name in names:
                logged = until(lambda name=name: made.deliveries(name, "failed", "sent"), f"{name} was tried", 60)  # type: ignore[misc]
                seeds.saw("delivery logs", orjson.dumps(logged))
            for path in ("/metrics", "/v1/flags", "/v1/audit", "/v1/subscriptions", "/readyz?verbose"):
                seeds.saw("answers", made.ask("GET", path).body)
            commands(made, folder, seeds)
            process = made.service.process
            assert process is not None
            seeds.saw("command lines", Path(f"/proc/{process.pid}/cmdline").read_bytes())
            process.terminate()
            process.wait(30)
        given = "\n".join(sinks.heads)
    seeds.saw_files("files", (folder / "data").iterdir())
    seeds.saw_files("log", [folder / "serve.log"])
    assert "DEBUG" in (folder / "serve.log").read_text(), "the log has no lines at DEBUG"
    assert given.count("Seed") > len(names), (
        "the sinks were not given their secrets, so nothing shows that they are kept"
    )


def subscribe(made: Flagging, sinks: Leaky, seeds: Seeds) -> list[str]:
    """A sink of each kind that holds a secret, for each way to fail; their names."""
    wanted: dict[str, dict[str, Any]] = {
        "bot": {"kind": "slack", "token": seeds.make("a token of a bot", "xoxb-{}"), "channel": "#c"},
        "mail": {"kind": "email", "to": ["ann@example.com"]},
    }
    for way in WAYS:
        headers = {
            "Authorization": f"Bearer {seeds.make(f'Authorization, {way}')}",
            "X-Key": seeds.make(f"X-Key, {way}"),
        }
        secret = seeds.whsec(f"secret of a webhook, {way}")
        wanted[f"hook-{way}"] = {"kind": "webhook", "url": sinks.url(way), "secret": secret, "headers": headers}
        url = sinks.url(way, seeds.make(f"webhook_url of Slack, {way}"))
        wanted[f"slack-{way}"] = {"kind": "slack", "webhook_url": url}
        url = sinks.url(way, seeds.make(f"url of apprise, {way}"), "json")
        wanted[f"apprise-{way}"] = {
            "kind": "apprise",
            "url": url.replace("//", f"//u:{seeds.make(f'login of apprise, {way}')}@"),
        }
    for name, sink in wanted.items():
        given = {"id": name, "name": name, "owner": "ann", "sink": sink, "delivery": {"min_hold_seconds": 0}}
        answers = [made.ask("POST", "/v1/subscriptions", given, {"Idempotency-Key": name}) for _ in range(2)]
        assert answers[0].status == 201, answers[0].body
        seeds.saw("answers", *(each.body for each in answers))
        seeds.saw("answers", made.ask("POST", f"/v1/subscriptions/{name}/test", {}).body)
    return list(wanted)


def ask(made: Flagging, seeds: Seeds, names: list[str], ann: str) -> None:
    """Requests that are right and wrong, with secrets where they belong and where they do not."""
    for name in names:
        for path in (f"/v1/subscriptions/{name}", f"/v1/subscriptions/{name}/deliveries"):
            seeds.saw("answers", made.ask("GET", path).body, made.ask("GET", path, token=ann).body)
    rotated = made.ask("POST", "/v1/subscriptions/hook-echo/rotate-secret", {}).json
    seeds.add("the new secret", rotated["secret"])
    seeds.saw("answers", made.ask("GET", "/v1/subscriptions/hook-echo").body)
    fields = {
        "hook-ok": [
            {"secret": "{}"}, {"headers": {"Authorization": "{}"}}, {"headers": {"Cookie": "{}"}}, {"secrets": "{}"},
        ],
        "slack-ok": [
            {"webhook_url": "{}"}, {"webhook_url": "ftp://{}"}, {"token": "{}"}, {"webhook_url": None, "token": "{}"},
        ],
        "bot": [{"token": "{}", "channel": "{}!"}], "apprise-ok": [{"url": "{}"}], "mail": [{"password": "{}"}],
    }  # fmt: skip
    for name, changes in fields.items():
        for change in [*changes, *({next(iter(changes[0])): odd} for odd in ODD)]:
            if change == {"url": "{}"}:
                continue  # any text may be a URL of apprise
            given = orjson.dumps({"sink": change}).replace(b"{}", seeds.make(f"a wrong {name} {change}").encode())
            answer = made.ask("PATCH", f"/v1/subscriptions/{name}", given)
            seeds.saw("answers", answer.body)
    for wrong in ("Bearer {}", "Basic {}", "{}", "Bearer {} {}"):
        value = seeds.make(f"a wrong login {wrong}")
        answer = made.ask("GET", "/v1/audit", None, {"Authorization": wrong.replace("{}", value)}, token=None)
        seeds.saw("answers", answer.body)
    signed = {
        "X-MLflow-Signature": seeds.make("a wrong signature", "v1,{}"),
        "X-MLflow-Timestamp": "1",
        "X-MLflow-Delivery-Id": "d",
    }
    seeds.saw("answers", made.ask("POST", "/api/v1/mlflow/webhook", {"a": 1}, signed).body)
    seeds.saw(
        "answers",
        made.ask("POST", "/v1/subscriptions", b'{"sink": {"secret": "' + seeds.make("broken JSON").encode()).body,
    )


def commands(made: Flagging, folder: Path, seeds: Seeds) -> None:
    """The commands that ask the service: with its token, a wrong one, and subscriptions that are wrong."""
    draft = folder / "draft.json"
    url = ["--url", made.service.url]
    secret = seeds.make("a secret in a file")
    drafts = (
        {"kind": "webhook", "url": "http://127.0.0.1/", "secret": secret},
        {"kind": "slack", "webhook_url": secret},
        {"kind": "slack", "webhook_url": [secret]},
    )
    for sink in drafts:
        draft.write_bytes(orjson.dumps({"name": "n", "owner": "ann", "sink": sink}))
        command(seeds, {"STREAM_APP_TOKEN": made.token or ""}, "subscriptions", "create", "-f", str(draft), *url)
    draft.write_text(f'{{"sink": {{"kind": "slack", "webhook_url": "{secret}"')
    command(seeds, {}, "subscriptions", "create", "-f", str(draft), *url)
    for token in (made.token or "", seeds.make("a wrong token"), seeds.make("a token with a break", "{}\n{}")):
        command(seeds, {"STREAM_APP_TOKEN": token}, "subscriptions", "show", "hook-echo", *url)
    key = folder / "whsec.txt"
    for content in (seeds.make("a key that is none"), seeds.whsec("a key of verify-webhook")):
        key.write_text(content)
        key.chmod(0o600)
        draft.write_text("{}")
        command(seeds, {}, "verify-webhook", "--secret-file", str(key), "--headers", str(draft), str(draft))


def command(seeds: Seeds, given: dict[str, str], *arguments: str) -> None:
    """Runs a command; what it prints may hold no secret."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STREAM_APP_")}
    program = [sys.executable, "-m", LOUD, *arguments]
    ended = subprocess.run(program, cwd=REPOSITORY, env={**environment, **given}, capture_output=True, check=False)
    seeds.saw("commands", ended.stdout, ended.stderr)


def kafka(folder: Path, seeds: Seeds, _: int) -> None:
    """A worker, a service and other commands with a right and a wrong password, at a broker and where there is none."""
    given = {
        "STREAM_APP_KAFKA_CHECKPOINT_KEY": seeds.make("kafka.checkpoint_key"),
        "STREAM_APP_KAFKA_FOLDER": str(folder / "worker"),
    }
    with own_broker() as broker:
        good = right(broker)["SCRAM-SHA-256"]
        assert good.password is not None
        seeds.add("kafka.password", good.password)
        seeds.add("a wrong password", WRONG)
        elsewhere = replace(good, bootstrap_servers="127.0.0.1:1")
        command(seeds, {**given, **variables(good)}, "topics", "apply")
        for number, login in enumerate((good, replace(good, password=WRONG), elsewhere)):
            environment = {**given, **variables(login)}
            command(seeds, environment, "topics", "check")
            for name in ("worker", "serve"):
                arguments = [name, "--bootstrap-servers", login.bootstrap_servers]
                arguments += ["--port", "0"] if name == "serve" else []
                for_a_while(seeds, environment, arguments, folder / f"{name}{number}.log")
    seeds.saw_files("files", (folder / "worker").rglob("*"))


def for_a_while(seeds: Seeds, given: dict[str, str], arguments: list[str], log: Path) -> None:
    """Runs a command until it had time to connect."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", LOUD, *arguments],
            cwd=REPOSITORY, env={**os.environ, **given}, stdout=file, stderr=file,
        )  # fmt: skip
        until(lambda: b"are at http" in log.read_bytes() or b"serving at" in log.read_bytes(), "it has started")
        time.sleep(LONG_SECONDS)
        seeds.saw("command lines", Path(f"/proc/{process.pid}/cmdline").read_bytes())
        process.terminate()
        process.wait(60)
    seeds.saw_files("log", [log])
