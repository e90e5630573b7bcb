"""How people come in, and what every other process of Airflow pays for it."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from airflow_autoremed.airflow.ui import doors


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ("2.11.2", False),
        ("3.0.6", False),
        ("3.1.0", False),
        ("3.1.1", True),
        ("3.3.2", True),
        ("3.4.0b1", True),
    ],
)
def test_pages_are_offered_where_a_browser_can_be_recognised(version: str, shown: bool) -> None:
    assert doors.has_pages(version) is shown


def test_no_worker_loads_the_page() -> None:
    code = (
        "import sys, airflow_autoremed.airflow.plugin\n"
        "print([m for m in ('airflow_autoremed.airflow.ui.app', 'airflow_autoremed.airflow.ui.guards', 'sqlalchemy.orm') "
        "if m.startswith('airflow_autoremed') and m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_every_address_holds_behind_a_prefix_and_names_its_dag_in_the_path() -> None:
    for view in doors.external_views():
        assert not view["href"].startswith("/")
        assert view["destination"] == "nav" or "/dags/{DAG_ID}/" in view["href"]


def test_routes_of_tabs_are_unique() -> None:
    routes = [view["url_route"] for view in doors.external_views()]
    assert len(set(routes)) == len(routes)


def test_a_spark_task_links_to_its_page() -> None:
    (link,) = doors.operator_links()
    names = {f"{operator.__module__}.{operator.__name__}" for operator in link.operators}
    assert "airflow.providers.apache.spark.operators.spark_submit.SparkSubmitOperator" in names
    key = SimpleNamespace(dag_id="a dag", run_id="manual__1+00:00", task_id="load", map_index=-1)
    address = link.get_link(None, ti_key=key)
    assert address == "autoremed/dags/a%20dag/runs/manual__1%2B00%3A00/tasks/load"


def test_a_mapped_instance_links_to_its_own_page() -> None:
    (link,) = doors.operator_links()
    key = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=3)
    assert link.get_link(None, ti_key=key).endswith("/tasks/t?map_index=3")
