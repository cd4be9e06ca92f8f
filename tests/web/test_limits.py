"""Token buckets, and what counts as one address."""

from __future__ import annotations

import pytest

from stream_app.web import limits
from stream_app.web.limits import Buckets, retry_after, sender_of


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_is_emptied_and_fills_with_time() -> None:
    """Three at once, then two a second."""
    clock = Clock()
    buckets = Buckets(2.0, 3, clock)

    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now = 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    clock.now = 100.0
    assert [buckets.take("a") > 0 for _ in range(4)] == [False, False, False, True]


def test_keys_have_buckets_of_their_own() -> None:
    buckets = Buckets(1.0, 1, Clock())

    assert [buckets.take(key) for key in "aabb"] == [0, 1, 0, 1]


def test_no_rate_is_no_limit() -> None:
    buckets = Buckets(0.0, 0.0)

    assert {buckets.take("a") for _ in range(1_000)} == {0}
    assert len(buckets) == 0


def test_the_memory_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one used longest ago is forgotten; those in use keep what they have used."""
    monkeypatch.setattr(limits, "KEYS_MAX", 10)
    buckets = Buckets(1.0, 1, Clock())
    for number in range(100):
        buckets.take("in use")
        buckets.take(str(number))

    assert len(buckets) == 10
    assert buckets.take("in use") == 1


def test_the_time_to_wait_is_whole_seconds() -> None:
    assert [retry_after(each)["Retry-After"] for each in (0.01, 1.0, 1.2)] == ["1", "1", "2"]


@pytest.mark.parametrize(
    ("host", "sender"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:0:1:aaaa::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:bbbb::2", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_network_of_ipv6_is_one_sender(host: str, sender: str) -> None:
    """Each host has 2**64 addresses of its own."""
    assert sender_of(host) == sender
