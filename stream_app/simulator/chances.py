"""The chance of a push, as the world itself knows it at each stage.

What decides is frozen when a run starts: the release policy, the time since the last push, the data and code
the pushed model has not seen. What is left is luck, drawn step by step and independently: each step may fail,
hang or be cancelled; quality moves in preprocessing, in training and in the measurement; a push may be
overruled either way. So the chances below are exact, given that the trainer starts (where it never starts,
there is no trainer to speak of).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stream_app.simulator.draws import normal_cdf

#: How much quality moves in preprocessing, in training and in its measurement.
PREPROCESS_SIGMA, TRAIN_SIGMA, EVALUATE_SIGMA = 0.5, 0.7, 0.5


@dataclass(frozen=True, slots=True)
class Odds:
    """How one attempt at a step may end otherwise than well."""

    fail: float
    cancel: float
    hang: float

    @property
    def once(self) -> float:
        """Chance that one attempt completes."""
        return 1.0 - self.fail - self.cancel - self.hang

    def completes(self, retries: bool) -> float:
        """Chance that the step completes; one that failed is tried again once where there are retries."""
        return self.once * (1.0 + self.fail) if retries else self.once


SOUND = {
    "ExampleGen": Odds(0.006, 0.001, 0.0005),
    "Transform": Odds(0.012, 0.003, 0.001),
    "Tuner": Odds(0.01, 0.003, 0.001),
    "Trainer": Odds(0.02, 0.012, 0.005),
    "Evaluator": Odds(0.01, 0.002, 0.001),
    "InfraValidator": Odds(0.006, 0.001, 0.0005),
    "Pusher": Odds(0.008, 0.001, 0.0005),
}
#: A step that the code breaks.
CRASHING = Odds(0.92, 0.02, 0.005)
#: Steps that never end otherwise than well.
SURE = Odds(0.0, 0.0, 0.0)
#: Chance that an infrastructure validator that completes finds the model servable.
SERVABLE = 0.97


@dataclass(frozen=True, slots=True)
class Chances:
    """What the world knows of one trainer's way to a push when its run starts."""

    #: Expected quality above what a blessing asks for.
    lead: float
    has_evaluator: bool
    #: Chances that the trainer, and that all the validators, complete and the infrastructure takes the model.
    trains: float
    validates: float
    #: Chance of a push of a validated model, blessed or not, its Pusher's own failures included.
    push_blessed: float
    push_unblessed: float

    def at_input(self) -> float:
        """Before preprocessing."""
        sigma = math.hypot(PREPROCESS_SIGMA, TRAIN_SIGMA, EVALUATE_SIGMA)
        return self.trains * self._pushed(self.lead, sigma)

    def at_preprocess(self, moved: float) -> float:
        """When the trainer starts; quality has `moved` by then."""
        return self.trains * self._pushed(self.lead + moved, math.hypot(TRAIN_SIGMA, EVALUATE_SIGMA))

    def at_train(self, moved: float) -> float:
        """When the model is trained."""
        return self._pushed(self.lead + moved, EVALUATE_SIGMA)

    def at_validate(self, blessed: bool, servable: bool) -> float:
        """When all validators have completed; without an evaluator every model counts as blessed."""
        return (self.push_blessed if blessed else self.push_unblessed) if servable else 0.0

    def _pushed(self, lead: float, sigma: float) -> float:
        blessed = normal_cdf(lead / sigma) if self.has_evaluator else 1.0
        return self.validates * (blessed * self.push_blessed + (1.0 - blessed) * self.push_unblessed)
