"""Just enough SVG: elements, scales and axes. Colours and type come from the page's style sheet, by class."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

#: Width of every drawing in its own units; the page scales it, and type with it, to 350 to 480 pixels.
WIDTH = 360


def element(name: str, *children: str, **attributes: str | float) -> Markup:
    """An SVG element; what is not markup yet is escaped, numbers are cut to two digits, `class_` is `class`."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{number(value) if isinstance(value, float | int) else escape(value)}"'
        for key, value in attributes.items()
    )
    inside = Markup("").join(children)
    return Markup(f"<{name}{told}>{inside}</{name}>") if inside else Markup(f"<{name}{told}/>")


def number(value: float) -> str:
    """A coordinate in as few digits as it needs."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def drawing(name: str, title: str, description: str, height: float, *children: str) -> Markup:
    """A whole drawing with its name for screen readers."""
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *children,
        viewBox=f"0 0 {WIDTH} {number(height)}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def text(x: float, y: float, words: str, class_: str = "", anchor: str = "start") -> Markup:
    """Words at a place; anchor is start, middle or end."""
    return element("text", words, x=x, y=y, text_anchor=anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def dot(x: float, y: float, class_: str, tip: str, radius: float = 4.5) -> Markup:
    """A round mark with a tool tip: ours."""
    return element("circle", element("title", tip), cx=x, cy=y, r=radius, class_=class_)


def square(x: float, y: float, class_: str, tip: str, side: float = 7.5) -> Markup:
    """A square mark with a tool tip: what ours is compared with."""
    return element(
        "rect", element("title", tip), x=x - side / 2, y=y - side / 2, width=side, height=side, class_=class_
    )


@dataclass(frozen=True, slots=True)
class Scale:
    """From values in [low, high] to places in [start, end]; values outside go to the edge."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """At most so many round values, evenly apart."""
        step = nice_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        return [place * step for place in range(first, math.floor(self.high / step + 1e-9) + 1)]


def nice_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))


def nice_end(value: float, parts: int = 5) -> float:
    """A round value at or above."""
    step = nice_step(max(value, 1e-9) / parts)
    return math.ceil(value / step - 1e-9) * step


def x_axis(scale: Scale, y: float, top: float, label: str, words: Callable[[float], str]) -> Markup:
    """Ticks with grid lines up to `top`, and a label under them."""
    marks = [
        line(scale(tick), top, scale(tick), y, "grid") + text(scale(tick), y + 14, words(tick), "tick", "middle")
        for tick in scale.ticks()
    ]
    middle = (scale.start + scale.end) / 2
    return Markup("").join(
        [*marks, line(scale.start, y, scale.end, y, "axis"), text(middle, y + 30, label, "", "middle")]
    )


def y_axis(scale: Scale, x: float, right: float, label: str, words: Callable[[float], str]) -> Markup:
    """Ticks with grid lines up to `right`, and a label above them."""
    marks = [
        line(x, scale(tick), right, scale(tick), "grid") + text(x - 5, scale(tick) + 4, words(tick), "tick", "end")
        for tick in scale.ticks()
    ]
    return Markup("").join([*marks, text(0, scale.end - 10, label)])


def legend(y: float, entries: Sequence[tuple[Markup, str]]) -> Markup:
    """Marks drawn at (0, 0) with their words, one after the other in a row."""
    parts, x = [], 6.0
    for mark, words in entries:
        parts.append(element("g", mark, text(9, 4, words), transform=f"translate({number(x)} {number(y)})"))
        x += 34 + 5.6 * len(words)
    return Markup("").join(parts)
