"""Rules that stand beside a Dag hold for that Dag, before those of the deployment."""

from __future__ import annotations

import pytest

from airflow_autoremed import remediate
from airflow_autoremed.failures.rules.dag_folder_rules import dag_rules_paths
from tests.support.tasks import MISSING_TABLE, TaskInstance

RETRY_IT = """
- id: orders-come-late
  category: missing_data
  rank: 90
  restartable: as_is
  pattern: 'TABLE_OR_VIEW_NOT_FOUND.{0,120}`orders`'
  summary: The table of orders is not written yet.
"""


def test_the_nearest_rules_come_first_and_those_outside_the_dags_folder_do_not_count(tmp_path):
    dags = tmp_path / "dags"
    team = dags / "sales" / "daily"
    (team / "autoremed_rules").mkdir(parents=True)
    for folder in (tmp_path, dags):
        (folder / "autoremed_rules.yaml").write_text("")
    found = dag_rules_paths(str(team / "dag.py"), str(dags))
    assert found == (team / "autoremed_rules", dags / "autoremed_rules.yaml")


@pytest.mark.parametrize("fileloc", ["", "/nowhere/dag.py", "a\0b/dag.py", "dag.py"])
def test_an_odd_location_has_no_rules_of_its_own(fileloc, tmp_path):
    assert dag_rules_paths(fileloc, str(tmp_path)) == ()


def test_a_dag_outside_the_dags_folder_has_the_rules_beside_it(tmp_path):
    (tmp_path / "autoremed_rules.yaml").write_text("")
    assert dag_rules_paths(str(tmp_path / "dag.py"), "/elsewhere") == (tmp_path / "autoremed_rules.yaml",)


def test_the_root_of_a_dag_bundle_counts_like_the_dags_folder(tmp_path):
    from types import SimpleNamespace

    from airflow_autoremed.airflow.attempt.running import bundle_root, load_catalogue_of

    team = tmp_path / "bundle" / "team"
    team.mkdir(parents=True)
    (tmp_path / "bundle" / "autoremed_rules.yaml").write_text(RETRY_IT)
    ti = SimpleNamespace(bundle_instance=SimpleNamespace(path=tmp_path / "bundle"))
    operator = SimpleNamespace(get_dag=lambda: SimpleNamespace(fileloc=str(team / "dag.py")))
    assert load_catalogue_of(operator, bundle_root(ti)).get("orders-come-late").users


def test_a_team_declares_always_retry_this_beside_its_dag(spark_submit, spark_task, tmp_path, monkeypatch):
    from airflow.sdk import DAG, RetryAction

    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    spark_submit(MISSING_TABLE)
    task = spark_task()
    dag = DAG("shop")
    dag.fileloc = str(tmp_path / "dag.py")
    dag.add_task(task)
    remediate(task)
    assert TaskInstance(task).run().decision.action is RetryAction.FAIL
    (tmp_path / "autoremed_rules.yaml").write_text(RETRY_IT)
    assert TaskInstance(task, run_id="next").run().decision.action is RetryAction.DEFAULT
