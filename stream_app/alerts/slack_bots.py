"""The bots of Slack behind subscriptions, for what is said beside messages."""

from __future__ import annotations

from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.slack import Bot
from stream_app.alerts.subscribers import Subscribers
from stream_app.alerts.subscriptions import SlackSink


class SlackBots:
    """Finds the bot of a subscription.

    Parameters
    ----------
    subscribers
        Has the subscriptions.
    http
        The client.
    """

    def __init__(self, subscribers: Subscribers, http: HttpClient) -> None:
        self._subscribers = subscribers
        self._http = http

    def of(self, subscription: str) -> Bot | None:
        """The bot of a subscription by its id; None where it has none."""
        found = self._subscribers.registered.get(subscription)
        sink = found.subscription.sink if found is not None else None
        if not isinstance(sink, SlackSink) or sink.token is None:
            return None
        return Bot(self._http, sink.token.get_secret_value(), sink.channel or "")
