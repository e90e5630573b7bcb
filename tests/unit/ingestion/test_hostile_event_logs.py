"""Event logs that somebody wrote to do harm: each costs itself, is named, and stops none of the others."""

from __future__ import annotations

import gzip
import http.server
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_autoremed.errors import EventLogError, WebError
from airflow_autoremed.history.opening import open_database
from airflow_autoremed.ingestion import web as web_module
from airflow_autoremed.ingestion.event_logs import Fate, Ingested, ingest, sources_in
from airflow_autoremed.ingestion.web import Web
from airflow_autoremed.spark import event_log, event_log_files, event_log_tallies
from airflow_autoremed.spark.event_log import RunReader, read_event_log
from airflow_autoremed.spark.event_log_files import EventLog, Lines, find_event_logs

MIB = 1024**2
NAMED = {f"spark.airflow.{name}": "1" for name in ("dag_id", "run_id", "task_id", "try_number")}
TASK = {
    "Event": "SparkListenerTaskEnd",
    "Stage ID": 1,
    "Task Info": {"Launch Time": 1795517158074, "Finish Time": 1795517158075},
    "Task End Reason": {"Reason": "Success"},
    "Task Metrics": {"Memory Bytes Spilled": 2**62, "Result Size": 2**62},
}
SAMPLE = {
    "Event": "SparkListenerStageExecutorMetrics",
    "Executor ID": "1",
    "Executor Metrics": {"JVMHeapMemory": 2**63 - 1, "DirectPoolMemory": 2**63 - 1},
}


def log_of(
    app_id: str = "app-x", name: str = "x", conf: dict[str, str] | None = None, more: tuple[Any, ...] = ()
) -> str:
    events = [
        {"Event": "SparkListenerLogStart", "Spark Version": "4.1.4"},
        {"Event": "SparkListenerEnvironmentUpdate", "Spark Properties": conf or {}},
        {
            "Event": "SparkListenerApplicationStart",
            "App Name": name,
            "App ID": app_id,
            "Timestamp": 1795517158074,
        },
        *more,
        {"Event": "SparkListenerApplicationEnd", "Timestamp": 1795517168074},
    ]
    return "".join(json.dumps(event) + "\n" for event in events)


HOSTILE = {
    "a lone surrogate in a name": log_of("app-1", "bad \ud800 name"),
    "a NUL in a name": log_of("app-2", "bad \x00 name"),
    "a very long id": log_of("a" * 100_000),
    "a very long Spark version": log_of(
        "app-3", more=({"Event": "SparkListenerLogStart", "Spark Version": "4" * 5000},)
    ),
    "a Dag of 1,000 characters": log_of("app-4", conf={**NAMED, "spark.airflow.dag_id": "d" * 1000}),
    "a Dag that is no text": log_of("app-5", conf={**NAMED, "spark.airflow.dag_id": "\ud800"}),
    "a map index of 30 digits": log_of("app-6", conf={**NAMED, "spark.airflow.map_index": "9" * 30}),
    "a try of 30 digits": log_of("app-7", conf={**NAMED, "spark.airflow.try_number": "9" * 30}),
    "many settings": log_of("app-8", conf={f"spark.airflow.k{i}": "v" * 1900 for i in range(100)}),
    "numbers that are none": log_of(
        "app-9",
        more=(
            {
                "Event": "SparkListenerExecutorAdded",
                "Timestamp": float("inf"),
                "Executor ID": "1",
                "Executor Info": {"Total Cores": float("nan")},
            },
        ),
    ),
    "deep nesting": '{"Event":"SparkListenerTaskEnd","x":' + "[" * 100_000 + "\n" + log_of("app-10"),
    "sums beyond 64 bits": log_of("app-11", more=(SAMPLE,) * 3 + (TASK,) * 9),
    "ids that are lists": log_of("app-12", more=({**TASK, "Stage ID": ["x"]},)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture
def url(airflow_home: Path) -> str:
    return f"sqlite:///{airflow_home}/autoremed.db"


def ingested(url: str, folder: Path) -> list[Ingested]:
    with closing(open_database(url, 5)) as database:
        return list(ingest(database, "default", sources_in([str(folder)])))


def test_whatever_a_log_says_the_others_are_recorded(url: str, folder: Path) -> None:
    for number, text in enumerate(HOSTILE.values()):
        (folder / f"app-{number:02}").write_text(text, errors="surrogatepass")
    (folder / "app-zz").write_text(log_of("app-good", "good"))
    fates = ingested(url, folder)
    assert len(fates) == len(HOSTILE) + 1
    assert fates[-1].fate is Fate.RECORDED
    assert [fate.problem for fate in fates if fate.fate is Fate.DAMAGED] == []
    with closing(open_database(url, 5)) as database:
        claimed = database.read(
            lambda c: c.exec_driver_sql("SELECT DISTINCT dag_id FROM autoremed_attempts").scalars().all()
        )
    assert not any(len(name) > 250 for name in claimed)


def test_a_log_that_the_store_does_not_take_is_named_and_the_next_one_follows(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_autoremed.history.queries import run_metrics

    real = run_metrics.record_run

    def refuses(connection: Any, deployment: str, run: Any, **how: Any) -> Any:
        if run.app_id == "app-bad":
            raise OverflowError("too large to convert")
        return real(connection, deployment, run, **how)

    monkeypatch.setattr(run_metrics, "record_run", refuses)
    (folder / "app-1").write_text(log_of("app-bad"))
    (folder / "app-2").write_text(log_of("app-good"))
    bad, good = ingested(url, folder)
    assert bad.fate is Fate.DAMAGED
    assert f"{folder}/app-1 was left out: OverflowError" in bad.problem
    assert good.fate is Fate.RECORDED


# ------------------------------------------------------------------------------------------------------- directories


def found_in(place: Path) -> tuple[list[str], list[str]]:
    """The names of logs, and what is said about the rest."""
    found = list(find_event_logs([str(place)]))
    logs = [Path(log.name).name for log in found if isinstance(log, EventLog)]
    return logs, [str(problem) for problem in found if isinstance(problem, EventLogError)]


def test_pipes_devices_and_links_are_named_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "app-good").write_text(log_of())
    os.mkfifo(tmp_path / "app-pipe")
    (tmp_path / "app-zero").symlink_to("/dev/zero")
    (tmp_path / "app-environ").symlink_to("/proc/self/environ")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "loop2").symlink_to(".")
    logs, problems = found_in(tmp_path)
    assert logs == ["app-good"]
    assert len(problems) == 5
    assert f"{tmp_path}/app-pipe is not a regular file" in problems
    assert sum("is a link, which is not followed" in problem for problem in problems) == 4


def test_a_link_that_the_user_names_is_followed(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "app-1").write_text(log_of())
    (tmp_path / "link").symlink_to("logs")
    assert found_in(tmp_path / "link") == (["app-1"], [])


def test_a_file_that_became_a_pipe_after_it_was_listed_hangs_nobody(tmp_path: Path) -> None:
    log = tmp_path / "app-1"
    log.write_text(log_of())
    (listed,) = (each for each in find_event_logs([str(tmp_path)]) if isinstance(each, EventLog))
    log.unlink()
    os.mkfifo(log)
    with pytest.raises(EventLogError, match="is not a regular file"):
        read_event_log(listed)


def test_a_pipe_that_the_user_names_hangs_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert found_in(tmp_path / "pipe") == ([], [f"{tmp_path}/pipe is not a regular file"])


def test_directories_without_end_are_searched_to_a_depth(tmp_path: Path) -> None:
    (tmp_path / "app-good").write_text(log_of())
    deep = tmp_path
    for _ in range(100):
        deep /= "d"
    deep.mkdir(parents=True)
    logs, problems = found_in(tmp_path)
    assert logs == ["app-good"]
    (problem,) = problems
    assert "lies too deep to be searched" in problem


def test_a_directory_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app-good").write_text(log_of())
    (tmp_path / "locked").mkdir()
    real = os.scandir

    def scandir(path: str) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(event_log_files.os, "scandir", scandir)
    logs, problems = found_in(tmp_path)
    assert logs == ["app-good"]
    assert problems == [f"{tmp_path}/locked cannot be read: Permission denied"]


# -------------------------------------------------------------------------------------------------- size and memory


def test_a_log_that_expands_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log_files, "_EXPANDS_FREELY", 4 * MIB)
    packed = tmp_path / "app-1"
    packed.write_bytes(gzip.compress(log_of().encode()[:-100] + b"\n" + b" \n" * (20 * MIB)))
    lines = Lines(EventLog("bomb", (str(packed),)))
    assert sum(map(len, lines)) < 10 * MIB
    assert "expands to more than 500 times its size" in lines.problem


def test_a_log_larger_than_a_log_can_be_ends_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log_files, "MAX_UNPACKED", 2 * MIB)
    log = tmp_path / "app-1"
    log.write_text(log_of() + " \n" * (4 * MIB))
    run = read_event_log(EventLog("large", (str(log),)))
    assert (run.app_id, run.complete) == ("app-x", False)


def test_an_event_too_large_to_be_parsed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "MAX_PARSED", 1000)
    reader = RunReader()
    assert not reader.feed_line(json.dumps({**TASK, "Accumulables": [{}] * 1000}).encode())
    assert reader.feed_line(json.dumps(TASK).encode())


def test_memory_does_not_grow_with_executors_and_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log_tallies, "MAX_EXECUTORS", 50)
    monkeypatch.setattr(event_log_tallies, "MAX_STAGES", 20)
    reader = RunReader()
    for number in range(500):
        heap, rss = (9 * MIB, 20 * MIB) if number == 3 else (MIB, 2 * MIB)
        reader.feed(
            {
                **SAMPLE,
                "Executor ID": str(number),
                "Executor Metrics": {"JVMHeapMemory": heap, "ProcessTreeJVMRSSMemory": rss},
            }
        )
        times = {"Launch Time": 1e12, "Finish Time": 1e12 + 1000}
        longest = {"Launch Time": 1e12, "Finish Time": 1e12 + 5000}
        for info in (*[times] * 9, longest if number == 5 else times):
            reader.feed({**TASK, "Stage ID": number, "Task Info": info, "Task Metrics": {}})
        reader.feed(
            {
                "Event": "SparkListenerExecutorAdded",
                "Timestamp": 1e12,
                "Executor ID": str(number),
                "Executor Info": {"Total Cores": number},
            }
        )
    assert len(reader._peaks._of) <= 50
    assert len(reader._skew._live) <= 20
    assert len(reader._containers._live) <= 50
    run = reader.result()
    assert (run.peak_heap, run.peak_overhead) == (9 * MIB, 11 * MIB), (
        "of the executors that were summed up, too"
    )
    assert run.skew == pytest.approx(5, rel=0.02)
    assert not run.complete, "what it says of its executors is not believed"


# -------------------------------------------------------------------------------------------------- History Server


class Handler(http.server.BaseHTTPRequestHandler):
    """Does what the test wants, and notes who asks."""

    asked: list[tuple[int, str, str | None]]
    answers: dict[str, tuple[int, dict[str, str], bytes]]

    def do_GET(self) -> None:
        port = self.server.server_address[1]
        self.asked.append((port, self.path, self.headers.get("Authorization")))
        code, headers, body = self.answers.get(self.path, (200, {}, b"[]"))
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def servers(
    answers: dict[str, tuple[int, dict[str, str], bytes]], number: int = 2
) -> Iterator[tuple[type[Handler], list[int]]]:
    handler = type("_Handler", (Handler,), {"asked": [], "answers": answers})
    started = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(number)]
    for each in started:
        threading.Thread(target=each.serve_forever, args=(0.01,), daemon=True).start()
    yield handler, [each.server_address[1] for each in started]
    for each in started:
        each.shutdown()
        each.server_close()


def test_a_history_server_sends_nobody_to_another_server() -> None:
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
    with servers(answers) as (handler, (first, second)):
        away = f"http://127.0.0.1:{second}/latest/meta-data"
        answers["/x"] = (302, {"Location": away}, b"")
        with Web(f"http://127.0.0.1:{first}", pause=lambda _: None) as web, pytest.raises(WebError) as told:
            web.json("/x")
        assert f"redirects to another server, http://127.0.0.1:{second}" in str(told.value)
        assert {port for port, *_ in handler.asked} == {first}


def test_a_redirect_in_the_same_house_is_followed() -> None:
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {
        "/x": (302, {"Location": "/x/"}, b""),
        "/x/": (200, {}, b"[1]"),
    }
    with servers(answers, 1) as (_, (port,)), Web(f"http://127.0.0.1:{port}") as web:
        assert web.json("/x") == [1]


def test_a_password_in_the_url_is_used_and_reaches_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with servers({}, 1) as (handler, (port,)), Web(f"http://bob:hunter987@127.0.0.1:{port}") as web:
        web.json("/api/v1/applications")
        assert handler.asked[0][2] == "Basic Ym9iOmh1bnRlcjk4Nw=="
        assert "hunter987" not in web.name + web.url
    assert "hunter987" not in caplog.text


def test_answers_without_end_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "LONGEST_DOWNLOAD", MIB)
    monkeypatch.setattr(web_module, "_LONGEST_ANSWER", MIB)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {
        "/large": (200, {}, b"[" + b" " * 3 * MIB + b"]"),
        "/error": (403, {}, b"x" * 3 * MIB),
    }
    with servers(answers, 1) as (_, (port,)), Web(f"http://127.0.0.1:{port}", pause=lambda _: None) as web:
        with pytest.raises(WebError, match="longer than 1,048,576 bytes"):
            web.json("/large")
        with (tmp_path / "file").open("w+b") as file, pytest.raises(WebError, match="longer than"):
            web.download("/large", file)
        with pytest.raises(WebError, match="403 Forbidden"):
            web.json("/error")
