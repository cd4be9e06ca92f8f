"""The rows of the waste: the largest by name, the small ones in one."""

from __future__ import annotations

import pytest

from stream_app.analysis.waste import ROWS, parts


@pytest.mark.parametrize(("names", "rest"), [(ROWS, 1), (ROWS + 1, 1), (ROWS + 2, 2), (ROWS + 25, 25)])
def test_what_is_summed_up_is_more_than_one_name(names: int, rest: int) -> None:
    """One row for one name has room for the name."""
    found = parts(((f"p{place}", 1000, None, None) for place in range(names)), names * 1000)

    assert found[-1].names == rest
    assert (found[-1].name == "") == (rest > 1)
    assert sum(part.share for part in found) == pytest.approx(1.0)
