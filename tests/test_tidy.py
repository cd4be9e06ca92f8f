"""What the code keeps to as a whole, read from its sources: layers, sizes, and words that do not belong in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.modules import MODULES, PACKAGE, ROOT, calls

LINES_MAX, FUNCTION_MAX = 400, 70


def texts() -> Iterator[tuple[Path, str]]:
    """All that people read: sources, tests, documents, settings."""
    kinds = {".py", ".md", ".toml", ".json", ".yaml", ".yml", ".sh", ".html", ".j2", ".css"}
    for folder in (PACKAGE, "tests", "docs", "benchmarks", "schemas", "deploy"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in kinds and "__pycache__" not in path.parts:
                yield path, path.read_text()
    for path in sorted(ROOT.glob("*.md")):
        yield path, path.read_text()


# Sizes


def test_modules_are_small() -> None:
    """A person reads one at a sitting."""
    lengths = {module.name: len(module.text.splitlines()) for module in MODULES}

    assert not {name: lines for name, lines in lengths.items() if lines > LINES_MAX}


def test_functions_are_small() -> None:
    """On one screen."""
    found = []
    for module in MODULES:
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > FUNCTION_MAX:
                    found.append(f"{module.name}.{node.name}: {lines} lines")

    assert not found


# Words


def test_only_the_command_line_prints() -> None:
    """What others have to say goes to standard error, or to whoever called them."""
    found = [
        f"{module.name}, line {call.lineno}"
        for module in MODULES
        if module.part != "cli"
        for call in calls(module, "print")
        if not any(keyword.arg == "file" for keyword in call.keywords)
    ]

    assert not found


def test_every_module_says_what_it_is() -> None:
    """In its first line; empty ones have nothing to say."""
    assert not [module.name for module in MODULES if module.text.strip() and not ast.get_docstring(module.tree)]


#: Why a word does not belong here, and the word.
BANNED = {
    "a note to oneself": re.compile(r"\b(TODO|FIXME|XXX|HACK)\b"),
    "a place on one machine": re.compile(r"/(work|home)/\w+/"),
    "how this came about, not what it is": re.compile(r"\b(in (this|an earlier|the last|a later) session)\b", re.I),
}


@pytest.mark.parametrize("why", BANNED)
def test_words_that_do_not_belong_here(why: str) -> None:
    """Nowhere: not in code, tests or documents."""
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in texts()
        if path != Path(__file__)
        for match in BANNED[why].finditer(text)
    ]

    assert not found


def test_the_only_sessions_told_of_are_kafkas() -> None:
    """A reader of the documents knows no other."""
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in texts()
        if path.suffix == ".md"
        for match in re.finditer(r"\bsessions?\b(?! timeout)[^\n]{0,30}", text, re.I)
    ]

    assert not found


#: Private words, and what the field calls it.
PRIVATE = {
    "told": "reported", "said": "predicted", "heard": "received", "unsaid": "announcements", "awaited": "pending",
    "talk": "predictions", "spared": "avoided_booked", "let_go": "release", "lanes": "queues", "tally": "histogram",
    "speaker": "encoder", "doubtful": "needs_restore", "gathering": "statistics", "passed_over": "ignored",
    "calm": "tune", "rivals": "concurrent_runs", "rhythm": "cadence", "gains": "improvement", "tentative": "lowest",
}  # fmt: skip


#: What cursors of stores are stored with.
STORED = {"sources.mlflow.follow: said", "sources.mlmd.follow: said"}


def test_names_are_words_of_the_field() -> None:
    """Whole parts of names, so that a word inside another does not count; stored fields keep their names."""
    found = []
    for module in MODULES:
        for node in ast.walk(module.tree):
            name = getattr(node, "name", None) or getattr(node, "attr", None) or getattr(node, "arg", None)
            if isinstance(name, str):
                parts = set(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")) | {name.lower()}
                found += [f"{module.name}: {name}" for word in PRIVATE if word in parts]

    assert sorted(set(found) - STORED) == []
    assert set(found) >= STORED
