"""Docstrings have one style, numpydoc's, and their examples run."""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

import pytest

import stream_app
from tests.support.modules import MODULES, PACKAGE, Module

SECTIONS = {
    "Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns", "See Also", "Notes", "References", "Examples",
}  # fmt: skip
#: What free-form docstrings call the same things.
FREE_FORM = re.compile(
    r"^\s*(parameters?|args|arguments|attributes|returns?|yields?|raises|notes?|references|examples?)\s*:", re.I | re.M
)
UNDERLINE = re.compile(r"-{3,}")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True)
class Documented:
    """A module, class or function with its docstring."""

    name: str
    node: ast.Module | Definition
    lines: tuple[str, ...]

    def sections(self) -> dict[str, list[str]]:
        """The lines of each section by its header: what stands above a line of dashes."""
        found: dict[str, list[str]] = {}
        header: str | None = None
        for line, below in zip(self.lines, (*self.lines[1:], ""), strict=True):
            if UNDERLINE.fullmatch(below):
                header = line
                found[header] = []
            elif header is not None and not UNDERLINE.fullmatch(line):
                found[header].append(line)
        return found

    def described(self, section: str) -> list[str]:
        """The names that a section describes, `a, b` as two."""
        entries = [line for line in self.sections().get(section, ()) if line and not line.startswith(" ")]
        return [name.strip().lstrip("*") for entry in entries for name in entry.split(" : ")[0].split(",")]


def definitions(node: ast.Module | ast.ClassDef, name: str) -> Iterator[tuple[str, Definition]]:
    """The classes and functions of a module, methods among them."""
    for each in node.body:
        if isinstance(each, Definition):
            yield f"{name}.{each.name}", each
        if isinstance(each, ast.ClassDef):
            yield from definitions(each, f"{name}.{each.name}")


def documented(module: Module) -> Iterator[Documented]:
    """Everything in a module that has a docstring, the module among it."""
    for name, node in ((module.name, module.tree), *definitions(module.tree, module.name)):
        text = ast.get_docstring(node)
        if text is not None:
            yield Documented(name, node, tuple(text.splitlines()))


DOCUMENTED = [each for module in MODULES for each in documented(module)]


def arguments(function: Function) -> list[str]:
    """The parameters of a function, without `self` and `cls`."""
    given = function.args
    variadic = [each for each in (given.vararg, given.kwarg) if each is not None]
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, *variadic)]
    return [name for name in names if name not in ("self", "cls")]


def fields(node: ast.ClassDef) -> list[str]:
    """The annotated names in the body of a class: the parameters of a dataclass or a named tuple."""
    return [
        each.target.id for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    ]


def parameters(node: Definition) -> list[str]:
    """The parameters of a function, or of a class: those of its `__init__`, else its fields."""
    if isinstance(node, Function):
        return arguments(node)
    own = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    return arguments(own[0]) if own else fields(node)


def attributes(node: ast.ClassDef) -> set[str]:
    """The fields of a class and what its methods assign to `self`."""
    assigned = {
        each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store)
    }
    return assigned | set(fields(node))


# The style


def test_sections_are_numpydocs() -> None:
    """Each header is a known one, underlined at its own length, after an empty line."""
    found = []
    for each in DOCUMENTED:
        lines = ("", *each.lines, "")
        for above, header, line in zip(lines, lines[1:], lines[2:], strict=False):
            if UNDERLINE.fullmatch(line) and (header not in SECTIONS or len(line) != len(header) or above):
                found.append(f"{each.name}: {header!r} over {line!r}")
            elif header in SECTIONS and not UNDERLINE.fullmatch(line):
                found.append(f"{each.name}: {header} without its line of dashes")

    assert not found


def test_no_docstring_has_free_form_sections() -> None:
    """`Parameters: a is ...` is a paragraph that neither people nor tools find their way in."""
    found = [
        f"{each.name}: {match.group().strip()}"
        for each in DOCUMENTED
        for match in FREE_FORM.finditer("\n".join(each.lines))
    ]

    assert not found


def test_sections_are_in_numpydocs_order() -> None:
    """Parameters, then what comes back, then what is raised, examples last."""
    order = ["Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns", "See Also", "Notes", "References"]
    ranks = {name: rank for rank, name in enumerate([*order, "Examples"])}
    found = []
    for each in DOCUMENTED:
        places = [ranks[name] for name in each.sections() if name in ranks]
        if places != sorted(places):
            found.append(each.name)

    assert not found


def test_described_parameters_exist() -> None:
    """A parameter that was renamed or removed is renamed or removed in the docstring too."""
    found = [
        f"{each.name}: {name}"
        for each in DOCUMENTED
        if not isinstance(each.node, ast.Module)
        for name in each.described("Parameters")
        if name not in parameters(each.node)
    ]

    assert sum(bool(each.described("Parameters")) for each in DOCUMENTED) > 100
    assert not found


def test_parameters_are_described_all_or_none() -> None:
    """In the order of the signature, so that none is missed."""
    found = [
        f"{each.name}: describes {names}, takes {parameters(each.node)}"
        for each in DOCUMENTED
        if not isinstance(each.node, ast.Module)
        and (names := each.described("Parameters"))
        and names != parameters(each.node)
    ]

    assert not found


def test_described_attributes_exist() -> None:
    """As for parameters."""
    found = [
        f"{each.name}: {name}"
        for each in DOCUMENTED
        if isinstance(each.node, ast.ClassDef)
        for name in each.described("Attributes")
        if name not in attributes(each.node)
    ]

    assert not found


# What is public


def public_names() -> list[str]:
    """Dotted names below the package: what users are shown, and what other programs call."""
    by_name = {module.name: module for module in MODULES}
    names = []
    for name in stream_app.__all__:
        home = getattr(stream_app, name).__module__.removeprefix(f"{PACKAGE}.")
        names.append(f"{home}.{name}")
    for home in ("wire", "client.pruning", "client.openlineage", "times", "sources"):
        names += [
            f"{home}.{node.name}"
            for node in by_name[home].tree.body
            if isinstance(node, Definition) and not node.name.startswith("_")
        ]
    prefixes = tuple(f"{name}." for name in names)
    methods = [
        each.name
        for each in DOCUMENTED
        if each.name.startswith(prefixes) and not each.name.rpartition(".")[2].startswith("_")
    ]
    return sorted({*names, *methods})


PUBLIC = public_names()


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_describe_what_they_take_and_return(name: str) -> None:
    """Parameters, or Attributes of a class that users only read; Returns or Yields unless it returns nothing."""
    each = next((each for each in DOCUMENTED if each.name == name), None)

    assert each is not None, "it has no docstring"
    assert not isinstance(each.node, ast.Module)
    if isinstance(each.node, ast.ClassDef):
        assert each.described("Parameters") or each.described("Attributes") or not parameters(each.node)
        return
    if parameters(each.node):
        assert each.described("Parameters") == parameters(each.node)
    is_property = any(isinstance(one, ast.Name) and one.id == "property" for one in each.node.decorator_list)
    returned = ast.unparse(each.node.returns) if each.node.returns is not None else "None"
    if parameters(each.node) and not is_property and returned != "None":
        assert {"Returns", "Yields"} & each.sections().keys()


def test_public_names_are_those_of_the_entrances() -> None:
    """The test above has something to look at."""
    assert {
        "core.detector.Detector.step", "core.settings.Settings", "core.dispatch.dispatch", "sources.native.decode",
        "wire.example_from_dict", "client.pruning.should_prune", "client.openlineage.PipelineRun.execution",
    } <= set(PUBLIC)  # fmt: skip


# The examples

WITH_EXAMPLES = [f"{PACKAGE}.{module.name}" for module in MODULES if ">>> " in module.text]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name: str) -> None:
    """Each shows what it says it shows."""
    results = doctest.testmod(import_module(name))

    assert results.attempted > 0
    assert results.failed == 0


def test_there_are_examples() -> None:
    """Among them those of ids, times and operators."""
    assert {f"{PACKAGE}.core.ids", f"{PACKAGE}.times", f"{PACKAGE}.core.operators"} <= set(WITH_EXAMPLES)
