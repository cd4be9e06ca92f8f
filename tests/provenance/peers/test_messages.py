"""Questions and answers that are not what they should be are refused with what is expected, and break nothing."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.errors import StreamAppError
from stream_app.provenance.peers import MessageError, answer, lineage_over
from tests.provenance.graphs import detector_of
from tests.provenance.peers.fleet import asked_over, peer, split
from tests.support.builders import artifact, ran
from tests.support.worlds import OPERATORS

TABLE = artifact("table", versioned=False)
LOG = [
    *ran(0, "gen", "CsvExampleGen", writes=["span", TABLE]),
    *ran(2, "load", "Transform", writes=[TABLE], pipeline="q"),
    *ran(4, "train", "Trainer", reads=["span", TABLE], writes=["model"], pipeline="q"),
    *ran(6, "push", "Pusher", reads=["model", TABLE], pipeline="r"),
]
PIPELINES = detector_of(LOG).pipelines
PARTS = split(PIPELINES, [0, 1, 1], 2)
TARGET = ["execution", "q", "train", None]
PAGE = {
    "ask": "page", "target": TARGET, "direction": "up", "depth": 2, "limit": 9, "after": None, "nodes": 9, "edges": 9,
}  # fmt: skip
EXECUTIONS = {"ask": "executions", "before": [], "after": [], "elsewhere": [], "edges": 9}


def test_the_questions_of_these_tests_are_answered() -> None:
    """Or they would be refused for another reason than the tests mean."""
    for question in (PAGE, EXECUTIONS, {**PAGE, "unknown": [{}]}):
        assert answer(PIPELINES, OPERATORS, question)


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (None, "question: expected an object"),
        ([], "question: expected an object"),
        ("find", "question: expected an object"),
        ({}, "question.ask: expected one of find, similar, page, roots, executions, versions, nodes"),
        ({"ask": []}, "question.ask: expected one of"),
        ({"ask": "delete"}, "question.ask: expected one of"),
        ({"ask": "find"}, "question.name: expected a text"),
        ({"ask": "find", "name": 7}, "question.name: expected a text"),
        ({"ask": "similar", "name": None}, "question.name: expected a text"),
        ({"ask": "find", "name": "x" * 10_001}, "question.name: expected a text of at most 10000 characters"),
        ({**PAGE, "target": None}, r"question.target: expected \[kind, pipeline, id, writer\]"),
        ({**PAGE, "target": ["execution", "q", "train"]}, "question.target: expected"),
        ({**PAGE, "target": ["graphlet", "q", "train", None]}, "question.target: expected"),
        ({**PAGE, "target": ["execution", "q", 7, None]}, "question.target: expected"),
        ({**PAGE, "direction": "sideways"}, "question.direction: expected one of up, down, both"),
        ({**PAGE, "depth": -1}, "question.depth: expected a whole number from 0 to 10000"),
        ({**PAGE, "depth": True}, "question.depth: expected"),
        ({**PAGE, "depth": 1.0}, "question.depth: expected"),
        ({**PAGE, "limit": 0}, "question.limit: expected a whole number from 1 to 1000"),
        ({**PAGE, "limit": 10**12}, "question.limit: expected"),
        ({**PAGE, "nodes": 100_001}, "question.nodes: expected"),
        ({**PAGE, "edges": 500_001}, "question.edges: expected"),
        ({**PAGE, "edges": "9"}, "question.edges: expected"),
        ({**PAGE, "after": 7}, "question.after: expected a text or null"),
        ({**PAGE, "after": "nonsense!"}, "question.after: expected the cursor"),
        ({"ask": "roots", "edges": 9}, "question.target: expected"),
        ({"ask": "roots", "target": TARGET}, "question.edges: expected"),
        ({**EXECUTIONS, "before": None}, "question.before: expected a list of at most 500000"),
        ({**EXECUTIONS, "before": {}}, "question.before: expected a list"),
        (
            {**EXECUTIONS, "before": ["span"]},
            r"question.before\[\]: expected \[pipeline, id, writer\]",
        ),
        ({**EXECUTIONS, "after": [["q", "span"]]}, r"question.after\[\]: expected \["),
        ({**EXECUTIONS, "after": [["q", "span", None]]}, r"question.after\[\]: expected \["),
        ({**EXECUTIONS, "after": [["q", ["span"], ""]]}, r"question.after\[\]: expected \["),
        ({**EXECUTIONS, "elsewhere": [["q", "span", None, None]]}, r"question.elsewhere\[\]: expected \["),
        ({**EXECUTIONS, "elsewhere": [["q", "span", 1, "x"]]}, r"question.elsewhere\[\]: expected \["),
        ({"ask": "versions", "readings": [["q", "span", "x"]], "edges": 9}, r"question.readings\[\]: expected \["),
        ({"ask": "versions", "readings": 7, "edges": 9}, "question.readings: expected a list"),
        ({"ask": "nodes", "vertices": [["run", "q", "r1", ""]]}, r"question.vertices\[\]: expected \["),
        ({"ask": "nodes", "vertices": [[]]}, r"question.vertices\[\]: expected \["),
        ({"ask": "nodes"}, "question.vertices: expected a list"),
    ],
)
def test_a_bad_question_is_refused(question: object, says: str) -> None:
    """With the field and what is expected there."""
    with pytest.raises(MessageError, match=f"^{says}"):
        answer(PIPELINES, OPERATORS, question)


@pytest.mark.parametrize(
    "question",
    [
        {**PAGE, "target": ["execution", "elsewhere", "train", None]},
        {**PAGE, "target": ["run", "q", "r9", None]},
        {"ask": "roots", "target": ["execution", "q", "gone", None], "edges": 9},
        {"ask": "roots", "target": ["artifact", "q", "table", "gone"], "edges": 9},
        {"ask": "roots", "target": ["artifact", "q", "model", "train"], "edges": 9},
        {**EXECUTIONS, "before": [["elsewhere", "span", ""]]},
        {**EXECUTIONS, "after": [["q", "gone", ""]]},
        {**EXECUTIONS, "after": [["p", "table", ""]]},
        {"ask": "nodes", "vertices": [["execution", "q", "gone", ""]]},
        {"ask": "nodes", "vertices": [["artifact", "q", "table", "gone"]]},
    ],
)
def test_what_is_not_there_is_no_bad_question(question: dict[str, Any]) -> None:
    """It may have been there when it was found."""
    assert answer(PIPELINES, OPERATORS, question)["moved"].endswith(" is not here, or no longer")


JUNK = st.sampled_from(
    [None, True, 0, -1, 7, 2**63, 1.5, "", "x", "q", "span", "train", [], [[]], {}, {"ask": "find"}, [None] * 5, ["q"]]
)


def replaced(draw: st.DrawFn, value: Any) -> Any:
    """A value in which one part, at any depth, is replaced, removed or doubled."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 5)):
        copy: Any = value.copy()
        place = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        how = draw(st.sampled_from(("into", "into", "into", "without", "doubled")))
        if how == "without":
            del copy[place]
        elif how == "doubled" and isinstance(copy, list):
            copy.append(copy[place])
        else:
            copy[place] = replaced(draw, value[place])
        return copy
    return draw(JUNK)


@settings(max_examples=200)
@given(data=st.data(), across=st.booleans())
def test_no_question_breaks_a_peer(data: st.DataObject, across: bool) -> None:
    """It is answered, or refused on purpose."""
    asked: list[dict[str, Any]] = []
    asked_over([peer(each, asked) for each in PARTS], "r/push", across=across, direction="both")
    asked += [PAGE, {"ask": "similar", "name": "x"}, {"ask": "nodes", "vertices": [["artifact", "p", "table", "gen"]]}]
    question = data.draw(mutations(data.draw(st.sampled_from(asked))))
    with contextlib.suppress(MessageError):
        orjson.dumps(answer(PIPELINES, OPERATORS, question))


@st.composite
def mutations(draw: st.DrawFn, value: Any) -> Any:
    """Values with up to three parts replaced."""
    for _ in range(draw(st.integers(1, 3))):
        value = replaced(draw, value)
    return value


@settings(max_examples=200)
@given(
    data=st.data(),
    number=st.integers(0, 20),
    how=st.fixed_dictionaries({"across": st.booleans(), "direction": st.sampled_from(("up", "down", "both"))}),
    name=st.sampled_from(
        ("r/push", "q/run:r1", "artifact:table", "p/artifact:table:gen", "q/artifact:model", "unknown")
    ),
)
def test_no_answer_breaks_who_asked(data: st.DataObject, number: int, how: dict[str, Any], name: str) -> None:
    """The lineage is one that can be sent on, or an error on purpose."""
    answers = 0

    async def lying(question: dict[str, Any], place: int) -> Any:
        nonlocal answers
        found = await peer(PARTS[place])(question)
        answers += 1
        return data.draw(mutations(found)) if answers >= number else found

    peers = [lambda question, place=place: lying(question, place) for place in range(2)]
    try:
        found = asyncio.run(lineage_over(peers, name, **how))
    except StreamAppError:
        return
    orjson.dumps(found)
