"""What is fuzzed: each module here has a function of bytes that raises only when a property does not hold.

A target has `check(data)`, `seeds()` with inputs to begin from, and `MAX_BYTES` of an input. It may have `prepare()`,
which is called once, before everything else, `DICTIONARY`, the name of another target that has the same words, and
`replay(data)`, which tests call in the place of `check`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent.parent
#: Runs of the tests take one of these by turns; `work` measures time, as a test must not.
IN_TURN = ("decoders", "rows", "checkpoint", "bodies", "stores", "files")
TARGETS = (*IN_TURN, "work")


def target(name: str) -> ModuleType:
    """The module of a target."""
    return import_module(f"tests.fuzz.targets.{name}")


def corpus(name: str) -> list[Path]:
    """The kept inputs of a target."""
    return sorted((FOLDER / "corpus" / name).iterdir())
