"""The sandbox in which the templates of messages run.

A template is a text with `{{ ... }}`, `{% if %}` and `{% for %}` of Jinja. It may name the values of `NAMES`, compare
them, and use a few filters; calls, arithmetic and nested loops are refused, and what it does is counted, since it is
written by whoever may subscribe and must cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

#: Characters of a template, and of what it writes.
TEMPLATE_MAX, TEXT_MAX = 4_000, 12_000
#: The values that a template may name; `Texts.values` gives them.
NAMES = (
    "flag", "change", "pipeline", "run", "name", "owner", "labels", "stage", "jobs", "p_push", "reasons", "cost",
    "cost_left", "consequence", "stop_after", "keep", "outcome", "ended", "cause", "budget", "link", "finding", "kind",
    "what", "act", "cost_a_month", "since", "trainings", "keep_link", "prolong_link", "wrong_link",
)  # fmt: skip
#: Those of them that are lists.
LISTS = ("jobs", "reasons", "trainings")
FILTERS = ("capitalize", "default", "first", "join", "last", "length", "lower", "round", "title", "trim", "upper")

#: What a template may do: characters that it handles, and how many of them a pass through a loop counts for.
_WORK_MAX, _ITEM = 50_000, 250
_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const, nodes.If,
    nodes.For, nodes.Filter, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr,
    nodes.Concat, nodes.Keyword,
)  # fmt: skip
#: What a template may ask of a loop.
_LOOP = frozenset(("first", "index", "index0", "last", "length", "revindex"))
_REASON_MAX = 300


class TemplateError(ValueError):
    """A template cannot be used. The message says why, in one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(" ".join(reason.split())[:_REASON_MAX])


@lru_cache(maxsize=2_000)
def compiled(template: str) -> jinja2.Template:
    """A template that was checked.

    Parameters
    ----------
    template
        Its source.

    Returns
    -------
    jinja2.Template

    Raises
    ------
    TemplateError
        It is too long, cannot be read, names what there is not, or uses what the sandbox does not allow.
    """
    if len(template) > TEMPLATE_MAX:
        raise TemplateError(f"expected at most {TEMPLATE_MAX:,} characters")
    try:
        tree = _ENVIRONMENT.parse(template)
        _check(tree, loops=0)
        unknown = sorted(find_undeclared_variables(tree) - set(NAMES))
        if unknown:
            raise TemplateError(f"there is no value {unknown[0][:60]!r}; there are {', '.join(NAMES)}")
        counting: nodes.Template = _Counting().visit(tree)
        return _ENVIRONMENT.from_string(counting.set_environment(_ENVIRONMENT))  # type: ignore[arg-type]
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"line {error.lineno}: {error.message}") from None
    except (RecursionError, MemoryError, SyntaxError):  # also those of the Python code that Jinja makes of it
        raise TemplateError("it is nested too deep") from None


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """What a template writes.

    Parameters
    ----------
    template
        Its source.
    values
        The values of `NAMES`.

    Returns
    -------
    str
        Where it is longer than `TEXT_MAX`, its beginning, which is longer too.

    Raises
    ------
    TemplateError
        As of `compiled`, or it fails with these values, or does too much.
    """
    pieces, length = [], 0
    try:
        for piece in compiled(template).generate({**values, "_work": _Work()}):
            pieces.append(piece)
            length += len(piece)
            if length > TEXT_MAX:
                break
    except TemplateError:
        raise
    except Exception as error:  # whatever a template does with values of other types
        raise TemplateError(f"{type(error).__name__}: {error}") from None
    return "".join(pieces)


def _check(node: nodes.Node, loops: int) -> None:
    for child in node.iter_child_nodes():
        if not isinstance(child, _NODES):
            raise TemplateError(f"line {child.lineno}: {type(child).__name__} is not allowed in a template")
        if isinstance(child, nodes.Filter) and child.name not in FILTERS:
            raise TemplateError(f"line {child.lineno}: there is no filter {child.name!r}; there are {FILTERS}")
        if isinstance(child, nodes.For) and (loops or child.recursive):
            raise TemplateError(f"line {child.lineno}: a loop within a loop is not allowed in a template")
        _check(child, loops + isinstance(child, nodes.For))


@dataclass(slots=True)
class _Work:
    """What a template may still do. It is counted, not timed, so that the same template always ends the same way."""

    left: int = _WORK_MAX

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise TemplateError("it takes too long: its loops and filters do too much")


class _Counting(NodeTransformer):
    """Has the work of filters, concatenations, comparisons and loops counted."""

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802
        return _filtered(self.generic_visit(node), "_counted")

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        return _filtered(self.generic_visit(node), "_counted")

    def visit_Operand(self, node: nodes.Operand) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filtered(node.expr, "_counted")
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "_items")
        return node


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


@jinja2.pass_context
def _counted(context: Context, value: Any) -> Any:
    context["_work"].spend(len(value) if isinstance(value, str) else 1)
    return value


@jinja2.pass_context
def _items(context: Context, values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        context["_work"].spend(_ITEM)
        yield value


@jinja2.pass_context
def _join(context: Context, values: Any, separator: Any = "") -> str:
    if isinstance(values, str) or not isinstance(values, Sized):
        raise TemplateError("join is for lists")
    context["_work"].spend(len(values) * len(str(separator)))  # before memory is taken for it
    return str(separator).join(str(value) for value in values)  # type: ignore[attr-defined]


class _Environment(ImmutableSandboxedEnvironment):
    """Reaches into labels, lists and the state of a loop, and into nothing else. A label that is not there is empty."""

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict) and isinstance(argument, str):
            return obj[argument] if argument in obj else jinja2.Undefined(name=argument)
        if isinstance(obj, list) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in _LOOP:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)


def _environment() -> _Environment:
    environment = _Environment(autoescape=False, undefined=jinja2.StrictUndefined)
    environment.globals.clear()
    chosen = {name: environment.filters[name] for name in FILTERS}
    environment.filters = {**chosen, "join": _join, "_counted": _counted, "_items": _items}
    environment.tests.clear()
    return environment


_ENVIRONMENT = _environment()
