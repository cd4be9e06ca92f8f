"""What is logged and counted of requests: closed sets of values, whatever is sent."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from stream_app.web.limits import Limits
from tests.sources.openlineage_events import message, run_event
from tests.web.served import Service, embedded_service
from tests.web.test_hostile import raw, status

GOOD = message(run_event())


def send_all(service: Service) -> None:
    """Usual requests, and some that try to get text of their own into a log."""
    service.post(GOOD)
    service.get("/livez/")
    service.get("/v1/verdicts?run=secret-run&x=%0d%0aINFO+forged")
    service.get("/v1/verdicts/secret/graphlet%0d%1bINFO%20forged")
    for number in range(50):
        service.get(f"/secret-{number}")
        service.ask(("PURGE", "LINK", "COPY")[number % 3], "/livez")
    status(raw(service, b"GET /\x1b[31msecret HTTP/1.1\r\n\r\n"))


def test_a_line_for_each_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """JSON without anything of the query, the body or an unknown path."""
    caplog.set_level(logging.INFO, "stream_app.access")
    with embedded_service(tmp_path / "log", limits=Limits(access_log=True)) as service:
        send_all(service)
    lines = [record.getMessage() for record in caplog.records if record.name == "stream_app.access"]
    found = [json.loads(line) for line in lines]

    assert len(found) == 105
    assert [(each["method"], each["route"], each["code"]) for each in found[:4]] == [
        ("POST", "/api/v1/lineage", 201),
        ("GET", "/livez", 200),
        ("GET", "/v1/verdicts", 400),
        ("GET", "/v1/verdicts/{graphlet}", 404),
    ]
    assert found[3].keys() == {"method", "route", "code", "bytes", "seconds", "address"}
    assert found[3]["address"] == "127.0.0.1"
    assert found[3]["bytes"] > 0
    assert not any(re.search(r"secret|forged|PURGE|[\x00-\x1f]", line) for line in lines)


def test_nothing_is_logged_unless_it_is_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with embedded_service(tmp_path / "log") as service:
        send_all(service)

    assert [record for record in caplog.records if record.name == "stream_app.access"] == []


def test_the_series_of_requests_are_few(tmp_path: Path) -> None:
    """Unknown paths and methods are one value each, and each route is counted under its template."""
    with embedded_service(tmp_path / "log") as service:
        send_all(service)
        metrics = service.get("/metrics").body.decode()
    series = dict(re.findall(r"^stream_app_http_requests_total{(.*)} (\S+)$", metrics, re.M))

    assert series['code="201",method="POST",route="/api/v1/lineage"'] == "1.0"
    assert series['code="404",method="GET",route="/v1/verdicts/{graphlet}"'] == "1.0"
    assert series['code="404",method="GET",route="other"'] == "50.0"
    assert sum(float(count) for labels, count in series.items() if 'method="other"' in labels) == 51
    assert len(series) <= 8
    assert 'stream_app_http_request_seconds_count{route="/livez"}' in metrics


def test_the_server_does_not_tell_its_version(tmp_path: Path) -> None:
    """In no answer, also not where a request is not read."""
    with embedded_service(tmp_path / "log") as service:
        answers = [service.get("/livez"), service.get("/nowhere"), service.ask("PUT", "/livez")]
        with raw(service, b"hello\r\n\r\n") as connection:
            malformed = connection.makefile("rb").read()

    assert {answer.headers["Server"] for answer in answers} == {"stream-app"}
    assert b"Server: stream-app\r\n" in malformed
    assert b'"detail":"the request is not HTTP/1.1 that can be read"' in malformed
