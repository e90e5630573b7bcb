"""The operators of a training Dag: what they leave in the store, in the registry of models, and in the task log."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from airflow_autoremed import IngestHistoryOperator, TrainModelOperator
from airflow_autoremed.airflow.compat import AirflowFailException, AirflowSkipException
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.history import Store
from airflow_autoremed.learning import registry
from tests.support.airflow_api import airflow_server  # noqa: F401 - a fixture
from tests.support.filled_store import filled_store  # noqa: F401 - a fixture
from tests.support.task_histories import history

REAL = Path(__file__).parents[2] / "data" / "event_logs"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    shutil.copytree(REAL / "plain", tmp_path / "logs")
    return tmp_path / "logs"


def ingest(**arguments: Any) -> dict[str, int]:
    counts: dict[str, int] = IngestHistoryOperator(task_id="ingest", **arguments).execute({})
    return counts


def train(**arguments: Any) -> dict[str, Any]:
    report: dict[str, Any] = TrainModelOperator(task_id="train", **arguments).execute({})
    return report


def test_event_logs_become_history_once(logs, airflow_home):
    first = ingest(event_logs=[str(logs)])
    assert first["logs recorded"] >= 1
    again = ingest(event_logs=str(logs))
    assert again["logs unchanged"] == first["logs recorded"]
    assert "logs recorded" not in again
    assert len(Store(f"sqlite:///{airflow_home}/autoremed.db").recent(10)) == first["logs recorded"]


def test_a_damaged_log_is_named_and_the_others_are_taken_in(logs, capsys):
    (logs / "app-broken").write_text("this is no event log\n")
    counts = ingest(event_logs=[str(logs)])
    assert counts["logs damaged"] == 1
    assert counts["logs recorded"] >= 1
    assert "app-broken" in capsys.readouterr().out


def test_airflows_own_history_is_taken_in_through_a_connection(airflow, airflow_home, monkeypatch):
    connection = {"conn_type": "http", "host": "airflow", "port": 8080, "login": "ann", "password": "hush"}
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps(connection))
    counts = ingest(airflow_conn_id="airflow_api")
    assert (
        counts["task instances seen"],
        counts["attempts of Spark tasks"],
        counts["attempts recorded for the first time"],
    ) == (
        1,
        1,
        1,
    )
    (row,) = Store(f"sqlite:///{airflow_home}/autoremed.db").recent(10)
    assert row.attempt.task_id == "load"


def test_a_password_without_a_login_is_a_token(airflow, monkeypatch):
    connection = {"conn_type": "http", "host": "http://airflow:8080", "password": "mine"}
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps(connection))
    ingest(airflow_conn_id="airflow_api", since="1d")
    assert set(airflow.authorization) == {"Bearer mine"}


def test_nothing_to_ingest_is_said_when_the_dag_file_is_read():
    with pytest.raises(SettingsError, match="give event_logs="):
        IngestHistoryOperator(task_id="ingest")


def test_training_says_what_the_command_says_and_the_model_that_passed_decides(filled, airflow_home):
    report = train()
    assert report["attempts"] == len(history(25, 8))
    passed = all(each["passed"] for each in report["audits"])
    champion = registry.champion_name(airflow_home / "autoremed" / "models")
    assert champion == (report["name"] if passed else None)
    assert report["promoted"] == passed
    json.dumps(report)  # it becomes an XCom


def test_a_model_that_fails_an_audit_is_not_used_and_the_log_says_which(
    filled,
    airflow_home,
    monkeypatch,
    capsys,
):
    monkeypatch.setattr("airflow_autoremed.learning.audits.LEAST_OUTCOMES", 10**6)
    report = train()
    assert not report["promoted"]
    assert registry.champion_name(airflow_home / "autoremed" / "models") is None
    said = capsys.readouterr().out
    assert "audit enough outcomes: FAILED" in said
    assert "the playbook decides as before" in said


def test_promotion_can_be_left_to_a_person(filled, airflow_home):
    assert not train(promote=False)["promoted"]
    assert registry.champion_name(airflow_home / "autoremed" / "models") is None


def test_with_too_little_history_the_task_is_skipped(airflow_home):
    Store(f"sqlite:///{airflow_home}/autoremed.db").open()
    with pytest.raises(AirflowSkipException, match="0 attempts with a known end are too few"):
        train()


def test_a_worker_without_scikit_learn_is_told_what_to_install(filled, monkeypatch):
    def absent(*_: Any, **__: Any) -> None:
        raise ImportError("No module named 'sklearn'")

    monkeypatch.setattr("airflow_autoremed.learning.training_run.run", absent)
    with pytest.raises(AirflowFailException, match=r"airflow-autoremed\[learning\]"):
        train()
