"""What docs/openlineage.md and docs/serve.md show is what happens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openlineage.client import OpenLineageClient

from stream_app.options import load
from stream_app.sources.openlineage_rules import JobRule, Rules
from tests.web.served import embedded_service, verdict_record
from tests.web.test_http import applied

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_training_script_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten lines, and the pushed model's graphlet is known by its owner, with both its steps."""
    [script] = blocks("openlineage.md", "python")
    names: dict[str, Any] = {}
    with embedded_service(tmp_path / "log") as service:
        monkeypatch.setenv("OPENLINEAGE_URL", service.url)
        monkeypatch.delenv("OPENLINEAGE_API_KEY", raising=False)
        exec(script, names)
        applied(service)
        verdicts = service.get("/v1/verdicts?pipeline=prod/vision").json["verdicts"]
        found = service.get(f"/v1/graphlets/{verdicts[0]['graphlet']}").json

    assert len(script.strip().splitlines()) == 10
    assert isinstance(OpenLineageClient(), OpenLineageClient)
    assert (found["graphlet"]["outcome"], len(found["graphlet"]["down"])) == ("pushed", 1)
    assert found["graphlet"]["run"] == names["run"].run_id


def test_the_rules_mean_what_the_page_says(tmp_path: Path) -> None:
    """As the settings file has them."""
    [settings] = blocks("openlineage.md", "toml")
    path = tmp_path / "settings.toml"
    path.write_text(settings)
    rules = Rules([JobRule(**rule.model_dump()) for rule in load(path).openlineage.jobs])

    assert rules.pipeline("prod", "vision_2026.fit_model") == "ml/vision"
    assert rules.operator("prod", "vision_2026.fit_model", "", False) == "Trainer"
    assert rules.operator("airflow-prod", "etl.publish", "", False) == "Pusher"
    assert rules.operator("prod", "etl.train_test_split", "", False) == "train_test_split"


def test_a_run_that_asks_goes_on_where_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of the page with no service behind them."""
    [script] = blocks("serve.md", "python")
    monkeypatch.delenv("OPENLINEAGE_URL", raising=False)

    exec(script.replace(":8484", ":1"), {"run_id": "r"})


def test_an_answer_has_the_fields_that_the_page_names(tmp_path: Path) -> None:
    """Whether or not there is a verdict."""
    [shown] = blocks("serve.md", "json")
    with embedded_service(tmp_path / "log") as service:
        service.verdicts.add(verdict_record("prune", "2026-03-01", pipeline="vision"))
        answers = [service.get(f"/v1/should-prune?pipeline=vision&run={run}").json for run in ("2026-03-01", "none")]

    assert [answer["known"] for answer in answers] == [True, False]
    assert [list(answer) for answer in answers] == [list(json.loads(shown))] * 2


def test_the_page_names_every_route(tmp_path: Path) -> None:
    """And no other."""
    text = (DOCS / "serve.md").read_text()
    told = set(re.findall(r"`(?:GET |POST )?(/(?:api|v1|livez|readyz|metrics)[^`?]*)", text.split("Errors are")[0]))
    # Of a service with a store of alerts; tests/web has them.
    alerts = {"/v1/subscriptions", "/v1/flags", "/v1/audit", "/v1/owners", "/v1/acting", "/v1/act", "/v1/slack/actions"}
    assert alerts <= told
    with embedded_service(tmp_path / "log") as service:
        assert {service.get(path).status for path in told} <= {200, 404, 405, 400}
        # Of these there is none here: no such graphlet or pipeline, no secret.
        graphlets = {
            f"/v1/{path}" for path in ("verdicts/{graphlet}", "graphlets/{graphlet}", "graphlets/{graphlet}/diff")
        } | {"/v1/pipelines/{pipeline}", "/v1/policies/{pipeline}", "/v1/decisions/{verdict}"}
        for path in told - alerts - graphlets - {"/api/v1/mlflow/webhook"}:
            assert service.get(path).status != 404, path
    assert len(told) == 27
