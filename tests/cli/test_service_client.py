"""What commands say where the service that they ask cannot answer them."""

from __future__ import annotations

import pytest

from tests.support.commands import Run
from tests.web.served import relayed_service

COMMANDS = (
    "subscriptions list",
    "subscriptions show ads-slack",
    "subscriptions pause ads-slack",
    "subscriptions forget-owner ann --yes",
    "deliveries list ads-slack",
    "flags",
    "flags --follow",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_beside_workers_serve_says_who_keeps_subscriptions(run: Run, command: str) -> None:
    """Each command ends at once, and names the process to ask."""
    with relayed_service() as service:
        ran = run(*command.split(), "--url", service.url)

    sentence = "beside workers stream-app notify keeps subscriptions and flags: ask one at its own address"
    assert (ran.code, ran.out, ran.err) == (1, "", f"stream-app: {sentence}\n")


def test_where_nobody_listens_the_processes_to_start_are_named(run: Run) -> None:
    """Which of the two it is depends on the deployment."""
    with relayed_service() as service:
        url = service.url

    ran = run("subscriptions", "list", "--url", url)

    assert (ran.code, ran.out) == (1, "")
    assert "start stream-app serve (beside workers: stream-app notify)" in ran.err
