"""What a user installs: the wheel has the package and no more, and works in an environment that has nothing else."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path

import orjson
import pytest

from stream_app.simulator import Fleet, FleetOptions
from tests.packaging.distribution import COMMANDS, ROOT, build, install, ran, unpack

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source distribution."""
    wheel, archive = build(ROOT, tmp_path_factory.mktemp("built"), "wheel", "sdist")
    return wheel, archive


@pytest.fixture(scope="module")
def programs(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel alone."""
    return install(built[0], tmp_path_factory.mktemp("installed") / "venv")


def sources(folder: str) -> set[str]:
    """The files below a folder of the repository that are no by-products."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_the_package_and_no_more(built: tuple[Path, Path]) -> None:
    """All modules, the templates of the report and the schemas; no tests, nothing beside the package."""
    names = set(zipfile.ZipFile(built[0]).namelist())
    beside = {name for name in names if not name.startswith("stream_app/")}

    assert names - beside == sources("stream_app") | {f"stream_app/{name}" for name in sources("schemas")}
    assert {"stream_app/report/templates/page.html.j2", "stream_app/schemas/event.schema.json"} <= names
    assert {name.split("/")[0] for name in beside} == {f"stream_app-{PROJECT['version']}.dist-info"}


def test_the_source_distribution_builds_the_same_wheel(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Byte for byte, from what is in the archive alone."""
    wheel, archive = built
    source = unpack(archive, tmp_path / "source")

    (again,) = build(source, tmp_path / "again", "wheel")

    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()
    assert not (source / "tests").exists()
    assert {path.name for path in (source / "docs").glob("*.md")} >= {"concepts.md", "settings.md"}


@pytest.mark.slow
def test_the_installed_program_replays(programs: Path, tmp_path: Path) -> None:
    """With its report, in a directory that knows nothing of the repository."""
    events = [orjson.dumps(event) for event in Fleet(FleetOptions(pipelines=2, days=2, seed=1)).events()]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(events))

    version = ran([str(programs / "stream-app"), "--version"], tmp_path)
    replayed = ran([str(programs / "stream-app"), "replay", "events.jsonl", "--report", "report.html"], tmp_path)

    assert version.stdout == f"stream-app {PROJECT['version']}\n"
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert "of 2 pipelines" in replayed.stdout
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


@pytest.mark.slow
def test_the_installed_package_is_what_the_readme_imports(programs: Path, tmp_path: Path) -> None:
    """All names of its code, with no package of an extra in the environment, and the schemas beside it."""
    code = ROOT.joinpath("README.md").read_text().split("```python\n")[1].split("```")[0]
    imports = [line for line in code.splitlines() if line.startswith(("import ", "from "))]
    (tmp_path / "seen.py").write_text(
        "\n".join(
            [
                *imports,
                "import importlib.resources, importlib.util, sys",
                "missing = [importlib.util.find_spec(n) is None for n in ('aiohttp', 'faust', 'mlflow', 'sqlalchemy')]",
                "schemas = importlib.resources.files('stream_app') / 'schemas'",
                "first = sorted(each.name for each in schemas.iterdir())[0]",
                "print(all(missing), first, __import__('stream_app').__file__)",
            ]
        )
    )

    seen = ran([str(programs / "python"), "seen.py"], tmp_path)

    assert seen.stderr == ""
    missing, schema, module = seen.stdout.split()
    assert (missing, schema) == ("True", "event.schema.json")
    assert Path(module).is_relative_to(programs.parent)


@pytest.mark.slow
@pytest.mark.parametrize("extra", COMMANDS)
def test_a_command_without_its_extra_says_how_to_get_it(extra: str, programs: Path, tmp_path: Path) -> None:
    """One line with the command to run."""
    found = ran([str(programs / "stream-app"), *COMMANDS[extra].split()], tmp_path)

    assert found.returncode == 2
    assert f"pip install 'stream-app[{extra}]'" in found.stderr
    assert "Traceback" not in found.stderr


def test_every_extra_of_users_has_a_command_here() -> None:
    """Those for building and testing are no users'; a training script, and a sink, need no command of their own."""
    assert set(PROJECT["optional-dependencies"]) == {*COMMANDS, "apprise", "build", "dev", "openlineage"}
