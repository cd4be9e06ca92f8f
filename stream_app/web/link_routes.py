"""`/v1/act`: where the links in messages lead to. GET shows a page that asks, and changes nothing; POST acts.

No token is needed: whoever has the message may act by it, once. The address is in no log, since logs have routes only.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from aiohttp import web

from stream_app.alerts.act_service import ActService, LinkRefusedError, NotStoredError
from stream_app.alerts.flag_acts import ActError, read_line, read_reason
from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.links import PARAMETER, PATH, ActLink
from stream_app.alerts.saved import AlertStoreError
from stream_app.alerts.texts import Texts
from stream_app.web.bodies import Bodies
from stream_app.web.link_page import HEADERS, NAME_MAX, asking_page, done_page, refused_page

_FORM = "application/x-www-form-urlencoded"
_BODY_BYTES, _FIELDS_MAX = 32 << 10, 20


class LinkRoutes:
    """The handlers.

    Parameters
    ----------
    acts
        Follows links.
    """

    def __init__(self, acts: ActService) -> None:
        self._acts = acts
        self._bodies = Bodies(compressed=False)
        self._texts = Texts()

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.get(PATH, self.ask), web.post(PATH, self.act)]

    async def ask(self, request: web.Request) -> web.Response:
        """Shows what a link would do: programs follow links too."""
        token = request.query.get(PARAMETER, "")
        try:
            found = await self._acts.follow(token)
        except LinkRefusedError as error:
            return _refused(error)
        except AlertStoreError as error:
            return _unavailable(error)
        return _page(asking_page(found.link.act, found.record, token, self._title(found.record)))

    async def act(self, request: web.Request) -> web.Response:
        """Does what a link says, once, for the reason that is given."""
        async with self._bodies.read(request, _BODY_BYTES, _FORM) as body:
            given = _form(body)
        token, name = given.get(PARAMETER, ""), read_line(given.get("name"))[:NAME_MAX]
        try:
            found = await self._acts.follow(token)
            try:
                reason = read_reason(given)
                await self._acts.act_by_link(token, reason, lambda link: _by(link, name))
            except ActError as error:
                title = self._title(found.record)
                return _page(asking_page(found.link.act, found.record, token, title, str(error), name), 422)
        except LinkRefusedError as error:
            return _refused(error)
        except (AlertStoreError, NotStoredError) as error:
            return _unavailable(error)
        return _page(done_page(found.link.act, self._title(found.record)))

    def _title(self, record: FlagRecord) -> str:
        return self._texts.of([record]).title


def _by(link: ActLink, name: str) -> str:
    """Who follows a link: nobody knows more than the message that it was in, and the name that somebody gives."""
    return f"link of {link.subscription}" + (f" ({name})" if name else "")


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form, of which each is the first of its name; none where it is no form."""
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError:
        return {}
    return dict(reversed(fields))


def _page(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)


def _refused(error: LinkRefusedError) -> web.Response:
    return _page(refused_page(error.title, error.detail), error.status)


def _unavailable(error: Exception) -> web.Response:
    response = _page(refused_page("This cannot be done now", f"{error}. Try again in a minute."), 503)
    response.headers["Retry-After"] = "5"
    return response
