"""Names of causes and outcomes as people read them."""

from __future__ import annotations

#: Why a graphlet, or compute, was not pushed.
CAUSES = {
    "failed": "training failed",
    "run_ended": "run ended without a push",
    "superseded": "superseded by a later push",
    "expired": "no outcome within the horizon",
    "no_trainer": "run without training",
    "evicted": "used after its graphlets were forgotten",
    "pruned": "pruned",
}
OUTCOMES = {"pushed": "pushed", "not_pushed": "not pushed", "pruned": "pruned", "open": "still open"}
