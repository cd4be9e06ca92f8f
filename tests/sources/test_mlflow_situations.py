"""What users of MLflow do with runs and the registry, told to a real server, and what must come of it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException

from stream_app.core.events import Event
from stream_app.sources.mlflow import Cursor, Rules, tracking
from tests.sources.final_graphlets import graphlets
from tests.sources.mlflow_project import Server, now_ms
from tests.support.builders import DAY, HOUR, MINUTE

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # stages are on their way out, and still in use

PASSES = pytest.mark.parametrize("passes", ["at once", "pass by pass"])


class Followed:
    """Passes over a server; without `live` there is only one, at the end."""

    def __init__(self, server: Server, *, live: bool, rules: Rules | None = None) -> None:
        self._server, self._live, self._rules = server, live, rules
        self._cursor = Cursor()
        self.events: list[Event] = []

    def look(self, *, last: bool = False) -> None:
        """A pass; after the last one there is nothing to say."""
        if self._live or last:
            self.events += self._server.follow(self._cursor, self._rules)
        if last:
            assert self._server.follow(self._cursor, self._rules) == []

    def outcomes(self) -> dict[str, Any]:
        """Outcome of each training, after a last pass."""
        self.look(last=True)
        return {trainer: each["outcome"] for trainer, each in graphlets(self.events).items()}


def champion(server: Server, run: str, alias: str = "champion", model: str | None = None) -> str:
    version = server.register(run, model)
    server.client.set_registered_model_alias(model or server.name, alias, version)
    return version


def trained(server: Server, minute: float, parent: str | None = None, status: str = "FINISHED") -> str:
    """A run of five minutes."""
    run = server.run(minute, parent)
    server.end(run, minute + 5, status)
    return run


class TestSearches:
    """Parents with trials."""

    @PASSES
    def test_a_promoted_parent_is_pushed_and_its_trials_are_its_work(self, server: Server, passes: str) -> None:
        """Also when the parent proves to train only after all has ended, and with a trial that failed."""
        followed = Followed(server, live=passes == "pass by pass")
        search = server.run(0)
        followed.look()
        trials = [trained(server, 5 * number, search) for number in range(1, 3)]
        trials.append(trained(server, 15, search, "FAILED"))
        followed.look()
        server.end(search, 25)
        followed.look()
        champion(server, search)

        assert followed.outcomes() == {search: "pushed"}
        found = graphlets(followed.events)[search]
        assert found["up"] == sorted(trials)
        assert found["cost"] == {"tune": 15 * MINUTE, "train": 10 * MINUTE, "deploy": 0}

    @PASSES
    def test_a_promoted_trial_is_pushed_and_the_others_stay_as_they_are(self, server: Server, passes: str) -> None:
        followed = Followed(server, live=passes == "pass by pass")
        search = server.run(0)
        best, other = trained(server, 1, search), trained(server, 2, search)
        followed.look()
        server.end(search, 25)
        followed.look()
        champion(server, best)

        assert followed.outcomes() == {best: "pushed", other: "not_pushed"}

    @PASSES
    def test_a_promoted_trial_of_a_search_with_a_model_is_pushed(self, server: Server, passes: str) -> None:
        """The search itself is a training that nobody promoted, as far as is known."""
        followed = Followed(server, live=passes == "pass by pass")
        search = server.run(0)
        best = trained(server, 1, search)
        trained(server, 2, search)
        followed.look()
        server.end(search, 25)
        server.register(search)
        followed.look()
        champion(server, best)

        assert followed.outcomes() == {
            best: "pushed",
            search: "unknown" if passes == "at once" else "not_pushed",
        }

    @PASSES
    def test_generations(self, server: Server, passes: str) -> None:
        """A run with a search, that has folds, that have trials."""
        followed = Followed(server, live=passes == "pass by pass")
        whole = server.run(0)
        search = server.run(1, whole)
        fold = server.run(2, search)
        trial, lone = trained(server, 3, fold), trained(server, 3, whole)
        followed.look()
        for run in (fold, search, whole):
            server.end(run, 10)
        followed.look()
        champion(server, search)

        assert followed.outcomes() == {search: "pushed", lone: "not_pushed"}
        found = graphlets(followed.events)[search]
        assert (found["run"], found["up"]) == (whole, sorted([fold, trial]))
        assert found["cost"] == {"tune": 8 * MINUTE, "train": MINUTE, "deploy": 0}

    def test_a_parent_that_logged_a_model_trains_without_a_registration(self, server: Server) -> None:
        """Before version 3 of MLflow a tag lists what a run logged."""
        search = server.run(0, tags={"mlflow.log-model.history": "[{}]"})
        trained(server, 1, search)
        server.end(search, 25)

        assert Followed(server, live=False).outcomes() == {search: "open"}

    def test_a_version_that_is_a_logged_model_is_of_the_run_that_logged_it(self, server: Server) -> None:
        """Though it does not name the run."""
        search = server.run(0)
        trained(server, 1, search)
        model = server.client.create_logged_model(server.experiment, source_run_id=search)
        server.client.log_outputs(search, [LoggedModelOutput(model.model_id, 0)])
        server.client.finalize_logged_model(model.model_id, "READY")
        server.end(search, 25)
        version = server.client.create_model_version(
            server.name, model.artifact_location, model_id=model.model_id
        ).version
        server.client.set_registered_model_alias(server.name, "champion", str(version))

        assert Followed(server, live=False).outcomes() == {search: "pushed"}

    def test_an_old_search_that_is_registered_weeks_later(self, server: Server) -> None:
        """It and its trials are out of the window that a pass reads again."""
        early = -14 * DAY / MINUTE
        search = server.run(early)
        trained(server, early + 1, search)
        server.end(search, early + 25)
        server.end(server.run(0), 1)
        followed = Followed(server, live=True)
        followed.look(last=True)
        champion(server, search)

        assert followed.outcomes()[search] == "pushed"
        assert len(graphlets(followed.events)) == 2


class TestRegistry:
    """Aliases, stages and versions."""

    @PASSES
    def test_two_versions_in_production_were_both_pushed(self, server: Server, passes: str) -> None:
        runs = [trained(server, 0), trained(server, 1), trained(server, 2)]
        followed = Followed(server, live=passes == "pass by pass")
        followed.look()
        for run in runs[:2]:
            server.client.transition_model_version_stage(server.name, server.register(run), "Production")

        assert followed.outcomes() == {runs[0]: "pushed", runs[1]: "pushed", runs[2]: "open"}

    def test_aliases_match_in_any_case_and_others_are_named_once(
        self, server: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        pushes = ["production", "Production", "Champion", "CHAMPION"]
        runs = {alias: trained(server, minute) for minute, alias in enumerate([*pushes, "shadow-of-case"])}
        for alias, run in runs.items():
            server.client.create_registered_model(f"{server.name}-{alias}")
            champion(server, run, alias, f"{server.name}-{alias}")
        server.client.transition_model_version_stage(f"{server.name}-shadow-of-case", "1", "Staging")
        followed = Followed(server, live=True)
        with caplog.at_level(logging.INFO, "stream_app"):
            outcomes = followed.outcomes()

        assert outcomes == {run: "pushed" if alias in pushes else "open" for alias, run in runs.items()}
        lines = [record.getMessage() for record in caplog.records if "mean no push" in record.getMessage()]
        assert len(lines) == 1
        assert lines[0].count("@shadow-of-case") == lines[0].count("#Staging") == 1

    def test_archived_is_a_push_if_it_was_in_production_and_else_unknown(self, server: Server) -> None:
        seen, unseen, told = trained(server, 0), trained(server, 1), trained(server, 2)
        versions = {run: server.register(run) for run in (seen, unseen, told)}
        server.client.set_model_version_tag(server.name, versions[told], "promoted_at", str((now_ms() - HOUR) // 1000))
        server.client.transition_model_version_stage(server.name, versions[unseen], "Archived")
        server.client.transition_model_version_stage(server.name, versions[told], "Archived")
        server.client.transition_model_version_stage(server.name, versions[seen], "Production")
        followed = Followed(server, live=True)
        followed.look()
        server.client.transition_model_version_stage(server.name, versions[seen], "Archived")

        assert followed.outcomes() == {seen: "pushed", unseen: "unknown", told: "pushed"}

    def test_a_rollback_changes_neither_times_nor_cost(self, server: Server) -> None:
        """Nor does a tag that is set later."""
        runs = [trained(server, 0), trained(server, 1)]
        first = champion(server, runs[0])
        followed = Followed(server, live=True)
        followed.look()
        before = graphlets(followed.events)[runs[0]]
        champion(server, runs[1])
        followed.look()
        server.client.set_model_version_tag(server.name, first, "quality", "good")
        server.client.set_registered_model_alias(server.name, "champion", first)

        assert followed.outcomes() == dict.fromkeys(runs, "pushed")
        after = graphlets(followed.events)
        assert after[runs[0]] == before
        assert [after[run]["cost"] for run in runs] == [{"train": 5 * MINUTE, "deploy": 0}] * 2

    def test_an_alias_that_outlived_its_version_is_one_warning(
        self, server: Server, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As older servers leave it behind; everything else is followed."""
        run = trained(server, 0)
        champion(server, run)
        database = tmp_path_factory.getbasetemp() / "mlflow0" / "mlflow.db"
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(
                "INSERT INTO registered_model_aliases (name, alias, version) VALUES (?, 'production', 99)",
                (server.name,),
            )

        assert Followed(server, live=True).outcomes() == {run: "pushed"}
        lines = [record.getMessage() for record in caplog.records if "do not exist any more" in record.getMessage()]
        assert len(lines) == 1
        assert f"{server.name}/99@production" in lines[0]

    def test_deleted_experiments_are_left_out(self, server: Server) -> None:
        kept = trained(server, 0)
        champion(server, kept)
        elsewhere = server.client.create_experiment(f"{server.name}-deleted")
        lost = str(server.client.create_run(elsewhere, server.start_ms).info.run_id)
        server.client.create_registered_model(f"{server.name}-deleted")
        champion(server, lost, model=f"{server.name}-deleted")
        server.client.delete_experiment(elsewhere)
        rules = Rules(experiments=(server.name, f"{server.name}-deleted"))

        assert Followed(server, live=True, rules=rules).outcomes() == {kept: "pushed"}

    def test_a_model_made_anew_has_pushes_of_its_own(self, server: Server) -> None:
        """Version 1 of it is another version 1."""
        old, new, third = trained(server, 0), trained(server, 1), trained(server, 2)
        champion(server, old)
        followed = Followed(server, live=True)
        followed.look()
        server.client.delete_registered_model(server.name)
        server.client.create_registered_model(server.name)
        version = server.register(new)
        followed.look()
        assert graphlets(followed.events)[new]["outcome"] == "open"
        server.client.set_registered_model_alias(server.name, "champion", version)

        assert (version, followed.outcomes()) == ("1", {old: "pushed", new: "pushed", third: "open"})


class TestPast:
    """What happened before the registry was first read."""

    def test_a_version_that_may_have_been_the_champion_is_unknown(
        self, server: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One that was never registered, or is newer than the champion, is not."""
        runs = [trained(server, minute) for minute in range(4)]
        server.register(runs[0])
        champion(server, runs[1])
        server.register(runs[2])

        expected = dict(zip(runs, ["unknown", "pushed", "open", "open"], strict=True))
        assert Followed(server, live=True).outcomes() == expected
        assert "whether 1 registered runs were ever pushed cannot be known" in caplog.text

    def test_while_it_is_followed_nothing_is_unknown(self, server: Server) -> None:
        followed = Followed(server, live=True)
        runs = [trained(server, minute) for minute in range(2)]
        followed.look()
        server.register(runs[0])
        followed.look()
        champion(server, runs[1])

        assert followed.outcomes() == {runs[0]: "not_pushed", runs[1]: "pushed"}

    @pytest.mark.parametrize("by", ["tag", "file"])
    def test_a_tag_or_a_file_tells_the_history(self, server: Server, tmp_path: Path, by: str) -> None:
        """A version between two that it names was not pushed then."""
        runs = [trained(server, minute) for minute in range(4)]
        versions = [server.register(run) for run in runs]
        server.client.set_registered_model_alias(server.name, "champion", versions[3])
        pushed_ms = server.start_ms + 2 * HOUR
        rules = server.rules
        if by == "tag":
            server.client.set_model_version_tag(server.name, versions[1], "promoted_at", str(pushed_ms))
        else:
            path = tmp_path / "promotions.csv"
            path.write_text(f"pushed_at,model,version\n{pushed_ms},{server.name},{versions[1]}\n")
            rules = Rules(experiments=(server.name,), promotions=path)
        followed = Followed(server, live=True, rules=rules)

        assert followed.outcomes() == dict(zip(runs, ["unknown", "pushed", "not_pushed", "pushed"], strict=True))
        assert graphlets(followed.events)[runs[1]]["time_ms"] == pushed_ms


class TestRuns:
    """When runs are logged and resumed."""

    def test_a_run_logged_after_the_fact_and_promoted_is_read(self, server: Server) -> None:
        """It ended days before the last pass."""
        server.end(server.run(0), 5)
        followed = Followed(server, live=True)
        followed.look()
        late = server.run(-5 * DAY / MINUTE)
        server.end(late, -5 * DAY / MINUTE + 5)
        champion(server, late)

        assert followed.outcomes()[late] == "pushed"

    @PASSES
    def test_a_failed_run_that_is_resumed_costs_what_ran(self, server: Server, passes: str) -> None:
        """It is open while it runs."""
        followed = Followed(server, live=passes == "pass by pass")
        run = server.run(-3 * DAY / MINUTE)
        server.end(run, -3 * DAY / MINUTE + 60, "FAILED")
        followed.look()
        server.client.update_run(run, "RUNNING")

        assert followed.outcomes() == {run: "open"}

        resumed_ms = now_ms()
        server.client.set_terminated(run, "FINISHED", resumed_ms + 30 * MINUTE)
        champion(server, run)
        assert followed.outcomes() == {run: "pushed"}
        cost_ms = graphlets(followed.events)[run]["cost"]["train"]
        assert 90 * MINUTE <= cost_ms <= 91 * MINUTE


def test_experiments_are_split_over_searches(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server refuses a list that is longer than it takes; runs still come by their times."""
    monkeypatch.setattr(tracking, "EXPERIMENTS", 2)
    names = [server.name, *(f"{server.name}-{number}" for number in range(4))]
    experiments = [server.experiment, *(server.client.create_experiment(name) for name in names[1:])]
    runs = [
        server.client.create_run(experiment, server.start_ms + minute * MINUTE).info.run_id
        for minute, experiment in enumerate([*experiments, *experiments])
    ]
    search = server.client.search_runs

    def limited(experiment_ids: Sequence[str], *arguments: Any, **named: Any) -> Any:
        if len(experiment_ids) > 2:
            raise MlflowException("too many experiment ids")
        return search(list(experiment_ids), *arguments, **named)

    monkeypatch.setattr(server.client, "search_runs", limited)
    cursor = Cursor()
    rules = Rules(experiments=tuple(names))

    assert [event.execution_id for event in server.follow(cursor, rules)] == runs
    for run in runs:
        server.end(run, 20)
    assert sorted(event.execution_id for event in server.follow(cursor, rules)) == sorted([*runs, *runs])
