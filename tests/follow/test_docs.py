"""The commands that docs/mlmd.md and docs/mlflow.md show are understood, and do what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.follow.follow_process import once
from tests.sources.mlmd_store import golden_store
from tests.web.served import embedded_service

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = [
    (page, shlex.split(line, comments=True)[2:])
    for page in ("mlmd.md", "mlflow.md")
    for block in re.findall(r"^```sh\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if line.startswith("stream-app follow ")
]


@pytest.mark.parametrize(("page", "arguments"), COMMANDS, ids=lambda value: " ".join(value)[:70])
def test_a_command_of_the_page(page: str, arguments: list[str], tmp_path: Path, mlflow_url: str) -> None:
    """Against a store and a server that are there; of the Kafka that is not there it says so."""
    store = str(golden_store(tmp_path / "metadata.sqlite", 10)) if page == "mlmd.md" else mlflow_url
    with embedded_service(tmp_path / "log") as service:
        there = {
            arguments[1]: store,
            "http://localhost:8484": service.url,
            "kafka:9092": "127.0.0.1:1",
            "mlmd.cursor": str(tmp_path / "cursor"),
            "mlflow.cursor": str(tmp_path / "cursor"),
        }
        code, said = once(*(there.get(each, each) for each in arguments if each != "--once"))

    if "--url" in arguments:
        assert (code, f"events sent to {service.url}" in said) == (0, True)
    else:
        assert (code, "cannot reach Kafka at 127.0.0.1:1" in said) == (1, True)


def test_the_pages_show_both_targets() -> None:
    assert len(COMMANDS) == 6
