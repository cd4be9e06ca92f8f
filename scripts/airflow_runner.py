"""A small real Airflow: SQLite, one API server, one DAG processor, one scheduler with two processes for tasks."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from urllib.error import URLError
from urllib.request import urlopen

from recording import ROOT, WORK, environment, report

DAGS = ROOT / "scripts" / "recorded" / "dags"


class Airflow:
    """Installs and runs Airflow; its OpenLineage events go to a URL.

    Parameters
    ----------
    name
        Of the environment.
    packages
        What pip installs there.
    url
        Where its events go.
    variables
        More of its environment variables.
    """

    def __init__(self, name: str, packages: Sequence[str], url: str, variables: dict[str, str] | None = None) -> None:
        self.bin = environment(name, packages)
        self.home = WORK / f"{name}-home"
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.database = self.home / "airflow.db"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.port = _free_port()
        #: What stands for names of this run in recordings.
        self.places = {url: "http://lineage.example.com", f"127.0.0.1:{self.port}": "airflow.example.com"}
        self.variables = os.environ | _settings(self.home, self.port, url) | (variables or {})
        self.variables["PATH"] = f"{self.bin}{os.pathsep}{os.environ['PATH']}"

    def __enter__(self) -> Airflow:
        report("starting Airflow")
        self._run("db", "migrate")
        try:
            for command in (
                ("api-server", "--port", str(self.port), "--workers", "1"),
                ("dag-processor",),
                ("scheduler",),
            ):
                with (self.home / f"{command[0]}.log").open("wb") as log:
                    arguments = [self.bin / "airflow", *command]
                    self.processes.append(
                        subprocess.Popen(
                            arguments, env=self.variables, stdout=log, stderr=log, cwd=self.home, start_new_session=True
                        )
                    )
            _wait_for(self._is_up, "the API server and the DAGs")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def trigger(self, dag: str, run: str, parameters: dict[str, str]) -> None:
        """Starts a run of a DAG."""
        self._run("dags", "trigger", dag, "--run-id", run, "--conf", json.dumps(parameters))

    def clear(self, dag: str) -> None:
        """Clears the failed tasks of a DAG, so that they run again."""
        self._run("tasks", "clear", dag, "--yes", "--only-failed")

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [self.bin / "airflow", *arguments], env=self.variables, cwd=self.home, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"airflow {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")

    def _is_up(self) -> bool:
        for process in self.processes:
            if process.poll() is not None:
                raise SystemExit(f"Airflow stopped; its logs are in {self.home}")
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/api/v2/version", timeout=5):
                pass
        except (URLError, TimeoutError):
            return False
        with closing(sqlite3.connect(self.database)) as database:
            return bool(database.execute("select count(*) from serialized_dag").fetchone()[0])

    def _stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _settings(home: Path, port: int, url: str) -> dict[str, str]:
    """Airflow's settings as environment variables."""
    secret = secrets.token_hex(16)
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__SECRET_KEY": secret,
        "AIRFLOW__API_AUTH__JWT_SECRET": secret,
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "airflow",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "http", "url": url}),
        "AIRFLOW__OPENLINEAGE__DAG_STATE_CHANGE_PROCESS_POOL_SIZE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(condition, what: str, seconds: float = 300.0) -> None:  # type: ignore[no-untyped-def]
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"{what} did not come within {seconds:.0f} s")
        time.sleep(1.0)
