"""The document of the API: it is what the code makes, it is valid, and the service answers nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator

from stream_app.web.openapi import document
from stream_app.web.subscription_routes import ONE, PATH
from tests.support.receiver import flagged_run, history, receiver
from tests.web.served import JSON, embedded_service
from tests.web.test_alerts_process import begun, now_ms, post, subscribe
from tests.web.test_subscriptions import LOCAL

FILE = Path(__file__).parents[2] / "schemas" / "openapi.json"


def test_the_file_is_what_the_code_makes() -> None:
    """Run `make docs` when it is not."""
    assert orjson.loads(FILE.read_bytes()) == document()


def test_the_schemas_are_valid_and_complete() -> None:
    """Every reference leads to a schema, and operations have names of their own."""
    made = document()
    schemas = made["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    text = orjson.dumps(made).decode()
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    operations = [
        each["operationId"] for path in made["paths"].values() for name, each in path.items() if name != "parameters"
    ]

    assert named <= schemas.keys()
    assert len(operations) == len(set(operations)) > 15


def test_answers_are_as_the_document_says(tmp_path: Path) -> None:
    """Each field of each kind of answer, and no other."""
    made = document()
    with embedded_service(tmp_path / "data" / "events.sqlite", alerts=LOCAL) as service:
        sink = {"kind": "webhook", "url": "https://example.com", "headers": {"X-Key": "k"}}
        chosen = {"filter": {"not": {"pipeline": "x"}}, "delivery": {"digest": "day"}}
        given = orjson.dumps({"id": "s", "name": "n", "owner": "ann", "sink": sink, **chosen})
        asked = [
            ("post", PATH, PATH, given, 201),
            ("get", PATH, PATH, None, 200),
            ("get", ONE, f"{PATH}/s", None, 200),
            ("post", f"{PATH}/preview", f"{PATH}/preview", b"{}", 200),
            ("post", f"{ONE}/rotate-secret", f"{PATH}/s/rotate-secret", b"", 200),
            ("patch", ONE, f"{PATH}/s", b'{"owner": ""}', 422),
            ("get", "/v1/audit", "/v1/audit", None, 200),
        ]
        for method, path, place, body, status in asked:
            answer = service.ask(method.upper(), place, body, JSON if body is not None else None)
            assert answer.status == status, answer.body
            (content,) = made["paths"][path][method]["responses"][str(status)]["content"].items()
            assert answer.headers["Content-Type"].partition(";")[0] == content[0]
            Draft202012Validator({**made, **content[1]["schema"]}).validate(answer.json)


@pytest.mark.slow
def test_the_service_answers_nothing_that_is_not_in_the_document(tmp_path: Path) -> None:
    """Requests that are made from the document, right ones and wrong ones, on a service with something to show."""
    with receiver() as hook:
        process = begun(tmp_path)
        subscribe(process.service, hook, "ads-oncall")
        first, rest = flagged_run(now_ms(), "r1")
        post(process.service, [*history(now_ms()), *first, *rest])
        hook.until(lambda arrived: len(arrived) > 1)
        checks = (
            "not_a_server_error,status_code_conformance,content_type_conformance,"
            "response_headers_conformance,response_schema_conformance"
        )
        run = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"), "run", FILE, "--url", process.service.url,
                "--checks", checks, "--phases", "examples,coverage,fuzzing", "--seed", "7", "--max-examples", "8",
                "--exclude-path", "/v1/flags/stream", "--continue-on-failure", "--no-color", "--workers", "1",
                "--suppress-health-check", "all", "--generation-deterministic",
            ],
            capture_output=True, check=False, cwd=tmp_path, timeout=300,
        )  # fmt: skip
        code = process.end()

    assert run.returncode == 0, run.stdout.decode()[-8_000:] + run.stderr.decode()[-2_000:]
    assert code == 0
    assert "Traceback" not in process.log
