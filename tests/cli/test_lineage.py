"""`stream-app lineage`: over files and over a running service, as a tree, as lines and as JSON."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.cli.lineage_lines import RULES, plain_lines, tree_lines
from stream_app.cli.service_client import Service
from stream_app.core.events import Event
from stream_app.provenance import why
from stream_app.wire import event_to_dict
from tests.provenance.graphs import asked, detector_of, pages, worlds
from tests.support.builders import artifact, ended, ran
from tests.support.commands import Run
from tests.web.served import embedded_service
from tests.web.test_lineage import tell

LOG = [
    *ran(0, "gen", "CsvExampleGen", writes=["span"]),
    *ran(1, "stats", "StatisticsGen", reads=["span"]),
    *ran(2, "prepare", "Transform", reads=["span"], writes=["data"]),
    *ran(3, "train", "Trainer", reads=["data", "span"], writes=["model"]),
    *ran(4, "push", "Pusher", reads=["model"], writes=["live"]),
    *ran(9, "score", "Other", run="s1", reads=["live"], pipeline="q"),
]


@pytest.fixture
def events(tmp_path: Path) -> str:
    """A file of events, in the folder in which commands run."""
    write(tmp_path / "events.jsonl", LOG)
    return "events.jsonl"


def write(path: Path, log: list[Event]) -> None:
    path.write_bytes(b"".join(orjson.dumps(event_to_dict(event)) + b"\n" for event in log))


# Files


def test_lines_where_there_is_no_terminal(run: Run, events: str) -> None:
    """In the order of the distance, a node each."""
    ran_ = run("lineage", "p/push", events, "--up")

    assert (ran_.code, ran_.err) == (0, "")
    assert [line.split()[:3] for line in ran_.out.splitlines()] == [
        ["distance", "name", "type"],
        ["0", "p/push", "Pusher"],
        ["0.5", "p/artifact:model", "Artifact"],
        ["1", "p/train", "Trainer"],
        ["1.5", "p/artifact:data", "Artifact"],
        ["1.5", "p/artifact:span", "Artifact"],
        ["2", "p/gen", "CsvExampleGen"],
        ["2", "p/prepare", "Transform"],
    ]


@pytest.mark.parametrize(
    ("flags", "how"),
    [
        ((), {}),
        (("--up",), {"direction": "up"}),
        (("--down",), {"direction": "down"}),
        (("--up", "--down"), {}),
        (("--depth", "0"), {"depth": 0}),
        (("--limit", "2"), {"limit": 2}),
        (("--down", "--across"), {"direction": "down", "across": True}),
    ],
)
def test_json_is_the_answer(run: Run, events: str, flags: tuple[str, ...], how: dict[str, Any]) -> None:
    """And nothing else."""
    assert run("lineage", "push", events, *flags, "--json").document == asked(detector_of(LOG), "push", **how)


def test_a_page_names_the_flag_of_the_next_one(run: Run, events: str) -> None:
    """Until there is none."""
    first = run("lineage", "push", events, "--up", "--limit", "4")
    [cursor] = re.findall(r"^more follows: --after (\S+)$", first.out, re.MULTILINE)
    second = run("lineage", "push", events, "--up", "--limit", "4", "--after", cursor)

    assert [line.split()[1] for line in second.out.splitlines()] == [
        "name", "p/artifact:span", "p/gen", "p/prepare",
    ]  # fmt: skip


def test_why_an_execution_is_in_a_graphlet(run: Run, events: str) -> None:
    """With its path."""
    assert run("lineage", "gen", events, "--in", "p/train").out.splitlines() == [
        "p/gen is in p/train: up",
        "  p/gen  CsvExampleGen COMPLETE",
        "  p/artifact:span  Artifact",
        "  p/train  Trainer COMPLETE",
    ]


def test_why_an_execution_is_not_in_a_graphlet(run: Run, events: str) -> None:
    """With the rule that keeps it out."""
    found = run("lineage", "q/score", events, "--in", "train")

    assert (found.code, found.out) == (0, "q/score is not in p/train: it is of another pipeline\n")


def test_every_rule_has_words() -> None:
    assert set(RULES) == set(why.RULES)


def test_an_archive_that_is_cut_is_answered_from_and_told(run: Run, tmp_path: Path) -> None:
    """The exit code is 1, as of a replay."""
    lines = b"".join(orjson.dumps(event_to_dict(event)) + b"\n" for event in LOG * 50)
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(lines)[:-30])
    found = run("lineage", "push", "cut.jsonl.gz", "--up", "--depth", "0")

    assert found.code == 1
    assert "p/push" in found.out
    assert found.err.startswith("stream-app: cut.jsonl.gz:")


def test_behind_a_reader_of_an_artifact_without_versions_is_who_wrote_it_last_before(run: Run, tmp_path: Path) -> None:
    """Not all who ever wrote it."""
    table = artifact("s3~b/features", versioned=False)
    write(
        tmp_path / "table.jsonl",
        [
            ended(0, "first", "Transform", run="r1", writes=[table]),
            ended(9, "second", "Transform", run="r2", writes=[table]),
            *ran(10, "train", "Trainer", run="r3", reads=[table]),
            ended(20, "third", "Transform", run="r4", writes=[table]),
        ],
    )
    found = run("lineage", "train", "table.jsonl", "--up", "--json").document

    assert [(node["id"], node["writer"]) for node in found["nodes"]] == [
        ("train", None), ("s3~b/features", "second"), ("second", None),
    ]  # fmt: skip


# The tree


def test_a_tree_on_a_terminal(events: str, tmp_path: Path) -> None:
    """Each node is named once; where it is met again, its number is."""
    write(tmp_path / "events.jsonl", LOG)
    shown = on_a_terminal(tmp_path, "lineage", "train", events)

    assert shown == [
        "behind it",
        "[1] p/train  Trainer COMPLETE",
        "├─ p/artifact:data  Artifact",
        "│  └─ p/prepare  Transform COMPLETE",
        "│     └─ see [2]",
        "└─ [2] p/artifact:span  Artifact",
        "   └─ p/gen  CsvExampleGen COMPLETE",
        "what came of it",
        "see [1]",
        "└─ p/artifact:model  Artifact",
        "   └─ p/push  Pusher COMPLETE",
        "      └─ p/artifact:live  Artifact",
    ]


def on_a_terminal(folder: Path, *arguments: str) -> list[str]:
    """The lines that a command writes to a terminal; of progress, which goes elsewhere, nothing."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_app", *arguments],
        cwd=folder, stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    os.close(theirs)
    pieces = []
    try:
        while piece := os.read(ours, 65_536):
            pieces.append(piece)
    except OSError:  # so Linux tells that the other side is closed
        pass
    _, said = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, said.decode()
    return b"".join(pieces).decode().splitlines()


@settings(max_examples=200)
@given(data=st.data(), events=worlds(), limit=st.sampled_from((1, 3, 1_000)))
def test_a_tree_names_every_node_once(data: st.DataObject, events: list[Event], limit: int) -> None:
    """Of cycles, of several pages, of both ways; every number stands before one name."""
    detector = detector_of(events)
    pipeline = data.draw(st.sampled_from(sorted(detector.pipelines)))
    root = data.draw(st.sampled_from(sorted(detector.pipelines[pipeline].executions)), label="root")
    direction = data.draw(st.sampled_from(("up", "down", "both")), label="direction")
    for page in pages(detector, f"{pipeline}/execution:{root}", direction=direction, limit=limit):
        lines = tree_lines(page)
        bare = [re.sub(r"^[│├└─ ]*(\[\d+\] )?", "", line) for line in lines]
        named = [line.split("  ")[0] for line in bare if "  " in line and not line.endswith("(on a page before)")]
        labels = re.findall(r"^[│├└─ ]*\[(\d+)\] ", "\n".join(lines), re.MULTILINE)

        assert sorted(named) == sorted(node["name"] for node in page["nodes"])
        assert len(set(labels)) == len(labels)
        assert set(re.findall(r"see \[(\d+)\]", "\n".join(lines))) == set(labels)


def test_a_node_of_a_page_before_is_named_where_it_is_met() -> None:
    """Where it closes a cycle it leads no tree of its own."""
    log = [
        *ran(0, "first", "Transform", reads=["c"], writes=["a"]),
        *ran(1, "second", "Transform", reads=["a"], writes=["b"]),
        *ran(2, "third", "Transform", reads=["b"], writes=["c"]),
    ]
    found = [tree_lines(page) for page in pages(detector_of(log), "first", direction="down", limit=5)]

    assert found[1] == [
        "p/third  (on a page before)",
        "└─ p/artifact:c  Artifact",
        "   └─ p/first  (on a page before)",
    ]


def test_names_are_printable_wherever_they_come_from() -> None:
    """A terminal would act on what is in them."""
    answer = asked(detector_of(ran(0, "a\x1b[2J\nb", "Trainer", writes=["m\x07"])), "p/a\x1b[2J\nb")

    for lines in (tree_lines(answer), plain_lines(answer)):
        assert all(line.isprintable() for line in lines)


# A running service


def test_the_address_of_a_service_is_asked(run: Run, tmp_path: Path) -> None:
    """The answers are those of the files."""
    with embedded_service(tmp_path / "log") as service:
        tell(service, LOG)
        found = run("lineage", "push", service.url, "--up", "--depth", "1", "--limit", "2", "--json")
        following = run("lineage", "push", f"{service.url}/", "--up", "--depth", "1", "--after", found.document["next"])
        across = run("lineage", "push", service.url, "--down", "--across", "--json")
        reason = run("lineage", "gen", service.url, "--in", "p/train")
        unknown = run("lineage", "nobody", service.url)

    assert found.document == asked(detector_of(LOG), "push", direction="up", depth=1, limit=2)
    assert [line.split()[1] for line in following.out.splitlines()] == ["name", "p/train"]
    assert [node["id"] for node in across.document["nodes"]] == ["push", "live", "score"]
    assert reason.out.startswith("p/gen is in p/train: up\n")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err.startswith("stream-app: nobody: no such execution, artifact or run; ")


def test_the_token_is_that_of_the_other_commands(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment, or a file."""
    (tmp_path / "token").write_text("secret-token\n")
    (tmp_path / "token").chmod(0o600)
    monkeypatch.delenv("STREAM_APP_TOKEN", raising=False)
    with embedded_service(tmp_path / "log", token="secret-token") as service:
        service.ask(
            "POST", "/v1/events/batch", orjson.dumps([event_to_dict(event) for event in LOG]),
            {"Content-Type": "application/json", "Authorization": "Bearer secret-token"},
        )  # fmt: skip
        refused = run("lineage", "gen", service.url)
        by_file = run("lineage", "gen", service.url, "--token-file", "token", "--json")
        monkeypatch.setenv("STREAM_APP_TOKEN", "secret-token")
        by_variable = run("lineage", "gen", service.url, "--json")

    assert (refused.code, "set STREAM_APP_TOKEN or give --token-file" in refused.err) == (1, True)
    assert by_file.document["id"] == by_variable.document["id"] == "p/gen"


class _OtherServer(BaseHTTPRequestHandler):
    """Not ours; it remembers what it was sent."""

    heads: list[dict[str, str]] = []  # noqa: RUF012 - of the one test

    def do_GET(self) -> None:
        self.heads.append(dict(self.headers))
        body = json.dumps({"OK": "this is MLflow"}).encode()
        self.send_response(200 if len(self.heads) % 2 else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@pytest.fixture
def other_server() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _OtherServer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_another_server_is_a_store_and_gets_no_token(other_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it answers where ours says that it lives."""
    monkeypatch.setenv("STREAM_APP_TOKEN", "secret-token")

    assert not Service(other_server).is_there()
    assert not Service(other_server).is_there()
    assert len(_OtherServer.heads) == 2
    assert not any("Authorization" in heads for heads in _OtherServer.heads)


# Wrong use


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("lineage", 2, "missing argument 'ID'"),
        ("lineage push", 2, "missing argument 'SOURCE...'"),
        ("lineage push missing.jsonl", 2, "missing.jsonl: no such file"),
        ("lineage push events.jsonl --sideways", 2, "no such option: --sideways"),
        ("lineage push events.jsonl --depth deep", 2, "--depth"),
        ("lineage push events.jsonl --depth -1", 2, "depth: expected a number of hops from 0 to 10000"),
        ("lineage push events.jsonl --limit 0", 2, "limit: expected a number from 1 to 1000"),
        ("lineage push events.jsonl --after x", 2, "after: expected the cursor of an answer"),
        ("lineage push events.jsonl --now yesterday", 2, "--now yesterday: expected an RFC 3339 time"),
        ("lineage push events.jsonl --config missing.toml", 2, "missing.toml"),
        ("lineage nobody events.jsonl", 1, "nobody: no such execution, artifact or run; there are, for instance, "),
        ("lineage pushy events.jsonl", 1, "there are, for instance, p/push"),
        ("lineage gen events.jsonl --in gen", 1, "gen: no such graphlet; there are, for instance, p/train"),
        ("lineage span events.jsonl --in train", 1, "span: no such execution"),
        ("lineage push empty.jsonl", 1, "there is no event in what was read; see `stream-app check`"),
        ("lineage push s3://bucket/events.jsonl", 2, "s3://: no address that is read"),
        ("lineage push http://localhost:1", 1, "cannot reach the service at http://localhost:1"),
        ("lineage push http://me:secret@localhost:1", 2, "set MLFLOW_TRACKING_USERNAME"),
    ],
)
def test_a_mistake_is_one_line(line: str, code: int, says: str, run: Run, events: str, tmp_path: Path) -> None:
    """On standard error; nothing goes to standard output."""
    (tmp_path / "empty.jsonl").write_text("\n")
    found = run(*line.split())

    assert (found.code, found.out) == (code, "")
    assert found.err.startswith("stream-app: ")
    assert found.err.count("\n") == 1
    assert says in found.err
    assert (tmp_path / events).exists()


def test_it_has_help_with_an_example(run: Run) -> None:
    found = run("lineage", "--help")

    assert found.code == 0
    assert "stream-app lineage ads/push-7 events.jsonl --up" in found.out
