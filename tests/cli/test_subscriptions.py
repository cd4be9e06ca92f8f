"""Subscriptions from the terminal: made, changed, tried, kept in files; and how the commands end when that fails."""

from __future__ import annotations

import io
import json
import re
import socket
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_app.alerts.access import Principal, Scope, digest_of
from stream_app.alerts.flags import Change
from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.registered import register
from stream_app.alerts.saved import Changes
from stream_app.alerts.signing import headers, key_of, make_secret
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.subscriptions import make_subscription
from tests.alerts.records import NOW, record
from tests.support.commands import Run
from tests.support.served_subscriptions import ServedSubscriptions, served_subscriptions

SLACK_URL = "https://hooks.slack.com/services/T000/B000/secret"


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedSubscriptions]:
    """A service whose address is in the environment."""
    with served_subscriptions(tmp_path) as made:
        monkeypatch.setenv("STREAM_APP_URL", made.url)
        yield made


def write(name: str, text: str) -> str:
    """Writes a file for this user alone."""
    Path(name).write_text(text)
    Path(name).chmod(0o600)
    return name


def held(service: ServedSubscriptions, name: str) -> Any:
    """A subscription that the service has, with its secrets."""
    return service.notifier.registered[name].subscription


# Help

GROUPS = {
    "subscriptions": ("list", "show", "create", "change", "pause", "resume", "delete", "test", "preview",
                      "rotate-secret", "sync", "forget-owner"),
    "deliveries": ("list", "redeliver", "recover"),
    "tokens": ("make",),
    "flags": ("",),
    "verify-webhook": ("",),
}  # fmt: skip


@pytest.mark.parametrize("words", [(group, *name.split()) for group, names in GROUPS.items() for name in names])
def test_every_command_has_an_example(run: Run, words: tuple[str, ...]) -> None:
    """In its help."""
    ran = run(*words, "--help")

    assert ran.code == 0
    assert f"stream-app {' '.join(words)}" in " ".join(ran.out.split("Example:")[1].split())


# Making


def test_the_first_slack_message_takes_two_commands(run: Run, service: ServedSubscriptions) -> None:
    """The URL, which is a secret, comes from a file, and is not shown again."""
    write("url.txt", f"{SLACK_URL}\n")

    made = run("subscriptions", "create", "--slack", "url.txt", "--owner", "ads", "--id", "ads", "--pipeline", "ads-*")
    tested = run("subscriptions", "test", "ads")

    assert (made.code, tested.code) == (0, 0)
    assert SLACK_URL not in made.out
    assert held(service, "ads").sink.webhook_url.get_secret_value() == SLACK_URL
    assert held(service, "ads").filter.pipeline == ("ads-*",)
    ((name, message),) = service.sinks.sent
    assert (name, message.records[0].pipeline) == ("ads", "example")


def test_own_words_are_refused_by_name_or_sent(run: Run, service: ServedSubscriptions) -> None:
    """Before anything is made, and before the service is asked where they are in a file of subscriptions."""
    begin = 'id = "own"\nname = "own"\nowner = "ads"\nsink = {kind = "email", to = ["a@example.com"]}\n'
    write("wrong.toml", begin + 'text = {title = "{{ nmae }}"}\n')
    write("right.toml", begin + 'text = {title = "Mine: {{ pipeline }}"}\n')
    write("sync.toml", f'name = "f"\n[[subscriptions]]\n{begin}text = {{body = "{{{{"}}\n')

    wrong = run("subscriptions", "create", "-f", "wrong.toml")
    assert wrong.code == 1
    assert "text.title: there is no value 'nmae'" in wrong.err
    assert service.notifier.registered == {}
    synced = run("subscriptions", "sync", "-f", "sync.toml", "--yes")
    assert synced.code != 0
    assert "subscriptions.0.text.body: line 1: " in synced.err

    assert run("subscriptions", "create", "-f", "right.toml").code == 0
    tested = run("subscriptions", "test", "own")
    ((_, message),) = service.sinks.sent
    assert (tested.out, message.text.title) == ("a made-up message was sent, and was taken\n", "Mine: example")


def test_own_words_that_fail_are_named_by_a_trial(run: Run, service: ServedSubscriptions) -> None:
    """The made-up flag is sent with the default text."""
    given = {"id": "own", "name": "own", "owner": "ads", "sink": {"kind": "email", "to": ["a@example.com"]}}
    old = make_subscription({**given, "text": {"title": "{{ no_longer_there }}"}})
    service.notifier.put(register(old, NOW))
    tested = run("subscriptions", "test", "own")

    assert tested.code == 0
    assert "with the default text; text.title: there is no value 'no_longer_there'" in tested.out


def test_the_secret_of_a_webhook_is_shown_once(run: Run, service: ServedSubscriptions) -> None:
    """When it is made, and when it is changed for another."""
    made = run("subscriptions", "create", "--webhook", "https://example.com/h", "--owner", "ads", "--id", "h")
    (first,) = re.findall(r"whsec_\S+", made.out)
    rotated = run("subscriptions", "rotate-secret", "h")
    (second,) = re.findall(r"whsec_\S+", rotated.out)

    assert len({first, second}) == 2
    assert key_of(first)
    assert service.notifier.registered["h"].secrets_at(NOW) == [second, first]
    assert "whsec_" not in run("subscriptions", "show", "h").out
    assert "whsec_" not in run("subscriptions", "show", "h", "--json").out


@pytest.mark.parametrize(
    ("flags", "kind"),
    [(["--email", "a@example.com", "--email", "b@example.com"], "email"), (["--webhook", "https://e.org"], "webhook")],
)
def test_flags_make_the_usual_sinks(run: Run, service: ServedSubscriptions, flags: list[str], kind: str) -> None:
    """With a name that says what it is where none is given."""
    made = run("subscriptions", "create", *flags, "--owner", "ads", "--json", "--set", "delivery.digest=day")

    assert made.document["sink"]["kind"] == kind
    assert made.document["name"] == "Flags of all pipelines"
    assert held(service, made.document["id"]).delivery.digest == "day"


@pytest.mark.parametrize("form", ["toml", "json"])
def test_a_file_makes_any_subscription(run: Run, service: ServedSubscriptions, form: str, monkeypatch: Any) -> None:
    """Its secrets are in other files, beside it, or in variables."""
    monkeypatch.setenv("TEAM_KEY", "Bearer xyz")
    Path("sub").mkdir(mode=0o700)
    secret = make_secret()
    write("sub/secret.txt", secret)
    texts = {
        "toml": """
            id = "h"\nname = "n"\nowner = "ads"
            [sink]\nkind = "webhook"\nurl = "https://example.com/h"
            secret = {file = "secret.txt"}\nheaders = {Authorization = {env = "TEAM_KEY"}}
            [filter]\nmoney_left = {at_least = 100}
        """,
        "json": json.dumps(
            {"id": "h", "name": "n", "owner": "ads", "filter": {"money_left": {"at_least": 100}},
             "sink": {"kind": "webhook", "url": "https://example.com/h", "secret": {"file": "secret.txt"},
                      "headers": {"Authorization": {"env": "TEAM_KEY"}}}}
        ),
    }  # fmt: skip

    made = run("subscriptions", "create", "-f", write(f"sub/s.{form}", texts[form]))

    assert made.code == 0
    assert secret not in made.out
    assert held(service, "h").sink.secret.get_secret_value() == secret
    assert held(service, "h").sink.headers["Authorization"].get_secret_value() == "Bearer xyz"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "expected one of -f, --slack, --email and --webhook, got none"),
        (["--email", "a@b.c", "--webhook", "https://e.org"], "got --email and --webhook"),
        (["--email", "a@b.c"], "--owner: missing"),
        (["--email", "nobody", "--owner", "ads"], "sink.to: 'nobody' is no e-mail address"),
        (["--webhook", "ftp://e.org", "--owner", "ads"], "sink.url: expected a URL"),
        (["--webhook", "https://u:p@e.org", "--owner", "ads"], "sink.url: a URL may not hold a login"),
        (["--slack", "missing", "--owner", "ads"], "--slack: cannot read missing"),
        (["--email", "a@b.c", "--owner", ""], "owner:"),
        (["--email", "a@b.c", "--owner", "ads", "--id", "a b"], "id:"),
        (["--email", "a@b.c", "--owner", "ads", "--name", ""], "name:"),
        (["--email", "a@b.c", "--owner", "ads", "--set", "digest"], "expected FIELD=VALUE"),
        (["--email", "a@b.c", "--owner", "ads", "--set", ".x=1"], "expected FIELD=VALUE"),
        (["--email", "a@b.c", "--owner", "ads", "--set", "color=red"], "color: there is no such field"),
        (["--email", "a@b.c", "--owner", "ads", "--set", "owner.x=1"], "owner has a value already"),
        (["--email", "a@b.c", "--owner", "ads", "--set", "delivery.digest=year"], "delivery.digest: expected"),
        (["--webhook", "https://e.org", "--owner", "ads", "--set", "sink.secret=x"], "everybody on this machine"),
        (["--webhook", "https://e.org", "--owner", "ads", "--set", "sink.headers.X-A=x"], "everybody on this machine"),
        (["-f", "missing.toml"], "missing.toml: no such file"),
        (["-f", "."], "is a directory"),
        (["-f", "broken.toml"], "not TOML"),
        (["-f", "broken.json"], "not JSON"),
        (["-f", "binary.toml"], "expected text in UTF-8"),
        (["-f", "dates.toml"], "expected dates and times as texts"),
        (["-f", "list.json"], "not TOML"),
        (["-f", "filter.toml", "--pipeline", "a"], "filter: expected a table"),
        (["-f", "sink.toml"], "sink"),
        (["-f", "variable.toml"], "the variable NOT_THERE is not set"),
        (["-f", "both.toml"], "expected a text, {file"),
        (["-f", "gone.toml"], "cannot read"),
        (["-f", "empty.toml"], "nothing is empty"),
        (["-f", "open.toml"], "others can write to it"),
    ],
)
def test_a_wrong_subscription_is_one_line(run: Run, service: ServedSubscriptions, flags: list[str], says: str) -> None:
    """Before anything is sent."""
    base = 'name = "n"\nowner = "ads"\n'
    sink = '[sink]\nkind = "slack"\nwebhook_url = '
    write("broken.toml", "name = ")
    write("broken.json", '{"name": ')
    Path("binary.toml").write_bytes(b"\xff\xfe\0")
    write("dates.toml", f"{base}since = 2026-01-01\n{sink}'x'")
    write("list.json", "[1, 2]")
    write("filter.toml", f'{base}filter = "a"\n{sink}"{SLACK_URL}"')
    write("sink.toml", f'{base}sink = "a"')
    write("variable.toml", f'{base}{sink}{{env = "NOT_THERE"}}')
    write("both.toml", f'{base}{sink}{{env = "A", file = "b"}}')
    write("gone.toml", f'{base}{sink}{{file = "not-there"}}')
    write("empty.toml", f'{base}{sink}{{file = "nothing"}}')
    write("nothing", "\n")
    write("open.toml", f'{base}{sink}{{file = "open"}}')
    write("open", SLACK_URL)
    Path("open").chmod(0o666)

    ran = run("subscriptions", "create", *flags)

    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert SLACK_URL not in ran.err
    assert service.asked == []


# Showing and changing


@pytest.fixture
def one(service: ServedSubscriptions) -> ServedSubscriptions:
    """A service with one subscription."""
    given = {"id": "a", "name": "A \x1b[31m name", "owner": "ads", "sink": {"kind": "webhook", "url": "https://e.org"}}
    service.subscriptions.create(service.who, given, NOW)
    return service


def test_a_list_is_a_table(run: Run, one: ServedSubscriptions) -> None:
    """In which no name can paint the terminal."""
    ran = run("subscriptions", "list")

    assert ran.out.splitlines()[1].split()[:4] == ["a", "active", "webhook", "ads"]
    assert "\x1b" not in ran.out
    assert run("subscriptions", "list", "--json").document["subscriptions"][0]["id"] == "a"
    one.subscriptions.delete(one.who, "a", NOW)
    assert run("subscriptions", "list").out == "there are no subscriptions\n"


def test_a_list_is_read_to_its_end(run: Run, one: ServedSubscriptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages it has."""
    for name in ("b", "c", "d", "e"):
        given = {"id": name, "name": name, "owner": "ads", "sink": {"kind": "webhook", "url": "https://e.org"}}
        one.subscriptions.create(one.who, given, NOW)
    monkeypatch.setattr("stream_app.cli.subscriptions._PAGE", 2)

    found = run("subscriptions", "list", "--json").document["subscriptions"]

    assert [each["id"] for each in found] == ["a", "b", "c", "d", "e"]
    assert len(one.asked) == 3


def test_fields_are_changed_alone(run: Run, one: ServedSubscriptions) -> None:
    """Others of the same table stay; null removes one."""
    assert run("subscriptions", "change", "a", "--set", "delivery.min_hold_seconds=600").code == 0
    assert run("subscriptions", "change", "a", "--set", "delivery.digest=day").code == 0
    assert (held(one, "a").delivery.min_hold_seconds, held(one, "a").delivery.digest) == (600.0, "day")

    patch = write("p.json", '{"delivery": {"digest": null}, "sink": {"url": "https://e.com"}}')
    assert run("subscriptions", "change", "a", "-f", patch).code == 0
    assert (held(one, "a").delivery.digest, held(one, "a").sink.url) == (None, "https://e.com")


def test_a_subscription_is_paused_resumed_and_deleted(run: Run, one: ServedSubscriptions) -> None:
    """And each command says what it did."""
    assert run("subscriptions", "pause", "a").out == "a is paused\n"
    assert held(one, "a").state == "paused"
    assert run("subscriptions", "resume", "a").out == "a is active\n"
    assert held(one, "a").state == "active"
    assert run("subscriptions", "delete", "a").out == "a is deleted\n"
    assert one.notifier.registered == {}


@pytest.mark.parametrize("name", ["no-such", "..", ".", "a/b", "a?x=1", "ä", "%2e%2e"])
@pytest.mark.parametrize("command", ["show", "pause", "delete", "test", "rotate-secret"])
def test_what_is_not_there_fails(run: Run, one: ServedSubscriptions, command: str, name: str) -> None:
    """With what the service says, and nothing else is touched, whatever the id looks like."""
    ran = run("subscriptions", command, name)

    assert (ran.code, ran.out) == (1, "")
    assert "there is no such subscription" in ran.err
    assert list(one.notifier.registered) == ["a"]


def test_a_test_that_does_not_arrive_fails(run: Run, one: ServedSubscriptions) -> None:
    """With the reason, also as JSON."""
    one.sinks.result = Result("HTTP 500: no")

    ran = run("subscriptions", "test", "a", "--json")

    assert (ran.code, ran.document) == (1, {"succeeded": False, "reason": "HTTP 500: no"})
    assert "did not arrive: HTTP 500: no" in ran.err


def test_a_preview_counts_what_would_have_been_sent(run: Run, one: ServedSubscriptions) -> None:
    """Of a draft in flags, of a file, and of a subscription that is there."""
    one.store.append_flags([record(), record(2, Change.RESOLVED)], NOW)
    draft = write("d.toml", '[filter]\npipeline = "other"')

    made = run("subscriptions", "preview", "--set", "delivery.min_hold_seconds=0")
    assert "over the last 35 days: 2 messages about 1 flag\n" in made.out
    assert run("subscriptions", "preview", "-f", draft, "--json").document["messages"] == 0
    assert run("subscriptions", "preview", "a", "--pipeline", "other", "--json").document["messages"] == 0
    assert run("subscriptions", "preview", "a", "-f", draft).code == 2


def test_an_owner_is_forgotten(run: Run, one: ServedSubscriptions) -> None:
    """And it is said what remains, and where; nobody is forgotten by accident."""
    refused = run("subscriptions", "forget-owner", "ads")
    assert (refused.code, refused.err) == (2, "stream-app: nobody can be asked; give --yes\n")
    assert list(one.notifier.registered) == ["a"]

    ran = run("subscriptions", "forget-owner", "ads", "--yes")

    assert ran.out.startswith("deleted: 1 subscription, 0 entries of the delivery log\n")
    assert "for 35 days" in ran.out
    assert "serve.keep_days" in ran.out
    assert one.notifier.registered == {}
    assert run("subscriptions", "forget-owner", "a/b ../?x", "--yes", "--json").document["owner"] == "a/b ../?x"


def test_whoever_is_asked_may_keep_an_owner(
    run: Run, one: ServedSubscriptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By anything but yes."""
    monkeypatch.setattr("stream_app.cli.forget_owner.sys.stdin", io.StringIO("n\n"))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)

    assert run("subscriptions", "forget-owner", "ads").code == 1
    assert list(one.notifier.registered) == ["a"]


# Files


FILE = """
name = "ads-alerts"
[[subscriptions]]
id = "b"
name = "b"
owner = "ads"
sink = {kind = "email", to = ["a@example.com"]}
[[subscriptions]]
id = "c"
name = "c"
owner = "ads"
sink = {kind = "slack", webhook_url = {file = "url.txt"}}
"""


@pytest.fixture
def file(run: Run) -> str:  # noqa: ARG001 - which changes the folder
    """A file of two subscriptions."""
    write("url.txt", SLACK_URL)
    return write("s.toml", FILE)


def test_a_sync_is_repeated_without_an_effect(run: Run, one: ServedSubscriptions, file: str) -> None:
    """It makes what is missing, then nothing; of what others made it touches nothing."""
    first = run("subscriptions", "sync", "-f", file, "--yes")
    asked = len(one.asked)
    second = run("subscriptions", "sync", "-f", file, "--yes")

    assert first.out == "create  b\ncreate  c\n2 to change, 0 as they should be\ndone\n"
    assert second.out == "0 to change, 2 as they should be\n"
    assert [method for method, _ in one.asked[asked:]] == ["GET"]
    assert sorted(one.notifier.registered) == ["a", "b", "c"]


def test_a_sync_changes_and_deletes_what_it_made(run: Run, one: ServedSubscriptions, file: str) -> None:
    """The plan names what differs."""
    run("subscriptions", "sync", "-f", file, "--yes")
    write(file, FILE.split('[[subscriptions]]\nid = "c"')[0].replace('name = "b"', 'name = "B"'))

    dry = run("subscriptions", "sync", "-f", file, "--dry-run")
    assert dry.out == "update  b: name\ndelete  c\n2 to change, 0 as they should be\n"
    assert dry.code == 0
    assert sorted(one.notifier.registered) == ["a", "b", "c"]

    done = run("subscriptions", "sync", "-f", file, "--yes", "--json").document
    assert done["steps"] == [{"action": "update", "id": "b", "changed": ["name"]},
                             {"action": "delete", "id": "c", "changed": []}]  # fmt: skip
    assert (sorted(one.notifier.registered), held(one, "b").name) == (["a", "b"], "B")


def test_a_sync_asks(run: Run, one: ServedSubscriptions, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody can be asked; a no changes nothing."""
    assert "give --yes" in run("subscriptions", "sync", "-f", file).err

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    answers = iter([False, True])
    monkeypatch.setattr("typer.confirm", lambda _: next(answers))
    assert run("subscriptions", "sync", "-f", file).code == 1
    assert sorted(one.notifier.registered) == ["a"]
    assert run("subscriptions", "sync", "-f", file).code == 0
    assert sorted(one.notifier.registered) == ["a", "b", "c"]


def test_a_sync_that_is_refused_says_where(run: Run, one: ServedSubscriptions, file: str) -> None:
    """Nothing is deleted then, since deletions come last; the next one goes on from there."""
    run("subscriptions", "sync", "-f", file, "--yes")
    write(file, FILE.split('[[subscriptions]]\nid = "c"')[0].replace('owner = "ads"', 'owner = "eve"'))
    one.who = Principal("ads", Scope.WRITE, owners=("ads",))

    ran = run("subscriptions", "sync", "-f", file, "--yes")

    assert ran.code == 1
    assert "update b: this token may not make subscriptions of this owner" in ran.err
    assert sorted(one.notifier.registered) == ["a", "b", "c"]


def test_new_secrets_of_a_file_are_sent_when_asked(run: Run, one: ServedSubscriptions, file: str) -> None:
    """They cannot be compared."""
    run("subscriptions", "sync", "-f", file, "--yes")
    write("url.txt", f"{SLACK_URL}2")

    assert "0 to change" in run("subscriptions", "sync", "-f", file, "--yes").out
    assert held(one, "c").sink.webhook_url.get_secret_value() == SLACK_URL
    assert "update  c: sink.webhook_url" in run("subscriptions", "sync", "-f", file, "--yes", "--secrets").out
    assert held(one, "c").sink.webhook_url.get_secret_value() == f"{SLACK_URL}2"


def test_a_wrong_file_changes_nothing(run: Run, one: ServedSubscriptions) -> None:
    """And its place is named."""
    wrong = write("s.toml", FILE.replace('"a@example.com"', '"nobody"').replace('{file = "url.txt"}', f'"{SLACK_URL}"'))

    ran = run("subscriptions", "sync", "-f", wrong, "--yes")

    assert ran.code == 2
    assert "s.toml: subscriptions.0.sink.to: 'nobody' is no e-mail address" in ran.err
    assert {method for method, _ in one.asked} <= {"GET"}


# Deliveries


@pytest.fixture
def log(one: ServedSubscriptions) -> ServedSubscriptions:
    """A service with a log of deliveries: one sent, one given up."""
    one.store.append_flags([record(), record(flag="p/run:r2")], NOW)
    entries = [
        LogEntry("p/run:r1#1", Fate.SENT, NOW, 1, "", ("p/run:r1#1",)),
        LogEntry("p/run:r2#1", Fate.DEAD, NOW, 8, "given up after 8 attempts", ("p/run:r2#1",)),
        LogEntry("p/run:r9#1", Fate.DEAD, NOW, 8, "given up after 8 attempts", ("p/run:r9#1",)),
    ]
    one.store.save(Changes(deliveries=[("a", each) for each in entries]))
    return one


def test_the_log_is_listed(run: Run, log: ServedSubscriptions) -> None:
    """Newest first, with the reasons."""
    lines = run("deliveries", "list", "a").out.splitlines()

    assert [line.split()[0] for line in lines] == ["number", "3", "2", "1"]
    assert lines[1].endswith("given up after 8 attempts")
    (sent,) = run("deliveries", "list", "a", "--fate", "sent", "--json").document["deliveries"]
    assert sent["message"] == "p/run:r1#1"
    assert len(run("deliveries", "list", "a", "--last", "1").out.splitlines()) == 2
    assert run("deliveries", "list", "a", "--before", "1").out == "there are no deliveries\n"
    assert log.asked[-1][1].endswith("/deliveries?limit=20&before=1")


def test_a_message_is_sent_again(run: Run, log: ServedSubscriptions) -> None:
    """Under its id; one that is not there is refused."""
    assert run("deliveries", "redeliver", "a", "1").code == 0
    assert list(log.notifier.mailboxes["a"].messages) == ["p/run:r1#1"]
    assert "there is no such delivery" in run("deliveries", "redeliver", "a", "99").err
    assert "no longer kept" in run("deliveries", "redeliver", "a", "3").err


def test_what_was_given_up_is_sent_again(run: Run, log: ServedSubscriptions) -> None:
    """Whose flags are still kept; counted first where wanted."""
    since = ("--since", "2020-01-01T00:00:00Z")

    assert run("deliveries", "recover", "a", *since, "--dry-run").out == "1 message would be sent again\n"
    assert log.notifier.mailboxes["a"].messages == {}
    assert run("deliveries", "recover", "a", *since).out == "1 message is sent again\n"
    assert list(log.notifier.mailboxes["a"].messages) == ["p/run:r2#1"]
    assert run("deliveries", "recover", "a", "--since", "yesterday").code == 2


# The way to the service


def test_the_token_comes_from_a_file_or_the_environment(
    run: Run, service: ServedSubscriptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never from the command line, where others see it."""
    service.token = "sapp_right"

    assert "set STREAM_APP_TOKEN or give --token-file" in run("subscriptions", "list").err
    write("token.txt", "sapp_right\n")
    assert run("subscriptions", "list", "--token-file", "token.txt").code == 0
    monkeypatch.setenv("STREAM_APP_TOKEN", "sapp_right")
    assert run("subscriptions", "list").code == 0
    write("token.txt", "two\nlines")
    assert run("subscriptions", "list", "--token-file", "token.txt").code == 2
    assert run("subscriptions", "list", "--token-file", "missing").code == 2


@pytest.mark.parametrize(
    ("url", "code", "says"),
    [
        ("localhost:8484", 2, "expected an address such as http://localhost:8484"),
        ("ftp://localhost", 2, "expected an address"),
        ("http://", 2, "expected an address"),
        ("http://localhost:port", 2, "expected an address"),
        ("http://local host", 2, "expected an address"),
        ("http://[::1", 2, "expected an address"),
        ("http://me:secret@localhost:1", 2, "without a login"),
        ("http://localhost:1/?a=b", 2, "without a login, a query"),
        ("http://localhost:1", 1, "nobody listens there"),
    ],
)
def test_a_service_that_cannot_be_reached_is_one_line(run: Run, url: str, code: int, says: str) -> None:
    """Which names the address, but no password in it."""
    ran = run("subscriptions", "list", "--url", url)

    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err
    assert "secret" not in ran.err


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "something else than JSON"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\n<html", "HTTP 502 Bad Gateway"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n[]", "HTTP 404 Not Found"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n",
            "redirects to https://evil",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP"),
        (b"", "cannot reach the service"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", "cannot reach the service"),
    ],
)
def test_an_answer_of_something_else_is_one_line(run: Run, answer: bytes, says: str) -> None:
    """As of a proxy, a login page or another program. A redirect is not followed with the token."""
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            with server.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=talk)
        thread.start()
        ran = run("subscriptions", "list", "--url", f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()

    assert (ran.code, ran.out) == (1, "")
    assert says in ran.err


# Tokens


def test_a_token_is_shown_with_the_lines_for_the_service(run: Run) -> None:
    """The lines hold its digest and not itself."""
    ran = run("tokens", "make", "--name", 'a "b"', "--scope", "write", "--owner", "ads", "--pipeline", "ads-*")

    token = ran.out.split("\n\n")[1]
    lines = ran.out[ran.out.index("[[tokens]]") :]
    assert token.startswith("sapp_")
    assert token not in lines
    assert tomllib.loads(lines)["tokens"] == [
        {"name": 'a "b"', "sha256": digest_of(token), "scope": "write", "owners": ["ads"], "pipelines": ["ads-*"]}
    ]


def test_tokens_differ(run: Run) -> None:
    """And a bare one is for reading."""
    made = [run("tokens", "make", "--name", "a", "--json").document for _ in range(2)]

    assert made[0]["token"] != made[1]["token"]
    assert set(made[0]["entry"]) == {"name", "sha256", "scope"}
    assert made[0]["entry"]["scope"] == "read"


@pytest.mark.parametrize(
    "flags",
    [[], ["--name", ""], ["--name", "a\nb"], ["--name", "a", "--scope", "root"], ["--name", "a", "--owner", " "],
     ["--name", "a" * 201]],
)  # fmt: skip
def test_a_wrong_token_is_refused(run: Run, flags: list[str]) -> None:
    """And none is made."""
    ran = run("tokens", "make", *flags)

    assert (ran.code, ran.out) == (2, "")


# Captured webhooks


SECRET, BODY = make_secret(), b'{"id":"p/run:r1#1","data":{"text":"\xc3\xa4"}}'


@pytest.fixture
def captured(run: Run) -> dict[str, str]:  # noqa: ARG001 - which changes the folder
    """A message of ours, with its secret, headers and body in files."""
    write("secret", f"{SECRET}\n")
    Path("body").write_bytes(BODY)
    made = headers([SECRET], "p/run:r1#1@s", NOW // 1000, BODY)
    write("headers", "\n".join(f"{name.title()}: {value}" for name, value in made.items()))
    return made


def test_a_message_of_ours_holds(run: Run, captured: dict[str, str]) -> None:
    """However old it is; headers as lines, as JSON, or before the body."""
    write("headers.json", json.dumps(captured))
    head = "POST /hook HTTP/1.1\r\nHost: e.org\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in captured.items()
    )
    Path("request").write_bytes(head.encode() + b"\r\n" + BODY)

    ran = run("verify-webhook", "--secret-file", "secret", "--headers", "headers", "body")
    assert ran.code == 0
    assert ran.out.startswith("the signature of p/run:r1#1@s holds; the message was signed ")
    assert run("verify-webhook", "--secret-file", "secret", "--headers", "headers.json", "body").code == 0
    assert run("verify-webhook", "--secret-file", "secret", "request", "--json").document["valid"] is True


@pytest.mark.parametrize(
    ("body", "changed", "says"),
    [
        (BODY + b"\n", {}, "without the line break at its end"),
        (json.dumps(json.loads(BODY)).encode(), {}, "its compact form: it was parsed and written again"),
        (BODY.replace(b"r1", b"r2"), {}, "another secret, or a changed body"),
        (b"", {}, "another secret, or a changed body"),
        (BODY, {"webhook-id": ""}, "the header webhook-id is missing"),
        (BODY, {"webhook-signature": ""}, "the header webhook-signature is missing"),
        (BODY, {"webhook-timestamp": "yesterday"}, "no number of seconds"),
        (BODY, {"webhook-signature": "sha256=abc"}, "no signature of version 1"),
        (BODY, {"webhook-signature": "v1,ä"}, "another secret, or a changed body"),
        (BODY, {"webhook-id": "other"}, "another secret, or a changed body"),
    ],
)
def test_a_message_that_does_not_hold_says_why(
    run: Run, captured: dict[str, str], body: bytes, changed: dict[str, str], says: str
) -> None:
    """Also as JSON; the exit code is 1, and the secret is not repeated."""
    Path("body").write_bytes(body)
    write("headers.json", json.dumps({**captured, **changed}))

    ran = run("verify-webhook", "--secret-file", "secret", "--headers", "headers.json", "body", "--json")

    assert (ran.code, ran.document["valid"]) == (1, False)
    assert says in ran.document["reason"]
    assert says in ran.err
    assert SECRET not in ran.out + ran.err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["body"], "missing option '--secret-file'"),
        (["--secret-file", "missing", "body"], "cannot read missing: No such file or directory"),
        (["--secret-file", "body", "--headers", "headers", "body"], "--secret-file: expected whsec_"),
        (["--secret-file", "secret", "body"], "there are no headers"),
        (["--secret-file", "secret", "missing"], "missing: no such file"),
        (["--secret-file", "secret", "--headers", "body", "body"], "the header webhook-id is missing"),
    ],
)
def test_wrong_use_of_verify_webhook(run: Run, captured: dict[str, str], line: list[str], says: str) -> None:
    """What is missing is named."""
    ran = run("verify-webhook", *line)

    assert ran.code in (1, 2)
    assert says in ran.err
    assert captured
