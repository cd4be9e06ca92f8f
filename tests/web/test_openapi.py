"""The document of the API: it is what the code makes, it is valid, and the service answers nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator

from stream_app.web.openapi import document
from tests.support.receiver import flagged_run, history, receiver
from tests.web.test_alerts_process import begun, now_ms, post, subscribe

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
