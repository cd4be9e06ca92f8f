"""Numbers as people read them; reports, pages and the terminal write them alike."""

from __future__ import annotations

from stream_app.analysis.intervals import Estimate

NO_DATA = "not enough data yet"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def percent(share: float | None, digits: int = 1) -> str:
    """A share in per cent."""
    if share is None:
        return "-"
    return f"{share * 100:.{digits}f} %"


def interval(estimate: Estimate, scale: float = 100.0, digits: int = 1) -> str:
    """The interval of an estimate alone, such as `[3.1, 6.4]`; empty where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{estimate.low * scale:.{digits}f}, {estimate.high * scale:.{digits}f}]"


def share_of(estimate: Estimate, digits: int = 1) -> str:
    """A share with its interval, such as `4.7 % [3.1, 6.4]`."""
    if estimate.value is None:
        return NO_DATA
    return f"{percent(estimate.value, digits)} {interval(estimate, digits=digits)}".rstrip()


def figure_of(estimate: Estimate, digits: int = 3) -> str:
    """A figure that is no share, with its interval."""
    if estimate.value is None:
        return NO_DATA
    return f"{estimate.value:.{digits}f} {interval(estimate, 1.0, digits)}".rstrip()


def count(number: float) -> str:
    """A whole number with its thousands parted."""
    return f"{number:,.0f}"


def node_hours(node_seconds: float) -> str:
    """Compute in node-hours."""
    hours = node_seconds / 3600
    if hours and abs(hours) < 10:
        return f"{hours:.2g}"
    return f"{hours:,.0f}"


def cost(node_seconds: float, money: float | None, currency: str) -> str:
    """Compute in node-hours, and in money where there is a rate card, such as `120 node-hours (300 EUR)`."""
    words = "" if money is None else f" ({amount(money)} {currency})"
    return f"{node_hours(node_seconds)} node-hours{words}"


def amount(money: float | None) -> str:
    """An amount of money without its currency; `-` where there is none."""
    if money is None:
        return "-"
    return f"{money:,.2f}" if abs(money) < 100 else f"{money:,.0f}"


def budget_name(budget: float) -> str:
    """A budget, such as `0.5 %`."""
    return f"{budget * 100:g} %"


def times(stretch: float | None) -> str:
    """By how much something stretches, such as `1.3x`; `-` where it is not known."""
    return "-" if stretch is None else f"{stretch:.2f}x"


def hours(number: float) -> str:
    """Hours, or days where there are many."""
    return f"{number:.1f} h" if number < 48 else f"{number / 24:.1f} d"


def plural(number: int, noun: str) -> str:
    """A number of things, such as `1 pipeline` and `2 pipelines`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{'es' if noun.endswith('h') else 's'}"


def day(date: str) -> str:
    """A day without its year, such as `2 Mar` for `2026-03-02`."""
    return f"{int(date[8:10])} {_MONTHS[int(date[5:7]) - 1]}"
