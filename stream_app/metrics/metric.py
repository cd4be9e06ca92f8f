"""The record of one metric: what the catalogue holds, and what exporters and documentation are made from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import Metric as Family

PREFIX = "stream_app_"

Type = Literal["counter", "gauge", "histogram", "info"]
Process = Literal["worker", "serve", "notify", "emit"]

#: The ends of names that the exposition formats add to the name of a family.
_SUFFIXES: dict[Type, str] = {"counter": "_total", "info": "_info", "gauge": "", "histogram": ""}


@dataclass(frozen=True)
class Label:
    """A label of a metric.

    Parameters
    ----------
    name
        Its name.
    values
        All values that it can have; empty when they depend on the settings of the process.
    meaning
        What the values are, in a few words; only where `values` is empty.
    """

    name: str
    values: tuple[str, ...] = ()
    meaning: str = ""


@dataclass(frozen=True)
class Metric:
    """A metric.

    Parameters
    ----------
    name
        Its name as Prometheus shows it, without the prefix `stream_app_`: that of a counter ends in `_total`, that of
        an info in `_info`, and a unit comes before that.
    type
        Its type.
    help
        One sentence that says what it measures.
    labels
        Its labels.
    unit
        The base unit in its name; "" when it counts things.
    buckets
        Of a histogram, the upper bounds of its buckets in rising order, without `+Inf`.
    processes
        The processes that export it: workers, notifiers, sidecars, or `stream-app serve` with an embedded detector.
    """

    name: str
    type: Type
    help: str
    labels: tuple[Label, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()
    processes: tuple[Process, ...] = ("worker", "serve")

    @property
    def full_name(self) -> str:
        """The name with its prefix."""
        return PREFIX + self.name

    @property
    def family_name(self) -> str:
        """The full name without the ending that the exposition formats add for the type."""
        return self.full_name.removesuffix(_SUFFIXES[self.type])

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the labels, in order."""
        return tuple(label.name for label in self.labels)

    def family(self, samples: Iterable[tuple[tuple[str, ...], float]]) -> Family:
        """Make what a collector yields.

        Parameters
        ----------
        samples
            Pairs of the values of the labels, in their order, and the value of the metric.

        Returns
        -------
        prometheus_client.core.Metric
            The samples with name, type, unit and help.
        """
        family = Family(self.family_name, self.help, self.type, self.unit)
        for values, value in samples:
            family.add_sample(self.full_name, dict(zip(self.label_names, values, strict=True)), value)
        return family
