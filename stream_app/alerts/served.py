"""What a notifier serves over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from stream_app.alerts.act_service import ActService
from stream_app.alerts.feed import FlagFeed
from stream_app.alerts.kill_switch import KillSwitch
from stream_app.alerts.slack_bots import SlackBots
from stream_app.alerts.subscription_service import SubscriptionService


@dataclass(frozen=True, slots=True)
class ServedAlerts:
    """Subscriptions and flags, as one notifier serves them.

    Parameters
    ----------
    subscriptions
        Makes and changes subscriptions.
    feed
        Follows flags.
    acts
        Lets people act on flags.
    kill_switch
        Whether flagged runs may be stopped.
    slack_bots, slack_signing_secret
        Update messages in Slack, and what Slack signs clicks with; None: nobody can click.
    unavailable_reason
        Returns why requests cannot be served now; "" when they can.
    """

    subscriptions: SubscriptionService
    feed: FlagFeed
    acts: ActService
    kill_switch: KillSwitch
    slack_bots: SlackBots
    slack_signing_secret: str | None = field(repr=False)
    unavailable_reason: Callable[[], str]
