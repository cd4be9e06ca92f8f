"""All routes by which people act on flags: with a token, by a link in a message, by a button in Slack."""

from __future__ import annotations

from aiohttp import web

from stream_app.alerts.act_service import ActService
from stream_app.alerts.slack_bots import SlackBots
from stream_app.alerts.slack_signing import SlackRequests
from stream_app.web.act_routes import ActRoutes
from stream_app.web.link_routes import LinkRoutes
from stream_app.web.slack_routes import SlackRoutes


class PeopleRoutes:
    """The routes.

    Parameters
    ----------
    acts
        Does what people ask.
    bots
        Update messages in Slack.
    slack_signing_secret
        What Slack signs clicks with; None: there is no route for them.
    """

    def __init__(self, acts: ActService, bots: SlackBots, slack_signing_secret: str | None) -> None:
        self._acts = acts
        self._slack = (
            SlackRoutes(acts, SlackRequests(slack_signing_secret), bots) if slack_signing_secret is not None else None
        )

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        slack = self._slack.routes() if self._slack is not None else []
        return [*ActRoutes(self._acts).routes(), *LinkRoutes(self._acts).routes(), *slack]

    async def closing(self, app: web.Application) -> None:
        """Finishes what was begun; to be called when the application shuts down."""
        if self._slack is not None:
            await self._slack.closing(app)
