"""What a process that sends alerts is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stream_app.alerts.matching import PriceOf
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.sinks.email import MailServer
from stream_app.owners import Owners


@dataclass(frozen=True)
class AlertSettings:
    """Settings of alerts."""

    #: The key that encrypts secrets; None: one is made beside the store.
    key: bytes | None = field(default=None, repr=False)
    #: How e-mails are sent; None: they are not.
    mail: MailServer | None = None
    #: Networks that sinks may be in although they are not public.
    allowed_networks: tuple[str, ...] = ()
    #: Returns the price of a node-hour; the currency, and the address of a flag's page.
    price_of: PriceOf = lambda _: None
    currency: str = "USD"
    link: str = ""
    #: Where people reach the service, for links by which they act; "": messages have none.
    public_url: str = ""
    #: Whoever is subscribed to the flags of their own runs; None: nobody is.
    owners: Owners | None = None
    #: How owners are reached whose subscription fails.
    contacts: Owners = field(default_factory=Owners)
    #: The token of a bot of Slack for these.
    slack_token: str | None = field(default=None, repr=False)
    #: What Slack signs the clicks on buttons with; None: messages have no buttons.
    slack_signing_secret: str | None = field(default=None, repr=False)
    #: A file whose presence switches acting off; None: there is none.
    off_file: Path | None = None

    def money_of(self, record: AlertRecord, node_seconds: float) -> float | None:
        """The price of compute of a run; None where it is not known.

        Parameters
        ----------
        record
            A record of the run's flag.
        node_seconds
            The compute.
        """
        price = self.price_of(record)
        return node_seconds / 3600.0 * price if price is not None else None
