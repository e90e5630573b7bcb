"""Where the pages are, below Airflow's own address."""

from __future__ import annotations

from urllib.parse import quote

PREFIX = "autoremed"
"""Where the pages are mounted."""


def task(dag_id: str, task_id: str) -> str:
    """Of a task over all runs, below :data:`PREFIX`."""
    return f"dags/{_segment(dag_id)}/tasks/{_segment(task_id)}"


def attempts(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    """Of a task instance, below :data:`PREFIX`."""
    path = f"dags/{_segment(dag_id)}/runs/{_segment(run_id)}/tasks/{_segment(task_id)}"
    return f"{path}?map_index={map_index}" if map_index >= 0 else path


def _segment(name: str) -> str:
    return quote(name, safe="")
