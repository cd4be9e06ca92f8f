"""Names of jobs and datasets mean what the defaults say, or what the user's rules say first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stream_app.cli.assembly import sources_of
from stream_app.core.operators import CUSTOM, DEFAULT_GROUPS, GROUPS, Operators
from stream_app.errors import OptionsError
from stream_app.options import load
from stream_app.sources import OPENLINEAGE
from stream_app.sources.openlineage_rules import OPERATORS, DatasetRule, JobRule, Rules
from stream_app.times import text_to_time
from tests.sources.openlineage_events import dataset, message, run_event


def group_of(name: str, job_type: str = "", rules: Rules | None = None) -> str:
    """The operator group that a job ends up in."""
    return Operators().group((rules or Rules()).operator("prod", name, job_type, False))


def test_every_group_has_an_operator() -> None:
    """But for `custom`, whose jobs keep their names."""
    assert set(OPERATORS) == set(GROUPS) - {CUSTOM}
    assert all(DEFAULT_GROUPS[operator] == group for group, operator in OPERATORS.items())


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("vision.train", "train"),
        ("vision.Train-Model", "train"),
        ("vision.weekly.train_model", "train"),
        ("vision.Trainer", "train"),
        ("vision.CsvExampleGen", "ingest"),
        ("train", "train"),
        ("vision.preprocess", "preprocess"),
        ("vision.tune", "tune"),
        ("vision.evaluate_model", "validate"),
        ("vision.deploy", "deploy"),
        ("vision.data_validation", "analysis"),
        ("vision.train_test_split", "custom"),
        ("vision.restrain", "custom"),
        ("vision.", "custom"),
        (".", "custom"),
    ],
)
def test_whole_names_of_steps_are_known(name: str, group: str) -> None:
    """A part of a name proves nothing."""
    assert group_of(name) == group


def test_job_types_tell_runs_and_hide_tables() -> None:
    """A DAG called train is a run, and a query that writes a table called train trains nothing."""
    assert group_of("train", "DAG") == "run"
    assert group_of("app.train", "APPLICATION") == "train"
    assert group_of("app", "APPLICATION") == "run"
    assert group_of("app.insert.train", "SQL_JOB") == "custom"


def test_the_pipeline_is_the_beginning_of_the_name() -> None:
    """Up to the first dot, within the namespace."""
    assert Rules().pipeline("prod", "vision.weekly.train") == "prod/vision"
    assert Rules().pipeline("prod", "vision") == "prod/vision"


def test_the_first_rule_that_holds_decides_each_question() -> None:
    """One rule may tell the pipeline and a later one the group."""
    rules = Rules(
        [
            JobRule(name=r"(\w+)_(daily|weekly)\..*", pipeline=r"\1"),
            JobRule(namespace="lab", group="custom"),
            JobRule(name=r".*\.fit", job_type="TASK", group="train"),
            JobRule(name=r".*\.fit", group="validate"),
        ],
        [DatasetRule("Model", name=r"models/.*"), DatasetRule("Examples", namespace="s3://.*")],
    )

    assert rules.pipeline("prod", "ads_daily.fit") == "ads"
    assert rules.pipeline("prod", "ads.fit") == "prod/ads"
    assert rules.operator("prod", "ads.fit", "TASK", True) == "Trainer"
    assert rules.operator("prod", "ads.fit", "", True) == "Evaluator"
    assert rules.operator("lab", "ads.fit", "TASK", True) == "fit"
    assert rules.artifact_type("s3://a", "models/x") == "Model"
    assert rules.artifact_type("s3://a", "x") == "Examples"
    assert rules.artifact_type("gs://a", "x") == "Dataset"


def test_what_is_remembered_is_bounded() -> None:
    """A sender with a new job name in each event does not fill memory."""
    rules = Rules(datasets=[DatasetRule("Model", name="m")])
    for index in range(25_000):
        rules.pipeline("prod", f"job{index}")
        rules.operator("prod", f"job{index}", "", False)
        rules.artifact_type("prod", f"d{index}")

    assert max(len(each) for each in (rules._pipelines, rules._operators, rules._types)) <= 10_000
    assert rules.pipeline("prod", "job1.a") == "prod/job1"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"name": "("}, "should tell the pipeline, the group, or both"),
        ({"name": "(", "group": "train"}, "not a regular expression"),
        ({"group": "training"}, "unknown operator group 'training'"),
        ({"name": "(a)", "pipeline": r"\2"}, "not a template"),
        ({"name": "(?P<x>a)", "pipeline": r"\g<y>"}, "not a template"),
        ({"job_type": "TASK", "pipeline": "p"}, "a rule with job_type cannot tell the pipeline"),
    ],
)
def test_a_wrong_rule_is_refused_when_it_is_made(rule: dict[str, str], reason: str) -> None:
    """Not when the first job comes that it would hold for."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        JobRule(**rule)


def test_what_was_guessed_is_known() -> None:
    """What a rule, a job type or a known operator tells is not guessed; what nothing tells neither."""
    rules = Rules([JobRule(name="ads.train_model", group="train")])

    assert rules.guessed("prod", "ads.xgb_train")
    assert rules.guessed("prod", "ads.preprocess")
    assert not any(rules.guessed("prod", name) for name in ("ads.train_model", "ads.Trainer", "ads.other"))
    assert not rules.guessed("prod", "train", "DAG")


@pytest.mark.parametrize("name", ["ads.step_4", "it's (a) job+", 'say "train"', "a\\b", "é\x7f"])
def test_a_rule_is_written_as_it_is_read(name: str, tmp_path: Path) -> None:
    """A rule for one job holds for it alone, after a way through the settings file."""
    rule = JobRule.of_job("prod.eu", name, "train")
    path = tmp_path / "stream-app.toml"
    path.write_text(rule.to_toml() + JobRule(name=r"(\w+)\.x", job_type="TASK", group="custom").to_toml())
    read = [JobRule(**each.model_dump()) for each in load(path).openlineage.jobs]

    assert read[0] == rule
    assert read[0].match("prod.eu", name, "")
    assert not read[0].match("prod_eu", name, "")
    assert read[1] == JobRule(name=r"(\w+)\.x", job_type="TASK", group="custom")


def test_the_time_zone_comes_from_the_settings(tmp_path: Path) -> None:
    """Of times without an offset; an unknown one is refused."""
    path = tmp_path / "stream-app.toml"
    path.write_text('[openlineage]\ntime_zone = "Europe/Berlin"')
    event = sources_of(load(path))[OPENLINEAGE](message(run_event(time="2026-03-01T07:00:00")), None)

    assert event is not None
    assert event.time_ms == text_to_time("2026-03-01T06:00:00Z")
    path.write_text('[openlineage]\ntime_zone = "Mars"')
    with pytest.raises(OptionsError, match=r"openlineage\.time_zone: no time zone 'Mars' is known here"):
        load(path)


def test_rules_come_from_the_settings(tmp_path: Path) -> None:
    """As tables in the file."""
    path = tmp_path / "stream-app.toml"
    path.write_text(
        """
        [[openlineage.jobs]]
        namespace = "prod"
        name = 'ads\\.step_(\\d)'
        pipeline = 'ads-\\1'
        group = "train"

        [[openlineage.datasets]]
        name = 'models/.*'
        type = "Model"
        """
    )
    decode = sources_of(load(path))[OPENLINEAGE]

    event = decode(message(run_event(name="ads.step_4", outputs=[dataset("models/ads")])), None)

    assert event is not None
    assert (event.pipeline, event.execution_type, event.outputs[0].type) == ("ads-4", "Trainer", "Model")


def test_a_wrong_rule_in_the_settings_is_told_in_one_line(tmp_path: Path) -> None:
    """With its place in the file."""
    path = tmp_path / "stream-app.toml"
    path.write_text('[[openlineage.jobs]]\nname = "("\ngroup = "train"')

    with pytest.raises(OptionsError, match=r"openlineage\.jobs\.0: not a regular expression"):
        load(path)
