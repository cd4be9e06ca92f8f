"""Makes the probability of a verdict again, from its record and the examples log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import STAGES
from stream_app.errors import OptionsError, StateError
from stream_app.provenance.decision import VERSION, examples_of
from stream_app.wire import example_from_dict


@dataclass(frozen=True, slots=True)
class Remade:
    """A probability that was made again.

    Attributes
    ----------
    verdict
        The id of the verdict.
    recorded, remade
        The probability of the record, and the one that was made again.
    model, remade_model
        The version of the model in the record, and of the one that was learned.
    examples
        Records of the log that it has learned.
    """

    verdict: str
    recorded: float
    remade: float
    model: str
    remade_model: str
    examples: int

    @property
    def is_same(self) -> bool:
        """Whether model and probability are those of the record."""
        return self.model == self.remade_model and self.recorded == self.remade


def remake(record: Mapping[str, Any], examples: Iterable[bytes], learner: Learner) -> Remade:
    """Learns the examples log up to the place of a record, and predicts as it was predicted then.

    Parameters
    ----------
    record
        As of `stream_app.provenance.decision.decision_record`, possibly after JSON.
    examples
        The examples log from its beginning: the JSON of each record, in order.
    learner
        A new one, with the budgets and the retention with which the verdict was made.

    Returns
    -------
    Remade
        The probability.

    Raises
    ------
    OptionsError
        It is no such record, a line is no example, or the log is too short.
    """
    try:
        if record["version"] != VERSION:
            raise OptionsError(f"the record has version {record['version']}, this program reads {VERSION}")
        verdict, stage = record["verdict"], record["verdict"]["stage"]
        features = {str(name): float(value) for name, value in record["features"].items()}
        baseline, model, recorded = float(record["baseline"]), str(verdict["model"]), float(verdict["p_push"])
        wanted = examples_of(model)
        if stage not in STAGES:
            raise ValueError(f"there is no stage {str(stage)[:40]!r}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OptionsError(f"this is no record of a verdict: {error}") from None
    for line, written in enumerate(examples, 1):
        if learner.records >= wanted:
            break
        try:
            learner.learn(example_from_dict(orjson.loads(written)))
        except (orjson.JSONDecodeError, StateError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise OptionsError(f"line {line} of the examples log is no example: {error}") from None
    if learner.records < wanted:
        raise OptionsError(f"the examples log has {learner.records:,} records; the verdict was made after {wanted:,}")
    found = learner.predict(stage, features, baseline)
    return Remade(str(verdict["id"]), recorded, found.p, model, learner.version, learner.records)
