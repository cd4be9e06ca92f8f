"""What docs/alerts.md shows is accepted: its files, filters and commands, and its numbers are those of the code."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from stream_app.alerts.filters import DEPTH_MAX
from stream_app.alerts.mailbox import MESSAGES_MAX
from stream_app.alerts.retries import DELAYS, DISABLE_AFTER_HOURS, OPEN_STREAK, PROBE_SECONDS
from stream_app.alerts.sinks.alertmanager import NAME
from stream_app.alerts.store import KEEP_DAYS
from stream_app.alerts.subscriptions import Delivery, make_subscription
from stream_app.alerts.sync import read_file
from stream_app.alerts.templates import FILTERS, NAMES, TEMPLATE_MAX, TEXT_MAX
from stream_app.alerts.texts import LIST_MAX, TITLE_MAX, check_text
from stream_app.alerts.warnings import WARN_AFTER_HOURS
from stream_app.cli.main import app
from stream_app.cli.subscription_files import read_document
from stream_app.options import load

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()


def blocks(language: str) -> list[str]:
    """The blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def commands() -> list[list[str]]:
    """The commands of this program, word by word."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("stream-app ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("block", blocks("toml"))
def test_a_file_of_the_page_is_accepted(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As settings, as a file of subscriptions, or as a part of one subscription."""
    monkeypatch.setenv("ADS_SLACK_URL", "https://hooks.slack.com/services/T/B/x")
    file = tmp_path / "file.toml"
    file.write_text(block)
    read: dict[str, Any] = tomllib.loads(block)
    if "alerts" in read:
        alerts = load(file).alerts
        assert alerts.mail_host == "smtp.example.com" or alerts.key_file == Path("alerts.key")
    elif "sources" in read:
        assert load(file).sources.redact == ("owner", "*mail*")
    elif "subscriptions" in read:
        assert len(read_file(read_document(file)).subscriptions) == 2
    else:
        made = {"id": "a", "name": "a", "owner": "a", "sink": {"kind": "kafka", "topic": "t"}, **read}
        subscription = make_subscription(made)
        check_text(subscription.text)
        assert subscription.filter.conditions() or subscription.text is not None


def test_the_values_and_filters_of_templates_are_complete() -> None:
    """In their table and the list below it."""
    section = PAGE[PAGE.index("## Own words") : PAGE.index("## Sinks")]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    filters = section[section.index("and the filters") : section.index(". It has at most")]

    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(NAMES)
    assert tuple(re.findall(r"`(\w+)`", filters)) == FILTERS
    assert f"at most {TEMPLATE_MAX:,} characters, a title it writes {TITLE_MAX} and a body {TEXT_MAX:,}" in section
    assert f"(the first {LIST_MAX})" in section


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_of_the_page_exists(words: list[str]) -> None:
    """With its flags."""
    command: Any = typer.main.get_command(app)
    context = click.Context(command)
    while hasattr(command, "commands") and not words[0].startswith("-"):
        command = command.commands[words[0]]
        words = words[1:]
    context = command.make_context("stream-app", list(words))

    assert context.params


@pytest.mark.parametrize(
    "says",
    [
        f"the flags of the last {KEEP_DAYS} days",
        f"at most {MESSAGES_MAX:,} messages",
        f"the alert `{NAME}`",
        "nested at most eight deep" if DEPTH_MAX == 8 else f"nested at most {DEPTH_MAX} deep",
        f"after {'eight' if len(DELAYS) == 7 else len(DELAYS) + 1} attempts",
        f"for {'five' if DISABLE_AFTER_HOURS == 120 else DISABLE_AFTER_HOURS} days",
        f"nothing has arrived for {WARN_AFTER_HOURS:g} hours, a day before",
        f"After {'ten' if OPEN_STREAK == 10 else OPEN_STREAK} failures in a row",
        f"once in {PROBE_SECONDS:g} s",
        "after 5 s, 5 and 30 minutes, 2, 5, 10\n  and 10 hours",
    ],
)
def test_a_number_of_the_page_is_that_of_the_code(says: str) -> None:
    """So that both change together."""
    assert says in PAGE
    assert DELAYS == (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)


@pytest.mark.parametrize("name", Delivery.model_fields)
def test_the_table_of_delivery_is_complete(name: str) -> None:
    """With the defaults."""
    (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1]]
    default = Delivery.model_fields[name].default
    shown = "none" if default is None else f"{default:g}" if isinstance(default, float) else str(default)

    assert shown in row.split("|")[2]
