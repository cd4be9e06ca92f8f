"""What a name names: full names with their escapes, ids as they are, and what is unknown or ambiguous."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.provenance.names import AmbiguousNameError, Target, UnknownNameError, find
from tests.provenance.graphs import asked, detector_of, whole
from tests.support.builders import artifact, ran, run_ended

LOG = [
    *ran(0, "gen", "CsvExampleGen", writes=["s3://bucket/span-7"], pipeline="prod/ads"),
    *ran(1, "r42/train", "Trainer", reads=["s3://bucket/span-7"], writes=["m", "12"], pipeline="prod/ads"),
    *ran(2, "12", "Pusher", reads=["m"], pipeline="prod/ads"),
    *ran(2, "12", "Pusher", reads=["m"], pipeline="shop"),
    *ran(3, "run:7", "Evaluator", reads=[artifact("table", versioned=False)], pipeline="shop"),
    *ran(0, "load", "Transform", writes=[artifact("table", versioned=False)], pipeline="shop"),
    run_ended(5, pipeline="shop"),
]
PIPELINES = detector_of(LOG).pipelines


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("prod~1ads/gen", Target("execution", "prod/ads", "gen")),
        ("prod/ads/gen", Target("execution", "prod/ads", "gen")),
        ("gen", Target("execution", "prod/ads", "gen")),
        ("execution:gen", Target("execution", "prod/ads", "gen")),
        ("prod~1ads/r42/train", Target("execution", "prod/ads", "r42/train")),
        ("r42/train", Target("execution", "prod/ads", "r42/train")),
        ("s3://bucket/span-7", Target("artifact", "prod/ads", "s3://bucket/span-7")),
        ("prod/ads/s3://bucket/span-7", Target("artifact", "prod/ads", "s3://bucket/span-7")),
        ("prod~1ads/artifact:s3~2//bucket/span-7", Target("artifact", "prod/ads", "s3://bucket/span-7")),
        ("prod~1ads/12", Target("execution", "prod/ads", "12")),
        ("prod~1ads/artifact:12", Target("artifact", "prod/ads", "12")),
        ("artifact:12", Target("artifact", "prod/ads", "12")),
        ("shop/run~27", Target("execution", "shop", "run:7")),
        ("run:7", Target("execution", "shop", "run:7")),
        ("shop/run:r1", Target("run", "shop", "r1")),
        ("shop/r1", Target("run", "shop", "r1")),
        ("r1", Target("run", "shop", "r1")),
        ("shop/artifact:table", Target("artifact", "shop", "table")),
        ("shop/artifact:table:load", Target("artifact", "shop", "table", "load")),
    ],
)
def test_a_name_names_one_thing(name: str, target: Target) -> None:
    """The execution where an artifact has its id, as in ids of graphlets; the run, for the run's own execution."""
    assert find(PIPELINES, name) == target


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("12", r"12: names 3 things: give one of prod~1ads/artifact:12, prod~1ads/12, shop/12"),
        ("execution:12", r"execution:12: names 2 things: give one of prod~1ads/12, shop/12"),
        ("m", r"m: names 2 things: give one of prod~1ads/artifact:m, shop/artifact:m"),
        ("run:r1", r"run:r1: names 2 things: give one of prod~1ads/run:r1, shop/run:r1"),
    ],
)
def test_a_name_of_several_things_is_refused_with_their_full_names(name: str, says: str) -> None:
    with pytest.raises(AmbiguousNameError, match=rf"^{says}$"):
        find(PIPELINES, name)


@pytest.mark.parametrize(
    "name",
    [
        "", "/", "//", ":", "shop/", "shop/run:", "shop/run:r9", "shop/artifact:", "shop/artifact:table:nobody",
        "shop/execution:12:load", "prod~1ads/artifact:m:12", "shop/execution:", "nowhere/12", "~1", "shop/~3", "GEN",
        "gen ", "\ud800", "x" * 100_000, "/" * 10_000, "a\nb",
    ],
)  # fmt: skip
def test_what_names_nothing_is_one_line_with_similar_names(name: str) -> None:
    """Bounded, whatever was asked."""
    with pytest.raises(
        UnknownNameError, match=r"no such execution, artifact or run; there are, for instance, "
    ) as said:
        find(PIPELINES, name)

    assert len(str(said.value)) < 1_000
    assert str(said.value).isprintable()


def test_the_most_similar_names_are_named_first() -> None:
    with pytest.raises(UnknownNameError, match=r"for instance, prod~1ads/artifact:s3~2//bucket/span-7"):
        find(PIPELINES, "s3://bucket/span")


def test_without_any_event_there_is_nothing_to_name() -> None:
    with pytest.raises(UnknownNameError, match=r"^gen: no such execution, artifact or run; there is none at all$"):
        find({}, "gen")


def test_every_name_of_an_answer_can_be_asked_for() -> None:
    """And names the same node."""
    detector = detector_of(LOG)
    for pipeline in ("prod~1ads", "shop"):
        for node in whole(detector, f"{pipeline}/run:r1", across=True)["nodes"]:
            [found] = asked(detector, node["name"], depth=0)["nodes"]
            assert found == node | {"distance": 0}


def test_a_version_of_an_artifact_can_be_asked_for() -> None:
    """All of them are at distance 0 where the artifact is."""
    detector = detector_of(LOG)
    table = artifact("table", versioned=False)
    for event in ran(9, "again", "Transform", writes=[table], pipeline="shop"):
        detector.step(event)
    versions = asked(detector, "shop/artifact:table", depth=0)["nodes"]

    assert [(each["name"], each["writer"]) for each in versions] == [
        ("shop/artifact:table:again", "again"), ("shop/artifact:table:load", "load"),
    ]  # fmt: skip
    assert [each["name"] for each in asked(detector, "shop/artifact:table:load", depth=1)["nodes"]] == [
        "shop/artifact:table:load", "shop/load", "shop/run~27",
    ]  # fmt: skip


@given(
    pipeline=st.text("a/:~@ ", min_size=1, max_size=5),
    execution=st.text("a/:~@ ", min_size=1, max_size=5),
    span=st.text("a/:~@ ", min_size=1, max_size=5),
    versioned=st.booleans(),
)
def test_full_names_name_what_they_were_made_for(pipeline: str, execution: str, span: str, versioned: bool) -> None:
    """Whatever separators the ids have in them."""
    other = f"{execution}2"
    detector = detector_of(
        [
            *ran(0, execution, "Transform", writes=[artifact(span, versioned=versioned)], pipeline=pipeline),
            *ran(2, other, "Trainer", reads=[artifact(span, versioned=versioned)], pipeline=pipeline),
        ]
    )
    nodes = asked(detector, f"{pipeline}/execution:{other}", direction="up")["nodes"]

    assert [node["id"] for node in nodes] == [other, span, execution]
    for node in nodes:
        assert asked(detector, node["name"], depth=0)["nodes"] == [node | {"distance": 0}]
