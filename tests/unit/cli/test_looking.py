"""A command that looks creates nothing, whoever runs it: a root shell must not lock the workers out."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from airflow_autoremed.cli.main import app


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("history", 0),
        ("history --outcome failed", 0),
        ("show etl load", 1),
        ("patches list", 0),
        ("patches show ab", 1),
        ("patches revoke ab --why wrong", 2),
        ("models list", 0),
        ("models show m", 1),
        ("models promote m", 1),
        ("models rollback", 1),
        ("replay", 0),
        ("rightsize", 0),
        ("train", 2),
        ("doctor", 0),
        ("db check", 1),
        ("db prune --older-than 90d --dry-run", 0),
        ("db export {tmp}/exported", 2),
        ("rules coverage --history", 0),
        ("rules suggest", 0),
    ],
)
def test_it_creates_no_file_and_ends_in_a_plain_message(command, code, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("AIRFLOW_HOME", str(home))
    for name in ("AIRFLOW_CONFIG", "AIRFLOW__AUTOREMED__STORE", "AIRFLOW__AUTOREMED__MODELS_PATH"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(app, command.format(tmp=tmp_path).split())
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    assert done.output.strip()
    assert not home.exists()
    assert not (tmp_path / "exported").exists()


def test_a_plot_that_cannot_be_written_is_said_in_one_line(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["replay", "--plot", str(tmp_path / "no" / "such" / "x.png")])
    assert done.exit_code == 2
    assert "--plot:" in done.stderr
    assert "cannot be written: No such file or directory" in done.stderr
