"""The command line works with the configuration that the workers have."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from airflow_autoremed.cli import configuration
from airflow_autoremed.cli.main import app


@pytest.fixture
def config(airflow_home, monkeypatch):
    monkeypatch.delenv("AIRFLOW__AUTOREMED__STORE")

    def write(text):
        (airflow_home / "airflow.cfg").write_text(f"[autoremed]\n{text}\n")
        from airflow.sdk.configuration import conf

        conf.read(airflow_home / "airflow.cfg")

    yield write
    from airflow.sdk.configuration import conf

    conf.remove_section("autoremed")


def test_an_escape_in_the_file_is_read_as_airflow_reads_it(config):
    config("store = postgresql://u:p%%40ss@db/x")
    assert configuration.load().store == "postgresql://u:p%40ss@db/x"


def test_a_store_that_a_command_prints_is_the_store(config, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AUTOREMED__STORE_CMD", "echo sqlite:////tmp/from_command.db")
    assert configuration.load().store == "sqlite:////tmp/from_command.db"


def test_a_plain_configuration_needs_no_airflow(config, monkeypatch):
    config("mode = shadow")
    monkeypatch.setattr("airflow_autoremed.airflow.compat.airflow_option", lambda name: 1 / 0)
    assert configuration.load().mode.value == "shadow"


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ({"conn_type": "postgres", "host": "db", "login": "u", "password": "p@ss/w:rd", "schema": "x", "port": 5432},
         "postgresql://u:p%40ss%2Fw%3Ard@db:5432/x"),
        ({"conn_type": "postgres", "host": "db", "schema": "x", "extra": {"sslmode": "require", "iam": True}},
         "postgresql://db/x?sslmode=require"),
        ({"conn_type": "sqlite", "host": "/data/c.db"}, "sqlite:////data/c.db"),
        ({"conn_type": "mysql", "host": "db", "schema": "x", "extra": {"charset": "utf8mb4"}},
         "mysql://db/x?charset=utf8mb4"),
    ],
)  # fmt: skip
def test_a_connection_of_airflow_becomes_a_url_that_its_driver_takes(monkeypatch, connection, url):
    from airflow_autoremed.airflow.compat import connection_url

    monkeypatch.setenv("AIRFLOW_CONN_HISTORY", json.dumps(connection))
    assert connection_url("history") == url


# ------------------------------------------------------------------------------------------------- doctor


def doctor():
    done = CliRunner().invoke(app, ["doctor", "--format", "json"])
    return json.loads(done.stdout)


def test_doctor_names_a_misspelt_option_and_what_was_meant(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AUTOREMED__MAX_CONTAINER_MEM", "16g")
    told = [each["detail"] for each in doctor()["findings"]]
    assert any("max_container_mem (environment) is not an option" in each for each in told)
    assert any("did you mean max_container_memory?" in each for each in told)


def test_doctor_shows_every_option_with_its_value_and_who_set_it(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AUTOREMED__RETENTION", "90d")
    options = {each["name"]: each for each in doctor()["options"]}
    assert options["retention"] == {"name": "retention", "value": "90d", "source": "environment"}
    assert options["mode"]["source"] == "default"
    assert "promote_across_mapped" in options


def test_doctor_shows_no_password(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AUTOREMED__STORE", "postgresql://u:hunter2@127.0.0.1:1/x")
    monkeypatch.setenv("AIRFLOW__AUTOREMED__STORE_DEADLINE", "1")
    assert "hunter2" not in CliRunner().invoke(app, ["doctor"]).output
    assert "hunter2" not in json.dumps(doctor())


# --------------------------------------------------------------------------------------- looking changes nothing


@pytest.mark.parametrize(
    "command",
    [
        ["history"],
        ["show", "dag", "task"],
        ["patches", "list"],
        ["doctor"],
        ["db", "check"],
        ["rules", "suggest"],
    ],
    ids=" ".join,
)
def test_a_command_that_only_looks_creates_nothing(command, airflow_home):
    CliRunner().invoke(app, command)
    assert list(airflow_home.rglob("*.db")) == []


def test_a_store_of_an_earlier_version_is_not_upgraded_by_looking(airflow_home):
    from sqlalchemy import create_engine

    from airflow_autoremed.history.db import schema_state
    from tests.support import stores

    url = f"sqlite:///{airflow_home}/autoremed.db"
    engine = create_engine(url)
    stores.make(engine, 3)
    done = CliRunner().invoke(app, ["history"])
    assert done.exit_code == 2
    assert "autoremed db upgrade" in done.output
    CliRunner().invoke(app, ["doctor"])
    with engine.connect() as connection:
        assert schema_state.look(connection).version == 3


def test_whose_file_it_is_that_cannot_be_opened_is_said(airflow_home, monkeypatch):
    path = airflow_home / "autoremed.db"
    path.write_bytes(b"")
    monkeypatch.setattr("os.access", lambda *args: False)
    monkeypatch.setattr("getpass.getuser", lambda: "airflow")
    monkeypatch.setattr(
        "airflow_autoremed.cli.store_access.look_at",
        lambda *args: (_ for _ in ()).throw(OSError("unable to open")),
    )
    done = CliRunner().invoke(app, ["history"])
    assert done.exit_code == 2
    assert f"{path} belongs to {path.owner()}, and airflow may not read and write it" in " ".join(
        done.output.split()
    )
