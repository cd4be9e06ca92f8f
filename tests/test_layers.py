"""Which package may import which, and what the core may use: read from the sources."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.support.modules import CORE, MODULES, PACKAGE, Imports, calls, circles

#: What the core may use of the standard library is what neither looks outside nor differs from time to time.
IMPURE = {
    "asyncio", "concurrent", "datetime", "glob", "io", "logging", "multiprocessing", "os", "pathlib", "queue",
    "random", "secrets", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading",
    "time", "urllib", "uuid",
}  # fmt: skip
#: Built-in functions that do.
IMPURE_CALLS = {"open", "print", "input", "id", "hash"}

#: A package imports those of its own layer and of the layers before it.
LAYERS = (
    ("errors", "extras", "times", "runtime", "client", "owners", "found"),
    ("core",),
    ("wire", "metrics", "simulator", "sources", "provenance", "acting"),
    ("follow", "analysis", "alerts", "figures", "options"),
    ("service", "kafka", "replay"),
    ("report", "web", "sidecar"),
    ("cli", "demo"),
    ("__main__",),
)
#: The same within the core.
CORE_LAYERS = (
    ("events", "outputs", "operators", "properties", "ids", "units", "ladder", "acts"),
    ("state",),
    ("graphlets",),
    ("features", "outcomes"),
    ("learning", "decisions"),
    ("storage", "settings"),
    ("detector",),
    ("dispatch",),
)


def upward(layers: tuple[tuple[str, ...], ...], below: str) -> list[str]:
    """Imports from one part below a package to a part of a later layer, those for types alone among them."""
    rank = {part: place for place, parts in enumerate(layers) for part in parts}
    prefix = f"{PACKAGE}.{below}" if below else PACKAGE
    depth = prefix.count(".") + 1
    found = []
    for module in MODULES:
        name = f"{PACKAGE}.{module.name}"
        if not module.name or not name.startswith(f"{prefix}."):
            continue
        part = name.split(".")[depth]
        for imported in sorted(Imports(module.tree).names):
            if imported.startswith(f"{prefix}.") and rank[imported.split(".")[depth]] > rank[part]:
                found.append(f"{name} imports {imported}")
    return found


def test_packages_import_only_from_layers_before() -> None:
    """Whoever reads one layer needs none above it; a package that is in no layer is a KeyError."""
    assert not upward(LAYERS, "")


def test_packages_of_the_core_import_only_from_layers_before() -> None:
    """State first, the detector last."""
    assert not upward(CORE_LAYERS, "core")


@pytest.mark.parametrize("depth", [1, 2, 9])
def test_no_circles(depth: int) -> None:
    """Neither among packages, nor their parts, nor modules; imports for types alone count too."""
    edges: dict[str, set[str]] = {}
    for module in MODULES:
        if not module.name:
            continue
        node = ".".join(module.name.split(".")[:depth])
        imported = {
            ".".join(name.split(".")[1 : depth + 1])
            for name in Imports(module.tree).names
            if name.startswith(f"{PACKAGE}.")
        }
        edges.setdefault(node, set()).update(imported - {node})

    assert len(edges) > 15
    assert not circles(edges)


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
    assert [module.name for module in MODULES if calls(module, "Learner")] == ["core.settings"]


def test_the_core_calls_nothing_that_differs_from_run_to_run() -> None:
    """No files, no console; no addresses and no hashes of strings either, which differ between processes."""
    assert not [
        f"{module.name} calls {ast.unparse(call.func)}" for module in CORE for call in calls(module, *IMPURE_CALLS)
    ]


def test_only_its_home_imports_faust() -> None:
    """The engine could be another: nothing else knows it."""
    homes = {".".join(module.name.split(".")[:2]) for module in MODULES if module.uses("faust") or module.uses("mode")}

    assert homes == {"kafka.engine"}


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
