"""Tokens: who is let in, and what each may see and do."""

from __future__ import annotations

import pytest

from stream_app.alerts.access import EVERYBODY, PREFIX, Principal, Scope, Token, Tokens, digest_of, make_token

ADS = Principal("ads", Scope.WRITE, ("ads", "ads-*"), ("ads/*",))


def test_without_tokens_everybody_is_let_in() -> None:
    """As on a machine of one's own."""
    assert Tokens().find("") is EVERYBODY
    assert not Tokens()
    assert EVERYBODY.may(Scope.ADMIN)
    assert EVERYBODY.owns("anybody")
    assert EVERYBODY.sees("anything")


def test_a_token_stands_for_its_principal() -> None:
    """Among others, wherever it is in the list."""
    tokens = [make_token() for _ in range(3)]
    known = Tokens(Token(digest_of(each), Principal(str(n), Scope.READ)) for n, each in enumerate(tokens))

    assert known
    assert [who.name for each in tokens if (who := known.find(each)) is not None] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "change", [str.upper, lambda t: t + " ", lambda t: t[:-1], lambda _: "", digest_of, lambda _: "\udc80"]
)
def test_anything_else_stands_for_nobody(change: object) -> None:
    """Its digest, which the file has, among them."""
    token = make_token()
    known = Tokens([Token(digest_of(token), ADS)])

    assert known.find(token) is ADS
    assert known.find(change(token)) is None  # type: ignore[operator]


def test_tokens_are_random_and_can_be_found_by_scanners() -> None:
    """By how they begin."""
    made = {make_token() for _ in range(100)}

    assert len(made) == 100
    assert all(each.startswith(PREFIX) and len(each) > 40 for each in made)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [(Scope.READ, {Scope.READ}), (Scope.WRITE, {Scope.READ, Scope.WRITE}), (Scope.ADMIN, set(Scope))],
)
def test_a_scope_includes_those_before_it(scope: Scope, allowed: set[Scope]) -> None:
    """And none after it."""
    assert {each for each in Scope if Principal("a", scope).may(each)} == allowed


@pytest.mark.parametrize(
    ("owner", "owns"),
    [("ads", True), ("ads-eu", True), ("Ads", False), ("adsx", False), ("", False), ("bad-ads", False)],
)
def test_a_token_of_owners_owns_theirs_alone(owner: str, owns: bool) -> None:
    """Wildcards hold for whole names."""
    assert ADS.owns(owner) is owns


@pytest.mark.parametrize(("pipeline", "sees"), [("ads/a", True), ("ads/", True), ("ads", False), ("x/ads/a", False)])
def test_a_token_of_pipelines_sees_these_alone(pipeline: str, sees: bool) -> None:
    """Wildcards hold for whole names."""
    assert ADS.sees(pipeline) is sees
