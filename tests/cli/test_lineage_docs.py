"""What docs/lineage.md shows is what happens: its commands, their output, its keys, rules and numbers."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from stream_app.cli.lineage_lines import tree_lines, why_lines
from stream_app.core.detector import Detector
from stream_app.provenance.lineage import (
    DEPTH,
    DEPTH_MAX,
    EDGES_MAX,
    LIMIT,
    LIMIT_MAX,
    NODE_EDGES_MAX,
    NODES_MAX,
    lineage,
)
from stream_app.provenance.nodes import GRAPHLETS_MAX
from stream_app.provenance.why import RULES, why
from stream_app.sources.native import decode
from tests.support.commands import Run
from tests.web.served import embedded_service
from tests.web.test_http import applied

PAGE = (Path(__file__).parents[2] / "docs" / "lineage.md").read_text()
[EVENTS] = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
[COMMANDS] = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
#: The command and the output of each example.
EXAMPLES = [
    (shlex.split(command)[2:], output.splitlines())
    for block in re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)+)", block, re.MULTILINE)
]


@pytest.fixture(scope="module")
def detector() -> Detector:
    """It has read the events of the page."""
    found = Detector()
    for line in EVENTS.splitlines():
        found.step(decode(line.encode()))
    return found


def keys_of(section: str) -> set[str]:
    """The names in the first column of the first table of a part of the page."""
    rows = section[section.index("| --- |") :].partition("\n\n")[0].splitlines()[1:]
    return set(re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in rows)))


@pytest.mark.parametrize(("words", "output"), EXAMPLES, ids=lambda value: " ".join(value)[:60])
def test_an_example_gives_its_output(detector: Detector, words: list[str], output: list[str]) -> None:
    """Line by line, as on a terminal."""
    name, file, *flags = words
    assert file == "events.jsonl"
    operators = detector.settings.operators
    if flags[0] == "--in":
        assert why_lines(why(detector.pipelines, name, flags[1], operators)) == output
    else:
        answer = lineage(detector.pipelines, name, operators, direction=flags[0].removeprefix("--"))
        assert tree_lines(answer) == output


def test_there_are_examples_of_each_question() -> None:
    assert len(EXAMPLES) == 3
    assert len(COMMANDS.splitlines()) == 5


@pytest.mark.parametrize("line", COMMANDS.splitlines())
def test_a_command_of_the_page_succeeds(line: str, run: Run, tmp_path: Path) -> None:
    """Over the events of the page, from a file or sent to a service."""
    (tmp_path / "events.jsonl").write_text(EVENTS)
    with embedded_service(tmp_path / "log") as service:
        service.post(f"[{','.join(EVENTS.splitlines())}]".encode(), "/v1/events/batch")
        applied(service)
        words = shlex.split(line, comments=True)[1:]
        found = run(*(service.url if word == "http://localhost:8484" else word for word in words))

    assert (found.code, found.err) == (0, "")
    assert "ads/" in found.out


def test_the_tables_have_every_key_of_the_answers(detector: Detector) -> None:
    """And no other."""
    answer: dict[str, Any] = lineage(detector.pipelines, "push-2", detector.settings.operators)
    reason = why(detector.pipelines, "push-2", "train-1", detector.settings.operators)
    of_lineage = PAGE[PAGE.index("The answer of `/v1/lineage`, and") : PAGE.index("A node has")]
    of_node = PAGE[PAGE.index("A node has") : PAGE.index("The answer of `/v1/lineage/why`:")]
    of_why = PAGE[PAGE.index("The answer of `/v1/lineage/why`:") : PAGE.index("| rule |")]

    assert keys_of(of_lineage) == answer.keys()
    assert keys_of(of_why) == reason.keys()
    assert answer["nodes"][0].keys() <= set(re.findall(r"`(\w+)`", of_node))
    assert keys_of(PAGE[PAGE.index("| rule |") :]) == set(RULES)


@pytest.mark.parametrize(
    "says",
    [
        f"| `--depth`, `depth` | {DEPTH} | {DEPTH_MAX:,} |",
        f"| `--limit`, `limit` | {LIMIT} | {LIMIT_MAX:,} |",
        f"visits at most {NODES_MAX:,} nodes and looks at {EDGES_MAX:,} edges",
        f"at most {NODE_EDGES_MAX} that lead to it and {NODE_EDGES_MAX} that it leads to",
        f"the first {GRAPHLETS_MAX} `ids`",
        f"more than {EDGES_MAX:,} edges to look at",
    ],
)
def test_its_numbers_are_those_of_the_code(says: str) -> None:
    assert says in PAGE


def test_the_help_has_the_defaults_too(run: Run) -> None:
    text = " ".join(run("lineage", "--help").out.replace("│", " ").split())

    assert f"({DEPTH} if not set)" in text
    assert f"({LIMIT} if not set)" in text
