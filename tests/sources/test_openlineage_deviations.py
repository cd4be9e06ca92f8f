"""However a stream deviates from the specification, as far as it can be told what it means, it means the same."""

from __future__ import annotations

import copy
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.openlineage_streams import (
    DEVIATIONS,
    JUNK,
    Deviation,
    clean_stream,
    enveloped,
    graphlets,
    written,
)

STREAMS = st.builds(
    clean_stream,
    st.sampled_from(["fraud", "team.fraud.v2"]),
    st.lists(st.sampled_from(["pushed", "kept", "failed"]), min_size=1, max_size=3),
    st.booleans(),
)
SEEDS = st.integers(0, 2**32 - 1)


def test_clean_streams_end_as_they_say() -> None:
    """What all others are compared with is right."""
    for has_versions in (True, False):
        stream = clean_stream("team.fraud", ["pushed", "kept", "failed", "pushed"], has_versions)
        found = graphlets([written(event) for event in stream])

        outcomes = {each["run"]: (each["pipeline"], each["outcome"], each["cause"]) for each in found}
        runs = [event["run"]["runId"] for event in stream if event["eventType"] == "START" and not event["inputs"]]
        assert [outcomes[run] for run in runs] == [
            ("prod/team.fraud", "pushed", None),
            ("prod/team.fraud", "not_pushed", "run_ended"),
            ("prod/team.fraud", "not_pushed", "failed"),
            ("prod/team.fraud", "pushed", None),
        ]
        assert [len(each["up"]) for each in found] == [1] * 4
        assert sorted(len(each["down"]) for each in found) == [0, 1, 2, 2]


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.__name__)
def test_each_deviation_alone_changes_nothing(deviation: Deviation) -> None:
    """So that a failure of a mix is easier to understand; each changes some event."""
    chance = random.Random(7)
    for dag in ("fraud", "team.fraud.v2"):
        clean = clean_stream(dag, ["pushed", "kept", "pushed", "failed"], True)
        changed = copy.deepcopy(clean)
        for event in changed:
            deviation(event, chance)

        assert changed != clean or dag != "fraud"
        assert graphlets([written(event) for event in changed]) == graphlets([written(event) for event in clean])


@pytest.mark.parametrize("junk", JUNK)
def test_junk_of_each_kind_costs_nothing_wherever_it_is(junk: str) -> None:
    """In a run, a job, a dataset, and beside them."""
    clean = clean_stream("fraud", ["pushed"], True)
    expected = graphlets([written(event) for event in clean])
    holders = (
        lambda event: event,
        lambda event: event["run"],
        lambda event: event["run"]["facets"],
        lambda event: event["job"]["facets"],
        lambda event: event["inputs"][0]["facets"] if event["inputs"] else event,
        lambda event: event["outputs"][0] if event["outputs"] else event,
    )
    for number, holder in enumerate(holders):
        changed = copy.deepcopy(clean)
        for event in changed[number :: len(holders)]:
            holder(event)["junk"] = junk

        assert graphlets([written(event) for event in changed]) == expected


@settings(max_examples=80)
@given(STREAMS, st.sets(st.sampled_from(DEVIATIONS), min_size=2), SEEDS, st.booleans())
def test_any_mix_of_deviations_changes_nothing(
    clean: list[dict[str, object]], chosen: set[Deviation], seed: int, is_in_order: bool
) -> None:
    """Nor do repetitions, another order, and envelopes."""
    chance = random.Random(seed)
    changed = copy.deepcopy(clean)
    for event in changed:
        for deviation in DEVIATIONS:
            if deviation in chosen:
                deviation(event, chance)
    messages = [enveloped(written(event), chance) for event in changed]
    if not is_in_order:
        messages += chance.sample(messages, len(messages) // 2)
        chance.shuffle(messages)

    assert graphlets(messages) == graphlets([written(event) for event in clean])
