"""Sends runs, executions and verdicts to a collector of OpenTelemetry, over OTLP/HTTP with protobuf."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stream_app.core.detector import Detector
from stream_app.core.outputs import Closed, Verdict
from stream_app.errors import OptionsError, StreamAppError
from stream_app.extras import missing_extra
from stream_app.provenance.spans import Span, SpanId, spans_of

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

#: Spans sent at once.
BATCH = 512
#: Where collectors take traces, below their address.
_PATH = "/v1/traces"
_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_NO_ANSWER = "it did not answer in time"
_NS = 1_000_000


class ExportError(StreamAppError):
    """The collector did not take the spans."""


class Tracing:
    """Keeps the verdicts of a replay, and sends them with the executions when it has ended.

    Parameters
    ----------
    address
        Of the collector, such as `http://collector:4318`, or with the whole path of traces.
    timeout
        Seconds until a batch must have been taken, further tries included; None: as OTEL_EXPORTER_OTLP_TIMEOUT says, or
        10. Headers and certificates come from such variables alone.

    Raises
    ------
    OptionsError
        It is no address of a collector, a variable has no valid value, or the packages of the extra `otlp` are missing.
    """

    def __init__(self, address: str, timeout: float | None = None) -> None:
        self._endpoint = endpoint_of(address)
        self._verdicts: dict[str, list[Verdict]] = {}
        self._detector: Detector | None = None
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            self._session = _session()
            self._exporter = OTLPSpanExporter(self._endpoint, timeout=timeout, session=self._session)
        except ModuleNotFoundError as error:
            raise OptionsError(str(missing_extra(error, "otlp"))) from None
        except (OSError, ValueError) as error:
            raise OptionsError(f"--otlp: a variable OTEL_EXPORTER_OTLP_... has no valid value: {error}") from None

    def verdict(self, verdict: Verdict) -> None:
        """Keeps a verdict."""
        self._verdicts.setdefault(verdict.graphlet, []).append(verdict)

    def closed(self, closed: Closed) -> None:
        """Forgets the verdicts on a graphlet that is evicted, since its executions are not kept either."""
        self._verdicts.pop(closed.graphlet["graphlet"], None)

    def finish(self, detector: Detector) -> None:
        """Takes the detector at the end of a replay."""
        self._detector = detector

    def send(self) -> int:
        """Sends the spans of all pipelines.

        Returns
        -------
        int
            How many the collector has taken.

        Raises
        ------
        ExportError
            It did not take all of them. It may have some; what is sent again has the same ids.
        """
        from opentelemetry.sdk.trace.export import SpanExportResult

        sent, spans = 0, self._spans()
        logger = logging.getLogger(_LOGGER)
        before, logger.disabled = logger.disabled, True
        try:
            while batch := list(itertools.islice(spans, BATCH)):
                if self._exporter.export(batch) is not SpanExportResult.SUCCESS:
                    raise ExportError(
                        f"{self._endpoint}: did not take spans: {self._session.last}; {sent:,} were sent before"
                    )
                sent += len(batch)
        finally:
            self._exporter.shutdown()  # type: ignore[no-untyped-call]
            logger.disabled = before
        return sent

    def _spans(self) -> Iterator[ReadableSpan]:
        from opentelemetry.sdk.resources import Resource

        assert self._detector is not None
        for name in sorted(self._detector.pipelines):
            resource = Resource({"service.name": name, "telemetry.sdk.name": "stream-app"})
            pipeline = self._detector.pipelines[name]
            for span in spans_of(pipeline, self._verdicts, self._detector.settings.operators):
                yield _readable(span, resource)


def endpoint_of(address: str) -> str:
    """The address to which traces are sent.

    Parameters
    ----------
    address
        Of a collector, with the path of traces or without.

    Raises
    ------
    OptionsError
        It is no http(s) address of a host, or it has a user, a query or a fragment.

    Examples
    --------
    >>> endpoint_of("http://collector:4318"), endpoint_of("https://host/otlp/v1/traces")
    ('http://collector:4318/v1/traces', 'https://host/otlp/v1/traces')
    """
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise OptionsError("--otlp: expected the address of a collector, such as http://localhost:4318")
    if parts.username is not None or parts.query or parts.fragment:
        raise OptionsError(
            "--otlp: expected an address without user, query and fragment; give a login in OTEL_EXPORTER_OTLP_HEADERS"
        )
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith(_PATH) else path + _PATH}"


def _session() -> Any:
    """A session of `requests` that keeps why the last request failed: the exporter does not tell each time."""
    import requests

    class Session(requests.Session):
        last = _NO_ANSWER

        def request(self, *args: Any, **how: Any) -> requests.Response:
            try:
                answer = super().request(*args, **how)
            except (requests.RequestException, OSError) as error:
                self.last = _NO_ANSWER if isinstance(error, requests.Timeout) else _plain(error)
                raise
            self.last = f"{answer.status_code} {answer.reason}"
            return answer

    return Session()


def _plain(error: BaseException) -> str:
    """The error of the system behind an exception of a library; else one line of its text."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror.lower()
        seen = seen.__cause__ or seen.__context__
    return " ".join(str(error).split())[:200]


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Link, Status, StatusCode

    return ReadableSpan(
        span.name,
        _context(span.id),
        _context(span.parent) if span.parent is not None else None,
        resource,
        span.attributes,
        [Event(each.name, each.attributes, each.time_ms * _NS) for each in span.events],
        [Link(_context(each)) for each in span.links],
        status=Status(StatusCode[span.status.name]),
        start_time=span.start_ms * _NS,
        end_time=span.end_ms * _NS,
    )


def _context(span: SpanId) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(span.trace, span.span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
