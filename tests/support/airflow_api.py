"""A stand-in of the REST API of Airflow."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from airflow_autoremed.ingestion import web as web_module
from airflow_autoremed.ingestion.web import Web

NOW = datetime.now(timezone.utc).replace(microsecond=0)

CONF = {
    "spark.executor.memory": "4g",
    "spark.executor.instances": "2",
    "spark.hadoop.fs.s3a.secret.key": "hush",
}


def instance(
    task_id: str = "load",
    *,
    hours_ago: float = 5,
    lasted_s: float = 60,
    state: str | None = "success",
    **more: Any,
) -> dict[str, Any]:
    started = NOW - timedelta(hours=hours_ago)
    ended = started + timedelta(seconds=lasted_s)
    over = state not in ("running", "deferred", None)
    return {
        "dag_id": "shop",
        "dag_run_id": "scheduled__2026-03-01T00:00:00+00:00",
        "task_id": task_id,
        "map_index": -1,
        "start_date": started.isoformat().replace("+00:00", "Z"),
        "end_date": ended.isoformat().replace("+00:00", "Z") if over else None,
        "duration": lasted_s if over else None,
        "state": state,
        "try_number": 1,
        "max_tries": 3,
        "operator": "SparkSubmitOperator",
        "rendered_fields": {"conf": CONF, "application": "job.py"},
        **more,
    }


class Airflow:
    """An API server of Airflow as far as we ask it."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.instances = [instance()]
        self.tries: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[httpx.URL] = []
        self.authorization: list[str] = []
        self.broken: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.raw_path.decode().partition("?")[0])
        if path == "/auth/token" and self.version == 2:
            return httpx.Response(201, json={"access_token": "jwt"})
        root = f"/api/v{self.version}"
        if not path.startswith(root):
            return httpx.Response(404, json={"detail": "Not Found"})
        if path == f"{root}/version":
            return httpx.Response(200, json={"version": "x"})
        self.asked.append(request.url)
        self.authorization.append(request.headers.get("Authorization", ""))
        if any(word in path for word in self.broken):
            return httpx.Response(404, json={"detail": "gone"})
        if path.endswith("/tries"):
            found = self.tries[path[len(root) :]]
            return httpx.Response(200, json={"task_instances": found, "total_entries": len(found)})
        assert path == f"{root}/dags/~/dagRuns/~/taskInstances"
        query = request.url.params
        known = {"start_date_gte", "start_date_lte", "limit", "offset"}
        if self.version == 1 and set(query) - known:
            return httpx.Response(400, json={"detail": "Extra query parameter(s)"})
        begin, end = (datetime.fromisoformat(query[f"start_date_{side}"]) for side in ("gte", "lte"))
        found = [
            each
            for each in self.instances
            if each["start_date"]
            and begin <= datetime.fromisoformat(each["start_date"].replace("Z", "+00:00")) <= end
        ]
        if self.version == 2:
            found = [each for each in found if each["operator"] in query.get_list("operator")]
        offset = int(query["offset"])
        page = found[offset : offset + min(100, int(query["limit"]))]
        return httpx.Response(200, json={"task_instances": page, "total_entries": len(found)})


@pytest.fixture(name="airflow", params=[1, 2])
def airflow_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    server = Airflow(request.param)
    real = web_module.Web

    def to_server(url: str, **options: Any) -> Web:
        return real(url, transport=httpx.MockTransport(server), pause=lambda seconds: None, **options)

    monkeypatch.setattr(web_module, "Web", to_server)
    return server
