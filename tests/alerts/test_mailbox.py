"""What a subscription's mailbox holds, collects, sends and drops."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.mailbox import AGAIN_MS, MESSAGES_MAX, Mailbox
from stream_app.alerts.messages import Fate, Message
from stream_app.alerts.retries import DELAYS
from stream_app.alerts.subscriptions import make_subscription
from tests.alerts.records import NOW, record

HOLD = 120_000
RAISED, REVISED, REMINDED, DUE, WITHDRAWN, RESOLVED = Change
HOUR = 3_600_000


def mailbox(**delivery: object) -> Mailbox:
    """A mailbox of a subscription to everything."""
    types: Any = delivery.pop("types", [change.value for change in Change])
    sink = {"kind": "kafka", "topic": "t"}
    given_ = {"id": "s", "name": "s", "owner": "ann", "sink": sink, "types": types, "delivery": delivery}
    return Mailbox(make_subscription(given_))


def drain(box: Mailbox, now_ms: int) -> list[list[str]]:
    """Sends all that is due, and returns the records of each message as `revision change`."""
    box.advance(now_ms)
    messages = []
    while (message := box.take(now_ms, now_ms / 1000)) is not None:
        messages.append([f"{each.revision} {each.change}" for each in message.records])
        box.sent(message, now_ms, now_ms / 1000)
    return messages


def dropped(box: Mailbox) -> list[str]:
    """The reasons for which records were not sent."""
    return [entry.reason for entry in box.take_log() if entry.fate in (Fate.DROPPED, Fate.DEAD)]


def test_a_message_that_its_sink_drops_ends_without_a_failure() -> None:
    """The log has the reason, and the sink is left as it is."""
    box = mailbox(types=["due"])
    box.accept(record(change=Change.DUE), True, NOW, NOW)
    message = box.take(NOW, 0.0)
    assert message is not None

    box.dropped(message, "ann keeps it", NOW)

    assert [(each.fate, each.reason, each.attempt) for each in box.take_log()] == [(Fate.DROPPED, "ann keeps it", 0)]
    assert (box.messages, box.failing_ms, box.breaker.open) == ({}, None, False)


def test_a_message_that_its_sink_postpones_is_tried_again_then() -> None:
    """It counts as no attempt; what the sink keeps is kept, and nothing is logged without a reason."""
    box = mailbox(types=["due"])
    box.accept(record(change=Change.DUE), True, NOW, NOW)
    for attempt, (reason, logged) in enumerate((("", []), ("exempt hours", ["exempt hours"]))):
        now_ms = NOW + attempt * HOUR
        message = box.take(now_ms, 0.0)
        assert message is not None
        box.postponed(message, reason, now_ms + HOUR, now_ms, {message.records[0].subject: "kept"})

        assert [each.reason for each in box.take_log()] == logged
        assert box.take(now_ms + HOUR - 1, 0.0) is None
        assert box.next_ms(0.0, now_ms) == now_ms + HOUR
        assert (message.attempts, box.failing_ms, box.thread) == (0, None, {message.records[0].subject: "kept"})


def test_a_flag_is_announced_when_it_was_held_long_enough() -> None:
    """Not a moment before; its further life is told at once."""
    box = mailbox()
    box.accept(record(), True, NOW, NOW)

    assert drain(box, NOW + HOLD - 1) == []
    assert box.next_ms(0.0, NOW) == NOW + HOLD
    assert drain(box, NOW + HOLD) == [["1 raised"]]
    box.accept(record(2, REVISED), True, NOW, NOW + HOLD + 1)
    assert drain(box, NOW + HOLD + 1) == [["2 revised"]]
    box.accept(record(3, RESOLVED), True, NOW, NOW + HOLD + 2)
    assert drain(box, NOW + HOLD + 2) == [["3 resolved"]]
    assert box.next_ms(0.0, NOW) is None


def test_a_flag_that_ends_sooner_is_never_heard_of() -> None:
    """Neither its raising nor its end, and both have their reason in the log."""
    box = mailbox()
    box.accept(record(), True, NOW, NOW)
    box.accept(record(2, WITHDRAWN), True, NOW, NOW + 1)

    assert drain(box, NOW + HOUR) == []
    assert dropped(box) == ["withdrawn before it was announced", "its flag was not announced"]


def test_the_hold_counts_from_when_the_record_was_logged() -> None:
    """A notifier that was away sends at once what is old enough."""
    box = mailbox()
    box.accept(record(), True, NOW - HOLD, NOW)

    assert drain(box, NOW) == [["1 raised"]]


def test_a_record_is_accepted_once() -> None:
    """A record that comes again, after a restart or from a replica, changes nothing."""
    box = mailbox(min_hold_seconds=0)
    for _ in range(3):
        box.accept(record(), True, NOW, NOW)
        box.accept(record(2, REVISED), True, NOW, NOW)

    assert drain(box, NOW) == [["1 raised"], ["2 revised"]]


def test_of_the_revisions_that_were_held_the_last_is_told() -> None:
    """It holds all that those before it say."""
    box = mailbox()
    for revision, change in enumerate((RAISED, REVISED, REVISED), 1):
        box.accept(record(revision, change), True, NOW, NOW)

    assert drain(box, NOW + HOLD) == [["1 raised"], ["3 revised"]]
    assert dropped(box) == ["revision 3 replaces it"]


def test_a_flapping_flag_is_announced_once_an_hour() -> None:
    """It may be raised and withdrawn each minute."""
    box = mailbox(min_hold_seconds=0)
    sent = []
    for minute in range(180):
        now_ms = NOW + minute * 60_000
        box.accept(record(minute + 1, WITHDRAWN if minute % 2 else RAISED), True, now_ms, now_ms)
        sent += [(now_ms, *each) for each in drain(box, now_ms)]

    raised = [now_ms for now_ms, change in sent if "raised" in change]
    assert len(raised) == 3
    assert all(later - earlier >= AGAIN_MS for earlier, later in pairwise(raised))
    assert len(sent) == 6


def test_a_filter_that_holds_later_announces_the_flag() -> None:
    """A revision is the first word where the raising did not match."""
    box = mailbox()
    box.accept(record(2, REVISED), True, NOW, NOW)

    assert drain(box, NOW + HOLD) == [["2 revised"]]


def test_the_end_is_told_to_those_who_heard_of_the_flag() -> None:
    """Whatever the filter says of the end, which has other numbers."""
    heard, unheard = mailbox(), mailbox()
    heard.accept(record(), True, NOW, NOW)
    drain(heard, NOW + HOLD)
    for box in (heard, unheard):
        box.accept(record(2, RESOLVED), False, NOW, NOW + HOLD)

    assert drain(heard, NOW + HOLD) == [["2 resolved"]]
    assert drain(unheard, NOW + HOLD) == []


def test_whoever_wants_ends_alone_gets_those_that_match() -> None:
    """No announcement can come before them."""
    box = mailbox(types=["resolved"])
    box.accept(record(2, RESOLVED), True, NOW, NOW)
    box.accept(record(2, RESOLVED, flag="p/run:r2"), False, NOW, NOW)

    assert drain(box, NOW) == [["2 resolved"]]


def test_a_raising_that_could_not_be_sent_is_dropped_when_its_end_is_known() -> None:
    """The receiver has heard of neither."""
    box = mailbox(min_hold_seconds=0, digest="hour")
    box.accept(record(), True, NOW, NOW)
    box.advance(NOW)
    box.accept(record(2, WITHDRAWN), True, NOW, NOW + 1)

    assert drain(box, NOW + HOUR) == []
    assert dropped(box) == ["its end is known", "its flag was not announced"]
    assert not box.messages


def test_a_raising_that_may_have_arrived_is_followed_by_its_end() -> None:
    """An attempt that timed out may have been read."""
    box = mailbox(min_hold_seconds=0)
    box.accept(record(), True, NOW, NOW)
    box.advance(NOW)
    message = box.take(NOW, 0.0)
    assert message is not None
    box.failed(message, "time-out", NOW, 0.0, 0.5)
    box.accept(record(2, RESOLVED), True, NOW, NOW + 1)

    assert drain(box, NOW + 1) == [["2 resolved"]]


def test_attempts_follow_the_schedule_and_end() -> None:
    """Then the message is dead, with each attempt in the log."""
    box = mailbox(min_hold_seconds=0)
    box.accept(record(), True, NOW, NOW)
    box.advance(NOW)
    now_ms, delays = NOW, []
    while (due := box.next_ms(now_ms / 1000, now_ms)) is not None:
        delays.append((due - now_ms) / 1000)
        now_ms = due
        message = box.take(now_ms, now_ms / 1000)
        assert message is not None
        box.failed(message, "500", now_ms, now_ms / 1000, 0.5)

    log = box.take_log()
    assert delays == [0.0, *DELAYS]
    assert [entry.fate for entry in log] == [Fate.FAILED] * (len(DELAYS) + 1) + [Fate.DEAD]
    assert box.failing_ms == NOW


def test_a_flag_that_fails_does_not_delay_another() -> None:
    """Only records of one flag wait for each other."""
    box = mailbox(min_hold_seconds=0)
    box.accept(record(), True, NOW, NOW)
    box.advance(NOW)
    message = box.take(NOW, 0.0)
    assert message is not None
    box.failed(message, "500", NOW, 0.0, 0.5)
    box.accept(record(2, REVISED), True, NOW, NOW)
    box.accept(record(flag="p/run:r2"), True, NOW, NOW)

    assert drain(box, NOW) == [["1 raised"]]
    assert drain(box, NOW + 5_000) == [["1 raised"], ["2 revised"]]


def test_nothing_is_to_do_before_an_earlier_record_of_the_flag() -> None:
    """A message that waits for another is no reason to look at the mailbox."""
    box = mailbox(min_hold_seconds=0)
    box.accept(record(), True, NOW, NOW)
    box.advance(NOW)
    message = box.take(NOW, 0.0)
    assert message is not None
    box.failed(message, "500", NOW, 0.0, 0.5)
    box.accept(record(2, REVISED), True, NOW, NOW)

    assert box.take(NOW, 0.0) is None
    assert box.next_ms(0.0, NOW) == message.due_ms > NOW


def test_what_follows_a_run_that_may_be_stopped_is_sent_after_it() -> None:
    """Also where a digest with other flags was begun before."""
    box = mailbox(digest="hour", min_hold_seconds=0)
    box.accept(record(flag="p/run:r2"), True, NOW, NOW)
    box.advance(NOW)
    box.accept(record(2, DUE), True, NOW, NOW)
    box.accept(record(3, REVISED), True, NOW, NOW)

    assert drain(box, NOW) == [["2 due"]]
    assert drain(box, NOW + HOUR) == [["1 raised"], ["3 revised"]]


def test_a_flag_that_was_raised_again_waits_for_no_end_of_the_past() -> None:
    """Its end waits for a digest, and whoever stops runs cannot."""
    box = mailbox(digest="week")
    box.accept(record(), True, NOW, NOW)
    drain(box, NOW + 8 * 24 * HOUR)
    now_ms = NOW + 8 * 24 * HOUR
    box.accept(record(2, WITHDRAWN), True, now_ms, now_ms)
    box.accept(record(3), True, now_ms, now_ms)
    box.accept(record(4, DUE), True, now_ms, now_ms)

    assert drain(box, now_ms) == [["4 due"]]


def test_one_message_is_sent_at_a_time() -> None:
    """The next waits for what becomes of it."""
    box = mailbox(min_hold_seconds=0)
    for name in ("p/run:r1", "p/run:r2"):
        box.accept(record(flag=name), True, NOW, NOW)
    box.advance(NOW)
    first = box.take(NOW, 0.0)

    assert first is not None
    assert box.take(NOW, 0.0) is None
    box.sent(first, NOW, 0.0)
    assert box.take(NOW, 0.0) is not None


@pytest.mark.parametrize(
    ("delivery", "due_ms"),
    [
        ({"group_by": "pipeline", "group_seconds": 60}, 60_000),
        ({"digest": "hour"}, HOUR - NOW % HOUR),
    ],
)
def test_records_are_collected(delivery: dict[str, object], due_ms: int) -> None:
    """Into one message, the last of each flag."""
    box = mailbox(min_hold_seconds=0, **delivery)
    for revision, flag in ((1, "p/run:r1"), (1, "p/run:r2"), (2, "p/run:r1")):
        change = RAISED if revision == 1 else REVISED
        box.accept(record(revision, change, flag), True, NOW, NOW)
        box.advance(NOW)

    assert drain(box, NOW + due_ms - 1) == []
    assert drain(box, NOW + due_ms) == [["1 raised", "2 revised"]]


def test_groups_are_kept_apart() -> None:
    """By owner or pipeline."""
    box = mailbox(min_hold_seconds=0, group_by="owner", group_seconds=10)
    for owner, flag in (("ann", "p/run:r1"), ("bob", "p/run:r2"), ("ann", "p/run:r3")):
        box.accept(record(flag=flag, owner=owner), True, NOW, NOW)
    box.advance(NOW)

    assert sorted(map(len, drain(box, NOW + 10_000))) == [1, 2]


def test_messages_of_quiet_hours_come_together_afterwards() -> None:
    """Outside of them each comes by itself."""
    quiet = {"start": "00:00", "end": "23:59"}
    box = mailbox(min_hold_seconds=0, quiet_hours=quiet)
    for name in ("p/run:r1", "p/run:r2"):
        box.accept(record(flag=name), True, NOW, NOW)
    box.advance(NOW)
    day = 24 * HOUR
    end_ms = NOW - NOW % day + day - 60_000

    assert drain(box, end_ms - 1) == []
    assert drain(box, end_ms) == [["1 raised", "1 raised"]]
    for name in ("p/run:r3", "p/run:r4"):
        box.accept(record(flag=name), True, end_ms, end_ms)
    assert drain(box, end_ms) == [["1 raised"], ["1 raised"]]


def test_a_second_warning_follows_the_announced_flag() -> None:
    """Also where the filter does not hold any more; whoever did not hear of the flag is not warned a second time."""
    heard, unheard = mailbox(), mailbox()
    heard.accept(record(), True, NOW, NOW)
    drain(heard, NOW + HOLD)
    for box in (heard, unheard):
        box.accept(record(2, REMINDED), False, NOW + HOLD, NOW + HOLD)

    assert drain(heard, NOW + HOLD) == [["2 reminded"]]
    assert drain(unheard, NOW + 2 * HOLD) == []


def test_a_second_warning_within_the_hold_is_sent_after_the_first() -> None:
    """Or whoever reads it does not know of what."""
    box = mailbox()
    box.accept(record(), True, NOW, NOW)
    box.accept(record(2, REMINDED), True, NOW + 1, NOW + 1)

    assert drain(box, NOW + HOLD) == [["1 raised"], ["2 reminded"]]


def test_a_second_warning_waits_for_the_digest() -> None:
    """As all that is for people who want a digest."""
    box = mailbox(digest="hour", min_hold_seconds=0)
    box.accept(record(), True, NOW, NOW)
    box.advance(NOW)
    box.accept(record(2, REMINDED), True, NOW, NOW)

    assert drain(box, NOW) == []
    assert drain(box, NOW + HOUR) == [["2 reminded"]]


@pytest.mark.parametrize(
    "delivery",
    [
        {},
        {"group_by": "pipeline"},
        {"digest": "week"},
        {"quiet_hours": {"start": "00:00", "end": "23:59"}},
    ],
)
@pytest.mark.parametrize("advanced", [True, False])
def test_a_run_that_may_be_stopped_waits_for_nothing(delivery: dict[str, object], advanced: bool) -> None:
    """Whatever waits of its flag is replaced, and what waits of others stays."""
    box = mailbox(**delivery)
    for flag in ("p/run:r1", "p/run:r2"):
        box.accept(record(flag=flag), True, NOW, NOW)
    if advanced and delivery:
        box.advance(NOW + HOLD)
    box.accept(record(2, DUE), True, NOW + HOLD - 1, NOW + HOLD - 1)
    message = box.take(NOW + HOLD - 1, 0.0)

    assert message is not None
    assert [each.id for each in message.records] == ["p/run:r1#2"]
    box.sent(message, NOW + HOLD - 1, 0.0)
    assert dropped(box) == ["revision 2 replaces it"]
    box.advance(NOW + HOLD)
    assert [line for found in drain(box, NOW + 8 * 24 * HOUR) for line in found] == ["1 raised"]


def test_whoever_stops_runs_hears_of_no_flag_that_does_not_match() -> None:
    """However often it has matched before."""
    box = mailbox(types=["due", "withdrawn"])
    box.accept(record(2, DUE), True, NOW, NOW)
    assert drain(box, NOW) == [["2 due"]]
    box.accept(record(3, DUE), False, NOW, NOW)
    assert drain(box, NOW + HOLD) == []
    box.accept(record(4, WITHDRAWN), False, NOW, NOW)

    assert drain(box, NOW) == [["4 withdrawn"]]
    assert dropped(box) == ["the filter does not hold any more"]


def test_the_number_of_messages_is_bounded() -> None:
    """The oldest is given up, and the log says so."""
    box = mailbox(min_hold_seconds=0)
    for number in range(MESSAGES_MAX + 2):
        box.accept(record(flag=f"p/run:{number}"), True, NOW, NOW)
    box.advance(NOW)

    assert len(box.messages) == MESSAGES_MAX
    assert dropped(box) == ["10,000 messages wait"] * 2


def test_flags_are_forgotten_unless_something_waits() -> None:
    """Their memory is bounded by the time."""
    box = mailbox(min_hold_seconds=0)
    for name in ("p/run:r1", "p/run:r2"):
        box.accept(record(flag=name), True, NOW, NOW)
        if name == "p/run:r1":
            drain(box, NOW)
    box.forget(NOW + HOUR)

    assert list(box.flags) == ["p/run:r2"]


CHANGES = st.sampled_from(list(Change))
#: A step: a record of one of three flags, minutes that pass, or what becomes of the next attempt.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("wait"), st.integers(0, 90), st.booleans()),
        st.tuples(st.just("send"), st.integers(0, 3), st.booleans()),
    ),
    max_size=40,
)
DELIVERIES = st.fixed_dictionaries(
    {"min_hold_seconds": st.sampled_from([0, 120])},
    optional={"group_by": st.sampled_from(["pipeline", "owner"])},
) | st.fixed_dictionaries({"digest": st.sampled_from(["hour", "day"])})
OPEN = (RAISED, REVISED, REMINDED, DUE)
AFTER = {each: [REVISED, REMINDED, DUE, WITHDRAWN, RESOLVED] for each in OPEN}


class Life:
    """Legal records of a flag, one after the other."""

    def __init__(self, flag: str) -> None:
        self.flag, self.revision, self.last = flag, 0, WITHDRAWN

    def next(self, draw: int) -> FlagRecord:
        """The next record."""
        choices = AFTER.get(self.last, [RAISED])
        self.revision, self.last = self.revision + 1, choices[draw % len(choices)]
        return record(self.revision, self.last, self.flag)


def restored(box: Mailbox, now_ms: int) -> Mailbox:
    """The mailbox after a restart."""
    again = Mailbox(box.subscription)
    again.restore(box.flags, box.messages.values(), now_ms)
    again.log = box.log
    return again


@given(DELIVERIES, STEPS, st.data())
def test_every_record_is_sent_or_has_its_reason(
    delivery: dict[str, object], steps: list[tuple[str, int, bool]], data: st.DataObject
) -> None:
    """Whatever comes when, attempts that fail and restarts included; and each flag is told in order."""
    box, now_ms, accepted = mailbox(**delivery), NOW, []
    lives = [Life(f"p/run:r{number}") for number in range(3)]
    arrived: list[Message] = []
    tried: set[str] = set()

    def attempt(fails: bool) -> None:
        message = box.take(now_ms, now_ms / 1000)
        if message is None:
            return
        tried.update(each.flag for each in message.records if not each.is_end)
        if fails:
            box.failed(message, "500", now_ms, now_ms / 1000, 0.5)
        else:
            arrived.append(message)
            box.sent(message, now_ms, now_ms / 1000)

    for kind, number, yes in steps:
        if kind == "record":
            made = lives[number].next(data.draw(st.integers(0, 4)))
            exact = yes or made.is_end
            state = box.flags.get(made.flag)
            if exact or (state is not None and (state.announced or state.held)):
                accepted.append(made)  # others matter to nobody
            box.accept(made, exact, now_ms, now_ms)
        elif kind == "wait":
            now_ms += number * 60_000
            if yes:  # an attempt may have been made before the process ended
                tried.update(*(each.subjects for each in box.messages.values()))
                box = restored(box, now_ms)
            box.advance(now_ms)
        else:
            for _ in range(number):
                attempt(yes)
    while (due := box.next_ms(now_ms / 1000, now_ms)) is not None:
        now_ms = max(now_ms, due)
        box.advance(now_ms)
        attempt(fails=False)

    told = Counter(each.id for message in arrived for each in message.records)
    reasons = Counter(e.message for e in box.take_log() if e.fate is Fate.DROPPED)
    assert told + reasons == Counter(each.id for each in accepted)
    for life in lives:
        revisions = [each for message in arrived for each in message.records if each.flag == life.flag]
        assert [each.revision for each in revisions] == sorted({each.revision for each in revisions})
        assert life.flag in tried or not revisions, "an end of what was never announced"


@pytest.mark.parametrize("wait", ["failed", "postponed"])
def test_a_message_that_waits_for_an_earlier_one_of_its_flag_is_not_due(wait: str) -> None:
    """Whoever asks when there is something to do is not told that it is now, again and again."""
    box = mailbox(min_hold_seconds=0)
    box.accept(record(), True, NOW, NOW)
    box.advance(NOW)
    first = box.take(NOW, 0.0)
    assert first is not None
    if wait == "failed":
        box.failed(first, "away", NOW, 0.0, 0.5)
    else:
        box.postponed(first, "later", NOW + HOUR, NOW)
    box.accept(record(2, REVISED), True, NOW, NOW)

    assert box.take(NOW, 0.0) is None
    assert box.next_ms(0.0, NOW) == first.due_ms > NOW
    box.accept(record(flag="p/run:other"), True, NOW, NOW)
    box.advance(NOW)
    assert box.next_ms(0.0, NOW) == NOW
    assert drain(box, first.due_ms) == [["1 raised"], ["2 revised"], ["1 raised"]]
