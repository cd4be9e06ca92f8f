"""What the pages show in Python is importable from `stream_app` or from its package, and from one of them only."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import stream_app
from stream_app.simulator import FleetOptions, write_fleet

ROOT = Path(__file__).parents[1]
#: The packages whose names are public: those in `__all__`.
PUBLIC = (
    "stream_app",
    "stream_app.client",
    "stream_app.simulator",
    "stream_app.sources",
    "stream_app.sources.mlflow",
    "stream_app.sources.mlmd",
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def names_of(package: str) -> list[str]:
    """The public names of a package."""
    return list(import_module(package).__all__)


def programs(page: Path) -> list[str]:
    """The Python code of a page: its blocks, and programs in commands."""
    text = page.read_text()
    return [
        *re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE),
        *re.findall(r'^python -c "(.*)"', text, re.MULTILINE),
    ]


def imported(program: str) -> Iterator[tuple[str, str | None]]:
    """(module, name) of each import of this project; the name is None where the module itself is imported."""
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "stream_app":
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name.split(".")[0] == "stream_app")


SHOWN = [(str(page.relative_to(ROOT)), *found) for page in PAGES for code in programs(page) for found in imported(code)]


def embed_example() -> str:
    """The program of the README that embeds the detector."""
    [program] = [code for code in programs(ROOT / "README.md") if "Detector(" in code]
    return program


def loaded_by(statement: str) -> set[str]:
    """The top-level modules beside the standard library that a fresh interpreter loads for a statement."""
    program = (
        f"import sys; before = set(sys.modules); {statement}; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


# Names


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_resolve(package: str) -> None:
    """Each name that a package lists is there."""
    assert not [name for name in names_of(package) if not hasattr(import_module(package), name)]


def test_the_names_of_the_package_are_sorted() -> None:
    """Each once, and none that the list does not have."""
    assert stream_app.__all__ == sorted(set(stream_app.__all__))
    assert list(stream_app._DEFINED_IN) == stream_app.__all__


def test_a_name_that_is_none_is_refused() -> None:
    """As by any module."""
    for package in ("stream_app", "stream_app.client"):
        with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Detectors'"):
            _ = import_module(package).Detectors


def test_nothing_has_two_homes() -> None:
    """No class and no function is a public name of two packages."""
    homes = defaultdict(list)
    for package in PUBLIC:
        for name in names_of(package):
            value = getattr(import_module(package), name)
            if hasattr(value, "__qualname__"):  # constants may be equal by chance
                homes[value].append(f"{package}.{name}")

    assert len(homes) > 40
    assert not [names for names in homes.values() if len(names) > 1]


# Pages


@pytest.mark.parametrize(("page", "module", "name"), SHOWN)
def test_a_page_imports_public_names(page: str, module: str, name: str | None) -> None:
    """From the package, never from a module inside it."""
    assert module in PUBLIC, f"{page} imports from {module}"
    if name not in (None, "*"):
        assert name in names_of(module), f"{page} imports {name}, which {module} does not list"


def test_the_pages_that_show_python_are_read() -> None:
    """Or the test above would pass for want of cases."""
    assert {page for page, _, _ in SHOWN} >= {
        "README.md", "docs/mlflow.md", "docs/mlmd.md", "docs/openlineage.md", "docs/serve.md", "docs/simulator.md",
    }  # fmt: skip


def test_the_readme_embeds_the_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program runs as it stands: it prints verdicts with their reasons, and its learner learns."""
    monkeypatch.chdir(tmp_path)
    write_fleet(FleetOptions(pipelines=4, days=6, seed=1), "events.jsonl", "truth.jsonl")
    names: dict[str, object] = {}

    exec(embed_example(), names)

    printed = capsys.readouterr().out
    learner = names["learner"]
    assert isinstance(learner, stream_app.Learner)
    assert learner.records > 0
    assert re.search(r"^\S+/\S+ (continue|warn|prune) \d+\.\d% observe 0\.05$", printed, re.MULTILINE)
    assert re.search(r"^  \w[\w.]* = -?\d+(\.\d+)?: [+-]\d+\.\d\d log-odds$", printed, re.MULTILINE)


# Cost


@pytest.mark.parametrize(
    "statement", ["import stream_app", "import stream_app.client", "from stream_app import should_prune"]
)
def test_importing_it_loads_nothing_else(statement: str) -> None:
    """A pipeline that imports it needs the standard library alone."""
    assert loaded_by(statement) == {"stream_app"}
