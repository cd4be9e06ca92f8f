"""The rate card: what compute costs, priced execution by execution, and when it was spent.

The core's ledger knows no money and no time. `PricedLedgers` keeps one ledger for each price and week instead, so that
every sum of the ledger (by class, cause, operator group and budget) has its exact amount of money, and its trend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from operator import itemgetter

from stream_app.core.events import Scalar
from stream_app.core.state.entities import Execution
from stream_app.core.state.ledger import Ledger
from stream_app.core.state.pipeline import Pipeline
from stream_app.core.units import DAY_MS, HOUR_MS

#: The price of a node-hour; None where the rate card has none.
Price = float | None

#: Millionths in a unit of the currency.
MICROS = 1_000_000
#: Days from a Monday to 1970-01-01.
_MONDAY_AGO = 3

#: Names in `Rates.by` that are no property of an execution.
_FACTS: Mapping[str, Callable[[str, Execution], str]] = {
    "pipeline": lambda pipeline, _: pipeline,
    "type": lambda _, execution: execution.type,
    "group": lambda _, execution: execution.group,
}


def text_of(value: Scalar) -> str:
    """The value of a property as a rate card and a list of owners name it: `true`, `8`, `0.5`, or a text as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Rates:
    """The rate card.

    Parameters
    ----------
    node_hour
        Price of a node-hour where nothing in `by` holds; None: not known.
    currency
        The currency's code of ISO 4217.
    by
        Name of an execution's property, or `type`, `group` or `pipeline`, to value to price of a node-hour. A value may
        have the wildcards of `fnmatch`. The first name with a value that holds decides.
    """

    node_hour: Price = None
    currency: str = "USD"
    by: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def given(self) -> bool:
        """Whether there is any price."""
        return self.node_hour is not None or any(self.by.values())

    def pipeline_price(self, pipeline: str) -> Price:
        """The price of a node-hour of a pipeline, where no execution is known; None where the rate card has none."""
        for value, price in self.by.get("pipeline", {}).items():
            if fnmatchcase(pipeline, value):
                return price
        return self.node_hour

    def price(self, pipeline: str, execution: Execution) -> Price:
        """The price of an execution's node-hour; None where the rate card has none."""
        for name, prices in self.by.items():
            fact = _FACTS.get(name)
            found = execution.value_of(name) if fact is None else fact(pipeline, execution)
            if found is None:
                continue
            text = text_of(found)
            for value, price in prices.items():
                if fnmatchcase(text, value):
                    return price
        return self.node_hour

    def micros(self, pipeline: str, execution: Execution, node_ms: int) -> int:
        """What compute of an execution costs, in millionths of the currency.

        Parameters
        ----------
        pipeline, execution
            The name of the pipeline, and the execution.
        node_ms
            Its compute in node-ms.

        Returns
        -------
        int
            Whole millionths; 0 where the rate card has no price.
        """
        return round((self.price(pipeline, execution) or 0.0) * node_ms * MICROS / HOUR_MS)


class PricedLedgers:
    """The ledger of each pipeline, one for each price and week.

    An execution that is evicted is booked at its last charge, so memory is bounded as that of the detector is, but for
    one ledger a week and price.

    Parameters
    ----------
    rates
        The rate card.
    """

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        #: Pipeline -> the executions it keeps, its cutoff when it was looked at last, and ledgers of what was evicted.
        self._kept: dict[str, dict[str, Execution]] = {}
        self._cutoff_ms: dict[str, int] = {}
        self._evicted: dict[str, dict[_Key, Ledger]] = {}

    def follow(self, pipeline: Pipeline, execution_id: str) -> None:
        """Notes an execution that an event has just touched.

        Parameters
        ----------
        pipeline
            The pipeline, after the event was applied.
        execution_id
            The execution of the event.
        """
        self._book_evicted(pipeline)
        execution = pipeline.executions.get(execution_id)
        if execution is not None:
            self._kept.setdefault(pipeline.name, {})[execution_id] = execution

    def of(self, pipeline: Pipeline) -> dict[Price, Ledger]:
        """The ledgers of a pipeline by price; `avoided`, which was never used, is in none.

        Parameters
        ----------
        pipeline
            The pipeline, whose own ledger is up to date.
        """
        if not self._rates.by:
            return {self._rates.node_hour: pipeline.ledger}
        found: dict[Price, Ledger] = {}
        for of_week in self.by_week(pipeline).values():
            for price, ledger in of_week.items():
                found.setdefault(price, Ledger()).merge(ledger)
        return found

    def by_week(self, pipeline: Pipeline) -> dict[int, dict[Price, Ledger]]:
        """The ledgers of a pipeline by the number of the week (`week_of`) and by price.

        Parameters
        ----------
        pipeline
            As of `of`.
        """
        self._book_evicted(pipeline)
        found: dict[int, dict[Price, Ledger]] = {}
        for (week, price), ledger in self._evicted.get(pipeline.name, {}).items():
            found.setdefault(week, {}).setdefault(price, Ledger()).merge(ledger)
        for execution in self._kept.get(pipeline.name, {}).values():
            if execution.charged is not None:
                week, price = self._key(pipeline.name, execution)
                found.setdefault(week, {}).setdefault(price, Ledger()).book(execution.charged, 1)
        return found

    def _book_evicted(self, pipeline: Pipeline) -> None:
        """Books the executions that are no longer in the pipeline."""
        name, cutoff_ms = pipeline.name, pipeline.clock.cutoff_ms
        if self._cutoff_ms.get(name) == cutoff_ms:
            return
        self._cutoff_ms[name] = cutoff_ms
        kept = self._kept.get(name, {})
        for execution in [each for each in kept.values() if pipeline.executions.get(each.id) is not each]:
            if execution.charged is not None:
                ledgers = self._evicted.setdefault(name, {})
                ledgers.setdefault(self._key(name, execution), Ledger()).book(execution.charged, 1)
            del kept[execution.id]

    def _key(self, pipeline: str, execution: Execution) -> _Key:
        return week_of(execution), self._rates.price(pipeline, execution)


#: A week and a price.
_Key = tuple[int, Price]


def week_of(execution: Execution) -> int:
    """The week in which the graphlet of an execution began: of those it served, the one that was trained last.

    Parameters
    ----------
    execution
        The execution; in no graphlet, its own start decides.

    Returns
    -------
    int
        The number of the week since 1970; weeks begin on Monday, 0:00 UTC.
    """
    starts = [graphlet.trainer.start_ms for graphlet in execution.members_of or ()]
    if execution.graphlet is not None:
        starts.append(execution.start_ms)
    if execution.eviction is not None and execution.eviction.cause:
        starts.append(execution.eviction.latest[0])
    return week_of_time(max(starts, default=0) or execution.start_ms)


def week_of_time(time_ms: int) -> int:
    """The number of the week of a time in ms since 1970 UTC."""
    return (time_ms // DAY_MS + _MONDAY_AGO) // 7


def week_start_ms(week: int) -> int:
    """The start of a week in ms since 1970 UTC."""
    return (week * 7 - _MONDAY_AGO) * DAY_MS


def merged(ledgers: Mapping[str, Mapping[Price, Ledger]]) -> dict[Price, Ledger]:
    """The ledgers of all pipelines by price."""
    found: dict[Price, Ledger] = {}
    for of_pipeline in ledgers.values():
        for price, ledger in of_pipeline.items():
            found.setdefault(price, Ledger()).merge(ledger)
    return found


def money(ledgers: Mapping[Price, Ledger], amount: Callable[[Ledger], int]) -> float:
    """What an amount of the ledgers costs.

    Parameters
    ----------
    ledgers
        Ledgers by price; what has no price costs nothing here.
    amount
        The amount of a ledger, in node-ms.

    Returns
    -------
    float
        Money.
    """
    priced = [(price, ledger) for price, ledger in ledgers.items() if price is not None]
    # Sums of floats depend on their order.
    return sum(price * amount(ledger) for price, ledger in sorted(priced, key=itemgetter(0))) / HOUR_MS


def mean_price(ledgers: Mapping[Price, Ledger], otherwise: Price) -> float:
    """The mean price of a node-hour that was used and has a price; `otherwise`, or 0, where there is none."""
    priced = sum(ledger.total() for price, ledger in ledgers.items() if price is not None)
    return money(ledgers, Ledger.total) / priced * HOUR_MS if priced else otherwise or 0.0
