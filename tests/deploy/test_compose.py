"""docker-compose.yml and the image's Dockerfile, by the rules of those who read them; no Docker engine is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_app.options import load

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program that was installed beside this Python."""
    command = [str(Path(sys.executable).parent / name), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_it_keeps_to_the_schema_of_compose_files() -> None:
    """No key that Compose does not know, and no value of another kind."""
    ran = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE))

    assert ran.returncode == 0, ran.stdout


def test_compose_understands_it_as_it_is_meant() -> None:
    """Its own parser finds every service, volume and dependency, which the schema does not look for."""
    assert shutil.which("go"), "Compose's own parser is in Go: install Go 1.24 or later"
    folder = Path(__file__).parent / "compose"
    ran = subprocess.run(["go", "run", ".", str(FILE)], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    project = json.loads(ran.stdout)

    assert project["services"].keys() == {"kafka", "topics", "worker", "serve", "notify", "fleet"}
    assert project["volumes"].keys() == {"kafka", "state", "notify", "fleet"}
    assert project["services"]["worker"]["depends_on"]["topics"]["condition"] == "service_completed_successfully"
    assert project["services"]["worker"]["environment"]["STREAM_APP_KAFKA_REPLICATION"] == "1"
    for service in project["services"].values():
        mounted = {mount["source"] for mount in service.get("volumes") or () if mount["type"] == "volume"}
        bound = [mount["source"] for mount in service.get("volumes") or () if mount["type"] == "bind"]
        assert mounted <= project["volumes"].keys()
        assert all(Path(source).is_file() for source in bound)
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports") or ())


def test_what_is_waited_for_can_come() -> None:
    """A service that others want healthy has a check; one that is to end is not started again."""
    for service in SERVICES.values():
        for name, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "test" in SERVICES[name]["healthcheck"]
            else:
                assert wait["condition"] == "service_completed_successfully"
                assert SERVICES[name].get("restart", "no") in ("no", "on-failure")


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_nothing_has_more_rights_than_it_needs(service: dict[str, Any]) -> None:
    """No root, no capabilities, none to be gained, no part of the host; and a bound on memory and processes."""
    user, group = service["user"].split(":")

    assert int(user) > 0
    assert int(group) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"cap_add", "privileged", "devices", "pid", "ipc", "network_mode", "userns_mode"} & service.keys()
    assert service["mem_limit"] == "2g"
    assert service["pids_limit"] <= 1024
    assert "build" in service or re.search(r":\d+\.\d+\.\d+$", service["image"])
    assert "healthcheck" in service


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_what_is_written_is_in_named_volumes(service: dict[str, Any]) -> None:
    """Ours can write there and to a small /tmp alone; files of the host are only read."""
    for volume in service.get("volumes", []):
        source, _, options = volume.partition(":")
        assert source in COMPOSE["volumes"] or options.endswith(":ro")
    if "build" in service:
        assert service["read_only"]
        assert service["tmpfs"] == ["/tmp:size=256m,nosuid,nodev"]


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_no_port_can_be_reached_from_other_machines(service: dict[str, Any]) -> None:
    """Kafka speaks without a login here."""
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_ours_run_as_the_user_of_the_image() -> None:
    """To whom its folder belongs, and so the volumes that are mounted there."""
    users = {service["user"] for service in SERVICES.values() if "build" in service}

    assert users == {":".join(re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[-1])}


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "build" in service])
def test_its_settings_are_known(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says in variables is what our commands read, beside those of the image."""
    for variable in [variable for variable in os.environ if variable.startswith("STREAM_APP_")]:
        monkeypatch.delenv(variable)
    for variable, value in {**variables_of_the_image(), **SERVICES[name]["environment"]}.items():
        monkeypatch.setenv(variable, value)
    kafka = load().kafka

    assert kafka.bootstrap_servers == "kafka:19092"
    assert kafka.replication == 1
    assert load().serve.host == "0.0.0.0"
    assert (kafka.metrics_host, kafka.folder) == ("0.0.0.0", Path("/var/lib/stream-app"))


def variables_of_the_image() -> dict[str, str]:
    return dict(re.findall(r"(STREAM_APP_\w+)=(\S+)", DOCKERFILE))


def test_the_dockerfile_has_no_faults() -> None:
    """By hadolint, with all its rules."""
    ran = tool("hadolint", "--no-color", "deploy/Dockerfile")

    assert ran.returncode == 0, ran.stdout


def test_the_image_gets_what_it_copies_and_no_more() -> None:
    """What the Dockerfile copies is there, and is all that Docker is given."""
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
        for source in line.removeprefix("./").replace(" ./", " ").split()
    }
    ignoring = (ROOT / ".dockerignore").read_text().splitlines()

    assert all((ROOT / source).exists() for source in copied)
    assert "*" in ignoring
    assert {line[1:] for line in ignoring if line.startswith("!")} == copied


def test_the_image_runs_as_nobody_of_note() -> None:
    """A numeric user that is not root, with packages pinned by hash."""
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[-1]

    assert "0" not in user
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
