"""The modules of the package, as tests of its structure read them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "stream_app"


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


class Imports(ast.NodeVisitor):
    """Modules imported from within a node, those under `TYPE_CHECKING` among them."""

    def __init__(self, node: ast.AST) -> None:
        self.names: set[str] = set()
        self.visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """`from a.b import c`: a.b, and a.b.c should that be a module."""
        assert node.module is not None
        for alias in node.names:
            path = ROOT.joinpath(*node.module.split("."), alias.name)
            is_module = path.with_suffix(".py").exists() or (path / "__init__.py").exists()
            self.names.add(f"{node.module}.{alias.name}" if is_module else node.module)


def circles(edges: dict[str, set[str]]) -> list[str]:
    """The circles among nodes, each as the way round; none where there is none."""
    done: set[str] = set()
    found: list[str] = []

    def visit(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            found.append(" -> ".join((*way[way.index(name) :], name)))
        elif name not in done:
            for imported in sorted(edges.get(name, ())):
                visit(imported, (*way, name))
            done.add(name)

    for name in sorted(edges):
        visit(name, ())
    return found
