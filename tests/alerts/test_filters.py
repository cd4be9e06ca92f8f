"""Filters hold as they read, and the index finds what they hold for."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.filters import CONDITIONS_MAX, Facts, Filter
from stream_app.alerts.findings import FindingRecord
from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.matching import Matcher
from stream_app.alerts.records import FLAG_TYPES
from stream_app.alerts.subscriptions import SubscriptionError, make_subscription
from tests.alerts.records import NOW, finding, record

FACTS = Facts(
    pipeline="ads-ranking",
    owner="ann",
    labels={"team": "ads"},
    stages=frozenset({"train", "validate"}),
    cause=None,
    p_push=0.02,
    node_hours_left=10.0,
    money_left=None,
    age_hours=3.0,
)


@pytest.mark.parametrize(
    ("given_filter", "holds"),
    [
        ({}, True),
        ({"pipeline": "ads-*"}, True),
        ({"pipeline": "ADS-*"}, False),
        ({"pipeline": ["fraud", "ads-ranking"]}, True),
        ({"pipeline": "ads"}, False),
        ({"owner": ["bob", "a?n"]}, True),
        ({"labels": {"team": "a[a-d]s"}}, True),
        ({"labels": {"team": "ads", "tier": "*"}}, False),
        ({"stage": "validate"}, True),
        ({"stage": ["input", "preprocess"]}, False),
        ({"cause": "*"}, False),
        ({"p_push": {"below": 0.02}}, False),
        ({"p_push": {"at_least": 0.02, "below": 0.03}}, True),
        ({"node_hours_left": {"at_least": 10}}, True),
        ({"money_left": {"at_least": 0}}, False),
        ({"not": {"money_left": {"at_least": 0}}}, True),
        ({"age_hours": {"below": 3}}, False),
        ({"any": [{"owner": "bob"}, {"pipeline": "ads-*"}]}, True),
        ({"all": [{"owner": "ann"}, {"not": {"pipeline": "ads-*"}}]}, False),
        ({"owner": "ann", "any": [{"owner": "bob"}, {"stage": "input"}]}, False),
    ],
)
def test_a_filter_holds_where_all_of_its_conditions_do(given_filter: dict[str, Any], holds: bool) -> None:
    """As its words say."""
    assert Filter.model_validate(given_filter).compile()(FACTS) is holds


@pytest.mark.parametrize(
    ("given_filter", "field"),
    [
        ({"pipelines": "x"}, "filter.pipelines"),
        ({"pipeline": ""}, "filter.pipeline.0"),
        ({"pipeline": []}, "filter.pipeline"),
        ({"pipeline": 7}, "filter.pipeline"),
        ({"labels": {"team": 7}}, "filter.labels.team"),
        ({"labels": "ads"}, "filter.labels"),
        ({"p_push": 0.5}, "filter.p_push"),
        ({"p_push": {}}, "filter.p_push"),
        ({"p_push": {"below": "NaN"}}, "filter.p_push.below"),
        ({"p_push": {"at_least": 2, "below": 1}}, "filter.p_push"),
        ({"any": []}, "filter.any"),
        ({"all": [{"owner": "ann"}, {"ownr": "bob"}]}, "filter.all.1.ownr"),
        ({"not": []}, "filter.not"),
        ({"pipeline": ["x"] * 51}, "filter.pipeline"),
        ("x", "filter"),
        ({"any": [{"pipeline": ["x"] * 40}] * 3}, "filter"),
        ({"not": {"not": {"not": {"not": {"not": {"not": {"not": {"not": {"owner": "a"}}}}}}}}}, "filter"),
    ],
)
def test_a_filter_that_is_wrong_names_its_field(given_filter: object, field: str) -> None:
    """So that the mistake is found where it was made."""
    sink = {"kind": "kafka", "topic": "t"}
    with pytest.raises(SubscriptionError) as raised:
        make_subscription({"id": "s", "name": "s", "owner": "ann", "sink": sink, "filter": given_filter})

    assert raised.value.field == field
    assert CONDITIONS_MAX >= 50


@pytest.mark.parametrize(
    ("given_filter", "holds"),
    [
        ({}, True),
        ({"pipeline": "p", "owner": "a*", "labels": {"team": "ad?"}}, True),
        ({"labels": {"team": "search"}}, False),
        ({"kind": "trains_*"}, True),
        ({"kind": ["no_push", "silent"]}, False),
        ({"node_hours_a_month": {"at_least": 15}}, True),
        ({"node_hours_a_month": {"at_least": 15.1}}, False),
        ({"money_a_month": {"at_least": 30, "below": 31}}, True),
        ({"money_a_month": {"below": 30}}, False),
        ({"age_hours": {"at_least": 2, "below": 3}}, True),
        ({"age_hours": {"at_least": 3}}, False),
        ({"stage": "*"}, False),
        ({"cause": "*"}, False),
        ({"p_push": {"at_least": 0}}, False),
        ({"p_push": {"below": 1}}, False),
        ({"node_hours_left": {"at_least": 0}}, False),
        ({"money_left": {"below": 1e9}}, False),
        ({"not": {"p_push": {"at_least": 0}}}, True),
        ({"any": [{"p_push": {"below": 1}}, {"kind": "*"}]}, True),
        ({"all": [{"p_push": {"below": 1}}, {"kind": "*"}]}, False),
    ],
)
def test_a_filter_of_findings_asks_what_findings_have(given_filter: dict[str, Any], holds: bool) -> None:
    """What only flags have holds for none."""
    facts = Facts.of(finding(time_ms=NOW + 2 * 3_600_000), price=5.0)

    assert Filter.model_validate(given_filter).compile()(facts) is holds


@pytest.mark.parametrize(
    "condition", [{"kind": "*"}, {"node_hours_a_month": {"at_least": 0}}, {"money_a_month": {"below": 1}}]
)
def test_what_only_findings_have_holds_for_no_flag(condition: dict[str, Any]) -> None:
    """Nor does money where there is no price."""
    assert not Filter.model_validate(condition).compile()(Facts.of(record(), price=5.0))
    assert not Filter.model_validate({"money_a_month": {"at_least": 0}}).compile()(Facts.of(finding(cost_money=None)))


def test_records_reach_those_who_ask_for_their_type() -> None:
    """Flags and findings alike; whoever asks for nothing hears of flags."""
    both = ["raised", "finding.raised"]
    matcher = Matcher(
        make_subscription({"id": name, "name": name, "owner": "ann", "sink": SINK, **more})
        for name, more in {
            "default": {},
            "both": {"types": both},
            "findings": {"types": ["finding.raised", "finding.resolved"], "filter": {"kind": "trains_too_often"}},
            "silent": {"types": ["finding.raised"], "filter": {"kind": "silent"}},
            "mixed": {"types": both, "filter": {"any": [{"kind": "trains_*"}, {"p_push": {"below": 0.1}}]}},
        }.items()
    )

    def found(each: FlagRecord | FindingRecord) -> set[str]:
        return {match.subscription.id for match in matcher.match(each)}

    assert found(record()) == {"default", "both", "mixed"}
    assert found(finding()) == {"both", "findings", "mixed"}
    assert found(finding(2, Change.RESOLVED)) == {"findings"}
    assert found(record(2, Change.RESOLVED)) == {"default"}


SINK = {"kind": "kafka", "topic": "t"}
NAMES = st.sampled_from(["a", "ab", "abc", "b", "ads-x", "ads-y"])
GLOBS = st.one_of(NAMES, st.sampled_from(["*", "a*", "ads-*", "?b*", "[ab]", "ads-[xy]", "*c"]))
RANGES = st.sampled_from([{"at_least": 1}, {"below": 1}, {"at_least": 0.5, "below": 2}])
LEAVES = st.fixed_dictionaries(
    {},
    optional={
        "pipeline": st.lists(GLOBS, min_size=1, max_size=3),
        "owner": st.lists(GLOBS, min_size=1, max_size=2),
        "labels": st.dictionaries(st.sampled_from(["team", "tier"]), st.lists(GLOBS, min_size=1, max_size=2)),
        "stage": st.lists(st.sampled_from(["train", "t*", "input"]), min_size=1, max_size=2),
        "cause": st.lists(st.sampled_from(["recovered", "run_*"]), min_size=1, max_size=1),
        "p_push": RANGES,
        "node_hours_left": RANGES,
        "money_left": RANGES,
        "age_hours": RANGES,
    },
)
FILTERS: Any = st.recursive(
    LEAVES,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "all": st.lists(inner, min_size=1, max_size=2),
            "any": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "owner": st.lists(GLOBS, min_size=1, max_size=2),
        },
    ),
    max_leaves=5,
)
RECORDS = st.builds(
    lambda pipeline, owner, labels, change, left, hours: replace(
        record(1, change),
        pipeline=pipeline,
        owner=owner,
        labels=labels,
        time_ms=NOW + hours * 3_600_000,
        graphlets=(replace(record().graphlets[0], cost_left=left * 3600.0),),
    ),
    NAMES,
    NAMES,
    st.dictionaries(st.sampled_from(["team", "tier"]), NAMES),
    st.sampled_from(list(Change)),
    st.sampled_from([0.0, 0.7, 1.0, 5.0]),
    st.integers(0, 2),
)


def holds(given_filter: dict[str, Any], of: FlagRecord, price: float | None) -> bool:
    """Whether a filter holds for a record, read from its JSON form with no code of the product."""

    def texts(globs: list[str], value: str | None) -> bool:
        return value is not None and any(fnmatchcase(value, glob) for glob in globs)

    def numbers(limits: dict[str, float], value: float | None) -> bool:
        return value is not None and limits.get("at_least", value) <= value < limits.get("below", float("inf"))

    left = sum(each.cost_left for each in of.graphlets) / 3600
    checks = {
        "pipeline": lambda want: texts(want, of.pipeline),
        "owner": lambda want: texts(want, of.owner),
        "labels": lambda want: all(texts(globs, of.labels.get(name)) for name, globs in want.items()),
        "stage": lambda want: any(texts(want, each.stage) for each in of.graphlets),
        "cause": lambda want: texts(want, of.cause),
        "p_push": lambda want: numbers(want, max(each.p_push for each in of.graphlets)),
        "node_hours_left": lambda want: numbers(want, left),
        "money_left": lambda want: numbers(want, None if price is None else left * price),
        "age_hours": lambda want: numbers(want, (of.time_ms - of.raised_ms) / 3_600_000),
        "all": lambda want: all(holds(each, of, price) for each in want),
        "any": lambda want: any(holds(each, of, price) for each in want),
        "not": lambda want: not holds(want, of, price),
    }
    return all(checks[name](want) for name, want in given_filter.items())


@given(st.lists(FILTERS, max_size=4), st.lists(RECORDS, min_size=1, max_size=4), st.sampled_from([None, 0.5]))
def test_the_index_finds_exactly_the_filters_that_hold(
    filters: list[dict[str, Any]], records: list[FlagRecord], price: float | None
) -> None:
    """And, for all but the raising of a flag, those that may have held for an earlier record of the flag."""
    sink = {"kind": "kafka", "topic": "t"}
    made = [
        make_subscription(
            {"id": f"s{number}", "name": "s", "owner": "ann", "sink": sink, "types": FLAG_TYPES, "filter": each}
        )
        for number, each in enumerate(filters)
    ]
    matcher = Matcher(made, lambda _: price)
    for each in made:  # replaced, so that nothing of the former is left
        matcher.put(each)

    for of in records:
        found = {match.subscription.id: match.exact for match in matcher.match(of)}
        expected = {f"s{number}" for number, each in enumerate(filters) if holds(each, of, price)}
        assert {name for name, exact in found.items() if exact} == expected
        if of.change is Change.RAISED:
            assert set(found) == expected
        for other in records:  # another record of the same flag, with other numbers
            if (other.pipeline, other.owner, other.labels) == (of.pipeline, of.owner, of.labels):
                also = {f"s{number}" for number, each in enumerate(filters) if holds(each, other, price)}
                assert of.change is Change.RAISED or also <= set(found)


def test_subscriptions_that_are_not_active_match_nothing() -> None:
    """Nor do those that were deleted."""
    sink = {"kind": "kafka", "topic": "t"}
    matcher = Matcher()
    for state in ("active", "paused", "disabled", "active"):
        matcher.put(make_subscription({"id": state, "name": "s", "owner": "a", "sink": sink, "state": state}))
    assert [match.subscription.id for match in matcher.match(record())] == ["active"]
    matcher.drop("active")
    matcher.drop("unknown")

    assert matcher.match(record()) == []
    assert len(matcher) == 2
