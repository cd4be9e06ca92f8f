"""The list of owners: the first rule that holds decides, and a mistake is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.errors import OptionsError
from stream_app.options import OwnersOptions, load, read_owners
from stream_app.owners import OwnerRule, Owners

ENTRIES = """
[[owners]]
pipeline = "ads-*"
labels = { tier = "prod" }
owner = "ads-prod"

[[owners]]
pipeline = "ads-*"
owner = "ads"
team = "Ads ranking"
address = "#ads"

[[owners]]
labels = { cost_center = "4711" }
owner = "search"
"""


@pytest.mark.parametrize(
    ("pipeline", "labels", "owner"),
    [
        ("ads-ctr", {"tier": "prod"}, "ads-prod"),
        ("ads-ctr", {"tier": "test"}, "ads"),
        ("ads-ctr", {"cost_center": "4711"}, "ads"),
        ("Ads-ctr", {}, ""),
        ("my-ads-ctr", {}, ""),
        ("web", {"cost_center": "4711"}, "search"),
        ("web", {"cost_center": "47110"}, ""),
    ],
)
def test_the_first_rule_that_holds_decides(tmp_path: Path, pipeline: str, labels: dict[str, str], owner: str) -> None:
    """Pipelines are matched whole and by case; all conditions of a rule must hold."""
    path = tmp_path / "owners.toml"
    path.write_text(ENTRIES)

    owners = read_owners(OwnersOptions(file=path))

    assert owners.find(pipeline, labels) == owner
    assert owners.label_names == {"tier", "cost_center"}


def test_the_same_tables_may_stand_among_the_settings(tmp_path: Path) -> None:
    """One form, in a file of its own or not."""
    own, settings = tmp_path / "owners.toml", tmp_path / "stream-app.toml"
    own.write_text(ENTRIES)
    settings.write_text(ENTRIES)

    assert read_owners(load(settings).owners).rules == read_owners(OwnersOptions(file=own)).rules


def test_an_owner_that_an_event_names_is_found_too() -> None:
    """Team and address come from the first rule with that owner, whichever pipelines it is for."""
    owners = Owners(
        [OwnerRule("ads", "ads-*", team="Ads ranking", address="#ads"), OwnerRule("ads", "x", team="other")]
    )

    contact = owners.contact("ads")

    assert contact is not None
    assert (contact.team, contact.address) == ("Ads ranking", "#ads")
    assert owners.contact("nobody") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[owners]]\nowner = 'a'", "owners entry 1: pipeline or labels should be given"),
        (
            "[[owners]]\npipeline = '*'\nowner = 'a'\n[[owners]]\npipeline = '*'",
            "entry 2: owner: field required",
        ),
        ("[[owners]]\npipeline = '*'\nowner = ' '", "owners entry 1: owner should not be empty"),
        ("[[owners]]\npipeline = '*'\nowner = 7", "owners entry 1: owner: expected a valid string, got 7"),
        (
            "[[owners]]\npipeline = '*'\nowner = 'a'\nadress = 'x'",
            "unknown field adress, the closest known one is",
        ),
        ("[[owners]]\nlabels = { tier = 1 }\nowner = 'a'", "entry 1: labels.tier: expected a valid string, got 1"),
        ("[owners]\nfile = 'x'", "owners: expected tables [[owners]], got "),
        ("owners = [1]", "owners entry 1: expected a table, got 1"),
        ("[[owner]]\nowner = 'a'", "unknown key owner, expected tables [[owners]]"),
        ("[[owners", "not TOML: "),
    ],
)
def test_a_mistake_in_the_file_names_file_entry_and_field(tmp_path: Path, text: str, message: str) -> None:
    """One line, for whoever has to mend it."""
    path = tmp_path / "owners.toml"
    path.write_text(text)

    with pytest.raises(OptionsError) as caught:
        read_owners(OwnersOptions(file=path))

    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the setting that named it."""
    path = tmp_path / "owners.toml"

    with pytest.raises(OptionsError, match=rf"^owners\.file: cannot read {path}: No such file"):
        read_owners(OwnersOptions(file=path))


def test_rules_stand_in_one_place(tmp_path: Path) -> None:
    """A file and rules together would leave their order to guess."""
    path = tmp_path / "stream-app.toml"
    path.write_text("[owners]\nfile = 'owners.toml'\n[[owners.rules]]\npipeline = '*'\nowner = 'a'\n")

    with pytest.raises(OptionsError, match=r"owners\.(file|rules): rules should not be given beside file"):
        load(path)


def test_an_owner_who_is_gone_needs_somebody_else(tmp_path: Path) -> None:
    """The team of any of their entries, or the admins; the error names the entry."""
    path, entry = tmp_path / "owners.toml", '[[owners]]\npipeline = "p"\nowner = "ann"\n'
    path.write_text(f"{entry}\n{entry}gone = true\n")
    with pytest.raises(OptionsError) as caught:
        read_owners(OwnersOptions(file=path))
    assert str(caught.value) == (
        f"{path}: owners entry 1: 'ann' is gone: team_address, or owners.admins, should be given"
    )

    assert read_owners(OwnersOptions(file=path, admins="ops@example.com")).addresses("ann") == ["ops@example.com"]
    path.write_text(f'{entry}team_address = "ads@example.com"\n{entry}gone = true\n')
    assert read_owners(OwnersOptions(file=path)).addresses("ann") == ["ads@example.com"]
