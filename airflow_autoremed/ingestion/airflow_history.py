"""Attempts from Airflow's own history, through its REST API: v2 (Airflow 3) and v1 (2.11).

It is gone through day by day from the beginning, each page in one transaction; how far it came is remembered, so
that the next run goes on there. Tries that had not ended are looked at again.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_autoremed.errors import WebError
from airflow_autoremed.history.attempt_records import AirflowAttempt
from airflow_autoremed.ingestion.web import Web
from airflow_autoremed.spark.cost import usage_by_conf
from airflow_autoremed.spark.event_log import kept_value
from airflow_autoremed.types import AttemptId, Conf

if TYPE_CHECKING:
    from airflow_autoremed.history.db.engine import Database

_PAGE = 100
"""Task instances that are asked for at once: the most that Airflow gives unless it is told otherwise."""
_WINDOW = timedelta(days=1)
_LONGEST_RUN = timedelta(days=7)
"""How long the next ingestion looks back for the end of a try that had none."""

_ENDED: Mapping[str, bool] = {
    "success": True,
    "failed": False,
    "up_for_retry": False,
    "restarting": False,
}
"""States of a try that has ended to whether it succeeded. Others have not ended, or were no tries."""
_UNFINISHED = frozenset(("running", "deferred", "queued", "scheduled", "up_for_reschedule"))


@dataclass(frozen=True)
class Progress:
    """How far it is."""

    until: datetime
    """All that began before is done."""
    seen: int
    """Task instances that were looked at."""
    attempts: int
    """Tries of operators that launch Spark among them."""
    new: int
    """Of these, the ones of which something was not known before."""


@dataclass(frozen=True)
class Problem:
    """A task instance whose tries could not be had."""

    what: str


@dataclass(frozen=True)
class Api:
    """A REST API of Airflow, authenticated."""

    web: Web
    version: int

    @property
    def root(self) -> str:
        """Where the API begins."""
        return f"/api/v{self.version}"


def connect(web: Web, *, user: str = "", password: str = "") -> Api:
    """The newest API that the server has. On v2, user and password are exchanged for a token.

    :raises WebError: when it has none, or refuses them.
    """
    for version in (2, 1):
        status = web.status(f"/api/v{version}/version")
        if status in (200, 401, 403):
            break
    else:
        raise WebError(
            f"{web.name} has no REST API of Airflow ({status}); the address must be the server's base URL, without a path"
        )
    if version == 2 and user:
        answer = web.post("/auth/token", {"username": user, "password": password})
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not token:
            raise WebError(f"{web.name}/auth/token does not answer with an access_token; pass --token")
        web.use_token(str(token))
    return Api(web, version)


def ingest(
    database: Database,
    deployment: str,
    api: Api,
    operators: Iterable[str],
    *,
    since: datetime | None = None,
    default_since: datetime,
    until: datetime | None = None,
) -> Iterator[Progress | Problem]:
    """Record the tries of all tasks whose operator's class has one of the names *operators*.

    :param since: where to begin; else where the last ingestion came to, or at *default_since*.
    :raises WebError: when the API cannot be used.
    :raises sqlalchemy.exc.SQLAlchemyError: when the store cannot be written.
    """
    from airflow_autoremed.history.queries import airflow_attempts, ingestion_marks

    wanted = frozenset(operators)
    end = until or datetime.now(timezone.utc)
    place = f"airflow {api.web.name}"
    kept = database.read(lambda c: ingestion_marks.read(c, deployment, place))
    begin = since or _moment(kept) or default_since
    seen = attempts = new = 0
    earliest_open: datetime | None = None
    while begin < end:
        window_end = min(begin + _WINDOW, end)
        for page in _pages(api, begin, window_end, wanted):
            seen += len(page)
            tries: list[AirflowAttempt] = []
            for instance in page:
                if _operator(instance) not in wanted:
                    continue
                found, problem = _tries(api, instance)
                tries += found
                if problem is not None:
                    yield problem
                started = _moment(instance.get("start_date"))
                if instance.get("state") in _UNFINISHED and started is not None:
                    earliest_open = min(earliest_open or started, started)
            attempts += len(tries)
            new += database.write(
                lambda c, some=tries: sum(airflow_attempts.record(c, deployment, each) for each in some)  # type: ignore[misc]
            )
            yield Progress(begin, seen, attempts, new)
        begin = window_end
        mark = begin if earliest_open is None else min(begin, max(earliest_open, end - _LONGEST_RUN))
        if since is None:
            moment = mark.isoformat()
            database.write(lambda c, at=moment: ingestion_marks.write(c, deployment, place, at))  # type: ignore[misc]
        yield Progress(begin, seen, attempts, new)


def _pages(
    api: Api, begin: datetime, end: datetime, operators: Iterable[str]
) -> Iterator[list[dict[str, Any]]]:
    """The task instances that began in between."""
    query: dict[str, Any] = {
        "start_date_gte": begin.isoformat(),
        "start_date_lte": end.isoformat(),
        "limit": _PAGE,
    }
    if api.version == 2:
        query |= {"operator": sorted(operators), "order_by": "start_date"}  # v1 refuses what it does not know
    offset = 0
    while True:
        found = api.web.json(f"{api.root}/dags/~/dagRuns/~/taskInstances", {**query, "offset": offset})
        page = found.get("task_instances") if isinstance(found, dict) else None
        if not isinstance(page, list):
            raise WebError(
                f"{api.web.name} does not answer with task instances; is it an Airflow API server?"
            )
        if page:
            yield [each for each in page if isinstance(each, dict)]
        offset += len(page)
        total = found.get("total_entries")
        if not page or (offset >= total if isinstance(total, int) else len(page) < _PAGE):
            return


def _tries(api: Api, instance: Mapping[str, Any]) -> tuple[list[AirflowAttempt], Problem | None]:
    """All tries of a task instance that began; the earlier ones are asked for where there are any."""
    conf = _conf(instance.get("rendered_fields"))
    number = instance.get("try_number")
    several = isinstance(number, int) and number > 1
    histories: list[Any] = [instance]
    problem = None
    if several:
        path = (
            f"{api.root}/dags/{_quoted(instance.get('dag_id'))}/dagRuns/{_quoted(instance.get('dag_run_id'))}"
            f"/taskInstances/{_quoted(instance.get('task_id'))}"
        )
        if isinstance(instance.get("map_index"), int) and instance["map_index"] >= 0:
            path += f"/{instance['map_index']}"
        try:
            found = api.web.json(f"{path}/tries")
            histories = [*(found.get("task_instances") or []), instance]
        except (WebError, AttributeError) as error:
            problem = Problem(
                f"{instance.get('dag_id')}.{instance.get('task_id')}: its earlier tries: {error}"
            )
    tries: dict[AttemptId, AirflowAttempt] = {}
    for each in histories:
        attempted = _attempted(each, conf)
        if attempted is not None:
            tries[attempted.attempt] = attempted
    return list(tries.values()), problem


def _attempted(each: Mapping[str, Any], conf: Conf) -> AirflowAttempt | None:
    """One try; ``None`` for what never began, or is none."""
    started = _moment(each.get("start_date"))
    state, number = each.get("state"), each.get("try_number")
    names = [each.get(name) for name in ("dag_id", "dag_run_id", "task_id")]
    if started is None or not isinstance(number, int) or not all(isinstance(name, str) for name in names):
        return None
    if state not in _ENDED and state not in _UNFINISHED:
        return None
    map_index = each.get("map_index")
    attempt = AttemptId(
        str(names[0]),
        str(names[1]),
        str(names[2]),
        map_index if isinstance(map_index, int) else -1,
        max(1, number),
    )
    ended = _moment(each.get("end_date"))
    if state not in _ENDED or ended is None:
        return AirflowAttempt(attempt, _operator(each), started, conf)
    told = each.get("duration")
    lasted = (
        float(told) if isinstance(told, (int, float)) and told >= 0 else (ended - started).total_seconds()
    )
    lasted = max(0.0, lasted)
    return AirflowAttempt(
        attempt,
        _operator(each),
        started,
        conf,
        succeeded=_ENDED[str(state)],
        ended_at=ended,
        duration_s=lasted,
        gib_seconds=usage_by_conf(conf, lasted).gib_seconds if conf else None,
    )


def _operator(each: Mapping[str, Any]) -> str:
    return str(each.get("operator") or "")


def _conf(rendered: Any) -> dict[str, str]:
    """The Spark settings among a task's rendered fields, as far as they count for us.

    Fields that Airflow could not keep as they are come as text: JSON, or as Python writes it.
    """
    if not isinstance(rendered, Mapping):
        return {}
    conf: dict[str, str] = {}
    for field in ("conf", "spark_params", "spark_conf", "properties"):
        given = rendered.get(field)
        if isinstance(given, str):
            given = _parsed(given)
        if isinstance(given, Mapping):
            nested = given.get("conf")
            for key, value in (nested if isinstance(nested, Mapping) else given).items():
                kept = kept_value(str(key), "" if value is None else _text(value))
                if kept:
                    conf[str(key)] = kept
    return conf


def _parsed(text: str) -> Any:
    if len(text) > 100_000:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_FRACTION = re.compile(r"\.(\d+)")


def _moment(text: Any) -> datetime | None:
    """A time as Airflow writes it; without a zone it is UTC."""
    if not isinstance(text, str) or not text:
        return None
    # Python 3.10 reads neither Z nor a fraction of other than three or six digits.
    spelt = _FRACTION.sub(lambda match: "." + match[1][:6].ljust(6, "0"), text.strip().replace("Z", "+00:00"))
    try:
        moment = datetime.fromisoformat(spelt)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _quoted(part: Any) -> str:
    return quote(str(part), safe="")
