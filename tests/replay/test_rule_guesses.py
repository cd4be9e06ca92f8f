"""Groups are guessed from the words of names, and written as settings that are valid whatever the names are."""

from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.errors import OptionsError
from stream_app.replay.rule_guesses import Guess, group_of_words, merged, to_toml


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("FitChurnModel", "train"),
        ("XGBTrainer", "train"),
        ("trainXgb", "train"),
        ("nightly-retrain", "train"),
        ("finetune_llm", "train"),
        ("train_and_deploy", "train"),
        ("deploy_trained_model", "deploy"),
        ("PromoteToProd", "deploy"),
        ("push_model", "deploy"),
        ("UploadModelToRegistry", "deploy"),
        ("HyperparameterSweep", "tune"),
        ("evaluate_auc", "validate"),
        ("validate_model", "validate"),
        ("build_features", "preprocess"),
        ("train_test_split", None),
        ("prepare_training_data", None),
        ("wait_for_training", None),
        ("deployment_check", None),
        ("push_metrics", None),
        ("publish_report", None),
        ("profit", None),
        ("constraint", None),
        ("Resolver", None),
        ("", None),
        ("学習", "train"),
        ("モデルのデプロイ", "deploy"),
        ("部署模型", "deploy"),
        ("entraîner_modele", "train"),
        ("обучение модели", "train"),
        ("modell_ausrollen", "deploy"),
        ("données", None),
    ],
)
def test_the_words_of_a_name_tell_its_group(name: str, group: str | None) -> None:
    """Only whole words, and not beside words that make it something else."""
    found = group_of_words(name)

    assert (found[0] if found is not None else None) == group


_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(st.lists(st.tuples(_NAMES, st.booleans()), min_size=1, max_size=5, unique_by=lambda each: each[0]))
def test_rules_are_valid_for_any_name(names: list[tuple[str, bool]]) -> None:
    """A type is its own key, and the pattern of a job matches its name with and without a prefix."""
    guesses = [Guess(name, "train", "a guess", (f"ns/p.{name}",) if is_job else ()) for name, is_job in names]

    document = tomllib.loads(to_toml(guesses))

    groups = document.get("operators", {}).get("groups", {})
    assert groups == {name: "train" for name, is_job in names if not is_job}
    patterns = [rule["name"] for rule in document.get("openlineage", {}).get("jobs", [])]
    jobs = [name for name, is_job in names if is_job]
    assert len(patterns) == len(jobs)
    for pattern, name in zip(patterns, jobs, strict=True):
        assert re.fullmatch(pattern, name, re.DOTALL)
        assert re.fullmatch(pattern, f"p.{name}", re.DOTALL)
        assert not re.fullmatch(pattern, f"{name}x", re.DOTALL)


def test_a_job_whose_name_goes_on_with_a_table_is_matched() -> None:
    """As queries of Spark are named."""
    [rule] = tomllib.loads(to_toml([Guess("fit", "train", "", ("ns/app.fit.table_a", "ns/app.fit.b"))]))["openlineage"][
        "jobs"
    ]

    assert re.fullmatch(rule["name"], "app.fit.table_a")
    assert not re.fullmatch(rule["name"], "app.fitness")


RULES = to_toml([Guess("Fit", "train", "why"), Guess("job", "deploy", "why", ("ns/job",))], {"mlmd": {"pipeline": "p"}})


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "# only a comment",
        '[detector]\nmode = "enforce"\n',
        '[operators.groups]\nOther = "ingest"\n',
        '  [operators.groups]  # ours\nOther = "ingest"\n\n[operators.nodes]\nOther = 2\n',
        '[[openlineage.jobs]]\nname = "x"\ngroup = "train"\n',
        '[mlmd]\nrun_contexts = ["a"]\n[operators]\nnodes = { A = 1 }\n',
    ],
)
def test_rules_are_added_to_settings(settings: str) -> None:
    """What is there stays, and comes first where order decides."""
    text = merged(settings, RULES)

    document, before = tomllib.loads(text), tomllib.loads(settings)
    assert document["operators"]["groups"] == {**before.get("operators", {}).get("groups", {}), "Fit": "train"}
    assert document["openlineage"]["jobs"][:-1] == before.get("openlineage", {}).get("jobs", [])
    assert document["openlineage"]["jobs"][-1]["group"] == "deploy"
    assert document["mlmd"] == {**before.get("mlmd", {}), "pipeline": "p"}
    assert all(line in text for line in settings.splitlines())


@pytest.mark.parametrize(
    "settings",
    [
        'operators = { groups = { A = "train" } }',
        '[operators.groups]\nFit = "tune"\n',
        '[mlmd]\npipeline = "other"\n',
        "[openlineage]\njobs = []\n",
    ],
)
def test_settings_that_cannot_take_them_are_left_alone(settings: str) -> None:
    """The line says so."""
    with pytest.raises(OptionsError, match="add them by hand"):
        merged(settings, RULES)
