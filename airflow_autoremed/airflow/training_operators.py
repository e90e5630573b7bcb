"""Operators that keep the model trained: what a training Dag is made of (``dags_examples/daily_training.py``).

Importing this imports Airflow alone; scikit-learn, SQLAlchemy and the rest are imported when a task runs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_autoremed.airflow.compat import (
    AirflowFailException,
    AirflowSkipException,
    BaseOperator,
    get_connection,
)
from airflow_autoremed.airflow.options import settings, store_url
from airflow_autoremed.errors import SettingsError
from airflow_autoremed.settings import parse_duration

if TYPE_CHECKING:
    from airflow_autoremed.history.db.engine import Database
    from airflow_autoremed.ingestion.web import Web
    from airflow_autoremed.learning.training_run import Report

_LOCK_WAIT_S = 60.0
_FIRST_LOOK_BACK = timedelta(days=90)


class IngestHistoryOperator(BaseOperator):
    """Fill the history from Spark event logs and from Airflow's own task-instance history.

    Idempotent, and goes on where the last one came to: what has not changed is not read again, and what a try
    recorded of itself is never changed. A damaged log is named in the task log and skipped. The XCom is a dict of
    counts.

    :param event_logs: event logs or directories of them, local or fsspec URLs such as ``s3://bucket/spark-logs``
        (templated).
    :param history_server: address of a Spark History Server that is asked besides (templated).
    :param airflow_conn_id: HTTP connection to an Airflow API server or webserver (host, port, login and password, or
        only a password, which is taken for a token); its history of Spark tasks is ingested. Default: none.
    :param since: how far back the servers are asked, such as ``"30d"``; default: from where the last one came to,
        and 90 days at first.
    :raises SettingsError: when a task is declared with nothing to ingest.
    """

    template_fields: Sequence[str] = ("event_logs", "history_server", "since")
    ui_color = "#e4f3ec"

    def __init__(
        self,
        *,
        event_logs: str | Iterable[str] = (),
        history_server: str | None = None,
        airflow_conn_id: str | None = None,
        since: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # A templated field: assigned as it came, since Airflow compares both.
        self.event_logs = event_logs
        self.history_server = history_server
        self.airflow_conn_id = airflow_conn_id
        self.since = since
        if not event_logs and not history_server and not airflow_conn_id:
            raise SettingsError(
                f"task {self.task_id} has nothing to ingest: give event_logs=[...], history_server='http://...' or "
                "airflow_conn_id='...'"
            )

    def execute(self, context: Any) -> dict[str, int]:
        """Ingest from each source; counts of what became of it."""
        from airflow_autoremed.history.opening import open_database

        now = datetime.now(timezone.utc)
        age = parse_duration(self.since, where=f"task {self.task_id} since")
        since = None if age is None else now - timedelta(seconds=age)
        counts: Counter[str] = Counter()
        database = open_database(store_url(), _LOCK_WAIT_S)
        try:
            self._event_logs(database, since, counts)
            if self.airflow_conn_id:
                self._airflow(database, since, now, counts)
        finally:
            database.close()
        self.log.info(
            "[autoremed] Ingested: %s",
            ", ".join(f"{key} {number:,}" for key, number in counts.items()) or "0",
        )
        return dict(counts)

    def _event_logs(self, database: Database, since: datetime | None, counts: Counter[str]) -> None:
        from airflow_autoremed.ingestion import event_logs, history_server

        places = [self.event_logs] if isinstance(self.event_logs, str) else list(self.event_logs)
        deployment = settings().deployment
        found = [event_logs.ingest(database, deployment, event_logs.sources_in(places))]
        if self.history_server:
            web = _web(self.history_server)
            sources = history_server.sources_on(web, since=f"{since:%Y-%m-%d}" if since else "")
            found.append(event_logs.ingest(database, deployment, sources))
        for each in found:
            for log in each:
                counts[f"logs {log.fate.value}"] += 1
                counts["applications matched with their attempt"] += log.matched
                if log.problem:
                    self.log.warning("[autoremed] %s", log.problem)

    def _airflow(
        self, database: Database, since: datetime | None, now: datetime, counts: Counter[str]
    ) -> None:
        from airflow_autoremed.history.queries.run_metrics import match_again
        from airflow_autoremed.ingestion import airflow_history
        from airflow_autoremed.platforms import supported_operators

        connection = get_connection(str(self.airflow_conn_id))
        user, password = connection.login or "", connection.password or ""
        with _web(_address(connection), user=user, password=password) as web:
            api = airflow_history.connect(web, user=user, password=password)
            names = {each.rpartition(".")[2] for each in supported_operators()}
            last = airflow_history.Progress(now, 0, 0, 0)
            for news in airflow_history.ingest(
                database,
                settings().deployment,
                api,
                names,
                since=since,
                default_since=now - _FIRST_LOOK_BACK,
            ):
                if isinstance(news, airflow_history.Problem):
                    counts["task instances that could not be read"] += 1
                    self.log.warning("[autoremed] %s", news.what)
                else:
                    last = news
        counts["task instances seen"] += last.seen
        counts["attempts of Spark tasks"] += last.attempts
        counts["attempts recorded for the first time"] += last.new
        counts["applications matched with their attempt"] += match_again(database, settings().deployment)


class TrainModelOperator(BaseOperator):
    """Train on the recorded history, audit the model, and let it decide where it passed.

    A model that fails an audit is kept for inspection and not used; the task succeeds, because the audits did what
    they are for, and its log and XCom say which failed and by how much. With too little history the task is skipped.
    Needs the extra ``airflow-autoremed[learning]`` where it runs; workers that only use the model do not.

    :param since: learn only from attempts of this past, such as ``"180d"``; default: from all.
    :param examples: learn from what the Spark job ``examples`` (:mod:`airflow_autoremed.distributed.submit`) wrote to
        this directory instead of from the store (templated).
    :param seed: of everything random; the same history and seed give the same model.
    :param promote: let the model decide if it passes; else ``autoremed models promote`` does.
    """

    template_fields: Sequence[str] = ("since", "examples")
    ui_color = "#e4f3ec"

    def __init__(
        self,
        *,
        since: str | None = None,
        examples: str | None = None,
        seed: int = 0,
        promote: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.since = since
        self.examples = examples
        self.seed = seed
        self.promote = promote

    def execute(self, context: Any) -> dict[str, Any]:
        """Train and audit; the report, as ``autoremed train --format json`` prints it."""
        try:
            from airflow_autoremed.errors import TooLittleDataError
            from airflow_autoremed.learning import training_run

            report = self._train()
        except ImportError as error:
            raise AirflowFailException(
                f"training needs scikit-learn and joblib: pip install 'airflow-autoremed[learning]' ({error})"
            ) from error
        except TooLittleDataError as error:
            raise AirflowSkipException(f"{error}. The playbook decides as before.") from error
        for audit in report.audits:
            (self.log.info if audit.passed else self.log.warning)(
                "[autoremed] audit %s: %s, %s", audit.name, "passed" if audit.passed else "FAILED", audit.says
            )
        if report.promoted:
            self.log.info("[autoremed] Model %s is now the active model", report.name)
        else:
            stays = f"model {report.champion} stays" if report.champion else "the playbook decides as before"
            self.log.warning(
                "[autoremed] Model %s is not used: %s. Card: %s",
                report.name,
                stays,
                report.folder / "card.html",
            )
        told: dict[str, Any] = json.loads(training_run.as_json(report))
        return told

    def _train(self) -> Report:
        from airflow_autoremed.history.queries.training_attempts import everything
        from airflow_autoremed.learning import training_run

        told: dict[str, Any] = {
            "objective": settings().objective,
            "seed": self.seed,
            "promote": self.promote,
            "say": lambda what: self.log.info("[autoremed] %s", what),
        }
        models = settings().models
        if self.examples:
            from airflow_autoremed.learning.parquet_examples import read_examples

            return training_run.from_training_set(read_examples(self.examples), models, **told)
        age = parse_duration(self.since, where=f"task {self.task_id} since")
        begin = None if age is None else datetime.now(timezone.utc) - timedelta(seconds=age)
        return training_run.run(
            everything(store_url(), settings().deployment, begin), models, by_task=True, **told
        )


def _web(url: str, *, user: str = "", password: str = "") -> Web:
    from airflow_autoremed.ingestion.web import Web

    # A password without a login is a token.
    return Web(url, user=user, password=password if user else "", token="" if user else password)


def _address(connection: Any) -> str:
    host = connection.host or ""
    address = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    return f"{address}:{connection.port}" if connection.port else address
