"""Hooks as subscriptions: off by default, for named pipelines, made by administrators alone, and audited when armed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from stream_app.alerts.hook_sinks import HOOK_KINDS, armed
from stream_app.alerts.registered import from_row, plain, register, shown, to_row
from stream_app.alerts.secrets import Vault
from stream_app.alerts.subscriptions import SubscriptionError, make_subscription
from stream_app.cli.subscription_files import read_document
from tests.alerts.records import NOW

EXAMPLES = Path(__file__).parents[2] / "deploy" / "hooks"

HOOK = {"kind": "kfp", "url": "https://kfp.example.com", "pipelines": ["ads-*"]}
#: A hook of each kind, with secrets.
HOOKS: dict[str, dict[str, Any]] = {
    "kfp": {**HOOK, "headers": {"Authorization": "Bearer swordfish"}},
    "airflow": {**HOOK, "kind": "airflow", "username": "ann", "password": "swordfish"},
    "mlflow": {**HOOK, "kind": "mlflow", "headers": {"X-Key": "swordfish"}},
    "stop_webhook": {
        **HOOK,
        "kind": "stop_webhook",
        "secret": "whsec_" + "c3dv" * 8,
        "checkpoint_url": "https://e.org/c",
    },
}


def hook(sink: dict[str, Any], **given: Any) -> Any:
    """A subscription with a hook."""
    return make_subscription({"id": "h", "name": "n", "owner": "ann", "sink": sink, **given})


def test_every_kind_is_tried_here() -> None:
    """None is forgotten."""
    assert set(HOOKS) == HOOK_KINDS


@pytest.mark.parametrize("kind", HOOKS)
def test_a_hook_is_a_dry_run_that_hears_at_once_of_what_is_due(kind: str) -> None:
    """Where nothing else is said."""
    made = hook(HOOKS[kind])

    assert made.sink.dry_run
    assert [str(each) for each in made.types] == ["due"]
    assert made.delivery.min_hold_seconds == 0


@pytest.mark.parametrize("kind", HOOKS)
def test_its_secrets_are_encrypted_and_never_shown(kind: str) -> None:
    """It is read again as it was."""
    registered, vault = register(hook(HOOKS[kind]), NOW), Vault(b"a key for tests of hooks")
    row = to_row(registered, vault)

    assert from_row(row, vault) == registered
    for text in (row.decode(), str(shown(registered)), repr(registered)):
        assert "swordfish" not in text
        assert "c3dvc3dv" not in text
    secret = "c3dv" * 8 if kind == "stop_webhook" else "swordfish"
    assert secret not in registered.without_secrets(f"HTTP 401: {registered.secrets_at(NOW) or 'Bearer swordfish'}")


WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"pipelines": []}, {}, "sink.pipelines"),
    ({"pipelines": [""]}, {}, "sink.pipelines.0"),
    ({"pipelines": "ads-*"}, {}, "sink.pipelines"),
    ({"pipelines": ["x" * 501]}, {}, "sink.pipelines.0"),
    ({"pipelines": ["x"] * 101}, {}, "sink.pipelines"),
    ({"pipelines": None}, {}, "sink.pipelines"),
    ({"url": "ftp://e.org"}, {}, "sink.url"),
    ({"url": "https://ann:pw@e.org"}, {}, "sink.url"),
    ({"headers": {"Host": "x"}}, {}, "sink.headers"),
    ({"dry_run": "perhaps"}, {}, "sink.dry_run"),
    ({"surprise": 1}, {}, "sink.surprise"),
    ({"kind": {}}, {}, "sink"),
    ({"kind": ["kfp"]}, {}, "sink"),
    ({}, {"types": ["raised"]}, "types"),
    ({}, {"types": ["due", "raised"]}, "types"),
    ({}, {"types": []}, "types"),
    ({}, {"delivery": {"digest": "day"}}, "delivery"),
    ({}, {"delivery": {"min_hold_seconds": 0, "quiet_hours": {"start": "22:00", "end": "07:00"}}}, "delivery"),
    ({}, {"delivery": {"min_hold_seconds": 0, "group_by": "owner"}}, "delivery"),
    ({}, {"delivery": {}}, "delivery"),
    ({}, {"text": {"title": "x"}}, "text"),
]


@pytest.mark.parametrize(("sink", "given", "field"), WRONG)
def test_a_hook_that_is_not_valid_is_refused(sink: dict[str, Any], given: dict[str, Any], field: str) -> None:
    """The error names the field."""
    with pytest.raises(SubscriptionError) as refused:
        hook({**HOOK, **sink}, **given)

    assert refused.value.field == field


def test_a_hook_without_pipelines_is_refused() -> None:
    """There is no default: each pipeline is an explicit choice."""
    with pytest.raises(SubscriptionError, match=r"sink\.pipelines: missing"):
        hook({"kind": "kfp", "url": "https://kfp.example.com"})


@pytest.mark.parametrize(
    "login",
    [{"username": "ann"}, {"password": "x"}, {"username": "ann", "password": "x", "headers": {"authorization": "y"}}],
)
def test_airflow_is_logged_in_to_in_one_way(login: dict[str, Any]) -> None:
    """A part of a login is none."""
    with pytest.raises(SubscriptionError):
        hook({**HOOK, "kind": "airflow", **login})


def test_a_hook_that_may_stop_runs_from_now_on_is_audited() -> None:
    """And one that may not any more."""
    off, on = hook(HOOK).sink, hook({**HOOK, "dry_run": False}).sink
    other = hook({"kind": "webhook", "url": "https://e.org"}, types=["raised"]).sink

    assert [armed(*each) for each in ((None, off), (off, off), (on, on), (other, off), (None, other))] == [""] * 5
    assert {armed(None, on), armed(off, on), armed(other, on)} == {": it stops runs from now on"}
    assert {armed(on, off), armed(on, other)} == {": it stops no runs any more"}


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.toml")), ids=lambda file: file.stem)
def test_an_example_is_a_dry_run_of_its_kind(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `stream-app subscriptions create -f` reads it."""
    for name in ("AIRFLOW_PASSWORD", "MLFLOW_AUTHORIZATION"):
        monkeypatch.setenv(name, "swordfish")

    made = make_subscription(read_document(file))

    assert (made.sink.kind, made.sink.dry_run) == (file.stem, True)  # type: ignore[union-attr]


def test_there_is_an_example_of_each_kind() -> None:
    """None is forgotten."""
    assert {file.stem for file in EXAMPLES.glob("*.toml")} == HOOK_KINDS


def test_the_page_has_a_hook_that_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And a row of each kind."""
    page = (EXAMPLES.parents[1] / "docs" / "acting.md").read_text()
    (block,) = re.findall(r"```toml\n(# kfp.toml.*?)```", page, re.DOTALL)
    monkeypatch.setenv("KFP_AUTHORIZATION", "Bearer swordfish")
    file = tmp_path / "kfp.toml"
    file.write_text(block)

    assert make_subscription(read_document(file)).sink.kind == "kfp"
    assert all(f"| `{kind}` |" in page for kind in HOOK_KINDS)


def test_the_json_of_a_hook_is_read_again_as_it_was() -> None:
    """As `sync` and PATCH do."""
    made = hook({**HOOK, "dry_run": False})

    assert make_subscription(plain(made, lambda secret: secret)) == made
