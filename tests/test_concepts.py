"""docs/concepts.md and CONTRIBUTING.md describe the code that is there."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from stream_app.core.decisions.stages import RULES
from stream_app.core.events import STATES

ROOT = Path(__file__).parents[1]
CONCEPTS, CONTRIBUTING = ROOT / "docs" / "concepts.md", ROOT / "CONTRIBUTING.md"
#: How many files and folders a page names at least.
NAMED_MIN = {CONCEPTS: 40, CONTRIBUTING: 15}


def stage_table() -> str:
    """The rules of stages as the page has them: a row for each group and stage, `any` for all states."""
    states = defaultdict(list)
    for (group, state), stage in RULES.items():
        states[group, stage].append(state)
    rows = [
        f"| `{group}` | {'any' if set(found) == set(STATES) else ', '.join(found)} | `{stage}` |"
        for (group, stage), found in states.items()
    ]
    return "\n".join(["| group | state | stage |", "| --- | --- | --- |", *rows])


def places(page: Path) -> list[str]:
    """The files and folders that a page names in code."""
    return re.findall(r"`([\w.-]+(?:/[\w.-]*)+|\w+\.(?:py|md|toml))`", page.read_text())


def test_the_stages_are_those_of_the_rules() -> None:
    """The table of the page is drawn from the table of the code."""
    [shown] = re.findall(r"^## Stages\n.*?((?:^\|[^\n]*\n)+)", CONCEPTS.read_text(), re.DOTALL | re.MULTILINE)

    assert shown.rstrip() == stage_table()


@pytest.mark.parametrize("page", [CONCEPTS, CONTRIBUTING], ids=lambda page: page.name)
def test_the_places_that_a_page_names_exist(page: Path) -> None:
    """In the repository or in the package."""
    named = places(page)

    assert len(named) >= NAMED_MIN[page]
    assert not [name for name in named if not (ROOT / name).exists() and not (ROOT / "stream_app" / name).exists()]
