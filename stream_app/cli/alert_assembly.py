"""From options to what alerts need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stream_app.cli.flags import need
from stream_app.errors import OptionsError

if TYPE_CHECKING:
    from stream_app.alerts.access import Tokens
    from stream_app.alerts.matching import PriceOf
    from stream_app.alerts.settings import AlertSettings
    from stream_app.alerts.sinks.email import MailServer
    from stream_app.options import AlertOptions, Options

#: The file in the folder of a service that switches acting off.
OFF_FILE = "acting-off"


def tokens_of(options: Options) -> Tokens:
    """The tokens of the HTTP service: the one of `serve.token`, which may do everything, and those of a file.

    Raises
    ------
    OptionsError
        The file cannot be read, or an entry is wrong.
    """
    from stream_app.alerts.access import Principal, Scope, Token, Tokens, digest_of
    from stream_app.options import read_tokens

    file = options.alerts.tokens_file
    found = list(read_tokens(file))
    if file is not None and not found:
        raise OptionsError(f"{file}: there is no token in it, so that everybody would be let in")
    if options.serve.token is not None:
        digest = digest_of(options.serve.token.get_secret_value())
        found.append(Token(digest, Principal("serve.token", Scope.ADMIN)))
    return Tokens(found)


def alerts_of(options: Options, folder: Path | None = None) -> AlertSettings:
    """The settings of alerts.

    Parameters
    ----------
    options
        The options.
    folder
        The folder of the process, where the file is looked for that switches acting off if no other is set.

    Raises
    ------
    OptionsError
        A secret or the file of owners cannot be read, or a package is missing.
    """
    need("serve", "aiosmtplib", "cryptography")
    from stream_app.alerts.settings import AlertSettings
    from stream_app.options import read_owners, read_secret

    chosen = options.alerts
    key = read_secret(chosen.key, chosen.key_file, "alerts.key")
    owners = read_owners(options.owners)
    off_file = options.acting.off_file
    if off_file is None and folder is not None:
        off_file = folder / OFF_FILE
    return AlertSettings(
        key=key.encode() if key is not None else None,
        mail=mail_server_of(chosen),
        allowed_networks=chosen.allowed_networks,
        price_of=price_of(options),
        currency=options.rates.currency,
        link=chosen.link,
        owners=owners if chosen.owners else None,
        contacts=owners,
        slack_token=read_secret(chosen.slack_token, chosen.slack_token_file, "alerts.slack_token"),
        public_url=chosen.public_url,
        slack_signing_secret=read_secret(
            chosen.slack_signing_secret, chosen.slack_signing_secret_file, "alerts.slack_signing_secret"
        ),
        off_file=off_file,
    )


def mail_server_of(options: AlertOptions) -> MailServer | None:
    """The mail server; None: no host is set.

    Raises
    ------
    OptionsError
        The password cannot be read.
    """
    from stream_app.alerts.sinks.email import MailServer
    from stream_app.options import read_secret

    if options.mail_host is None:
        return None
    password = read_secret(options.mail_password, options.mail_password_file, "alerts.mail_password")
    return MailServer(
        options.mail_host,
        options.mail_port,
        options.mail_sender,
        options.mail_security,
        options.mail_username,
        password,
    )


def price_of(options: Options) -> PriceOf:
    """The price of a node-hour for a record of a flag, by its pipeline."""
    from stream_app.analysis.rates import Rates

    rates = Rates(**options.rates.model_dump())
    return lambda record: rates.pipeline_price(record.pipeline)
