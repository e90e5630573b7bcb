"""Who is asking, and may they. Airflow guards nothing of what a plugin serves.

All that is taken from Airflow's private modules stands here; it is the same in 3.1 to 3.3.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep as CurrentUser
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, Request

from airflow_autoremed.airflow.compat import base_url

__all__ = [
    "EDITS_DAG",
    "READS_DAG",
    "SIGNED_IN",
    "STEERS_ALL",
    "CurrentUser",
    "form_fields",
    "may_edit",
    "may_steer_all",
    "readable_dags",
]

_LONGEST_FORM = 16 * 1024


def _signed_in(user: CurrentUser) -> None:
    """Airflow's own dependency refuses whoever is not."""


def _names_one_dag(dag_id: str) -> None:
    """Airflow takes ``~`` for "any Dag", and asks less of who names it."""
    if dag_id == "~":
        raise HTTPException(404, "There is no such Dag.")


def _same_origin(request: Request) -> None:
    """Neither Airflow nor its auth managers guard against requests that another site makes in a user's name.

    A bearer token is sent by programs only, never by a browser on its own. Of a browser, the header
    ``Sec-Fetch-Site`` tells, or, where it sends none, ``Origin``.
    """
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return
    site = request.headers.get("sec-fetch-site")
    if site == "same-origin":
        return
    origin = urlsplit(request.headers.get("origin", "")).netloc
    own = {request.headers.get("host"), urlsplit(base_url() or "").netloc} - {None, ""}
    if site is None and origin in own:
        return
    raise HTTPException(403, "This request came from another site.")


def may_steer_all(user: Any) -> bool:
    """Whether a user may change what concerns every Dag.

    Auth managers know no "administrator" to ask for. Who may change variables, which are of the whole deployment, is
    one in all of them: an Op or Admin. A member of a team has that right within the team only.
    """
    if getattr(user, "teams", None):
        return False
    return bool(get_auth_manager().is_authorized_variable(method="PUT", user=user))


def _steers_all(user: CurrentUser) -> None:
    if not may_steer_all(user):
        raise HTTPException(403, "This concerns every Dag: it needs the right to change Airflow's variables.")


SIGNED_IN = [Depends(_signed_in)]
READS_DAG = [
    Depends(_names_one_dag),
    Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE)),
]
"""For routes with ``dag_id`` in their path, where alone every version looks for it."""
EDITS_DAG = [Depends(_same_origin), Depends(_names_one_dag), Depends(requires_access_dag("PUT"))]
STEERS_ALL = [Depends(_same_origin), Depends(_steers_all)]
"""For actions that concern every Dag."""


def may_edit(user: Any, dag_id: str) -> bool:
    """Whether a user may change what happens to a Dag."""
    team_of = getattr(DagModel, "get_team_name", None)  # 3.2 and newer
    team = {} if team_of is None else {"team_name": team_of(dag_id)}
    return bool(
        get_auth_manager().is_authorized_dag(method="PUT", details=DagDetails(id=dag_id, **team), user=user)
    )


def readable_dags(user: Any) -> set[str]:
    """The ids of the Dags that a user may read."""
    return set(get_auth_manager().get_authorized_dag_ids(user=user, method="GET"))


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of a posted form, each once.

    :raises HTTPException: for more than our forms hold.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_FORM:
            raise HTTPException(413, "The form is too large.")
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
