"""What rows amount to, kept as they are replaced."""

from __future__ import annotations

from stream_app.kafka.state.checksum import Checksum


def test_it_follows_the_rows() -> None:
    """However they came to be: rows put, replaced, put again and deleted amount to what is there."""
    kept = Checksum({b"x": b"1", b"gone": b"1"})
    kept.update([(b"x", b"2"), (b"y", b"1"), (b"gone", None), (b"never", None), (b"y", b"2")])

    assert kept.fields() == Checksum({b"x": b"2", b"y": b"2"}).fields()


def test_it_tells_rows_apart() -> None:
    """By number, key and value; two rows with their values exchanged are others."""
    rows = {b"x": b"1", b"y": b"2"}
    others = [{}, {b"x": b"1"}, {b"x": b"2", b"y": b"1"}, {b"x": b"1", b"z": b"2"}, {b"x": b"1", b"y": b"3"}]

    assert Checksum(rows).fields() not in [Checksum(other).fields() for other in others]
    assert Checksum({}).fields() == {"rows": 0, "digests": "0" * 16}
