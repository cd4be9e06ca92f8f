"""Subscriptions: who hears of which flags and findings, where, and how. Values that are checked when made; no I/O."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from stream_app.alerts.filters import OF_FINDINGS, OF_FLAGS, Filter
from stream_app.alerts.records import DEFAULT_TYPES, EventType
from stream_app.alerts.templates import TEMPLATE_MAX
from stream_app.errors import StreamAppError
from stream_app.times import zone_of

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

#: Bytes of a URL, headers of a webhook, and receivers of an e-mail.
URL_MAX, HEADERS_MAX, RECEIVERS_MAX = 2_048, 20, 20
#: Headers that a subscription may set; those of HTTP itself and of the signature are not among them.
_HEADER = re.compile(r"(?i)(?:authorization|x-[a-z0-9-]{1,60})\Z")
_VISIBLE = re.compile(r"[\x20-\x7e]*\Z")
_ADDRESS = re.compile(r"[^\s@<>,;\"()\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?\Z")

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Text = Annotated[str, Field(max_length=500)]


class SubscriptionError(StreamAppError):
    """A subscription is not valid.

    Parameters
    ----------
    field
        The field that is wrong, such as `sink.url`; "" for the subscription as a whole.
    reason
        What is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


class State(StrEnum):
    """Whether messages are sent. Paused: by its owner; disabled: by the service, with a reason."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


class WebhookSink(BaseModel):
    """A CloudEvent is posted to a URL, with the signature of Standard Webhooks."""

    model_config = _MODEL
    kind: Literal["webhook"]
    url: str
    #: `whsec_` and the key in base64; made where none is given.
    secret: SecretStr | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict, max_length=HEADERS_MAX)

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        return checked_url(url)

    @field_validator("headers")
    @classmethod
    def _headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _HEADER.match(name):
                raise ValueError(f"{name[:60]!r} cannot be set; Authorization and X-... can")
            if not _VISIBLE.match(value.get_secret_value()) or len(value.get_secret_value()) > 1_000:
                raise ValueError(f"the value of {name[:60]!r} should be at most 1,000 printable ASCII characters")
        return headers


class SlackSink(BaseModel):
    """A message to a Slack channel: by an incoming webhook, or with a bot's token, which can edit its messages."""

    model_config = _MODEL
    kind: Literal["slack"]
    #: The URL of an incoming webhook, which is a secret.
    webhook_url: SecretStr | None = None
    token: SecretStr | None = None
    channel: Annotated[str, Field(pattern=r"^[#@]?[\w.-]{1,80}$")] | None = None

    @model_validator(mode="after")
    def _is_one_way(self) -> SlackSink:
        if (self.webhook_url is None) == (self.token is None):
            raise ValueError("either webhook_url or token should be given")
        if (self.token is None) != (self.channel is None):
            raise ValueError("channel should be given with token, and only then")
        if self.webhook_url is not None:
            checked_url(self.webhook_url.get_secret_value())
        return self


class EmailSink(BaseModel):
    """E-mails, one thread a flag, through the mail server of the settings."""

    model_config = _MODEL
    kind: Literal["email"]
    to: Annotated[tuple[str, ...], Field(min_length=1, max_length=RECEIVERS_MAX)]

    @field_validator("to")
    @classmethod
    def _addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            if not _ADDRESS.match(address):
                raise ValueError(f"{address[:100]!r} is no e-mail address")
        return addresses


class AlertmanagerSink(BaseModel):
    """Alerts of Alertmanager's API version 2, which fire while the flag is open."""

    model_config = _MODEL
    kind: Literal["alertmanager"]
    #: Where Alertmanager listens, such as `https://alertmanager.example.com`, without `/api/v2/alerts`.
    url: str

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        return checked_url(url)


class KafkaSink(BaseModel):
    """CloudEvents on a topic, keyed by flag."""

    model_config = _MODEL
    kind: Literal["kafka"]
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")]


class AppriseSink(BaseModel):
    """Whatever the library apprise can reach; its URLs are secrets, and only an administrator may give one."""

    model_config = _MODEL
    kind: Literal["apprise"]
    url: SecretStr


Sink = Annotated[
    WebhookSink | SlackSink | EmailSink | AlertmanagerSink | KafkaSink | AppriseSink, Field(discriminator="kind")
]


class QuietHours(BaseModel):
    """Hours of each day without messages; what came meanwhile is sent together afterwards."""

    model_config = _MODEL
    #: Local times such as `22:00`; an end before the start is on the next day.
    start: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    end: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]

    @model_validator(mode="after")
    def _is_not_empty(self) -> QuietHours:
        if self.start == self.end:
            raise ValueError("start and end should differ")
        return self


class Delivery(BaseModel):
    """How messages are sent.

    `min_hold_seconds`: a flag that is withdrawn sooner is never announced. `group_by`: what happens within
    `group_seconds` to one pipeline, or to one owner, is one message. `digest`: what happens within an hour, day or week
    is one message. `time_zone` is that of digests and quiet hours.
    """

    model_config = _MODEL
    min_hold_seconds: float = Field(default=120.0, ge=0, le=86_400)
    group_by: Literal["pipeline", "owner"] | None = None
    group_seconds: float = Field(default=300.0, gt=0, le=86_400)
    digest: Literal["hour", "day", "week"] | None = None
    #: Local time of a daily or weekly digest, the latter on Mondays.
    digest_at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "08:00"
    quiet_hours: QuietHours | None = None
    time_zone: str = "UTC"

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        zone_of(name)
        return name

    @model_validator(mode="after")
    def _is_one_way(self) -> Delivery:
        if self.group_by is not None and self.digest is not None:
            raise ValueError("group_by and digest exclude each other: a digest groups by pipeline")
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.time_zone)


class OwnText(BaseModel):
    """Words of a subscription: templates of Jinja in the place of the default title and body of each flag's text."""

    model_config = _MODEL
    title: Annotated[str, Field(min_length=1, max_length=TEMPLATE_MAX)] | None = None
    body: Annotated[str, Field(min_length=1, max_length=TEMPLATE_MAX)] | None = None


class Subscription(BaseModel):
    """Who hears of which flags and findings, where, and how.

    Attributes
    ----------
    id
        Its id; made by the service where none is given.
    name, description
        For people.
    owner
        Who subscribed.
    types
        The changes to hear of: where not given those of flags, but for `due`.
    filter
        The flags and findings to hear of.
    sink
        Where messages are sent.
    delivery
        How they are sent.
    text
        What messages say; None: the default. Whether the templates can be used is checked by `check_text`.
    state, disabled_reason
        Whether messages are sent, and why not where the service has disabled it.
    managed_by
        The name of the file that it is kept in; "" where it is in none.
    """

    model_config = _MODEL

    id: Id
    name: Annotated[str, Field(min_length=1, max_length=200)]
    description: Text = ""
    owner: Annotated[str, Field(min_length=1, max_length=200)]
    types: Annotated[tuple[EventType, ...], Field(min_length=1)] = DEFAULT_TYPES
    filter: Filter = Filter()
    sink: Sink
    delivery: Delivery = Delivery()
    text: OwnText | None = None
    state: State = State.ACTIVE
    disabled_reason: Text = ""
    managed_by: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99})?$")] = ""


def make_subscription(given: Any) -> Subscription:
    """Makes a subscription of untrusted values.

    Parameters
    ----------
    given
        Its JSON form.

    Returns
    -------
    Subscription

    Raises
    ------
    SubscriptionError
        It is not valid; the error names the first field that is wrong.
    """
    try:
        made = Subscription.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        kinds = {"webhook", "slack", "email", "alertmanager", "kafka", "apprise"}
        # pydantic names the kind of the sink as a part of the place.
        steps = [str(step) for index, step in enumerate(fault["loc"]) if not (index == 1 and step in kinds)]
        reason = fault["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        reason = {"extra_forbidden": "there is no such field", "missing": "missing"}.get(fault["type"], reason)
        raise SubscriptionError(".".join(steps), f"{reason[0].lower()}{reason[1:]}") from None
    _check_conditions(made)
    return made


def _check_conditions(made: Subscription) -> None:
    """Refuses conditions that hold for nothing of the types that are chosen."""
    of_findings = {each.of_findings for each in made.types}
    for chosen, names, other in ((True, OF_FLAGS, "flags"), (False, OF_FINDINGS, "findings")):
        place = made.filter.first_of(names) if of_findings == {chosen} else None
        if place is not None:
            raise SubscriptionError(f"filter.{place}", f"only {other} have it, and types asks for none of them")


def checked_url(url: str) -> str:
    """Returns a URL of a sink, in ASCII.

    Parameters
    ----------
    url
        An address of HTTP. Whether it may be connected to is checked at each connection.

    Raises
    ------
    ValueError
        It is no such URL, or holds a login or a fragment.
    """
    if len(url) > URL_MAX:
        raise ValueError(f"expected at most {URL_MAX:,} characters")
    if any(character.isspace() or not character.isprintable() or character == "\\" for character in url):
        raise ValueError("there are spaces, control characters or backslashes in the URL")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"no URL: {error}") from None
    if parts.scheme not in ("https", "http"):
        raise ValueError("expected a URL that begins with https:// or http://")
    if not host or port == 0:
        raise ValueError("there is no host in the URL" if not host else "port 0 cannot be connected to")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL may not hold a login; set the header Authorization instead")
    if parts.fragment:
        raise ValueError("a URL of a sink has no fragment")
    try:
        name = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        raise ValueError(f"{host[:100]!r} is no name of a host") from None
    return url if host.isascii() else url.replace(parts.netloc, f"{name}:{port}" if port is not None else name, 1)
