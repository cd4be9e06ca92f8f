"""Options come from a file, variables and flags, in rising order, and a mistake is told in one line."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr

from stream_app.core.operators import GROUPS
from stream_app.errors import OptionsError
from stream_app.options import Group, Options, load, read_secret
from stream_app.sources import mlflow, mlmd


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests do not depend on the environment they run in."""
    for name in list(os.environ):
        if name.upper().startswith("STREAM_APP_"):
            monkeypatch.delenv(name)


def _file(directory: Path, text: str) -> Path:
    path = directory / "stream-app.toml"
    path.write_text(text)
    return path


def test_nothing_needs_to_be_set() -> None:
    """The defaults observe, at a budget of 5 %."""
    options = load()

    assert options == Options()
    assert options.detector.mode == "observe"
    assert options.detector.budget == 0.05
    assert (
        options.detector.retention_days,
        options.detector.lateness_days,
        options.detector.horizon_days,
        options.detector.lost_hours,
    ) == (30, 7, 14, 6)
    assert (options.rates.node_hour, options.rates.currency) == (None, "USD")


def test_the_default_budget_depends_on_the_mode() -> None:
    """Enforcing is five times as careful, unless the user says otherwise."""
    assert load(flags={"detector.mode": "enforce"}).detector.budget == 0.01
    assert load(flags={"detector.mode": "enforce", "detector.budget": 0.1}).detector.budget == 0.1


def test_later_sources_override_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable overrides the file, a flag both; a flag that was not given overrides nothing."""
    path = _file(
        tmp_path, '[detector]\nlateness_days = 1\nsalt = "file"\nretention_days = 60\n[rates]\nnode_hour = 2.5'
    )
    monkeypatch.setenv("STREAM_APP_DETECTOR_SALT", "variable")
    monkeypatch.setenv("STREAM_APP_DETECTOR_RETENTION_DAYS", "90")

    options = load(path, {"detector.retention_days": 120, "detector.lateness_days": None})

    assert options.detector.lateness_days == 1
    assert options.detector.salt == "variable"
    assert options.detector.retention_days == 120
    assert options.rates.node_hour == 2.5


def test_tables_come_from_files_and_from_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operators of a platform are named in the file, or in a variable as JSON; their case is kept."""
    path = _file(tmp_path, '[operators.groups]\nMyTrainer = "train"\n[operators.nodes]\nMyTrainer = 8')
    monkeypatch.setenv("STREAM_APP_OPERATORS_NODES", '{"MyTrainer": 16}')

    options = load(path)

    assert options.operators.groups == {"MyTrainer": "train"}
    assert options.operators.nodes == {"MyTrainer": 16}


def test_the_groups_are_those_of_the_core() -> None:
    """A group that the core knows can be configured, and no other."""
    assert get_args(Group) == GROUPS


def test_options_do_not_change() -> None:
    """The tree is frozen: what was read at the start holds to the end."""
    options = load()

    with pytest.raises(ValueError, match="frozen"):
        options.detector.lateness_days = 2  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        options.detector = options.detector  # type: ignore[misc]


def test_only_load_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Options made directly are what they are made of."""
    monkeypatch.setenv("STREAM_APP_DETECTOR_LATENESS_DAYS", "3")

    assert Options().detector.lateness_days == 7
    assert load().detector.lateness_days == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("detector = 1", "unknown key detector, the closest known one is detector."),
        ('mode = "enforce"', "unknown key mode, the closest known one is detector.mode"),
        ("[detectors]\nsalt = 1", "unknown key detectors.salt, the closest known one is detector.salt"),
        ("[detectors]", "unknown key detectors, the closest known one is detector."),
        (
            "[detector]\nretention = 1",
            "unknown key detector.retention, the closest known one is detector.retention_days",
        ),
        ('[detector]\nmode = "on"', "detector.mode: expected 'observe' or 'enforce', got \"on\""),
        ("[detector]\nbudget = 0", "detector.budget: expected greater than 0, got 0"),
        ("[detector]\nbudget = 1.5", "detector.budget: expected less than 1, got 1.5"),
        ("[detector]\nbudget = nan", "detector.budget: expected a finite number, got NaN"),
        ("[detector]\nretention_days = 1.5", "detector.retention_days: expected a valid integer"),
        (
            "[detector]\nhorizon_days = 31",
            "detector.horizon_days: horizon_days should be at most retention_days",
        ),
        (
            "[detector]\nlateness_days = 1\nretention_days = 7",
            "detector.retention_days: horizon_days should be at most",
        ),
        ('[operators.groups]\nX = "training"', "operators.groups.X: expected 'ingest', 'analysis'"),
        ("[operators.nodes]\nX = 0", "operators.nodes.X: expected greater than 0, got 0"),
        ("[operators]\nnodes = 3", "operators.nodes: expected a valid dictionary, got 3"),
        ('[rates]\ncurrency = "dollars"', "rates.currency: string should match pattern '^[A-Z]{3}$'"),
        ("[detector", "not TOML: "),
        ("[detector]\nsalt = 1\nsalt = 2", "not TOML: "),
    ],
)
def test_a_mistake_in_the_file_is_one_line(tmp_path: Path, text: str, reason: str) -> None:
    """The line names the file, the key and what is expected."""
    path = _file(tmp_path, text)

    with pytest.raises(OptionsError) as caught:
        load(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        (
            "STREAM_APP_DETECTOR_MOD",
            "x",
            "unknown variable, the closest known one is STREAM_APP_DETECTOR_MODE",
        ),
        ("STREAM_APP_DETECTOR", "{}", "unknown variable, the closest known one is STREAM_APP_DETECTOR_"),
        ("STREAM_APP_DETECTOR_LATENESS_DAYS", "-1", 'expected greater than or equal to 0, got "-1"'),
        (
            "STREAM_APP_DETECTOR_LATENESS_DAYS",
            "",
            'expected a valid integer, unable to parse string as an integer, got ""',
        ),
        ("STREAM_APP_OPERATORS_NODES", "{", 'should be JSON, got "{"'),
        ("STREAM_APP_KAFKA_SOURCES", "provenance", 'should be JSON, got "provenance"'),
        ("STREAM_APP_OPERATORS_NODES", "[1]", "expected a valid dictionary"),
        ("STREAM_APP_OPERATORS_GROUPS", '{"X": "y"}', "expected 'ingest'"),
    ],
)
def test_a_mistake_in_a_variable_is_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    """The line names the variable."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(OptionsError) as caught:
        load()

    assert str(caught.value).startswith(variable)
    assert reason in str(caught.value)


def test_a_mistake_in_a_flag_is_one_line() -> None:
    """The line names the option, and says so too when there is none such."""
    with pytest.raises(OptionsError, match=r"^flag detector\.budget: expected less than 1, got 2$"):
        load(flags={"detector.budget": 2})
    with pytest.raises(OptionsError, match=r"^flags: unknown key detector\.bugdet, .* is detector\.budget$"):
        load(flags={"detector.bugdet": 2})


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """A file that was named must exist and must be text."""
    with pytest.raises(OptionsError, match=r"stream-app\.toml: No such file or directory$"):
        load(tmp_path / "stream-app.toml")
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(OptionsError, match=r"binary\.toml: not TOML: "):
        load(path)


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    """Without the line break that editors put at its end; what is within belongs to it."""
    file = tmp_path / "password"
    file.write_text("correct horse \n")

    assert read_secret(None, file, "kafka.password") == "correct horse "
    assert read_secret(SecretStr("given"), None, "kafka.password") == "given"
    assert read_secret(None, None, "kafka.password") is None


def test_a_secret_that_cannot_be_read_is_told_without_it(tmp_path: Path) -> None:
    """Given twice, or in a file that is not there."""
    with pytest.raises(OptionsError, match=r"kafka.password is given both .*; give one") as raised:
        read_secret(SecretStr("swordfish"), tmp_path / "password", "kafka.password")
    with pytest.raises(OptionsError, match=r"kafka.password: cannot read .*password"):
        read_secret(None, tmp_path / "password", "kafka.password")
    assert "swordfish" not in str(raised.value)


PAGE = (Path(__file__).parent.parent / "docs" / "settings.md").read_text()
#: What a source's own rules have where its section says nothing.
RULES = {"mlmd": mlmd.Rules(), "mlflow": mlflow.Rules()}


def _shown(section: str, key: str) -> str:
    """A default as the page shows it: text and numbers as they are, lists and tables as a variable holds them."""
    value = getattr(RULES.get(section, getattr(Options(), section)), key)
    if isinstance(value, tuple | dict):
        return json.dumps(value)
    return "" if value is None else f"{value}".removesuffix(".0")


def test_the_documentation_has_every_section() -> None:
    """And no other."""
    assert sorted(re.findall(r"^## `\[(\w+)\]`$", PAGE, re.MULTILINE)) == sorted(Options.model_fields)


@pytest.mark.parametrize("section", [name for name in Options.model_fields if name != "kafka"])
def test_the_documentation_lists_every_setting_of_a_section(section: str) -> None:
    """With its default, and no other. Those of Kafka are on the worker's page."""
    table = PAGE.split(f"## `[{section}]`")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)? ?\|", table, re.MULTILINE))

    assert rows == {key: _shown(section, key) for key in type(getattr(Options(), section)).model_fields}


def test_the_documentations_settings_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples, from a file and from variables."""
    for name, value in re.findall(r"^(STREAM_APP_\w+)='(.*)'$", PAGE, re.MULTILINE):
        monkeypatch.setenv(name, value)
    toml = "\n".join(re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))

    options = load(_file(tmp_path, toml))

    assert (options.detector.mode, options.detector.budget) == ("enforce", 0.02)
    assert (options.operators.groups, options.operators.nodes) == ({"XgbFit": "train"}, {"XgbFit": 8})
    assert options.kafka.sources == ("provenance",)


def test_a_secret_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """In a file of its own, and in the file of options; without a secret the file may be of a group."""
    own = tmp_path / "password"
    own.write_text("swordfish")
    config = tmp_path / "options.toml"
    config.write_text('[kafka]\npassword = "swordfish"\n')
    plain = tmp_path / "plain.toml"
    plain.write_text('[kafka]\ngroup = "g"\n')
    for path in (own, config, plain):
        path.chmod(0o664)

    assert load(plain).kafka.group == "g"
    for read in (lambda: read_secret(None, own, "kafka.password"), lambda: load(config)):
        with pytest.raises(OptionsError, match=r"others can write to it, and it holds a secret: chmod go-w ") as raised:
            read()
        assert "swordfish" not in str(raised.value)
