"""The routes. Loaded by the api-server, at the first request.

Handlers are plain functions: FastAPI runs those in threads, and the store blocks. Every route is guarded; a test
walks them.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from airflow_autoremed.airflow.options import settings
from airflow_autoremed.airflow.ui import (
    addresses,
    evidence_view,
    pages_html,
    patch_view,
    steering,
    totals,
    wording,
)
from airflow_autoremed.airflow.ui.acting import Fields, who, why
from airflow_autoremed.airflow.ui.guards import (
    EDITS_DAG,
    READS_DAG,
    SIGNED_IN,
    CurrentUser,
    may_edit,
    readable_dags,
)
from airflow_autoremed.airflow.ui.headers import SecureHeaders
from airflow_autoremed.airflow.ui.history import store
from airflow_autoremed.airflow.ui.task_history import size_chart
from airflow_autoremed.errors import StoreError
from airflow_autoremed.history.db import row_keys
from airflow_autoremed.history.stored import OUT_OF_FORCE, AttemptFilter, StoredPatch
from airflow_autoremed.remediation import modes
from airflow_autoremed.types import PatchState

_STATIC = Path(__file__).parent / "static"
_FILES = frozenset(path.name for path in _STATIC.iterdir() if path.is_file())
_MOST_ATTEMPTS = 100
_MOST_PATCHES = 20
_MOST_DAYS = 90
_RUNS_AROUND = 200

app = FastAPI(title="autoremed", docs_url=None, redoc_url=None, openapi_url=None)

app.include_router(steering.router)


@app.get("/static/{name}", dependencies=SIGNED_IN)
def static(name: str) -> Response:
    """Style sheet, script and icon."""
    if name not in _FILES:
        raise HTTPException(404, "There is no such file.")
    return FileResponse(_STATIC / name, headers={"cache-control": "private, max-age=3600"})


@app.get("/overview", dependencies=SIGNED_IN)
def overview(
    request: Request, user: CurrentUser, days: Annotated[int, Query(ge=1, le=_MOST_DAYS)] = 30
) -> Response:
    """What needs a person, then totals."""
    since = datetime.now(timezone.utc) - timedelta(days=days)
    found = totals.of(store().overview(since), readable_dags(user))
    return pages_html.render(
        request,
        "overview.html",
        totals=found,
        days=days,
        mode=settings().mode.value,
        stop=steering.stop_in_force(),
    )


@app.get("/health", dependencies=SIGNED_IN)
def health(request: Request) -> Response:
    """Whether the store can be used from here, and what this deployment is set to."""
    configured = settings()
    return pages_html.render(
        request,
        "health.html",
        stop=steering.stop_in_force(),
        checks=store().check(),
        settings=configured,
        limits=configured.limits,
    )


@app.get("/dags/{dag_id}/tasks/{task_id}", dependencies=READS_DAG)
def task(request: Request, user: CurrentUser, dag_id: str, task_id: str) -> Response:
    """One task over all runs."""
    since = datetime.now(timezone.utc) - timedelta(days=_MOST_DAYS)
    wanted = AttemptFilter(dag_id=dag_id, task_id=task_id, since=since)
    rows = store().recent(_MOST_ATTEMPTS, wanted, mark_unreadable=True)
    patches = store().patches_of(dag_id, task_id, _MOST_PATCHES)
    in_force = [each for each in patches if each.state is PatchState.PROMOTED]
    overrides = store().overrides_of(dag_id, task_id)
    mode, set_by = modes.effective(settings().mode, overrides)
    latest = next((row for row in rows if row.baseline), None)
    return pages_html.render(
        request,
        "task.html",
        dag_id=dag_id,
        task_id=task_id,
        rows=rows,
        latest=latest,
        patches=patches,
        out_of_force=OUT_OF_FORCE,
        in_force=in_force,
        permanent=patch_view.for_the_dag_file(in_force[0].patch) if in_force else (),
        chart=size_chart(rows),
        may_edit=may_edit(user, dag_id),
        mode=mode.value,
        set_by=set_by,
        overrides=overrides,
        stop=steering.stop_in_force(),
    )


@app.get("/dags/{dag_id}/runs/{run_id:path}/tasks/{task_id}", dependencies=READS_DAG)
def attempts(
    request: Request,
    user: CurrentUser,
    dag_id: str,
    run_id: str,
    task_id: str,
    map_index: Annotated[str, Query(max_length=20)] = "-1",
) -> Response:
    """The attempts of one task instance."""
    index = _map_index(map_index)
    rows = store().one(dag_id, run_id, task_id, index, mark_unreadable=True)
    runs = store().runs_of(dag_id, task_id, index, _RUNS_AROUND)
    place = runs.index(run_id) if run_id in runs else None
    keys = {row.patch_key for row in rows if row.patch_key} | _proposed_keys(rows)
    patches = [each for each in store().patches_of(dag_id, task_id, _MOST_PATCHES) if each.key in keys]
    sentence, kind = wording.headline(rows) if rows else ("", "neutral")
    return pages_html.render(
        request,
        "attempts.html",
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        map_index=index,
        rows=rows,
        evidence={row.attempt.try_number: evidence_view.of(row.lines, row.excerpt) for row in rows},
        headline=sentence,
        kind=kind,
        earlier=None if place is None or place + 1 >= len(runs) else runs[place + 1],
        later=None if not place else runs[place - 1],
        patches=patches,
        out_of_force=OUT_OF_FORCE,
        may_edit=may_edit(user, dag_id),
        stop=steering.stop_in_force(),
    )


@app.post("/dags/{dag_id}/patches/{key}/revoke", dependencies=EDITS_DAG)
def revoke(request: Request, user: CurrentUser, dag_id: str, key: str, fields: Fields) -> Response:
    """Take a patch back: coming attempts start as declared."""
    patch = _patch_of(dag_id, key)
    store().end_patch(patch.key, PatchState.REVOKED, who=who(user), why=why(fields))
    return _back(request, patch)


@app.post("/dags/{dag_id}/patches/{key}/restore", dependencies=EDITS_DAG)
def restore(request: Request, user: CurrentUser, dag_id: str, key: str, fields: Fields) -> Response:
    """Put a patch for every run of a task in force again, after it was taken back."""
    patch = _patch_of(dag_id, key)
    if patch.patch.scope.kind != "task" or patch.state not in OUT_OF_FORCE:
        raise HTTPException(409, "Only a promoted patch that was taken back can be put in force again.")
    reason = f"{why(fields)} (put in force again: patch {patch.key[:12]})"
    store().promote_patch(patch.patch, category=patch.category, who=who(user), why=reason)
    return _back(request, patch)


@app.exception_handler(StoreError)
def _no_store(request: Request, error: Exception) -> Response:
    return pages_html.render(request, "no_store.html", status=503, message=str(error))


@app.exception_handler(Exception)
def _our_fault(request: Request, error: Exception) -> Response:
    """Shows nothing of what went wrong: it may hold anything."""
    message = "This page could not be made. The log of Airflow's api-server says why."
    return pages_html.render(request, "refused.html", status=500, code=500, message=message)


@app.exception_handler(StarletteHTTPException)
def _refused(request: Request, error: Any) -> Response:
    return pages_html.render(
        request, "refused.html", status=error.status_code, code=error.status_code, message=str(error.detail)
    )


def _map_index(text: str) -> int:
    """Airflow leaves its placeholder as it is where the task is not mapped."""
    number = text.removeprefix("-")
    return int(text) if number.isascii() and number.isdigit() and len(number) < 10 else -1


def _proposed_keys(rows: Any) -> set[str]:
    """The names of the patches that were decided upon after these attempts."""
    return {row_keys.attempt_key(store().deployment, row.attempt) for row in rows}


def _patch_of(dag_id: str, key: str) -> StoredPatch:
    """The patch of that whole key, if it is of that Dag: who may edit one Dag must not reach another's."""
    found = [each for each in store().find_patches(key) if each.key == key]
    if not found or found[0].patch.scope.dag_id != dag_id:
        raise HTTPException(404, "There is no such patch.")
    return found[0]


def _back(request: Request, patch: StoredPatch) -> Response:
    """To the page of the task, where the change is seen."""
    scope = patch.patch.scope
    return RedirectResponse(
        pages_html.address(request, addresses.task(scope.dag_id, scope.task_id)), status_code=303
    )


pages = SecureHeaders(app)
"""What is mounted."""
