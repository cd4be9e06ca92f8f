"""Clean OpenLineage streams of an Airflow DAG, and the ways in which real streams deviate from them."""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import Callable
from typing import Any

from stream_app.core.detector import Detector, Settings
from stream_app.sources import OPENLINEAGE, detect
from stream_app.sources.openlineage import decode
from stream_app.times import text_to_time, time_to_text
from tests.sources.openlineage_events import dataset, job_type, run_event

Event = dict[str, Any]
Stream = list[Event]

#: Tasks of a run: what they read and write. The last one is left out where a run deploys nothing.
TASKS = (
    ("prepare", ("raw",), ("features",)),
    ("train_model", ("features",), ("model",)),
    ("evaluate", ("model", "features"), ("report",)),
    ("deploy_model", ("model",), ("serving",)),
)


def clean_stream(dag: str, ends: list[str], has_versions: bool) -> Stream:
    """The events of some runs of a DAG, one after the other.

    Parameters
    ----------
    dag
        The id of the DAG.
    ends
        How each run ends: `pushed`, `kept` without a deployment, or `failed` in its training.
    has_versions
        Whether datasets have versions.
    """
    events: Stream = []
    minute = 0
    for number, end in enumerate(ends):
        run, version = f"{dag} {number}", f"v{number}" if has_versions else None
        top = run_event("START", dag, run, time=_at(minute), job_facets=job_type("DAG"))
        events.append(top)
        for task, reads, writes in TASKS[: {"pushed": 4, "kept": 3, "failed": 2}[end]]:
            is_failed = end == "failed" and task == "train_model"
            for event_type in ("START", "FAIL" if is_failed else "COMPLETE"):
                minute += 5
                events.append(
                    run_event(
                        event_type,
                        f"{dag}.{task}",
                        f"{run} {task}",
                        time=_at(minute),
                        parent=(run, dag),
                        root=(run, dag),
                        inputs=[dataset(name, version) for name in reads],
                        outputs=[] if is_failed else [dataset(name, version) for name in writes],
                        job_facets=job_type("TASK"),
                    )
                )
        minute += 5
        ended = copy.deepcopy(top) | {"eventType": "COMPLETE", "eventTime": _at(minute)}
        events.append(ended)
    return events


def _at(minutes: int) -> str:
    """Minutes after the beginning; whole ones, since some forms of times have no seconds."""
    return time_to_text(text_to_time("2026-03-01T00:00:00Z") + minutes * 60_000)


def graphlets(messages: list[bytes]) -> list[dict[str, Any]]:
    """The final graphlets of messages, as a worker reads them."""
    detector = Detector(Settings())
    for message in messages:
        assert detect(message) == OPENLINEAGE
        event = decode(message)
        assert event is not None
        detector.step(event)
    return list(detector.graphlets())


def _datasets(event: Event, *fields: str) -> list[Event]:
    return [each for field in fields or ("inputs", "outputs") for each in event[field]]


def without_job_types(event: Event, chance: random.Random) -> None:
    """Some events lack the `jobType` facet; of a DAG with dots its own run cannot do without."""
    if ("parent" in event["run"]["facets"] or "." not in event["job"]["name"]) and chance.random() < 0.6:
        del event["job"]["facets"]["jobType"]


def with_other_times(event: Event, chance: random.Random) -> None:
    """Without an offset, with other offsets, and as numbers."""
    text = event["eventTime"].removesuffix("Z")
    forms: list[Any] = [
        text, text + "Z[Europe/London]", text + "+0000", text + "+00", text.replace("T", " "), text[:16],
        text[:16] + "+00:00[Etc/UTC]", text + "000+00:00", text.lower() + "z",
    ]  # fmt: skip
    event["eventTime"] = chance.choice(forms)


def with_junk(event: Event, chance: random.Random) -> None:
    """Facets that nobody reads, which `written` fills with what no parser takes, and unknown fields."""
    holder = chance.choice([event["run"]["facets"], event["job"]["facets"], event, *_datasets(event)])
    holder["junk"] = chance.choice([*JUNK, {"name": "x", "run": {"runId": 1}}, 7, None])


def with_two_names(event: Event, chance: random.Random) -> None:
    """Writers name a dataset twice, readers by either of its names."""
    for each in _datasets(event):
        own, other = (
            {key: each[key] for key in ("namespace", "name")},
            {"namespace": "hive://metastore:9083", "name": f"ml.{each['name']}"},
        )
        names = [own, other]
        chance.shuffle(names)
        each.update(names[0])
        if each in event["outputs"] or chance.random() < 0.3:
            each["facets"]["symlinks"] = {"identifiers": [7, names[1] | {"type": "TABLE"}, {"name": None}]}


def with_other_uris(event: Event, chance: random.Random) -> None:
    """Other schemes of one store, and slashes at the end."""
    for each in _datasets(event):
        if each["namespace"].startswith("s3://"):
            each["namespace"] = chance.choice(["s3", "s3a", "s3n", "S3"]) + each["namespace"][2:]
            each["name"] = chance.choice(["", "/"]) + each["name"]
        each["namespace"] += chance.choice(["", "/"])
        each["name"] += chance.choice(["", "/", "//"])


def without_versions_when_read(event: Event, chance: random.Random) -> None:
    """Some readers do not tell which version they read."""
    for each in _datasets(event, "inputs"):
        if chance.random() < 0.5:
            each["facets"].pop("version", None)


def without_versions_at_the_start(event: Event, _chance: random.Random) -> None:
    """A version is known when it is written."""
    if event["eventType"] == "START":
        for each in _datasets(event, "outputs"):
            each["facets"].pop("version", None)


def without_versions_when_written(event: Event, _chance: random.Random) -> None:
    """The writers' integration does not tell versions."""
    for each in _datasets(event, "outputs"):
        each["facets"].pop("version", None)


def with_nulls(event: Event, chance: random.Random) -> None:
    """What is empty is null."""
    for holder, key in [(event, "inputs"), (event, "outputs"), (event["job"], "facets"), (event["run"], "facets")]:
        if not holder[key] and chance.random() < 0.7:
            holder[key] = None
    for facets in (event["run"]["facets"], event["job"]["facets"]):
        if facets is not None:
            facets.update(dict.fromkeys(chance.sample(["errorMessage", "ownership", "nominalTime", "parentRun"], 2)))


def with_lists_once(event: Event, _chance: random.Random) -> None:
    """Inputs are told at the start alone, outputs at the end alone."""
    event["inputs" if event["eventType"] != "START" else "outputs"] = []


def with_the_parent_at_the_start(event: Event, _chance: random.Random) -> None:
    """Of a DAG without dots in its id, whose name is the beginning of the task's."""
    if event["eventType"] != "START" and event["job"]["name"].count(".") == 1:
        event["run"]["facets"].pop("parent", None)


def with_malformed_parents(event: Event, chance: random.Random) -> None:
    """Besides the right one; or the root, which is not needed here."""
    facets = event["run"]["facets"]
    if "parent" not in facets:
        facets["parent"] = chance.choice([None, {}, "r1", {"run": None}, {"run": {"runId": "{{ run_id }}"}}, [1]])
    elif chance.random() < 0.5:
        facets["parent"]["root"] = chance.choice([None, {}, 7, {"run": {"runId": None}}, {"run": {"runId": "${ID}"}}])
    else:
        facets["parentRun"] = chance.choice([None, 7, {"run": {"runId": ""}}])


def with_other_letters(event: Event, chance: random.Random) -> None:
    """Run ids in capitals."""
    event["run"]["runId"] = chance.choice([str.upper, str.lower])(event["run"]["runId"])


Deviation = Callable[[Event, random.Random], None]

#: In the order in which they are applied: what changes names comes before what writes them otherwise.
DEVIATIONS: tuple[Deviation, ...] = (
    with_the_parent_at_the_start, without_job_types, with_other_times, with_two_names, with_other_uris,
    without_versions_when_read, without_versions_at_the_start, without_versions_when_written, with_lists_once,
    with_malformed_parents, with_other_letters, with_junk, with_nulls,
)  # fmt: skip

#: Placeholders of junk, and the text that stands for each in a message.
JUNK = {
    "JUNK NaN": '{"v": NaN, "w": [Infinity, -Infinity, 1e999]}',
    "JUNK deep": "[" * 3000 + "]" * 3000,
    "JUNK objects": '{"a":' * 400 + "1" + "}" * 400,
    "JUNK twice": '{"name": 1, "name": 2, "run": {"a": 1, "a": 2}}',
    "JUNK surrogate": '{"text": "\\ud800", "\\udfff": 1}',
    "JUNK number": "9" * 5000,
    "JUNK words": "{a: undefined}",
    "JUNK large": '"' + "x" * 1_100_000 + '"',
}


def written(event: Event) -> bytes:
    """The message of an event, junk filled in."""
    text = json.dumps(event)
    for name, junk in JUNK.items():
        text = text.replace(f'"{name}"', junk)
    return text.encode()


def enveloped(message: bytes, chance: random.Random) -> bytes:
    """A message as it is, with a byte order mark, or as a CloudEvent."""
    start = b'{"specversion": "1.0", "id": "1", "source": "/x", "type": "io.openlineage", '
    forms: list[Callable[[], bytes]] = [
        lambda: message,
        lambda: b"\xef\xbb\xbf" + message,
        lambda: start + b'"data": ' + message + b"}",
        lambda: start + b'"data_base64": "' + base64.b64encode(message) + b'"}',
        lambda: b"\n " + start + b'"data": ' + json.dumps(message.decode()).encode() + b"}",
    ]
    return chance.choice(forms)()
