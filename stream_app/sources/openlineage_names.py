"""The operator of a job by its type and its name, when no rule tells.

Groups other than `train` and `deploy` are guessed from a list of whole names. Training and deploying jobs decide what
is labelled, and people name them in many ways, so their names are read word by word: a verb of training or deployment,
and beside it only words that go with it. One other word, and the name means something else: `train_model` trains,
`train_schedule`, `training_report` and `train_test_split` do not.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from stream_app.core.operators import (
    ANALYSIS,
    DEFAULT_GROUPS,
    DEPLOY,
    INGEST,
    PREPROCESS,
    RUN,
    TRAIN,
    TUNE,
    VALIDATE,
)

#: The execution type that stands for a group. A job of group `custom` keeps its own name.
OPERATORS = {
    INGEST: "ExampleGen",
    ANALYSIS: "StatisticsGen",
    PREPROCESS: "Transform",
    TUNE: "Tuner",
    TRAIN: "Trainer",
    VALIDATE: "Evaluator",
    DEPLOY: "Pusher",
    RUN: "PipelineRun",
}

#: Job types (the `jobType` facet) of jobs that contain others: whatever their name, and unless the name tells a group.
RUN_TYPES, _APPLICATION = frozenset(("DAG", "PIPELINE", "WORKFLOW")), "APPLICATION"
#: Job types whose names end with the name of a table, which does not describe the job.
QUERY_TYPES = frozenset(("SQL_JOB", "RDD_JOB"))
#: Job types of Spark's applications and of what runs in them.
SPARK_TYPES = QUERY_TYPES | {_APPLICATION}

#: Whole names, lower case and without punctuation.
_NAMES = {
    INGEST: "ingest ingestion ingestdata dataingestion examplegen loaddata extract extractdata",
    ANALYSIS: "statistics datastatistics validatedata datavalidation profiledata schemagen",
    PREPROCESS: "preprocess preprocessing preparedata datapreparation featureengineering buildfeatures featurize",
    TUNE: "tune tuning hyperparametertuning tunehyperparameters hyperparametersearch hpo",
    VALIDATE: "evaluate evaluation evaluatemodel modelevaluation validatemodel modelvalidation testmodel",
}
_GROUP_OF_NAME = {
    **{name.lower(): group for name, group in DEFAULT_GROUPS.items() if "." not in name},
    **{name: group for group, names in _NAMES.items() for name in names.split()},
}

#: Words of a name: runs of letters that begin with a capital or not, runs of capitals, runs of digits.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+|\d+")
#: Words that are one, however they are written: first part -> second parts.
_COMPOUNDS = {
    first: frozenset(rest.split())
    for first, rest in {
        "fine": "tune tuning",
        "re": "train training deploy",
        "pre": "train training",
        "roll": "out",
        "xg": "boost",
        "cat": "boost",
        "light": "gbm",
        "random": "forest",
        "neural": "net network",
        "auto": "ml encoder",
        "py": "torch",
        "tensor": "flow",
        "hugging": "face",
        "sage": "maker",
        "scikit": "learn",
        "vertex": "ai",
    }.items()
}


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: What is trained or deployed.
_MODELS = _set(
    """model classifier classifiers regressor regressors ranker recommender estimator neuralnet neuralnetwork nn dnn cnn
    rnn gnn lstm gan vae autoencoder bert gpt llm llms resnet unet yolo gbm gbdt svm knn randomforest ensemble xgb
    xgboost lgb lgbm lightgbm catboost"""
)
_FRAMEWORKS = _set(
    """sklearn scikitlearn pytorch torch tensorflow tf keras jax flax mllib sparkml sagemaker vertex vertexai azureml
    automl kubeflow mlflow ray prophet huggingface hf lora qlora peft sft dpo deepspeed horovod lightning fasttext tfx
    ml dl seldon kserve triton bentoml"""
)
#: Steps, versions, times and machines, which change nothing: `daily_train_job_v2`.
_NEUTRAL = _set("job task step op v ver version daily weekly nightly hourly monthly gpu cpu tpu distributed")
#: What may describe a model, or a training that is not called `training`: `train_baseline`.
_QUALIFIERS = _set(
    """new final best full incremental all main default base baseline champion challenger candidate multi single node cv
    batch online offline prod production"""
)
_RUNS = _set("run stage script app application")
#: First words of names. `start_training` is none: what it starts trains, under a name of its own.
_STARTS = _set("run execute")

#: Verbs of training. The noun means a course as often as a model, so that fewer words may stand beside it.
_TRAINING = _set("train retrain retraining pretrain pretraining finetune finetuning")
_NOUN = "training"
#: Verbs that mean training only together with a model, or alone.
_FITTING, _ALONE = _set("fit fitting trainer"), _set("fit trainer")
#: What one job does after training: `train_and_evaluate`.
_AFTER_TRAINING = _set("and evaluate eval validate register save log score deploy")
#: Most unknown words between a verb of training and `model`: `train_fraud_detection_model`.
_SUBJECT_WORDS = 2

_DEPLOYING = _set("deploy deployment deploying redeploy push publish promote")
#: Verbs that mean deployment only together with a model.
_RELEASING = _set("release rollout publishing pushing promoting promotion releasing serve")
#: Where models are served, and how they get there.
_SERVING, _LINKS = _set("prod production serving live inference"), _set("to in into for on and with")
_TARGETS = _set("endpoint canary shadow blue green")


class Mapped(NamedTuple):
    """The operator of a job, and what decided on it."""

    #: The execution type.
    operator: str
    #: `rule`, `job_type`, `operator` (the name of a known operator), `name` (guessed from the name), or "".
    by: str


def default_operator(name: str, job_type: str, is_inner: bool) -> Mapped:
    """The operator of a job by its type and its name.

    Parameters
    ----------
    name, job_type, is_inner
        As for `stream_app.sources.openlineage_rules.Rules.operator`.

    Returns
    -------
    Mapped
        The type and its reason.
    """
    own = own_name(name, job_type)
    if job_type in RUN_TYPES:
        return Mapped(OPERATORS[RUN], "job_type")
    if own in DEFAULT_GROUPS:
        return Mapped(own, "operator")
    group = None if job_type in QUERY_TYPES else group_of(own)
    if group is not None:
        return Mapped(OPERATORS[group], "name")
    if job_type == _APPLICATION and not is_inner:
        return Mapped(OPERATORS[RUN], "job_type")
    return Mapped(own, "")


def own_name(name: str, job_type: str) -> str:
    """The job's own part of its name: without the pipeline, and without the table that a query writes.

    Parameters
    ----------
    name, job_type
        Of the job.

    Returns
    -------
    str
        The name, never empty.
    """
    parts = name.split(".")
    own = parts[1] if job_type in QUERY_TYPES and len(parts) > 1 else parts[-1]
    return own or name


def words(name: str) -> list[str]:
    """Splits a name at punctuation, capitals and digits.

    Parameters
    ----------
    name
        The name.

    Returns
    -------
    list of str
        Its words in lower case, without numbers.

    Examples
    --------
    >>> words("trainModel_v2"), words("fine-tune XGBoost")
    (['train', 'model', 'v'], ['finetune', 'xgboost'])
    """
    found: list[str] = []
    for word in _WORD.findall(name):
        word = word.lower()
        if word.isdigit():
            continue
        if found and word in _COMPOUNDS.get(found[-1], ()):
            word = found.pop() + word
        found.append(word)
    return found


def group_of(name: str) -> str | None:
    """Guesses the operator group of a job.

    Parameters
    ----------
    name
        The job's own part of its name, without its pipeline.

    Returns
    -------
    str or None
        The group; None when the name does not tell.

    Examples
    --------
    >>> group_of("xgb_train"), group_of("deploy_model_to_prod"), group_of("train_test_split")
    ('train', 'deploy', None)
    """
    found = words(name)
    if _trains(found):
        return TRAIN
    if _deploys(found):
        return DEPLOY
    return _GROUP_OF_NAME.get("".join(found)) or _GROUP_OF_NAME.get("".join(w for w in found if w not in _NEUTRAL))


def _trains(found: list[str]) -> bool:
    said = [word for word in found if word not in _NEUTRAL and word not in _RUNS]
    if said[:1] and found[0] in _STARTS:
        said = said[said[0] in _STARTS :]
    has_model = any(word in _MODELS or word in _FRAMEWORKS or word in ("models", "embeddings") for word in said)
    subjects = [word for word in said if word not in _MODELS | _FRAMEWORKS and word not in ("models", "embeddings")]
    verbs = [word for word in subjects if word in _TRAINING or word == _NOUN]
    others = [word for word in subjects if word not in verbs]
    if verbs:
        if all(word in _QUALIFIERS for word in others):
            return not others or has_model or verbs != [_NOUN]
        if said[0] in verbs and "and" in others:
            return all(word in _AFTER_TRAINING for word in others)
        is_trained = said[0] in verbs and said[-1] in ("model", "models", "classifier", "regressor")
        is_training = said[-2] == "model" and said[-1] in verbs
        return (is_trained or is_training) and len(others) <= _SUBJECT_WORDS and not any(w in _LINKS for w in others)
    fitting = [word for word in others if word in _FITTING]
    if len(fitting) != 1:
        return False
    return (has_model and len(others) == 1) or (len(found) == 1 and found[0] in _ALONE)


def _deploys(found: list[str]) -> bool:
    verbs = [word for word in found if word in _DEPLOYING or word in _RELEASING]
    if len(verbs) != 1:
        return False
    verb = verbs[0]
    beside = [word for word in found if word != verb and word not in _LINKS and word not in _NEUTRAL]
    is_model = any(word in _MODELS or word == "endpoint" for word in beside)
    is_model |= "models" in beside and verb not in ("publish", "release")
    is_model |= verb in ("deploy", "promote") and any(word in ("champion", "challenger") for word in beside)
    if is_model:
        known = (_MODELS, _FRAMEWORKS, _QUALIFIERS, _SERVING, _TARGETS, ("models",))
        return all(any(word in each for each in known) for word in beside)
    if verb not in _DEPLOYING:
        return False
    to_serving = beside and all(word in _SERVING for word in beside)
    return not beside or bool(to_serving and ("to" in found or verb in ("deploy", "deployment", "redeploy", "promote")))
