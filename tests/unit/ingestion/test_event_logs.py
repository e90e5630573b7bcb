"""`autoremed ingest eventlogs`: from files, object stores and a History Server into the history, once."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from airflow_autoremed.cli.main import app
from airflow_autoremed.errors import WebError
from airflow_autoremed.history import Store
from airflow_autoremed.history.opening import open_database
from airflow_autoremed.history.queries.run_metrics import NO_TASK, runs_of_attempt
from airflow_autoremed.ingestion import web as web_module
from airflow_autoremed.ingestion.event_logs import Fate, ingest, measured, sources_in
from airflow_autoremed.ingestion.history_server import sources_on
from airflow_autoremed.ingestion.web import Web
from airflow_autoremed.spark.event_log_files import EventLog, find_event_logs
from airflow_autoremed.types import AttemptId, RunMetrics

REAL = Path(__file__).parents[2] / "data" / "event_logs"


@pytest.fixture
def url(airflow_home: Path) -> str:
    return f"sqlite:///{airflow_home}/autoremed.db"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Real logs, in a directory as Spark's is."""
    folder = tmp_path / "logs"
    for name in ("plain", "rolling_failed", "killed", "executor_lost"):
        shutil.copytree(REAL / name, folder, dirs_exist_ok=True)
    return folder


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["ingest", *arguments])


def names_and_runs(url: str) -> dict[str, tuple[AttemptId, RunMetrics]]:
    found = {}
    store, database = Store(url), open_database(url, 5)
    for row in store.recent(1000):
        for each in database.read(lambda c, a=row.attempt: runs_of_attempt(c, "default", a)):  # type: ignore[misc]
            found[str(each.app_name)] = (row.attempt, each)
    database.close()
    store.close()
    return found


def test_a_directory_of_real_logs_becomes_history(logs: Path, url: str) -> None:
    done = run("eventlogs", str(logs))
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("4 read, 0 unchanged, 0 damaged; 4 recorded in sqlite:///")
    found = names_and_runs(url)
    assert set(found) == {
        f"autoremed {name}" for name in ("plain", "rolling_failed", "killed", "executor_lost")
    }
    attempt, lost = found["autoremed executor_lost"]
    assert (attempt.dag_id, attempt.task_id) == ("autoremed executor_lost", NO_TASK)
    assert (lost.executors_lost, lost.executor_loss) == (1, "Command exited with code 137")
    direct = [measured(log) for log in find_event_logs([str(logs)]) if isinstance(log, EventLog)]
    for each in direct:
        _, stored = found[str(each.app_name)]
        assert stored.peak_heap == each.peak_heap
        assert stored.gib_seconds == pytest.approx(each.gib_seconds)
        assert stored.started_at == pytest.approx(each.started_at, abs=1e-5)


def test_the_same_directory_again_reads_nothing_and_adds_nothing(
    logs: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("eventlogs", str(logs))
    before = names_and_runs(url)
    monkeypatch.chdir(logs.parent)
    monkeypatch.setattr("airflow_autoremed.ingestion.event_logs.read_event_log", None)
    done = run("eventlogs", "logs")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("0 read, 4 unchanged, 0 damaged; 0 recorded")
    assert names_and_runs(url) == before


def test_a_log_that_goes_on_is_read_again(logs: Path, url: str) -> None:
    (path,) = logs.glob("*.gz")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 9 // 10])
    run("eventlogs", str(logs))
    assert not names_and_runs(url)["autoremed plain"][1].complete
    path.write_bytes(whole)
    assert "1 read, 3 unchanged" in run("eventlogs", str(logs)).stdout
    assert names_and_runs(url)["autoremed plain"][1].complete


def test_what_was_broken_off_goes_on(logs: Path, url: str) -> None:
    database = open_database(url, 5)
    first = next(iter(ingest(database, "default", sources_in([str(logs)]))))
    assert first.fate is Fate.RECORDED
    rest = list(ingest(database, "default", sources_in([str(logs)])))
    database.close()
    assert [each.fate for each in rest] == [Fate.UNCHANGED, *[Fate.RECORDED] * 3]


def test_damaged_logs_are_named_and_skipped(logs: Path, url: str) -> None:
    (logs / "application_1_1").write_bytes(b"\x28\xb5\x2f\xfdjunk")
    (logs / "application_1_2").write_text("what is this?\n")
    done = run("eventlogs", str(logs), str(logs / "nowhere"))
    assert done.exit_code == 0
    assert "4 read, 0 unchanged, 3 damaged" in done.stdout
    for name in ("application_1_1", "application_1_2", "nowhere does not exist"):
        assert name in done.stderr


def test_where_nothing_can_be_read_the_exit_code_says_so(tmp_path: Path) -> None:
    (tmp_path / "application_1_1").write_text("junk")
    assert run("eventlogs", str(tmp_path)).exit_code == 2
    nothing = run("eventlogs")
    assert nothing.exit_code == 2
    assert "give at least one event log or directory, or --history-server URL" in nothing.stderr


def test_two_logs_of_one_application_are_one_row(logs: Path, url: str) -> None:
    (path,) = logs.glob("*.gz")
    shutil.copy(path, logs / "copy.gz")
    assert "4 recorded" in run("eventlogs", str(logs)).stdout
    assert len(names_and_runs(url)) == 4


def test_secrets_in_reasons_are_masked_before_they_are_stored(tmp_path: Path, url: str) -> None:
    events = [
        {"Event": "SparkListenerApplicationStart", "App Name": "job", "App ID": "a", "Timestamp": 1_000_000},
        {
            "Event": "SparkListenerJobEnd",
            "Job Result": {
                "Result": "JobFailed",
                "Exception": {"Message": "jdbc://db?password=hunter2 refused"},
            },
        },
    ]
    (tmp_path / "log").write_text("\n".join(json.dumps(event) for event in events))
    assert run("eventlogs", str(tmp_path / "log")).exit_code == 0
    (_, found) = names_and_runs(url)["job"]
    assert found.failure is not None
    assert "refused" in found.failure
    assert "hunter2" not in found.failure


def test_a_store_that_cannot_be_used_is_said_without_its_password(logs: Path) -> None:
    done = run("eventlogs", str(logs), "--store", "postgresql+nothing://me:hush@nowhere/db")
    assert done.exit_code == 2
    assert "cannot be used" in done.stderr
    assert "hush" not in done.output


# ------------------------------------------------------------------------------------------------ history server


def packed(*names: str) -> bytes:
    """Logs as the server sends them: a rolling one as a directory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            for path in sorted((REAL / name).rglob("*")):
                if path.is_file():
                    archive.write(path, str(path.relative_to(REAL / name)))
    return buffer.getvalue()


def application(app_id: str, **attempt: Any) -> dict[str, Any]:
    return {
        "id": app_id,
        "name": "n",
        "attempts": [{"completed": True, "lastUpdated": "2026-03-01", **attempt}],
    }


class Server:
    """A History Server as far as we ask it, with the answers of the real one (4.1.4)."""

    def __init__(self) -> None:
        self.applications = [application("app-1"), application("application_1_2", attemptId="2")]
        self.archives = {
            "/api/v1/applications/app-1/logs": packed("rolling_failed"),
            "/api/v1/applications/application_1_2/2/logs": packed("executor_lost"),
        }
        self.asked: list[str] = []
        self.moods: list[httpx.Response | Exception] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.raw_path.decode())
        if self.moods:
            mood = self.moods.pop(0)
            if isinstance(mood, Exception):
                raise mood
            return mood
        if request.url.path == "/api/v1/applications":
            return httpx.Response(200, json=self.applications)
        found = self.archives.get(request.url.path)
        return (
            httpx.Response(404, text="no such app") if found is None else httpx.Response(200, content=found)
        )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    real = web_module.Web

    def to_server(url: str, **options: Any) -> Web:
        return real(url, transport=httpx.MockTransport(server), pause=lambda seconds: None, **options)

    monkeypatch.setattr(web_module, "Web", to_server)
    return server


def test_a_history_server_s_logs_become_history_once(server: Server, url: str) -> None:
    done = run("eventlogs", "--history-server", "http://history:18080/")
    assert done.exit_code == 0, done.output
    assert "2 read, 0 unchanged, 0 damaged" in done.stdout
    assert set(names_and_runs(url)) == {"autoremed rolling_failed", "autoremed executor_lost"}
    server.asked.clear()
    again = run("eventlogs", "--history-server", "http://history:18080")
    assert "0 read, 2 unchanged" in again.stdout
    assert server.asked == ["/api/v1/applications"], "no log is fetched again"
    server.applications[0] = application("app-1", lastUpdated="2026-03-02")
    assert "1 read, 1 unchanged" in run("eventlogs", "--history-server", "http://history:18080").stdout


def test_only_applications_since_then_are_asked_for(server: Server) -> None:
    run("eventlogs", "--history-server", "http://history:18080", "--since", "30d")
    assert server.asked[0].startswith("/api/v1/applications?minDate=20")


def test_a_log_that_the_server_does_not_give_is_named_and_the_next_one_follows(
    server: Server, url: str
) -> None:
    server.archives["/api/v1/applications/app-1/logs"] = b"no archive"
    server.applications.append(application("gone"))
    done = run("eventlogs", "--history-server", "http://history:18080")
    assert done.exit_code == 0
    assert "1 read, 0 unchanged, 2 damaged" in done.stdout
    assert "app-1 cannot be downloaded from http://history:18080" in done.stderr
    assert "gone cannot be downloaded" in done.stderr


@pytest.mark.parametrize(
    "mood",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.Response(503),
        httpx.Response(429, headers={"Retry-After": "1"}),
    ],
)
def test_a_server_that_stumbles_is_asked_again(server: Server, mood: Any) -> None:
    server.moods = [mood, mood]
    assert "2 read" in run("eventlogs", "--history-server", "http://history:18080").stdout


@pytest.mark.parametrize(
    ("make_mood", "words"),
    [
        (lambda: httpx.ConnectError("refused"), "http://history:18080 cannot be reached: refused"),
        (lambda: httpx.Response(401), "401 Unauthorized: pass --token"),
        (lambda: httpx.Response(404), "without a path"),
        (lambda: httpx.Response(200, text="<html>"), "does not answer with JSON"),
        (lambda: httpx.Response(200, json={"a": 1}), "is not a History Server"),
    ],
)
def test_a_server_that_cannot_be_used_is_said_in_one_line(
    server: Server, make_mood: Callable[[], Any], words: str
) -> None:
    server.moods = [make_mood() for _ in range(10)]
    done = run("eventlogs", "--history-server", "http://history:18080")
    assert done.exit_code == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_address_that_is_none_says_what_to_write() -> None:
    with pytest.raises(WebError, match=r"use for example https://host:8080"):
        Web("history:18080")


def test_an_archive_is_not_kept_in_memory(server: Server) -> None:
    web = web_module.Web("http://history:18080")
    (source, _) = sources_on(web)
    with source.fetch() as log:
        assert log.open_part is not None
        assert len(log.parts) == 1
        assert measured(log).failed_jobs == 1
