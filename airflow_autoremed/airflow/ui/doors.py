"""Where people come in: tabs, a menu entry, and a link on the task instance. Loaded in every process of Airflow, so
it imports nothing but what Airflow itself has loaded."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from airflow import __version__ as _airflow_version

from airflow_autoremed.airflow.ui import addresses
from airflow_autoremed.airflow.ui.addresses import PREFIX

NAME = "Remediation"
_FIRST_WITH_PAGES = (3, 1, 1)
"""Before, a page could not tell who asks: browsers hold no session cookie that reaches it."""
_OURS = "airflow_autoremed.airflow.opt_in.operators.RemediatedSparkSubmitOperator"

_RUN = f"{PREFIX}/dags/{{DAG_ID}}/runs/{{RUN_ID}}/tasks/{{TASK_ID}}?map_index={{MAP_INDEX}}"
_ICON = f"{PREFIX}/static/icon.svg"


class LazyPages:
    """The pages as an ASGI application that is imported by its first request: workers load plugins too, and FastAPI
    would cost each of their attempts more than a second."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        from airflow_autoremed.airflow.ui.app import pages

        await pages(scope, receive, send)


def has_pages(version: str = _airflow_version) -> bool:
    """Whether this Airflow can show the pages."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    return numbers >= _FIRST_WITH_PAGES


def fastapi_apps() -> list[dict[str, Any]]:
    """For the plugin: the pages themselves."""
    return [{"app": LazyPages(), "url_prefix": f"/{PREFIX}", "name": PREFIX}] if has_pages() else []


def external_views() -> list[dict[str, Any]]:
    """For the plugin: tabs and the menu entry. No address begins with a slash, so that it holds behind a prefix."""
    if not has_pages():
        return []
    task = f"{PREFIX}/dags/{{DAG_ID}}/tasks/{{TASK_ID}}"
    return [
        _view("task_instance", "autoremed-attempts", _RUN),
        _view("task", "autoremed-task", task),
        _view("nav", "autoremed", f"{PREFIX}/overview", category="browse"),
    ]


def operator_links() -> list[Any]:
    """For the plugin: a link on every task instance of an operator that can be remediated. It is the way in for users
    to whom Airflow shows no tabs of plugins (the default roles Viewer and User of the FAB provider)."""
    return [_link()] if has_pages() else []


def _view(destination: str, route: str, href: str, **more: str) -> dict[str, Any]:
    return {
        "name": NAME,
        "destination": destination,
        "url_route": route,
        "href": href,
        "icon": _ICON,
        **more,
    }


def _link() -> Any:
    from airflow.sdk import BaseOperatorLink

    class RemediationLink(BaseOperatorLink):
        """Computed in the api-server at each view of the task instance, so it asks nobody anything."""

        name = NAME

        @property
        def operators(self) -> list[type]:
            return _stand_ins()

        def get_link(self, operator: Any, *, ti_key: Any) -> str:
            return f"{PREFIX}/" + addresses.attempts(
                ti_key.dag_id, ti_key.run_id, ti_key.task_id, getattr(ti_key, "map_index", -1)
            )

    return RemediationLink()


@lru_cache(maxsize=1)
def _stand_ins() -> list[type]:
    """Classes with the names of the operators: Airflow compares module and name, so no provider has to be imported.
    Only who asks for the links pays for the table."""
    from airflow_autoremed.platforms import operator_names

    return [
        type(full.rpartition(".")[2], (), {"__module__": full.rpartition(".")[0]})
        for full in (*operator_names(), _OURS)
    ]
