"""All metrics that a worker or the HTTP service exports; the registries and docs/metrics.md are made from this.

Names and units follow the conventions of Prometheus. No label holds a pipeline, a run or a graphlet.
"""

from __future__ import annotations

from itertools import chain

from stream_app.core.events import STATES
from stream_app.core.outputs import (
    CONTINUE,
    NOT_PUSHED,
    OPEN,
    PRUNE,
    PRUNED,
    PUSHED,
    STAGES,
    UNKNOWN,
    WARN,
    Cause,
)
from stream_app.core.state.ledger import NOT_KNOWN, PENDING, UNATTRIBUTED, USEFUL, WASTED
from stream_app.metrics.acting_catalogue import ACTING
from stream_app.metrics.alert_catalogue import ALERTS
from stream_app.metrics.fleet_catalogue import FLEET
from stream_app.metrics.metric import Label, Metric, Process
from stream_app.metrics.sidecar_catalogue import SIDECAR

DECISIONS = (CONTINUE, WARN, PRUNE)
OUTCOMES = (PUSHED, NOT_PUSHED, PRUNED, UNKNOWN)
#: The cause of an outcome -> the outcome.
CAUSES: dict[str, str] = {
    PUSHED: PUSHED,
    PRUNED: PRUNED,
    **dict.fromkeys(
        (Cause.FAILED, Cause.LOST, Cause.REFUSED, Cause.RUN_ENDED, Cause.SUPERSEDED, Cause.EXPIRED), NOT_PUSHED
    ),
    Cause.REGISTRY_GAP: UNKNOWN,
}
#: What became of compute. Flagged compute is never unattributed.
CLASSES = (USEFUL, WASTED, PENDING, UNATTRIBUTED, NOT_KNOWN)
#: Bins of predicted probabilities, named by their upper bounds.
BINS = tuple(f"{tenth / 10:.1f}" for tenth in range(1, 11))
#: Who predicted: the model, or the past push rate of the pipeline.
MODEL, BASELINE = "model", "baseline"
#: Why a record is a dead letter: it is no event, it was forwarded to the wrong partition, the detector failed on it.
MALFORMED, MISPLACED, DETECTOR_FAILED = "malformed", "misplaced", "failed"
#: Why a flag was closed, beside the outcomes: a later verdict withdrew it, its graphlet was evicted without outcome.
WITHDRAWN, OVERRIDDEN, EVICTED = "withdrawn", "overridden", "evicted"
#: Why a tick is ignored: it bears no signature, a wrong one, or its time is not that at which it was appended.
UNSIGNED, FORGED, STALE = TICK_FAULTS = ("unsigned", "forged", "stale")
#: Methods of HTTP that are told apart; all others, and paths that are no route, count as one.
HTTP_METHODS, HTTP_OTHER = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), "other"
LEVELS = ("info", "warning", "error", "critical")
#: The value of `budget` for the bound of what any policy could have flagged.
HINDSIGHT_BUDGET = "hindsight"

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
_TENTHS = tuple(tenth / 10 for tenth in range(1, 11))
_DURATIONS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE)
_WORKER: tuple[Process, ...] = ("worker",)
#: What processes of consumer groups have in common, and what processes that people ask have.
_GROUP: tuple[Process, ...] = ("worker", "notify")
_ASKED: tuple[Process, ...] = ("serve", "notify")

_TOPIC = Label("topic", meaning="name of a source topic")
_READ_TOPIC = Label("topic", meaning="name of a topic that the worker reads")
_PARTITION = Label("partition", meaning="number of a partition")
_BUDGET = Label("budget", meaning="budget of a policy, such as `0.05`")
_FLAGGED_BUDGET = Label("budget", meaning=f"budget of a policy, such as `0.05`, or `{HINDSIGHT_BUDGET}`")
_STAGE = Label("stage", STAGES)
_PREDICTOR = Label("predictor", (MODEL, BASELINE))
_BIN = Label("bin", BINS)

_PROCESS = (
    Metric(
        "build_info", "info", "Version of stream-app.", (Label("version", meaning="version of the package"),),
        processes=(*_GROUP, "serve"),
    ),
    Metric("ready", "gauge", "1 while /readyz answers 200, else 0.", processes=_GROUP),
    Metric(
        "event_loop_lag_seconds", "histogram", "Delay of the event loop, measured once a second.",
        unit="seconds", buckets=(0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0), processes=_GROUP,
    ),
    Metric(
        "log_messages_total", "counter", "Log messages by level.", (Label("level", LEVELS),), processes=_GROUP
    ),
)  # fmt: skip

_EVENTS = (
    Metric("events_consumed_total", "counter", "Records read from source topics.", (_TOPIC,), processes=_GROUP),
    Metric(
        "last_fetch_timestamp_seconds", "gauge", "When a broker answered a fetch last; 0 before the first answer.",
        unit="seconds", processes=_GROUP,
    ),
    Metric(
        "last_commit_timestamp_seconds", "gauge", "When offsets were committed last; 0 before the first commit.",
        unit="seconds", processes=_GROUP,
    ),
    Metric(
        "records_lost_total", "counter",
        "Records that Kafka had deleted (retention) before they were read.", (_TOPIC,), processes=_GROUP,
    ),
    Metric(
        "events_ignored_total", "counter", "Records of source topics that describe no execution.", processes=_WORKER
    ),
    Metric(
        "event_parts_dropped_total", "counter",
        "Parts of events that are not read and were dropped because they are malformed.",
        processes=_WORKER,
    ),
    Metric(
        "events_dead_lettered_total", "counter", "Records sent to the dead letters, by reason.",
        (Label("reason", (MALFORMED, MISPLACED, DETECTOR_FAILED)),), processes=_WORKER,
    ),
    Metric(
        "events_forwarded_total", "counter", "Records forwarded to the partition of their pipeline.", processes=_WORKER
    ),
    Metric(
        "events_processed_total", "counter", "Events applied by the detector, by execution state.",
        (Label("state", STATES),), processes=_WORKER,
    ),
    Metric(
        "events_duplicate_total", "counter", "Records skipped because their effect is already in the state.",
        processes=_WORKER,
    ),
    Metric(
        "events_late_total", "counter", "Events dropped because they concern only evicted executions.",
        processes=_WORKER,
    ),
    Metric("ticks_total", "counter", "Ticks applied by the detector.", processes=_WORKER),
    Metric(
        "ticks_ignored_total", "counter", "Ticks ignored because no worker with this key wrote them just now.",
        (Label("reason", TICK_FAULTS),), processes=_WORKER,
    ),
    Metric(
        "event_processing_duration_seconds", "histogram", "Time to decode and apply one event.",
        unit="seconds", buckets=(5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 0.01, 0.05, 0.25), processes=_WORKER,
    ),
    Metric(
        "event_time_lag_seconds", "histogram", "Time from an event's own time to the log time of its record.",
        unit="seconds", buckets=(1.0, 10.0, _MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY), processes=_WORKER,
    ),
    Metric(
        "event_latency_seconds", "histogram", "Time from the log time of a record to the sending of its outputs.",
        unit="seconds", buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, _MINUTE, 10 * _MINUTE),
        processes=_WORKER,
    ),
    Metric(
        "last_event_timestamp_seconds", "gauge", "Log time of the record applied last, as a Unix time.",
        unit="seconds", processes=_WORKER,
    ),
    Metric(
        "last_tick_timestamp_seconds", "gauge", "Log time of the tick applied last, as a Unix time.",
        unit="seconds", processes=_WORKER,
    ),
)  # fmt: skip

_KAFKA = (
    Metric(
        "consumer_lag_records", "gauge", "Records of a partition that are not applied yet.", (_READ_TOPIC, _PARTITION),
        unit="records", processes=_GROUP,
    ),
    Metric(
        "consumer_assigned_partitions", "gauge", "Partitions of the events topic that this worker owns.",
        processes=_GROUP,
    ),
    Metric("rebalances_total", "counter", "Completed rebalances.", processes=_GROUP),
    Metric(
        "rebalance_duration_seconds", "histogram", "Time from the start of a rebalance until reading resumes.",
        unit="seconds", buckets=_DURATIONS, processes=_GROUP,
    ),
    Metric(
        "offset_commit_duration_seconds", "histogram", "Time to commit offsets to Kafka.",
        unit="seconds", buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0), processes=_GROUP,
    ),
    Metric("changelog_commits_total", "counter", "Commits of changed rows to changelogs.", processes=_GROUP),
    Metric("changelog_rows_total", "counter", "Rows written to changelogs.", processes=_GROUP),
)  # fmt: skip

_ROUTE = Label("route", meaning=f"path of a route with its parameters, or `{HTTP_OTHER}`")
_HTTP = (
    Metric(
        "http_requests_total", "counter", "Requests answered, by route, method and status.",
        (
            _ROUTE,
            Label("method", meaning="`GET`, `HEAD`, `POST`, `PATCH`, `DELETE` or `other`"),
            Label("code", meaning="status code"),
        ),
        processes=_ASKED,
    ),
    Metric(
        "http_request_seconds", "histogram", "Time from the headers of a request to the end of its response.",
        (_ROUTE,), unit="seconds", buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0),
        processes=_ASKED,
    ),
    Metric("http_connections", "gauge", "Connections that are open.", processes=_ASKED),
    Metric(
        "http_connections_refused_total", "counter",
        "Connections refused or closed because they were too many or too slow.",
        (Label("reason", ("address", "total", "descriptors", "slow")),), processes=_ASKED,
    ),
    Metric(
        "http_requests_refused_total", "counter", "Requests refused by a limit on what one sender may ask.",
        (Label("reason", ("address_rate", "token_rate", "failed_logins", "no_connections")),), processes=_ASKED,
    ),
    Metric("http_failed_logins_total", "counter", "Requests without a valid token.", processes=_ASKED),
)  # fmt: skip

_STATE = (
    Metric("table_keys", "gauge", "Keys in the local copies of the state, as RocksDB estimates.", processes=_GROUP),
    Metric(
        "table_size_bytes", "gauge", "Size of the local copies of the state, in files and in memory.",
        unit="bytes", processes=_GROUP,
    ),
    Metric(
        "table_recovery_in_progress", "gauge", "1 while assigned partitions are being restored, else 0.",
        processes=_GROUP,
    ),
    Metric(
        "table_recovery_remaining_records", "gauge", "Changelog records still to be read in the restore under way.",
        unit="records", processes=_GROUP,
    ),
    Metric(
        "table_recovery_duration_seconds", "histogram", "Time to restore a partition from its changelog.",
        unit="seconds", buckets=_DURATIONS, processes=_GROUP,
    ),
    Metric("pipelines", "gauge", "Pipelines in the state."),
    Metric("graphlets", "gauge", "Graphlets in the state."),
    Metric("graphlets_open", "gauge", "Graphlets without an outcome."),
    Metric(
        "graphlets_evicted_total", "counter", "Graphlets evicted from the state, by outcome.",
        (Label("outcome", (OPEN, *OUTCOMES)),),
    ),
)  # fmt: skip

_PREDICTIONS = (
    Metric("predictions_total", "counter", "Verdicts announced, by decision.", (Label("decision", DECISIONS),)),
    Metric("prediction_score", "histogram", "Predicted probability of a push, per verdict.", buckets=_TENTHS),
    Metric("predictions_awaiting_label", "gauge", "Open graphlets with at least one verdict."),
    Metric("flags_opened_total", "counter", "Flags raised: runs whose verdict became prune."),
    Metric(
        "flags_closed_total", "counter", "Flags that have ended, by how.",
        (Label("reason", (WITHDRAWN, *OUTCOMES, OVERRIDDEN, EVICTED)),),
    ),
    Metric("flags_open", "gauge", "Flags that are open."),
    Metric(
        "flags_stopped", "gauge", "1 while a budget flags nothing because too many recent pushes had been flagged.",
        (_BUDGET,),
    ),
    Metric(
        "flag_latency_seconds", "histogram", "Time from the log time of a record to the sending of its prune verdict.",
        unit="seconds", buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, _MINUTE, 10 * _MINUTE), processes=_WORKER,
    ),
    Metric(
        "flag_remaining_compute_ratio", "histogram", "Share of the expected compute still ahead at a prune verdict.",
        unit="ratio", buckets=_TENTHS,
    ),
)  # fmt: skip

_LABELS = (
    Metric(
        "labels_joined_total", "counter", "Outcomes announced, by outcome and cause; corrections count again.",
        (Label("outcome", OUTCOMES), Label("cause", tuple(CAUSES))),
    ),
    Metric("label_corrections_total", "counter", "Outcomes that replaced an earlier outcome of the same graphlet."),
    Metric(
        "label_delay_seconds", "histogram", "Event time from an outcome to its announcement.", unit="seconds",
        buckets=(_MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY),
    ),
)  # fmt: skip

_VALUE = (
    Metric("deployments_total", "counter", "Pushed graphlets."),
    Metric("deployments_flagged_total", "counter", "Pushed graphlets that had been flagged, held out or not."),
    Metric(
        "compute_node_seconds", "gauge", "Compute by what became of it, evicted executions included.",
        (Label("class", CLASSES),), unit="node_seconds",
    ),
    Metric(
        "compute_flagged_node_seconds", "gauge", "Compute started after a flag of a policy, by what became of it.",
        (_FLAGGED_BUDGET, Label("class", (USEFUL, WASTED, PENDING))), unit="node_seconds",
    ),
    Metric(
        "compute_avoided_node_seconds", "gauge", "Expected compute of pruned runs that was not spent.",
        unit="node_seconds",
    ),
)  # fmt: skip

#: Words of people by which a flagged run goes on.
WORDS = ("keep", "wrong")

_QUALITY = (
    Metric(
        "prequential_outcomes_total", "counter", "Labelled trainers, by what was predicted before and by outcome.",
        (Label("predicted", (PRUNE, CONTINUE)), Label("actual", (PUSHED, NOT_PUSHED))),
    ),
    Metric(
        "flag_words_total", "counter",
        "Flagged trainers that went on by somebody's word, by the word and by outcome.",
        (Label("word", WORDS), Label("actual", (PUSHED, NOT_PUSHED))),
    ),
    Metric(
        "prequential_auc", "gauge", "Area under the ROC curve of the predictions, over all labels so far.",
        (_STAGE, _PREDICTOR),
    ),
    Metric(
        "prequential_log_loss", "gauge", "Log loss of the predictions, over all labels so far.", (_STAGE, _PREDICTOR)
    ),
    Metric(
        "prequential_balanced_accuracy", "gauge", "Balanced accuracy of the predictions, over all labels so far.",
        (_STAGE, _PREDICTOR),
    ),
    Metric("prequential_support", "gauge", "Labels behind the prequential metrics of a stage.", (_STAGE,)),
    Metric("calibration_predictions_total", "counter", "Labelled predictions, by bin of their probability.", (_BIN,)),
    Metric("calibration_positives_total", "counter", "Labelled predictions whose outcome was a push, by bin.", (_BIN,)),
    Metric("calibration_score_sum_total", "counter", "Sum of the predicted probabilities, by bin.", (_BIN,)),
    Metric("drift_detections_total", "counter", "Drifts detected in the log loss of a stage.", (_STAGE,)),
)  # fmt: skip

_MODEL = (
    Metric(
        "model_info", "info", "Feature schema of the model.",
        (Label("feature_schema", meaning="hash of the features"),),
    ),
    Metric("model_examples_total", "counter", "Examples folded into the model."),
    Metric("model_on_trial", "gauge", "1 while a new model of the stage is on trial, else 0.", (_STAGE,)),
    Metric("model_rollbacks_total", "counter", "Times a stage replaced its model by a fresh one."),
    Metric("model_updates_discarded_total", "counter", "Model updates discarded because they were not finite."),
    Metric(
        "model_labels_forgotten_total", "counter", "Labels forgotten early; a correction of one counts twice."
    ),
    Metric(
        "examples_position", "gauge", "Offset in the examples log up to which the model is folded.", processes=_WORKER
    ),
    Metric("examples_skipped_total", "counter", "Records of the examples log that are no example.", processes=_WORKER),
    Metric(
        "examples_missing", "gauge", "Offsets of the examples log that were deleted before the model learned them.",
        processes=_WORKER,
    ),
    Metric(
        "model_identity_info", "info",
        "What the model is made of; workers of a group with different values have different models.",
        (Label("identity", meaning="digest of code, settings, topic and first example"),), processes=_WORKER,
    ),
    Metric(
        "model_checkpoint_timestamp_seconds", "gauge", "Time of the last model checkpoint, as a Unix time.",
        unit="seconds", processes=_WORKER,
    ),
    Metric(
        "model_checkpoint_size_bytes", "gauge", "Size of the last model checkpoint.", unit="bytes", processes=_WORKER
    ),
    Metric(
        "local_copies_damaged_total", "counter",
        "Damaged local copies of state, deleted and read again from the changelog.",
        processes=_GROUP,
    ),
    Metric(
        "model_checkpoints_dropped_total", "counter", "Model checkpoints dropped because they did not verify.",
        processes=_WORKER,
    ),
    Metric(
        "model_checkpoint_failures_total", "counter", "Model checkpoints that could not be written.", processes=_WORKER
    ),
)  # fmt: skip

#: Area -> its metrics.
AREAS: dict[str, tuple[Metric, ...]] = {
    "Process": _PROCESS,
    "Events": _EVENTS,
    "Kafka": _KAFKA,
    "HTTP": _HTTP,
    "State": _STATE,
    "Predictions and flags": _PREDICTIONS,
    "Fleet": FLEET,
    "Sidecar": SIDECAR,
    "Alerts": ALERTS,
    "Acting": ACTING,
    "Labels": _LABELS,
    "Value": _VALUE,
    "Quality": _QUALITY,
    "Model": _MODEL,
}
#: Name without prefix -> metric.
CATALOGUE: dict[str, Metric] = {metric.name: metric for metric in chain.from_iterable(AREAS.values())}
