"""Times of past pushes: what is a time, and which lines of a file are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.errors import OptionsError
from stream_app.sources.mlflow.promotions import read_promotions, time_of
from tests.support.builders import DAY, HOUR, T0

#: 2023-11-14T22:13:20Z
TEXTS = ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20", "2023-11-14 23:13:20+01:00", "1700000000", "1700000000000"]


@pytest.mark.parametrize("text", [*TEXTS, " 1700000000.0 "])
def test_forms_of_a_time(text: str) -> None:
    assert time_of(text) == T0


def test_a_day_begins_at_midnight() -> None:
    assert time_of("2023-11-15") == T0 - T0 % DAY + DAY


@pytest.mark.parametrize("text", ["", "yesterday", "20231114", "1989-12-31", "-5", "nan", "9999-06-01", "2023-02-30"])
def test_what_is_no_time(text: str) -> None:
    assert time_of(text) is None


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "promotions.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_columns_may_stand_in_any_order(tmp_path: Path, encoding: str, newline: str) -> None:
    """Among others. The first push of a version counts; an empty line is none."""
    lines = [
        "who,pushed_at,version,model",
        f"a,{T0 + HOUR},1,ads",
        'b, 1700000000 , 1, "ads"',
        "",
        f"c,{T0},2,größe, x",
    ]

    found = read_promotions(written(tmp_path, newline.join(lines), encoding))

    assert found == {("ads", "1"): T0, ("größe", "2"): T0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: no column model, version, pushed_at; expected model,version,pushed_at"),
        ("model,version\nads,1\n", "line 1: no column pushed_at"),
        (
            "model,version,pushed_at\nads,1,soon\nads,2,1700000000\nads,,1700000000\n",
            r"line 2: pushed_at: .*'soon'; line 4",
        ),
        ("model,version,pushed_at\nads\n", "line 2: expected a model and a version"),
        ("model,version,pushed_at\n" + "ads,1,x\n" * 9, "; and 4 more$"),
    ],
)
def test_lines_that_are_no_pushes_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(OptionsError, match=rf"mlflow\.promotions: .*promotions\.csv: .*{says}"):
        read_promotions(written(tmp_path, text))


def test_a_file_that_is_not_there_or_no_text_is_an_error_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"mlflow\.promotions: cannot read .*nowhere\.csv"):
        read_promotions(tmp_path / "nowhere.csv")
    with pytest.raises(OptionsError, match="is not CSV in UTF-8"):
        read_promotions(written(tmp_path, "model,version,pushed_at\n", "utf-16"))
