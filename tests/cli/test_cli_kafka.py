"""The commands that talk to Kafka, where there is none: settings, help, mistakes, and that no secret is said."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_app.cli.assembly import connection_of, names_of, settings_of, worker_settings
from stream_app.core.units import DAY_MS
from stream_app.extras import how_to_get
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.process.folder_lock import locked
from stream_app.kafka.process.worker import WorkerSettings
from stream_app.options import DetectorOptions, KafkaOptions, Options, load
from tests.cli.test_cli import Ran, Run
from tests.support.nobody import nobody

COMMANDS = ("worker", "topics apply", "topics check", "publish", "dlq list", "dlq requeue")
DOCS = (Path(__file__).parents[2] / "docs" / "worker.md").read_text()
SECRET = "correct-horse"
EVENT = '{"time":"2026-03-01T00:00:00Z","pipeline":"p","execution":{"id":"x","type":"Trainer","state":"NEW"}}\n'
SASL = '[kafka]\nprotocol = "SASL_SSL"\nusername = "worker"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a file of one event and some settings; no variables."""
    for name in [name for name in os.environ if name.startswith("STREAM_APP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.jsonl").write_text(EVENT)
    (tmp_path / "sasl.toml").write_text(SASL)
    (tmp_path / "none.toml").write_text("[kafka]\npartitions = 0\n")
    (tmp_path / "name.toml").write_text('[kafka]\ngroup = "my group"\n')
    (tmp_path / "short.toml").write_text('[kafka]\ncheckpoint_key = "abc"\n')
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process."""
    return lambda line: Ran(line, monkeypatch, capfd)


@pytest.fixture(name="nobody")
def _nobody() -> Iterator[str]:
    """An address at which nothing listens while the test runs."""
    with nobody() as address:
        yield address


def line_of(command: str) -> str:
    """A command with the arguments that it cannot do without."""
    return f"{command} events.jsonl" if command == "publish" else command


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("topics", "missing command; see stream-app topics --help"),
        ("dlq", "missing command; see stream-app dlq --help"),
        ("topics bogus", "no such command 'bogus'"),
        ("topics check --bootstrap-servers localhost", "bootstrap server 'localhost': expected host:port"),
        ("topics apply --config none.toml", "none.toml: kafka.partitions: expected greater than or equal to 1, got 0"),
        ("topics apply --config name.toml", "name.toml: kafka.group: string should match pattern"),
        ("topics apply --config sasl.toml", "protocol SASL_SSL needs a user name and a password"),
        ("publish", "missing argument 'FILE...'"),
        ("publish missing.jsonl", "missing.jsonl: no such file or directory"),
        ("publish events.jsonl --rate 0", "--rate 0: expected a number above 0"),
        ("publish events.jsonl --rate nan", "--rate nan: expected a number above 0"),
        ("publish events.jsonl --start yesterday", "--start yesterday: expected an RFC 3339 time"),
        ("publish events.jsonl --rate 1 --start 2026-01-01T00:00:00Z", "--rate and --start exclude each other"),
        ("dlq list --last 0", "--last"),
        ("worker --metrics-port 70000", "flag kafka.metrics_port: expected less than or equal to 65535, got 70000"),
        ("worker --folder events.jsonl", "kafka.folder events.jsonl: not a directory"),
        ("worker --config missing.toml", "missing.toml"),
        ("worker --config sasl.toml", "protocol SASL_SSL needs a user name and a password"),
        ("worker --config short.toml", "kafka.checkpoint_key: too short; expected 16 characters or more"),
        ("worker --budget 2", "flag detector.budget: expected less than 1, got 2"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_mistake_is_one_line(line: str, says: str, run: Run) -> None:
    """It says what is wrong, nothing goes to standard output, and it ends with 2."""
    ran = run(line)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("stream-app: ")
    assert ran.err.count("\n") == 1
    assert says in ran.err


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "worker"])
@pytest.mark.usefixtures("here")
def test_without_kafka_a_command_fails_in_one_line(command: str, run: Run, nobody: str) -> None:
    """With 1, for the use was right."""
    ran = run(f"{line_of(command)} --bootstrap-servers {nobody}")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"stream-app: cannot reach Kafka at {nobody}: Connection refused\n"


@pytest.mark.usefixtures("here")
def test_without_the_extra_it_is_named() -> None:
    """What is missing and how to get it, for every command, instead of a traceback."""
    missing = ("aiokafka", "cramjam", "faust", "kafka", "prometheus_client", "rocksdict")
    script = (
        f"import sys\nfrom stream_app.cli import main\nsys.modules.update(dict.fromkeys({missing}))\n"
        f"for line in {[line_of(command).split() for command in COMMANDS]}:\n"
        "    sys.argv = ['stream-app', *line]\n"
        "    try:\n        main()\n    except SystemExit as ended:\n        assert ended.code == 2\n"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    line = f"stream-app: this needs more packages ({', '.join(missing)}): {how_to_get('worker')}\n"
    assert (ran.stdout, ran.stderr) == ("", line * len(COMMANDS))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, run: Run) -> None:
    """`--help` ends with 0."""
    ran = run(f"{command} --help")

    assert ran.code == 0
    assert f"stream-app {command}" in ran.out.split("Example:")[1]


def test_help_loads_no_broker_library() -> None:
    """Help is there at once, and without the extra."""
    script = (
        "import sys\nfrom stream_app.cli import main\nsys.argv = ['stream-app', 'worker', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = ('faust', 'kafka', 'aiokafka', 'rocksdict', 'prometheus_client', 'river', 'pydantic_settings')\n"
        "print([name for name in heavy if name in sys.modules])"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout.endswith("[]\n")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_worker_waits_for_kafka_and_ends_when_told(nobody: str, number: signal.Signals, code: int) -> None:
    """It says once what is wrong, not its password; SIGTERM ends it with 0, Ctrl-C with 130."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_app", "worker", "--bootstrap-servers", nobody, "--metrics-port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "STREAM_APP_KAFKA_PROTOCOL": "SASL_PLAINTEXT",
            "STREAM_APP_KAFKA_USERNAME": "worker",
            "STREAM_APP_KAFKA_PASSWORD": SECRET,
        },
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a run in the background ignores it
    )
    assert process.stderr is not None
    said = ""
    while "cannot reach Kafka" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(number)
    said += process.stderr.read()

    assert process.wait() == code
    process.stderr.close()
    assert f"cannot reach Kafka at {nobody}: Connection refused; trying again" in said
    began = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO stream_app\.kafka\.process\.group_process probes and"
    assert re.match(began, said)
    assert "stopping" in said
    assert SECRET not in said
    assert "Traceback" not in said


@pytest.mark.usefixtures("here")
def test_a_taken_port_is_one_line() -> None:
    """Two workers on one machine with the same port are a mistake of the settings."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = subprocess.run(
            [sys.executable, "-m", "stream_app", "worker", "--metrics-port", port], capture_output=True, text=True
        )

    assert ran.returncode == 2
    assert ran.stderr.endswith(f"stream-app: metrics and probes at 127.0.0.1:{port}: address already in use\n")
    assert "Traceback" not in ran.stderr


def test_settings_become_a_connection_and_names(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file, with the password in a file of its own, and variables for the rest."""
    (here / "all.toml").write_text(
        f'{SASL}bootstrap_servers = "a:1, b:2"\nca_file = "ca.pem"\npassword_file = "secret"\n'
        'certificate_file = "c.pem"\nkey_file = "k.pem"\nsources = ["one", "two"]\n'
    )
    monkeypatch.setenv("STREAM_APP_KAFKA_MECHANISM", "PLAIN")
    monkeypatch.setenv("STREAM_APP_KAFKA_GROUP", "mine")
    monkeypatch.setenv("STREAM_APP_KAFKA_SESSION_SECONDS", "30")
    options = load(Path("all.toml"))

    assert connection_of(options.kafka) == Connection(
        "a:1, b:2", "SASL_SSL", Path("ca.pem"), Path("c.pem"), Path("k.pem"), "PLAIN", "worker", SECRET
    )
    assert names_of(options.kafka) == Names("mine", ("one", "two"))
    assert worker_settings(options).session_seconds == 30


def test_a_worker_is_told_what_its_detectors_are_told() -> None:
    """Its learner has to remember labels for as long as they keep graphlets."""
    options = Options(detector=DetectorOptions(mode="enforce", retention_days=60, lateness_days=2))
    found = worker_settings(options).detector

    assert found == settings_of(options)
    assert found.keep_ms == 62 * DAY_MS


def test_defaults_are_those_of_the_worker() -> None:
    """What the settings leave out is as a worker has it without settings."""
    found = worker_settings(Options())

    assert found == WorkerSettings(
        Connection("localhost:9092"), Names(), Path("stream-app-state"),
        detector=found.detector, sources=found.sources, fleet=found.fleet,
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        f'protocol = "SASL_SSL"\nusername = "u"\npassword = ["{SECRET}"]',
        f'protocol = "SASL_SSL"\nusername = "u"\npassword = "{SECRET}"\npassword_file = "secret"',
        f'protocol = "PLAINTEXT"\npassword = "{SECRET}"',
        f'protocol = "SASL_SSL"\npassword = "{SECRET}"',
        f'protocol = "bogus"\npassword = "{SECRET}"',
        f'passwort = "{SECRET}"',
        f'protocol = "SASL_PLAINTEXT"\nusername = "u"\npassword = "{SECRET}"\npassword = "{SECRET}"',
        f'protocol = "SASL_PLAINTEXT"\nusername = "u"\npassword = "{SECRET}"',
        'protocol = "SASL_PLAINTEXT"\nusername = "u"\npassword_file = "secret"',
    ],
)
def test_no_mistake_repeats_the_password(here: Path, text: str, run: Run, nobody: str) -> None:
    """However the settings are wrong, and when Kafka is not there."""
    (here / "leaky.toml").write_text(f"[kafka]\n{text}\n")
    ran = run(f"topics check --config leaky.toml --bootstrap-servers {nobody}")

    assert ran.code in (1, 2)
    assert ran.err.count("\n") == 1
    assert SECRET not in ran.out + ran.err


def test_no_text_made_of_options_has_the_password() -> None:
    """Not theirs, not the connection's, not the worker's settings'."""
    kafka = KafkaOptions.model_validate(
        {"protocol": "SASL_SSL", "username": "u", "password": SECRET, "checkpoint_key": f"key of {SECRET}"}
    )
    options = Options(kafka=kafka)

    assert connection_of(kafka).password == SECRET
    assert worker_settings(options).checkpoint_key == f"key of {SECRET}".encode()
    for made in (options, kafka, connection_of(kafka), worker_settings(options)):
        assert SECRET not in f"{made!r} {made}"
    assert SECRET not in options.model_dump_json()


def test_the_documentation_lists_every_setting() -> None:
    """With its default, and no other."""
    table = DOCS.split("## Settings")[1].split("```")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)?", table, re.MULTILINE))
    defaults = {name: field.default for name, field in KafkaOptions.model_fields.items()}

    def shown(value: object) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return "" if value is None else ",".join(value) if isinstance(value, tuple) else f"{value}".removesuffix(".0")

    assert rows == {name: shown(value) for name, value in defaults.items()}


@pytest.mark.usefixtures("here")
def test_a_second_worker_on_a_folder_is_refused_in_one_line(run: Run) -> None:
    """Before it looks for Kafka, or for a free port."""
    with locked(Path("state")):
        ran = run("worker --folder state")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"stream-app: kafka.folder state is in use by another worker (process {os.getpid()}): "
        "give each worker a folder of its own (--folder)\n"
    )
