"""What the code keeps to as a whole, read from its sources: layers, sizes, and words that do not belong in it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "stream_app"
LINES_MAX, FUNCTION_MAX = 400, 70

#: What the core may use of the standard library is what neither looks outside nor differs from time to time.
IMPURE = {
    "asyncio", "concurrent", "datetime", "glob", "io", "logging", "multiprocessing", "os", "pathlib", "queue",
    "random", "secrets", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading",
    "time", "urllib", "uuid",
}  # fmt: skip
#: Built-in functions that do.
IMPURE_CALLS = {"open", "print", "input", "id", "hash"}
#: Entered from outside: nothing imports them but themselves, the command line, and `python -m`.
SHELLS = ("cli", "kafka", "web", "alerts")
#: Where Faust may be imported.
FAUST_HOMES = {"kafka", "stores"}


@dataclass(frozen=True)
class Module:
    """A module of the package."""

    path: Path

    @property
    def name(self) -> str:
        """Its dotted name below the package, such as `core.state`."""
        parts = self.path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        return ".".join(part for part in parts if part != "__init__")

    @property
    def part(self) -> str:
        """The package or module right below the top that it is (in)."""
        return self.name.split(".")[0]

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def imports(self) -> set[str]:
        """Dotted names of all modules imported, wherever in the module, absolute."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{self.name} imports relatively"
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        return found

    def uses(self, prefix: str) -> bool:
        """Whether it imports that module or anything in it."""
        return any(name == prefix or name.startswith(f"{prefix}.") for name in self.imports)


MODULES = [Module(path) for path in sorted((ROOT / PACKAGE).rglob("*.py"))]
CORE = [module for module in MODULES if module.part == "core"]


def calls(module: Module, *names: str) -> list[ast.Call]:
    """The calls of functions by these plain names."""
    return [
        node
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    ]


def texts() -> Iterator[tuple[Path, str]]:
    """All that people read: sources, tests, documents, settings."""
    kinds = {".py", ".md", ".toml", ".json", ".yaml", ".yml", ".sh", ".html", ".j2", ".css"}
    for folder in (PACKAGE, "tests", "docs", "benchmarks", "schemas", "deploy"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in kinds and "__pycache__" not in path.parts:
                yield path, path.read_text()
    for path in sorted(ROOT.glob("*.md")):
        yield path, path.read_text()


# Layers


def test_the_core_imports_nothing_that_looks_outside() -> None:
    """The standard library without I/O, clocks and chance; numpy, orjson, river, scipy; itself and the errors."""
    pure = {name for name in sys.stdlib_module_names if name not in IMPURE} | {"numpy", "orjson", "river", "scipy"}
    own = (f"{PACKAGE}.core.", f"{PACKAGE}.errors.")
    found = [
        f"{module.name} imports {name}"
        for module in CORE
        for name in module.imports
        if not name.startswith(own) and name.split(".")[0] not in pure
    ]

    assert len(CORE) > 25
    assert not found


def test_learners_are_made_of_the_detectors_settings() -> None:
    """A learner with another retention than the detector would count corrections twice, and nobody would see it."""
    assert [module.name for module in MODULES if calls(module, "Learner")] == ["core.detector"]


def test_the_core_calls_nothing_that_differs_from_run_to_run() -> None:
    """No files, no console; no addresses and no hashes of strings either, which differ between processes."""
    assert not [
        f"{module.name} calls {ast.unparse(call.func)}" for module in CORE for call in calls(module, *IMPURE_CALLS)
    ]


def test_nothing_imports_a_shell() -> None:
    """The command line may; a shell may import itself."""
    found = [
        f"{module.name} imports {shell}"
        for module in MODULES
        for shell in SHELLS
        if module.part not in ("cli", "__main__", shell) and module.uses(f"{PACKAGE}.{shell}")
    ]

    assert not found


def test_only_its_homes_import_faust() -> None:
    """The engine could be another: nothing else knows it."""
    homes = {module.part for module in MODULES if module.uses("faust") or module.uses("mode")}

    assert homes
    assert homes <= FAUST_HOMES


@pytest.mark.parametrize("engine", ["faust", "mode", "kafka", "aiokafka", "rocksdict", f"{PACKAGE}.kafka"])
def test_replay_needs_no_broker(engine: str) -> None:
    """Neither it nor anything that it imports: the embedded form runs where no such thing is installed."""
    by_name = {module.name: module for module in MODULES}
    waiting = [module for module in MODULES if module.part == "replay"]
    reached = set(waiting)
    while waiting:
        module = waiting.pop()
        assert not module.uses(engine), f"{module.name} imports {engine}"
        for name in sorted(module.imports):
            parts = name.split(".")[1:] if name.startswith(f"{PACKAGE}.") else []
            for length in range(len(parts) + 1):
                found = by_name.get(".".join(parts[:length]))
                if parts and found is not None and found not in reached:
                    reached.add(found)
                    waiting.append(found)

    assert len(reached) > 30


def test_no_module_of_the_core_imports_one_that_imports_it() -> None:
    """Imports point one way; what is imported for types alone points nowhere at run time."""
    edges: dict[str, set[str]] = {}
    for module in MODULES:
        if module.part == "core":
            typing_only = {
                name
                for node in ast.walk(module.tree)
                if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
                for name in Imports(node).names
            }
            names = Imports(module.tree).names - typing_only
            edges[f"{PACKAGE}.{module.name}"] = {name for name in names if name.startswith(f"{PACKAGE}.core")}
    done: list[str] = []

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in done:
            for imported in sorted(edges.get(name, ())):
                visit(imported, (*way, name))
            done.append(name)

    for name in sorted(edges):
        visit(name, ())
    assert len(done) > 20


def test_no_folder_imports_one_that_imports_it() -> None:
    """Not even by way of a third: whoever reads one never has to come back."""
    edges: dict[str, set[str]] = {}
    for module in MODULES:
        imported = {name.split(".")[1] for name in module.imports if name.startswith(f"{PACKAGE}.")}
        edges.setdefault(module.part, set()).update(imported - {module.part})
    leading: dict[str, set[str]] = {part: set(parts) for part, parts in edges.items()}
    for _ in edges:
        for parts in leading.values():
            parts.update(*(leading.get(part, ()) for part in list(parts)))

    assert sorted(part for part, parts in leading.items() if part in parts) == []


class Imports(ast.NodeVisitor):
    """Modules imported from within a node."""

    def __init__(self, node: ast.AST) -> None:
        self.names: set[str] = set()
        self.visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """`from a.b import c`: a.b, and a.b.c should that be a module."""
        assert node.module is not None
        for alias in node.names:
            path = ROOT.joinpath(*node.module.split("."), f"{alias.name}.py")
            self.names.add(f"{node.module}.{alias.name}" if path.exists() else node.module)


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
