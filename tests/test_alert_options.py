"""Options of alerts, and the file of tokens: mistakes are one line, and nothing secret is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from stream_app.alerts.access import Principal, Scope, digest_of
from stream_app.alerts.sinks.email import MailServer
from stream_app.cli.alert_assembly import alerts_of, tokens_of
from stream_app.errors import OptionsError
from stream_app.options import AlertOptions, Options, ServeOptions, load, read_tokens
from stream_app.options.detector import RateOptions
from tests.alerts.records import record

DIGEST = digest_of("sapp_token")


def tokens_file(folder: Path, text: str) -> Path:
    """A file of tokens that is its user's alone."""
    path = folder / "tokens.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_tokens_of_a_file_stand_for_whom_it_says(tmp_path: Path) -> None:
    """Beside the one of the service, which may do everything."""
    text = f"""
        [[tokens]]
        name = "ads"
        sha256 = "{DIGEST.upper()}"
        scope = "write"
        owners = ["ads-*"]
        pipelines = ["ads"]
        [[tokens]]
        name = "grafana"
        sha256 = "{digest_of("other")}"
        """
    options = Options(
        serve=ServeOptions(token=SecretStr("the one token")),
        alerts=AlertOptions(tokens_file=tokens_file(tmp_path, text)),
    )

    tokens = tokens_of(options)

    assert tokens.find("sapp_token") == Principal("ads", Scope.WRITE, ("ads-*",), ("ads",))
    assert tokens.find("other") == Principal("grafana", Scope.READ)
    assert tokens.find("the one token") == Principal("serve.token", Scope.ADMIN)
    assert tokens.find("another") is None
    assert not tokens_of(Options())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tokens", "not TOML: "),
        ("[token]", "unknown key token, expected tables [[tokens]]"),
        ("tokens = 1", "tokens: expected tables [[tokens]]"),
        ("tokens = [1]", "tokens entry 1: expected a table"),
        ('[[tokens]]\nname = "a"', "tokens entry 1: sha256: field required"),
        ('[[tokens]]\nname = "a"\nsha256 = "sapp_the-token-itself"', "tokens entry 1: sha256: string should match"),
        (f'[[tokens]]\nname = "a"\nsha256 = "{DIGEST}"\nscopes = 1', "the closest known one is scope"),
        (f'[[tokens]]\nname = "a"\nsha256 = "{DIGEST}"\nscope = "all"', "tokens entry 1: scope: expected 'read'"),
        (f'[[tokens]]\nname = "a"\nsha256 = "{DIGEST}"\nscope = "admin"\nowners = ["x"]', "cannot be bound"),
        (2 * f'[[tokens]]\nname = "a"\nsha256 = "{DIGEST}"\n', 'tokens entry 2: name: "a" is there twice'),
    ],
)
def test_a_mistake_in_a_file_of_tokens_is_one_line(tmp_path: Path, text: str, reason: str) -> None:
    """It names file and entry, and never what was given as a digest."""
    path = tokens_file(tmp_path, text)

    with pytest.raises(OptionsError) as refused:
        read_tokens(path)

    said = str(refused.value)
    assert said.startswith(str(path))
    assert reason in said
    assert "\n" not in said
    assert "the-token-itself" not in said


def test_a_file_of_tokens_that_others_can_write_or_that_is_empty_lets_nobody_in(tmp_path: Path) -> None:
    """Whoever can write to it could let themselves in, and without any token everybody is let in."""
    path = tokens_file(tmp_path, "")
    with pytest.raises(OptionsError, match="there is no token in it"):
        tokens_of(Options(alerts=AlertOptions(tokens_file=path)))
    path.chmod(0o666)
    with pytest.raises(OptionsError, match="others can write to it"):
        read_tokens(path)
    with pytest.raises(OptionsError, match="cannot read"):
        read_tokens(tmp_path / "none")


def test_options_become_settings(tmp_path: Path) -> None:
    """The mail server with its password, prices by pipeline, and the key."""
    (tmp_path / "password").write_text("p4ss\n")
    (tmp_path / "key").write_text("a key of sixteen bytes or more\n")
    file = tmp_path / "settings.toml"
    file.write_text(f"""
        [alerts]
        key_file = "{tmp_path}/key"
        mail_host = "mail.example.com"
        mail_sender = "alerts@example.com"
        mail_username = "u"
        mail_password_file = "{tmp_path}/password"
        link = "https://example.com/{{flag}}"
        allowed_networks = ["10.0.0.0/8"]
        owners = true
        [rates]
        node_hour = 2.0
        currency = "EUR"
        [rates.by.pipeline]
        "ads*" = 5.0
        """)

    made = alerts_of(load(file))

    assert made.mail == MailServer("mail.example.com", 587, "alerts@example.com", "starttls", "u", "p4ss")
    assert made.key == b"a key of sixteen bytes or more"
    assert (made.currency, made.link) == ("EUR", "https://example.com/{flag}")
    assert (made.price_of(record(pipeline="ads-1")), made.price_of(record())) == (5.0, 2.0)
    assert made.owners is not None
    assert "p4ss" not in repr(made)
    assert alerts_of(Options(rates=RateOptions())).price_of(record()) is None


def test_owners_can_be_reached_although_they_are_not_subscribed(tmp_path: Path) -> None:
    """When a subscription of theirs fails."""
    file = tmp_path / "settings.toml"
    file.write_text('[[owners.rules]]\nowner = "ads"\npipeline = "*"\naddress = "ads@example.com"\n')

    made = alerts_of(load(file))

    contact = made.contacts.contact("ads")
    assert contact is not None
    assert (contact.address, made.owners) == ("ads@example.com", None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('key = "short"', "alerts.key: "),
        ('allowed_networks = ["10.0.0.1/8"]', "alerts.allowed_networks: "),
        ("owners = true", "owners needs mail_host or slack_token"),
        ("mail_port = 0", "alerts.mail_port: "),
        ('mail_sender = "nobody"', "alerts.mail_sender: "),
        ('public_url = "stream-app.example.com"', "alerts.public_url: expected an address such as https://"),
        ('public_url = "ftp://example.com"', "alerts.public_url: "),
        ('public_url = "https://"', "alerts.public_url: "),
        ('public_url = "https://a:b@example.com"', "alerts.public_url: "),
        ('public_url = "https://example.com/?a=1"', "alerts.public_url: "),
        ('public_url = "https://example.com/#a"', "alerts.public_url: "),
        ('slack_signing_secret = "short"', "alerts.slack_signing_secret: "),
    ],
)
def test_a_mistake_in_the_options_is_one_line(tmp_path: Path, text: str, reason: str) -> None:
    """As of all options."""
    file = tmp_path / "settings.toml"
    file.write_text(f"[alerts]\n{text}\n")
    file.chmod(0o600)

    with pytest.raises(OptionsError) as refused:
        load(file)

    assert reason in str(refused.value)
    assert "short" not in str(refused.value) or "too short" in str(refused.value)


def test_variables_of_commands_that_ask_the_service_are_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has them set may start the service in the same shell."""
    monkeypatch.setenv("STREAM_APP_URL", "http://localhost:8484")
    monkeypatch.setenv("STREAM_APP_TOKEN", "sapp_token")
    monkeypatch.setenv("STREAM_APP_ALERTS_ALLOWED_NETWORKS", '["10.0.0.0/8"]')

    assert load().alerts.allowed_networks == ("10.0.0.0/8",)
