"""The command line: what it prints, how it ends, and that a user's mistake is one line without a traceback."""

from __future__ import annotations

import gzip
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.cli import main
from stream_app.extras import how_to_get
from tests.support.recorded import fleet_lines, write_lines

COMMANDS = ("demo", "simulate", "replay", "check", "explain")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a file of events, a broken one and some settings."""
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "events.jsonl", fleet_lines()[:400])
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b"\n".join(fleet_lines()[:400]))[:-30])
    (tmp_path / "windows.jsonl").write_text('{"time": "2026-03-01T00:00:00Z"}', encoding="utf-16")
    with sqlite3.connect(tmp_path / "other.sqlite") as database:
        database.execute("CREATE TABLE mine (id INTEGER)")
    (tmp_path / "table.parquet").write_bytes(b"PAR1\0\0\0\0" * 20)
    (tmp_path / "log.jsonl").write_text('{"level": "info"}\n')
    (tmp_path / "bad.toml").write_text("[detector]\nbugdet = 0.1\n")
    (tmp_path / "good.toml").write_text('[rates]\nnode_hour = 3.0\ncurrency = "EUR"\n')
    (tmp_path / "folder").mkdir()
    return tmp_path


class Ran:
    """How a command ended and what it printed."""

    def __init__(self, line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(sys, "argv", ["stream-app", *line.split()])
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()
        self.code = ended.value.code or 0
        self.out, self.err = capfd.readouterr()


Run = Callable[[str], Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process."""
    return lambda line: Ran(line, monkeypatch, capfd)


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("replay", 2, "missing argument 'SOURCE...'"),
        ("replay missing.jsonl", 2, "missing.jsonl: no such file or directory"),
        ("replay events.jsonl missing.jsonl", 2, "missing.jsonl: no such file"),
        ("replay folder", 2, "folder: is a directory"),
        ("replay - -", 2, "only once"),
        ("replay events.jsonl --bogus", 2, "no such option: --bogus"),
        ("replay events.jsonl --format csv", 2, "--format"),
        ("replay events.jsonl --mode sometimes", 2, "--mode"),
        ("replay events.jsonl --budget lots", 2, "flag detector.budget: expected a share, such as 0.05 or 5%, got"),
        ("replay events.jsonl --budget 5%%", 2, "expected a share, such as 0.05 or 5%, got"),
        ("replay events.jsonl --budget 500%", 2, "flag detector.budget: expected less than 1"),
        ("replay events.jsonl --budget nan", 2, "flag detector.budget: expected"),
        ("replay events.jsonl --budget 1.5", 2, "detector.budget"),
        ("replay events.jsonl --budget 0", 2, "detector.budget"),
        ("replay events.jsonl --now yesterday", 2, "--now yesterday: expected an RFC 3339 time"),
        ("replay events.jsonl --now 1960-01-01T00:00:00Z", 2, "--now"),
        ("replay events.jsonl --config missing.toml", 2, "missing.toml"),
        ("replay events.jsonl --config bad.toml", 2, "detector.bugdet"),
        ("replay events.jsonl --config events.jsonl", 2, "not TOML"),
        ("replay events.jsonl --verdicts events.jsonl", 2, "is one of the files to be read"),
        ("replay events.jsonl --verdicts v --examples ./v", 2, "writes there already"),
        ("replay events.jsonl --verdicts v --report v", 2, "writes there already"),
        ("replay events.jsonl --verdicts no/v", 2, "no/v: cannot be written"),
        ("replay events.jsonl --report no/r.html", 2, "there is no directory no"),
        ("replay events.jsonl --report folder", 2, "is a directory"),
        ("replay events.jsonl --verdicts - --json", 2, "--json prints to standard output"),
        ("replay table.parquet", 1, "table.parquet: is a Parquet file; write its rows as JSON lines first"),
        (
            "replay windows.jsonl",
            1,
            "windows.jsonl: is text in UTF-16LE (Windows PowerShell writes it), expected UTF-8",
        ),
        ("replay other.sqlite", 2, "other.sqlite: is a database of SQLite, but no store of ML Metadata or MLflow"),
        ("replay sqlite:///missing.sqlite", 2, "missing.sqlite: no such file"),
        ("replay s3://bucket/events.jsonl", 2, "s3://: no address that is read; expected a file, http(s)://"),
        ("replay kafka://localhost:9092", 2, "kafka://localhost:9092: expected kafka://host:port/topic"),
        ("replay kafka://me:secret@localhost:9092/events", 2, "set kafka.username and kafka.password_file"),
        ("replay kafka://localhost/events", 2, "bootstrap server 'localhost': expected host:port"),
        ("replay kafka://localhost:1/events", 1, "cannot reach Kafka at localhost:1"),
        ("replay http://me:secret@localhost:1", 2, "set MLFLOW_TRACKING_USERNAME"),
        ("replay log.jsonl", 1, "log.jsonl:1: time: missing"),
        ("check", 2, "no file given; name files of events"),
        ("check missing.jsonl", 2, "missing.jsonl: no such file"),
        ("check --events missing.jsonl", 2, "missing.jsonl: no such file"),
        ("check folder", 2, "folder: is a directory"),
        ("check table.parquet", 1, "is a Parquet file"),
        ("check events.jsonl --write-rules good.toml", 2, "--write-rules good.toml: is there already"),
        ("check events.jsonl --config bad.toml", 2, "detector.bugdet"),
        ("explain", 2, "missing argument 'GRAPHLET'"),
        ("explain p/t", 2, "missing argument 'SOURCE...'"),
        ("explain p/t -", 2, "reads its files twice"),
        ("explain p/t events.jsonl", 1, "p/t: no such graphlet; there are, for instance"),
        ("explain p/t log.jsonl", 1, "p/t: no such graphlet; the files have none (no graphlet: no execution was seen)"),
        ("simulate", 2, "--out"),
        ("simulate --out e.jsonl --pipelines 0", 2, "at least one pipeline"),
        ("simulate --out e.jsonl --days nan", 2, "days must be a number above 0"),
        ("simulate --out no/e.jsonl", 2, "no/e.jsonl: cannot be written: no such file"),
        ("simulate --out e.jsonl --truth e.jsonl", 2, "writes there already"),
        ("simulate --out - --json", 2, "--json prints to standard output"),
        ("demo --days 0", 2, "days must be a number above 0"),
        ("demo --out events.jsonl", 2, "--out events.jsonl"),
        ("bogus", 2, "no such command 'bogus'"),
        ("--bogus", 2, "no such option: --bogus"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_mistake_is_one_line(line: str, code: int, says: str, run: Run) -> None:
    """It says what is wrong, nothing goes to standard output, and 2 is wrong use, 1 is what failed."""
    ran = run(line)

    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("stream-app: ")
    assert ran.err.count("\n") == 1
    assert says in ran.err


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    """As wrong use."""
    ran = run("")

    assert ran.code == 2
    assert all(command in ran.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, run: Run) -> None:
    """`--help` ends with 0."""
    ran = run(f"{command} --help")

    assert ran.code == 0
    assert f"stream-app {command}" in ran.out.split("Example:")[1]


def test_the_version_is_the_packages(run: Run) -> None:
    """`--version` prints it and ends."""
    assert run("--version").out == "stream-app 0.2.0\n"


def test_help_loads_nothing_it_does_not_need() -> None:
    """No model, no numbers library, no broker library: help is there at once."""
    script = (
        "import sys\nfrom stream_app.cli import main\nsys.argv = ['stream-app', 'replay', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = ('river', 'numpy', 'faust', 'kafka', 'jinja2', 'pydantic_settings')\n"
        "print([name for name in heavy if name in sys.modules])"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    ("line", "extra", "missing"),
    [
        ("serve", "serve", ("aiohttp", "prometheus_client")),
        ("follow mlmd store.sqlite --cursor c --url http://localhost:1", "mlmd", ("sqlalchemy",)),
        ("follow mlflow http://localhost:1 --cursor c --url http://localhost:1", "mlflow", ("mlflow",)),
    ],
)
@pytest.mark.usefixtures("here")
def test_without_its_extra_a_command_says_so(line: str, extra: str, missing: tuple[str, ...]) -> None:
    """What is missing and how to get it, instead of a traceback."""
    script = (
        f"import sys\nfrom stream_app.cli import main\nsys.modules.update(dict.fromkeys({missing}))\n"
        f"sys.argv = ['stream-app', *{line.split()}]\nmain()\n"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    said = f"stream-app: this needs more packages ({', '.join(missing)}): {how_to_get(extra)}\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", said)
    assert f"pip install 'stream-app[{extra}]'" in said


@pytest.mark.slow
def test_replay_and_check_load_no_broker_library() -> None:
    """They work where only files are."""
    script = (
        "import sys, stream_app.replay.replay, stream_app.report.page\n"
        "import stream_app.replay.check, stream_app.replay.explain\n"
        "print([name for name in ('faust', 'kafka', 'aiokafka', 'aiohttp') if name in sys.modules])"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


def test_replay_prints_a_summary(here: Path, run: Run) -> None:
    """Events, graphlets, compute with money, what the budget needs; plain text off a terminal."""
    ran = run("replay events.jsonl --config good.toml --report r.html")

    assert (ran.code, ran.err) == (0, "")
    for words in ("400 of 4 pipelines", "graphlets", "EUR", "observe 5 %", "95 % intervals", "report: r.html"):
        assert words in ran.out
    assert "\x1b" not in ran.out
    assert all(line == line.rstrip() for line in ran.out.splitlines())
    assert (here / "r.html").read_text().startswith("<!doctype html>")


@pytest.mark.usefixtures("here")
def test_json_is_one_document_and_nothing_else(run: Run) -> None:
    """With the figures, the seconds and the rate."""
    ran = run("replay events.jsonl --json --mode enforce --config good.toml")

    told = orjson.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert set(told) == {"figures", "seconds", "events_per_second"}
    assert (told["figures"]["events"], told["figures"]["mode"], told["figures"]["budget"]) == (400, "enforce", 0.01)
    wasted = told["figures"]["compute"]["wasted"]
    assert told["figures"]["money"]["wasted"] == pytest.approx(wasted / 3600 * 3)


@pytest.mark.usefixtures("here")
def test_an_output_to_stdout_leaves_it_clean(run: Run) -> None:
    """The summary goes to standard error then."""
    ran = run("replay events.jsonl --graphlets -")

    assert [orjson.loads(line)["graphlet"] for line in ran.out.splitlines()]
    assert "400 of 4 pipelines" in ran.err


@pytest.mark.usefixtures("here")
def test_settings_come_from_the_environment_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag wins over a variable."""
    monkeypatch.setenv("STREAM_APP_DETECTOR_BUDGET", "0.2")

    assert "observe 20 %" in run("replay events.jsonl").out
    assert "observe 10 %" in run("replay events.jsonl --budget 0.1").out
    assert "observe 10 %" in run("replay events.jsonl --budget 10%").out
    monkeypatch.setenv("STREAM_APP_DETECTOR_BUDGET", " 20 % ")
    assert "observe 20 %" in run("replay events.jsonl").out


def test_simulate_writes_what_replay_reads(here: Path, run: Run) -> None:
    """The same seed, the same bytes; the truth beside it."""
    line = "simulate --pipelines 2 --days 1 --seed 7 --out {} --truth truth.jsonl --json"
    first = run(line.format("a.jsonl.gz"))
    truth = (here / "truth.jsonl").read_bytes()
    run(line.format("b.jsonl.gz"))

    assert (here / "a.jsonl.gz").read_bytes() == (here / "b.jsonl.gz").read_bytes()
    assert (here / "truth.jsonl").read_bytes() == truth != b""
    summary = orjson.loads(first.out)
    told = orjson.loads(run("replay a.jsonl.gz --json").out)
    assert told["figures"]["events"] == summary["events"] > 0


@pytest.mark.usefixtures("here")
def test_simulate_says_what_it_made(run: Run) -> None:
    """In two lines, on standard error when the events go to standard output."""
    ran = run("simulate --pipelines 2 --days 1 --out -")

    assert len(ran.out.splitlines()) > 10
    assert "best balanced accuracy" in ran.err


@pytest.mark.usefixtures("here")
def test_check_says_that_all_is_fine(run: Run) -> None:
    """And which operators there are; it ends with 0."""
    ran = run("check events.jsonl")

    assert ran.code == 0
    assert ran.out.startswith("400 events of 4 pipelines from 2026-01-01T")
    assert "all messages are events" in ran.out
    assert "types of no known operator count as custom: Resolver" in ran.out


def test_check_says_what_is_not_fine(here: Path, run: Run) -> None:
    """By reason, with the first place of each; it ends with 1."""
    with (here / "events.jsonl").open("ab") as file:
        file.write(b'oops\n{"a":1}\nagain\n')

    ran = run("check events.jsonl")
    as_json = run("check events.jsonl --json")

    assert (ran.code, as_json.code) == (1, 1)
    assert "3 messages are not events:" in ran.out
    assert "2 x not JSON\n      first at events.jsonl:401: not JSON: " in ran.out
    assert "1 x time: missing" in ran.out
    told = orjson.loads(as_json.out)
    assert (told["events"], told["dead_letters"], told["faults"][0]["messages"]) == (400, 3, 2)


def test_check_names_what_is_missing_for_the_detector(here: Path, run: Run) -> None:
    """Valid events without a trainer, a push or a run's end are fine, but nothing can come of them."""
    event = {"time": "2026-03-01T00:00:00Z", "pipeline": "p", "execution": {"id": "x", "type": "Mine", "state": "NEW"}}
    write_lines(here / "mine.jsonl", [orjson.dumps(event)])

    ran = run("check mine.jsonl")

    assert ran.code == 0
    for group in ("train", "deploy", "run"):
        assert f"no execution is of group {group}" in ran.out
    assert "1 event names no run" in ran.out


@pytest.mark.usefixtures("here")
def test_the_former_flag_of_check_still_names_its_files(run: Run) -> None:
    """Users have it in scripts."""
    assert run("check --events events.jsonl").out == run("check events.jsonl").out
    assert run("check --events events.jsonl --events events.jsonl --json").code == 0


MINE = [
    {"time": "2026-03-01T00:00:00Z", "pipeline": "p", "outputs": [{"id": "m", "type": "Model"}],
     "execution": {"id": "t", "type": "FitModel", "state": "COMPLETE"}},
    {"time": "2026-03-01T01:00:00Z", "pipeline": "p", "inputs": [{"id": "m", "type": "Model"}],
     "execution": {"id": "d", "type": "RolloutModel", "state": "COMPLETE"}},
]  # fmt: skip


def test_check_writes_the_rules_with_which_it_finds_what_it_did_not(here: Path, run: Run) -> None:
    """After the settings that there are; and never over a file."""
    write_lines(here / "mine.jsonl", [orjson.dumps(each) for each in MINE])

    first = run("check mine.jsonl --config good.toml --write-rules rules.toml")
    written = (here / "rules.toml").read_text()
    then = run("check mine.jsonl --config rules.toml --write-rules more.toml")
    over = run("check mine.jsonl --config good.toml --write-rules rules.toml")

    assert first.code == 0
    assert '"FitModel" = "train"' in first.out
    assert "written: rules.toml" in first.out
    assert 'currency = "EUR"' in written
    assert "1 graphlet: 1 pushed" in then.out
    assert "there is nothing to add: more.toml is not written" in then.out
    assert not (here / "more.toml").exists()
    assert (over.code, over.out) == (2, "")
    assert (here / "rules.toml").read_text() == written


def test_check_adds_no_rules_to_settings_that_would_not_take_them(here: Path, run: Run) -> None:
    """It says so instead of writing a file that cannot be read."""
    write_lines(here / "mine.jsonl", [orjson.dumps(each) for each in MINE])
    (here / "inline.toml").write_text('operators = { groups = { Other = "ingest" } }\n')

    ran = run("check mine.jsonl --config inline.toml --write-rules rules.toml")

    assert ran.code == 2
    assert "add them by hand" in ran.err
    assert not (here / "rules.toml").exists()


@pytest.mark.usefixtures("here")
def test_check_as_json_has_the_keys_that_its_page_names(run: Run) -> None:
    """All of them, and no others."""
    page = (Path(__file__).parents[2] / "docs" / "check.md").read_text()
    named = set(re.findall(r"^\| `(\w+)`", page.split("## JSON")[1], re.MULTILINE))

    told = orjson.loads(run("check events.jsonl --json").out)

    assert set(told) == named


@pytest.mark.parametrize("command", ["replay", "check", "explain p/t0"])
def test_an_archive_that_is_cut_is_read_and_told(command: str, here: Path, run: Run) -> None:
    """The result of what came before is printed, and the command fails."""
    events = [
        {
            "time": f"2026-03-01T{n:02}:00:00Z",
            "pipeline": "p",
            "execution": {"id": f"t{n}", "type": "Trainer", "state": "NEW"},
        }
        for n in range(24)
    ]
    (here / "cut.jsonl.gz").write_bytes(gzip.compress(b"\n".join(map(orjson.dumps, events)) + b"\n")[:-9])

    ran = run(f"{command} cut.jsonl.gz")

    assert ran.code == 1
    assert "graphlet" in ran.out
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("stream-app: cut.jsonl.gz:")
    assert "the gzip archive is cut off after this line" in ran.err


@pytest.mark.parametrize(
    "content", ["", "\n", '{"eventTime":"2026-03-01T00:00:00Z","job":{"namespace":"a","name":"b"}}\n']
)
@pytest.mark.parametrize("command", ["replay", "check"])
def test_no_event_is_no_success(command: str, content: str, here: Path, run: Run) -> None:
    """An empty file, an empty line, or an event about a job without a run."""
    (here / "empty.jsonl").write_text(content)

    ran = run(f"{command} empty.jsonl")

    assert ran.code == 1
    said = ran.out + ran.err
    assert any(words in said for words in ("there are no", "none of 1 messages", "0 events"))


@pytest.mark.usefixtures("here")
def test_an_empty_input_is_said_in_json_too(run: Run) -> None:
    """The document is printed, and the command fails."""
    Path("empty.jsonl").write_text("")

    ran = run("replay empty.jsonl --json")

    assert (ran.code, orjson.loads(ran.out)["figures"]["events"]) == (1, 0)
    assert ran.err == "stream-app: there are no events: the input is empty\n"


def test_a_replay_without_a_graphlet_or_a_push_says_why(here: Path, run: Run) -> None:
    """And where to read more."""
    write_lines(here / "mine.jsonl", [orjson.dumps(each) for each in MINE])
    write_lines(here / "trained.jsonl", [orjson.dumps(MINE[0]).replace(b"FitModel", b"Trainer")])

    assert (
        "no graphlet: no execution is of group train (types seen: FitModel, RolloutModel); `stream-app check "
        "mine.jsonl` shows"
    ) in " ".join(run("replay mine.jsonl").out.split())
    assert "no push: no execution is of group deploy (types seen: Trainer)" in run("replay trained.jsonl").out
    assert "no graphlet" not in run("replay events.jsonl").out


def test_a_replay_counts_the_parts_that_it_drops(here: Path, run: Run) -> None:
    """A facet that is not read costs itself alone, and is not lost in silence."""
    event = (
        b'{"eventTime":"2026-03-01T00:00:00Z","eventType":"START","run":{"runId":"r"},'
        b'"job":{"namespace":"prod","name":"ads.train","facets":{"mine":{"loss":NaN}}}}'
    )
    write_lines(here / "nan.jsonl", [event])

    ran = run("replay nan.jsonl")

    assert ran.code == 0
    assert "1 malformed part of events that nothing depends on" in ran.out
    assert "malformed" not in run("replay events.jsonl").out


def test_a_replay_of_a_simulated_fleet_says_so(here: Path, run: Run) -> None:
    """Nobody should take its report for one on real pipelines."""
    write_lines(here / "mine.jsonl", [orjson.dumps(each) for each in MINE])

    assert "simulated: these pipelines are made up" in run("replay events.jsonl").out
    assert orjson.loads(run("replay events.jsonl --json").out)["figures"]["simulated"] is True
    assert "simulated" not in run("replay mine.jsonl").out


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_explain_tells_the_story_of_a_graphlet(here: Path, run: Run) -> None:
    """Its members, events, what was said and why, and the outcome that replay tells."""
    run("replay events.jsonl --graphlets g.jsonl --verdicts v.jsonl --outcomes o.jsonl")
    outcomes = {each["graphlet"]: each for each in lines_of(here / "o.jsonl")}
    graphlet = next(each for each in lines_of(here / "g.jsonl") if each["run"] and each["graphlet"] in outcomes)
    name = graphlet["graphlet"]
    outcome = outcomes[name]

    ran = run(f"explain {name} events.jsonl")
    told = orjson.loads(run(f"explain {name} events.jsonl --json").out)

    assert ran.code == 0
    for words in (
        f"graphlet {name}",
        f"run      {graphlet['run']}",
        "chance of a push",
        "node-hours so far",
        outcome["time"],
    ):
        assert words in ran.out
    assert told["graphlet"] == graphlet
    assert told["outcome"] == outcome
    names = {name, f"{graphlet['pipeline']}/run:{graphlet['run']}"}
    verdicts = [each for each in lines_of(here / "v.jsonl") if each["graphlet"] in names]
    assert [{key: each[key] for key in each if key != "nearest"} for each in told["verdicts"]] == verdicts != []
    members = {graphlet["trainer"], *graphlet["up"], *graphlet["down"], *graphlet["side"], graphlet["run"]}
    assert {event["execution"]["id"] for event in told["events"]} == members


def test_explain_knows_a_run_without_a_trainer(here: Path, run: Run) -> None:
    """By its provisional name, with all of the run's events."""
    event = {"time": "2026-03-01T00:00:00Z", "pipeline": "p", "run": "r",
             "execution": {"id": "x", "type": "Transform", "state": "RUNNING"}}  # fmt: skip
    write_lines(here / "run.jsonl", [orjson.dumps(event)])

    ran = run("explain p/run:r run.jsonl")

    assert ran.code == 0
    assert "input: continue (observe 5 %)" in ran.out
    assert "Transform" in ran.out


def test_a_reader_that_goes_away_is_no_traceback(here: Path) -> None:
    """As in `stream-app replay ... --verdicts - | head -1`."""
    lines = b"\n".join(fleet_lines()[:1500])
    (here / "many.jsonl").write_bytes(lines)
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_app", "replay", "many.jsonl", "--verdicts", "-"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b'{"version":2,"id":')
    process.stdout.close()

    complaint = process.stderr.read()

    assert process.wait() in (0, 1)
    assert b"Traceback" not in complaint
    assert b"Exception ignored" not in complaint
    process.stderr.close()
