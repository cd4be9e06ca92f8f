"""Subscriptions: who hears of which flags and findings, where, and how. Values that are checked when made; no I/O."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from stream_app.alerts.filters import OF_FINDINGS, OF_FLAGS, Filter
from stream_app.alerts.hook_sinks import HOOK_KINDS, HOOKS, HookSink, StopWebhookSink
from stream_app.alerts.records import DEFAULT_TYPES, EventType
from stream_app.alerts.sink_values import HEADERS_MAX, checked_headers, checked_url
from stream_app.alerts.templates import TEMPLATE_MAX
from stream_app.errors import StreamAppError
from stream_app.times import zone_of

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

#: Receivers of an e-mail.
RECEIVERS_MAX = 20
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
        return checked_headers(headers)


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
    WebhookSink | SlackSink | EmailSink | AlertmanagerSink | KafkaSink | AppriseSink | HookSink,
    Field(discriminator="kind"),
]


#: Sinks that sign what they send.
SIGNING = (WebhookSink, StopWebhookSink)


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

    @model_validator(mode="before")
    @classmethod
    def _hook_defaults(cls, given: Any) -> Any:
        """A hook hears of what is due, and at once: to wait is what the ladder does."""
        if not isinstance(given, dict) or not isinstance(sink := given.get("sink"), dict):
            return given
        kind = sink.get("kind")
        if not isinstance(kind, str) or kind not in HOOK_KINDS:
            return given
        return {"types": [EventType.DUE], "delivery": {"min_hold_seconds": 0}, **given}


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
        kinds = {"webhook", "slack", "email", "alertmanager", "kafka", "apprise", *HOOK_KINDS}
        # pydantic names the kind of the sink as a part of the place.
        steps = [str(step) for index, step in enumerate(fault["loc"]) if not (index == 1 and step in kinds)]
        reason = fault["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        reason = {"extra_forbidden": "there is no such field", "missing": "missing"}.get(fault["type"], reason)
        raise SubscriptionError(".".join(steps), f"{reason[0].lower()}{reason[1:]}") from None
    _check_conditions(made)
    _check_hook(made)
    return made


def _check_hook(made: Subscription) -> None:
    """Refuses a hook that would act late, on something else, or with words that nobody reads."""
    if not isinstance(made.sink, HOOKS):
        return
    if set(made.types) != {EventType.DUE}:
        raise SubscriptionError("types", f"a hook acts on {EventType.DUE} alone")
    if made.delivery != Delivery(min_hold_seconds=0):
        raise SubscriptionError("delivery", "a hook acts at once: the ladder says from when, and in which hours not")
    if made.text is not None:
        raise SubscriptionError("text", "a hook sends no text")


def _check_conditions(made: Subscription) -> None:
    """Refuses conditions that hold for nothing of the types that are chosen."""
    of_findings = {each.of_findings for each in made.types}
    for chosen, names, other in ((True, OF_FLAGS, "flags"), (False, OF_FINDINGS, "findings")):
        place = made.filter.first_of(names) if of_findings == {chosen} else None
        if place is not None:
            raise SubscriptionError(f"filter.{place}", f"only {other} have it, and types asks for none of them")
