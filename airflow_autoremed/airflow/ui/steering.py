"""The routes by which people set modes: off, shadow or act for a task, a Dag, a category of failures or everything."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from airflow_autoremed.airflow.options import settings
from airflow_autoremed.airflow.ui import addresses, pages_html
from airflow_autoremed.airflow.ui.acting import Fields, who, why
from airflow_autoremed.airflow.ui.guards import (
    EDITS_DAG,
    SIGNED_IN,
    STEERS_ALL,
    CurrentUser,
    may_edit,
    may_steer_all,
    readable_dags,
)
from airflow_autoremed.airflow.ui.history import store
from airflow_autoremed.errors import StoreError
from airflow_autoremed.taxonomy import CATEGORIES
from airflow_autoremed.types import Mode, Override

_MOST = 200

router = APIRouter()


@router.get("/modes", dependencies=SIGNED_IN)
def modes(request: Request, user: CurrentUser) -> Response:
    """Every mode that a person set, with who, when and why."""
    readable = readable_dags(user)
    found = [each for each in store().overrides(_MOST) if not each.dag_id or each.dag_id in readable]
    in_force = [each for each in found if each.ended_at is None]
    admin = may_steer_all(user)
    editable = {dag_id for dag_id in {each.dag_id for each in in_force} if dag_id and may_edit(user, dag_id)}
    return pages_html.render(
        request,
        "modes.html",
        in_force=in_force,
        ended=[each for each in found if each.ended_at is not None],
        mode=settings().mode.value,
        categories=sorted(CATEGORIES),
        may_steer_all=admin,
        may_undo={each.id for each in in_force if (each.dag_id in editable if each.dag_id else admin)},
        stop=stop_in_force(),
    )


@router.post("/modes", dependencies=STEERS_ALL)
def set_for_all(request: Request, user: CurrentUser, fields: Fields) -> Response:
    """For a category of failures, or everything."""
    category = fields.get("category", "")
    mode = _mode(fields)
    if category and category not in CATEGORIES:
        raise HTTPException(422, "There is no such category of failures.")
    if not category and mode is Mode.ACT:
        raise HTTPException(422, "Everything can be switched off or to shadow mode, not to act.")
    store().set_mode(Override(mode, who(user), why(fields), _now(), category=category))
    return _to_modes(request)


@router.post("/modes/{number}/undo", dependencies=STEERS_ALL)
def undo_for_all(request: Request, user: CurrentUser, number: int, fields: Fields) -> Response:
    """End what was set for a category or for everything."""
    _known(number, dag_id="")
    store().end_override(number, who=who(user), why=why(fields))
    return _to_modes(request)


@router.post("/dags/{dag_id}/mode", dependencies=EDITS_DAG)
def set_for_dag(request: Request, user: CurrentUser, dag_id: str, fields: Fields) -> Response:
    """For a Dag, or the task of it that the form names."""
    task_id = fields.get("task_id", "")
    store().set_mode(Override(_mode(fields), who(user), why(fields), _now(), dag_id, task_id))
    return _back(request, fields, dag_id)


@router.post("/dags/{dag_id}/modes/{number}/undo", dependencies=EDITS_DAG)
def undo_for_dag(request: Request, user: CurrentUser, dag_id: str, number: int, fields: Fields) -> Response:
    """End what was set for a Dag or a task of it."""
    _known(number, dag_id=dag_id)
    store().end_override(number, who=who(user), why=why(fields))
    return _back(request, fields, dag_id)


def stop_in_force() -> Override | None:
    """What a person set for everything, while it holds; ``None`` also where the store cannot say."""
    try:
        found = store().overrides(_MOST, in_force_only=True)
    except StoreError:
        return None
    return next((each for each in found if not each.dag_id and not each.category), None)


def _known(number: int, *, dag_id: str) -> None:
    """Who may edit one Dag must not reach what was set for another, or for everything."""
    found = store().override(number)
    if found is None or found.dag_id != dag_id:
        raise HTTPException(404, "No such mode was set here.")


def _mode(fields: dict[str, str]) -> Mode:
    try:
        return Mode(fields.get("mode", ""))
    except ValueError:
        raise HTTPException(422, "The mode is off, shadow or act.") from None


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _to_modes(request: Request) -> Response:
    return RedirectResponse(pages_html.address(request, "modes"), status_code=303)


def _back(request: Request, fields: dict[str, Any], dag_id: str) -> Response:
    """To the task whose page the form was on."""
    page = fields.get("page", "")
    path = addresses.task(dag_id, page) if page else "modes"
    return RedirectResponse(pages_html.address(request, path), status_code=303)
