"""T13: sinks that fail in every way beside healthy ones, and kills of the service. The amount is the flags of a fault.

The schedule of attempts is exact under a clock of the test: `test_attempts_follow_the_schedule_and_end` in
`tests/alerts/test_mailbox.py`, and `tests/alerts/test_retries.py`.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.reliability.flagging import Flagging, flagging
from tests.reliability.rig import until
from tests.support.receipts import by_message, extra_share, missing, wrong
from tests.support.sinks import RETRY_AFTER, Attempt, Sinks, sinks

NAME = "sinks that fail in every way beside healthy ones, and kill -9 of the service"
AMOUNT = 40
#: Subscriptions of a fault, and of the one with kills.
SUBSCRIPTIONS, KILLED = 100, 20
#: Seconds between two flags, other flags in the life of one, and flags before anything is measured.
PAUSE_SECONDS, LIFE, WARM_UP = 0.7, 8, 10
#: Promised: seconds from an event to all healthy sinks (p99), further MiB of the service, seconds until all arrived.
P99_SECONDS, MORE_MIB, SETTLED_SECONDS = 2.0, 64, 60
#: Flags for each kill, and seconds after which the first repetition comes at the soonest.
FLAGS_A_KILL, SOONEST = 5, 4.0
#: Kinds that get a message again, and after how many seconds at the soonest.
LEAST = {"error": SOONEST, "flap": SOONEST, "busy": RETRY_AFTER - 0.05}
#: Each way to fail, and its sinks.
HOSTILE = {"error": 2, "moved": 1, "gone": 1, "busy": 1, "hang": 1, "drip": 1, "flood": 1, "tls": 1, "flap": 1}
#: What the log of deliveries says of a sink; those that are not here take their messages in the end.
REASONS = {
    "error": "HTTP 500", "moved": "HTTP 301: redirects are not followed", "gone": "HTTP 410",
    "hang": "no answer within 15 s", "drip": "no answer within 15 s", "tls": "cannot connect: ",
    "refused": "cannot connect: ",
}  # fmt: skip
#: A record that was not sent has one of these reasons.
DROPPED = ("its end is known", "before it was announced", "replaces it", "its flag was not announced")


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    """Each fault has a service and sinks of its own."""
    done: dict[str, Any] = so_far.get("faults", {})
    broken: list[str] = list(so_far.get("broken", []))
    faults: dict[str, Callable[[Path, int], tuple[dict[str, Any], list[str]]]] = {
        "1 of 100 dead": lambda folder, flags: beside(folder, flags, {"hang": 1}),
        "10 of 100 dead": lambda folder, flags: beside(folder, flags, {"hang": 5, "refused": 5}),
        "each kind": lambda folder, flags: beside(folder, flags, HOSTILE),
        "kills": killed,
    }
    for name, fault in faults.items():
        if name not in done:
            figures, bad = fault(work / name.replace(" ", "-"), amount)
            done[name] = figures
            broken += [f"{name}: {line}" for line in bad]
            yield {"faults": done, "broken": broken}


def subscribe(service: Flagging, receivers: Sinks, hostile: dict[str, int], count: int) -> tuple[list[str], list[str]]:
    """The names of the healthy and of the hostile subscriptions."""
    bad = [f"{kind}-{number}" for kind, many in hostile.items() for number in range(many)]
    good = [f"ok-{number}" for number in range(count - len(bad))]
    for name in [*bad, *good]:
        kind = name.partition("-")[0]
        url = "http://127.0.0.1:1/" if kind == "refused" else receivers.url(kind, name)
        service.hook(name, url)
    return good, bad


def flags(service: Flagging, numbers: range) -> None:
    """Flags are raised one after the other; each ends a while later."""
    opened: list[str] = []
    for number in numbers:
        opened.append(service.flag(number))
        time.sleep(PAUSE_SECONDS)
        if len(opened) > LIFE:
            service.end(opened.pop(0))
    for flag in opened:
        time.sleep(PAUSE_SECONDS)
        service.end(flag)


def beside(folder: Path, count: int, hostile: dict[str, int]) -> tuple[dict[str, Any], list[str]]:
    """Healthy sinks beside others: figures, and what broke."""
    with sinks(folder / "sinks") as receivers, flagging(folder) as service:
        good, bad = subscribe(service, receivers, hostile, SUBSCRIPTIONS)
        service.begin(WARM_UP + count)
        flags(service, range(WARM_UP))
        before = service.mib()
        flags(service, range(WARM_UP, WARM_UP + count))
        settled = until_heard(service, receivers, good, "resolved")
        until_again(receivers, bad)
        attempts, after = receivers.attempts(), service.mib()
        broken = wrong(attempts) + undelivered(service, attempts, good) + misbehaved(service, attempts, bad)
        delays = seconds(service, [each for each in attempts if each.name in set(good)])
    p99 = statistics.quantiles(delays, n=100)[98]
    if p99 > P99_SECONDS:
        broken.append(f"p99 of the healthy: {p99:.2f} s, promised {P99_SECONDS} s")
    if after - before > MORE_MIB:
        broken.append(f"memory: {before} MiB and then {after}, promised at most {MORE_MIB} more")
    return {
        "healthy": len(good), "others": hostile, "flags": count, "messages": len(delays),
        "p50_seconds": round(statistics.median(delays), 3), "p99_seconds": round(p99, 3),
        "mib": [before, after], "settled_seconds": round(settled, 1), "extra_attempts": extra(attempts, good),
    }, broken  # fmt: skip


def killed(folder: Path, count: int) -> tuple[dict[str, Any], list[str]]:
    """`kill -9` of the service while flags are raised, and while they end."""
    with sinks(folder / "sinks") as receivers, flagging(folder) as service:
        good, bad = subscribe(service, receivers, {"flap": 2, "error": 1}, KILLED)
        service.begin(count)
        opened: list[str] = []
        settled = []
        kills: list[float] = []
        for change, step in (
            ("raised", lambda number: opened.append(service.flag(number))),
            ("resolved", lambda number: service.end(opened[number])),
        ):
            kills += under_kills(service, receivers, step, count)
            settled.append(until_heard(service, receivers, good, change))
        attempts = receivers.attempts()
        broken = wrong(attempts) + undelivered(service, attempts, good) + misbehaved(service, attempts, bad, kills)
    messages = len(by_message(each for each in attempts if each.name in set(good)))
    return {
        "healthy": len(good), "kills": len(kills), "flags": count, "messages": messages,
        "settled_seconds": round(max(settled), 1), "extra_attempts": extra(attempts, good),
    }, broken  # fmt: skip


def under_kills(service: Flagging, receivers: Sinks, step: Callable[[int], None], count: int) -> list[float]:
    """Does a step for each flag while the service is killed, half of the times as it sends; when it was killed."""
    failed: list[BaseException] = []

    def steps() -> None:
        try:
            for number in range(count):
                step(number)
                time.sleep(PAUSE_SECONDS)
        except BaseException as error:
            failed.append(error)

    posting = threading.Thread(target=steps, daemon=True)
    posting.start()
    chance, kills = random.Random(count), list[float]()
    while len(kills) < max(1, count // FLAGS_A_KILL) and posting.is_alive():
        time.sleep(chance.uniform(0.2, 2 * PAUSE_SECONDS))
        size, end = receivers.size(), time.monotonic() + 2 * PAUSE_SECONDS
        while len(kills) % 2 and receivers.size() == size and time.monotonic() < end:
            time.sleep(0.001)
        service.service.stop()
        kills.append(time.time())
        service.service.start()
    posting.join()
    assert not failed, failed
    return kills


def until_heard(service: Flagging, receivers: Sinks, names: list[str], change: str) -> float:
    """Waits until each flag's change reached each of these sinks; the seconds until then."""
    began = time.monotonic()
    wanted = {(name, flag) for name in names for flag in service.raised}

    def heard() -> bool:
        return wanted <= {(each.name, each.flag) for each in receivers.attempts() if each.change == change}

    until(heard, f"every flag is {change} at every healthy sink", SETTLED_SECONDS)
    return time.monotonic() - began


def until_again(receivers: Sinks, names: list[str]) -> None:
    """Waits until each sink that is to get a message again has got one: its breaker may be open for half a minute."""
    wanted = {name for name in names if name.partition("-")[0] in LEAST}

    def came() -> bool:
        return wanted <= {name for (name, _), own in by_message(receivers.attempts()).items() if len(own) > 1}

    until(came, "each of these sinks got a message again", SETTLED_SECONDS)


def undelivered(service: Flagging, attempts: list[Attempt], names: list[str]) -> list[str]:
    """Records that did not reach a healthy sink, and have no good reason in its log."""
    records, found = service.records(), []
    flagged = {each.rpartition("#")[0] for each in records}
    found += [f"{flag} has no record" for flag in service.raised.keys() - flagged]
    lost = missing(attempts, names, records)
    for name in {each for each, _ in lost}:
        dropped = {each["message"]: each["reason"] for each in service.deliveries(name, "dropped")}
        found += [
            f"{record} did not reach {name}: {dropped.get(record, 'and nothing says why')}"
            for each, record in lost
            if each == name and not any(reason in dropped.get(record, "") for reason in DROPPED)
        ]
    return found


def misbehaved(service: Flagging, attempts: list[Attempt], names: list[str], kills: Sequence[float] = ()) -> list[str]:
    """What the service did wrong with sinks that fail; an attempt that a kill cut short is made again at once."""
    found = [f"a redirect was followed to {each.name}" for each in attempts if each.name == "redirected"]
    found += [f"{each.name} has a bad certificate and got a message" for each in attempts if each.behaviour == "tls"]
    for name in names:
        kind = name.partition("-")[0]
        reasons = {each["reason"] for each in service.deliveries(name, "failed")}
        if kind in REASONS and not any(reason.startswith(REASONS[kind]) for reason in reasons):
            found.append(f"{name}: its failures are {sorted(reasons)}")
        state = service.ask("GET", f"/v1/subscriptions/{name}").json["state"]
        if (state == "disabled") != (kind == "gone"):
            found.append(f"{name} is {state}")
    messages = by_message(attempts)
    again = {name for (name, _), own in messages.items() if len(own) > 1}
    found += [
        f"nothing was sent to {each} again" for each in names if each.partition("-")[0] in LEAST and each not in again
    ]
    for (name, record), own in messages.items():
        gap = own[1].at - own[0].at if len(own) > 1 else None
        kind = name.partition("-")[0]
        is_cut = gap is not None and any(own[0].at <= each <= own[1].at for each in kills)
        if gap is not None and gap < LEAST.get(kind, 0.0) and not is_cut:
            found.append(f"{record} was sent to {name} again after {gap:.2f} s")
        if kind == "gone" and gap is not None:
            found.append(f"{record} was sent to {name} again, which is gone")
    return found


def seconds(service: Flagging, attempts: list[Attempt]) -> list[float]:
    """From the event to the first attempt at a sink."""
    begun = {"raised": service.raised}
    return [own[0].at - begun.get(own[0].change, service.ended)[own[0].flag] for own in by_message(attempts).values()]


def extra(attempts: list[Attempt], names: list[str]) -> float:
    """The share of attempts beyond the first at sinks that always take."""
    return round(extra_share([each for each in attempts if each.name in set(names)]), 4)
