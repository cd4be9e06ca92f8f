"""Whether memory is flat under a steady load, once as much is forgotten as is learnt."""

from __future__ import annotations

import asyncio
import statistics
from argparse import Namespace
from pathlib import Path

from benchmarks.results import table
from benchmarks.workers.kafka import fill, fleet, pace
from benchmarks.workers.service import MIB, PARTITIONS, Sample, Service

PIPELINES = 20
EVENTS_PER_DAY = 94 * PIPELINES


def run(options: Namespace, bootstrap: str, folder: Path) -> list[str]:
    """Lines of the section."""
    warm, load = options.warm_days * EVENTS_PER_DAY, int(options.rate * options.minutes * 60)
    messages = fleet(warm + load, PIPELINES, 10 + 1.2 * (warm + load) / EVENTS_PER_DAY)
    service = Service(bootstrap, folder)
    asyncio.run(fill(bootstrap, service.names.events, PARTITIONS, messages[:warm]))
    service.start()
    service.follow(warm)
    samples: list[Sample] = []
    asyncio.run(
        pace(
            bootstrap,
            service.names.events,
            messages[warm:],
            options.rate,
            lambda: samples.append(service.sample()),
        )
    )
    service.stop()
    # The first fifth of the load settles what catching up left behind.
    steady = samples[len(samples) // 5 :]
    minutes = [(sample.at - samples[0].at) / 60 for sample in steady]
    line = statistics.linear_regression(minutes, [sample.rss_bytes / MIB for sample in steady])
    tenths = [samples[round(part * (len(samples) - 1) / 10)] for part in range(11)]
    per_million = line.slope / (options.rate * 60) * 1e6
    return [
        (
            f"One worker, models on, caught up on {warm:,} events ({options.warm_days} days of {PIPELINES} pipelines), "
            f"then {options.rate:,} events/s for {options.minutes:g} min ({load / EVENTS_PER_DAY:.0f} further days; a "
            "record is kept for 37 days after it was last touched)."
        ),
        "",
        *table(["min", *(f"{(s.at - samples[0].at) / 60:.1f}" for s in tenths)], [["MiB resident", *sizes(tenths)]]),
        "",
        (
            f"Slope after the first fifth: {line.slope:+.2f} MiB a minute ({per_million:+.0f} MiB a million events), "
            f"least squares over {len(steady)} samples; "
            f"{(samples[-1].rss_bytes - samples[0].rss_bytes) / MIB:+.0f} MiB from the first sample to the last."
        ),
    ]


def sizes(samples: list[Sample]) -> list[str]:
    return [f"{sample.rss_bytes / MIB:,.0f}" for sample in samples]
