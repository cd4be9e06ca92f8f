"""Guesses the groups of unknown operators from the words of their names, and writes them as settings.

A guess is for a person to read: only what `check --write-rules` wrote, and a person passed on as `--config`, is used.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stream_app.core.operators import DEPLOY, PREPROCESS, TRAIN, TUNE, VALIDATE
from stream_app.errors import OptionsError

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-zß-öø-ÿ]+|[^\W\d_]+")
#: What stands before rules for names that do not tell.
_UNTOLD = "# Which of these trains, and which deploys? Uncomment it, with its group."

#: Words of names of operators; the first group of which one is there holds. A word before a `+` counts only beside one
#: of the words after it.
_WORDS = {
    TUNE: "tune tuner tuning hpo hyperparameter hyperparameters sweep gridsearch",
    TRAIN: "train trains trainer training retrain retraining fit fits fitting finetune finetuning "
    "entrainer entraîner entrainement entraînement trainieren entrenar entrenamiento treinar treinamento addestra "
    "addestrare addestramento обучение обучить",
    DEPLOY: "deploy deploys deployer deployment promote promotes promoter promotion rollout pusher "
    "déployer déploiement deploiement ausrollen bereitstellen bereitstellung desplegar despliegue implantar "
    "развертывание публикация",
    VALIDATE: "evaluate evaluates evaluator evaluation eval backtest",
    PREPROCESS: "preprocess preprocessing featurize featurization vectorize",
}
_PAIRS = {
    DEPLOY: ("push publish release serve ship upload", "model models prod production endpoint registry serving"),
    VALIDATE: ("validate validation test score", "model models"),
    PREPROCESS: ("build compute create make engineering prepare", "feature features"),
}
#: Words of languages that leave no space between words.
_UNSPACED = {TRAIN: "学習 训练 訓練 학습", DEPLOY: "デプロイ 部署 배포"}
#: Words beside which an operator does something about trainings or deployments instead: `train_test_split`.
_OTHERWISE = (
    "alert await check cleanup data dataset datasets delete drift list log logs metrics monitor notify report sensor "
    "set skip slack split start stop summary teardown test trigger undeploy wait"
)


@dataclass(frozen=True, slots=True)
class Guess:
    """The group that an unknown operator probably has, and why; None where nothing tells, which a person should."""

    type: str
    group: str | None
    why: str
    #: Names of its jobs of OpenLineage; empty for an operator of another source.
    jobs: tuple[str, ...] = ()
    #: The pipeline that its only job is of; None where it need not be told.
    pipeline: str | None = None


def group_of_words(name: str) -> tuple[str, str] | None:
    """The group that the words of a name suggest.

    Parameters
    ----------
    name
        The name of an operator.

    Returns
    -------
    tuple of str or None
        The group and the word that suggests it.

    Examples
    --------
    >>> group_of_words("FitChurnModel"), group_of_words("train_test_split")
    (('train', 'fit'), None)
    """
    words = [word.lower() for word in _WORD.findall(name)]
    known = set(words)
    for group, listed in _WORDS.items():
        found = next((word for word in words if word in listed.split()), None)
        if found is None and group in _PAIRS:
            verbs, objects = (each.split() for each in _PAIRS[group])
            if known & set(objects):
                found = next((word for word in words if word in verbs), None)
        if found is not None:
            otherwise = known & set(_OTHERWISE.split())
            return None if otherwise and group in (TRAIN, DEPLOY) else (group, found)
    for group, listed in _UNSPACED.items():
        for word in listed.split():
            if word in name:
                return group, word
    return None


def to_toml(guesses: Iterable[Guess], other: Mapping[str, Mapping[str, object]] | None = None) -> str:
    """Writes guesses as settings.

    Parameters
    ----------
    guesses
        The guesses.
    other
        Further settings: section -> key -> a text or a list of texts.

    Returns
    -------
    str
        Lines of TOML; "" when there is nothing to write.
    """
    lines: list[str] = []
    types = [each for each in guesses if not each.jobs]
    jobs = [each for each in guesses if each.jobs]
    for section, table in (other or {}).items():
        lines += [f"[{section}]", *(f"{key} = {_value(value)}" for key, value in table.items()), ""]
    if types:
        told = [f"{_value(each.type)} = {_value(each.group)}  # {each.why}" for each in types if each.group is not None]
        untold = [f"# {_value(each.type)} = {_value(TRAIN)}" for each in types if each.group is None]
        lines += ["[operators.groups]", *told, *([_UNTOLD, *untold] if untold else ()), ""]
    for each in jobs:
        if each.group is not None:
            lines += [*_job(each), ""]
    untold = [f"# {line}" for each in jobs if each.group is None for line in _job(each)]
    return "\n".join([*lines, _UNTOLD, *untold, ""] if untold else lines)


def _job(guess: Guess) -> list[str]:
    """The rule for the jobs of an operator."""
    pipeline = [] if guess.pipeline is None else [f"pipeline = {_value(guess.pipeline.replace(chr(92), chr(92) * 2))}"]
    return [
        "[[openlineage.jobs]]",
        f"name = {_value(_pattern(guess))}",
        *pipeline,
        f"group = {_value(guess.group or TRAIN)}" + (f"  # {guess.why}" if guess.why else ""),
    ]


def merged(settings: str, rules: str) -> str:
    """Adds rules to a file of settings.

    Parameters
    ----------
    settings
        The text of the file.
    rules
        What `to_toml` wrote.

    Returns
    -------
    str
        A text that has both, the settings with their comments.

    Raises
    ------
    OptionsError
        A table stands in the settings in a form to which lines cannot be added.
    """
    text = settings.rstrip("\n")
    for block in rules.strip("\n").split("\n\n"):
        header, _, body = block.partition("\n")
        place = re.search(rf"^[ \t]*{re.escape(header)}[ \t]*(#.*)?$", text, re.MULTILINE)
        if place is not None and not header.startswith("[["):
            text = f"{text[: place.end()]}\n{body}{text[place.end() :]}"
        else:
            text += f"\n\n{block}" if text else block
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionsError(f"the rules do not fit into the settings as they stand: {error}; add them by hand") from None
    return f"{text}\n"


def _pattern(guess: Guess) -> str:
    """A regular expression for the names of an operator's jobs."""
    if guess.pipeline is not None:
        return re.escape(guess.type.rpartition("/")[2])
    own = re.escape(guess.type)
    if all(name.endswith((f".{guess.type}", f"/{guess.type}")) for name in guess.jobs):
        return rf"(.*\.)?{own}"
    return rf"(.*\.)?{own}(\..*)?"


def _value(value: object) -> str:
    """A text or a list of texts as TOML; its strings are those of JSON, but for one character that JSON leaves."""
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    texts = json.dumps(values, ensure_ascii=False)
    return texts.replace("\x7f", "\\u007f")
