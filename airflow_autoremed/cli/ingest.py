"""``autoremed ingest``: the history from what there is already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from airflow_autoremed.cli.console import CANNOT, complain, console, fail, say
from airflow_autoremed.cli.progress import Bar
from airflow_autoremed.cli.store_access import StoreOption, look_at, working_on
from airflow_autoremed.settings import parse_duration

if TYPE_CHECKING:
    from rich.console import Console

    from airflow_autoremed.errors import EventLogError
    from airflow_autoremed.history.db.engine import Database
    from airflow_autoremed.ingestion.event_logs import Ingested, Source
    from airflow_autoremed.ingestion.web import Web

_LOCK_WAIT_S = 60.0

ingest_app = typer.Typer(
    name="ingest",
    help="Fill the history from event logs and from Airflow.",
    no_args_is_help=True,
)


@ingest_app.callback()
def ingest() -> None:
    """Fill the history from event logs and from Airflow."""


@ingest_app.command()
def eventlogs(
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="Event logs or directories of them: local paths or URLs (s3://bucket/spark-logs).",
        ),
    ] = None,
    history_server: Annotated[
        str | None,
        typer.Option(
            "--history-server", help="Address of a Spark History Server to read from.", metavar="URL"
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only applications that started in this period, for example 30d. For --history-server only.",
            metavar="AGE",
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Do not verify the server's certificate.")
    ] = False,
    url: StoreOption = None,
) -> None:
    """Record what Spark event logs say.

    Records memory peaks, spill, skew, lost executors and cost. Reads plain, zstd, lz4, snappy and gzip files, rolling logs and logs still being written. Safe to interrupt: the
    next run skips logs that have not changed. A damaged log is reported and skipped. Exits with 2 when no log could be
    read.
    """
    if not places and not history_server:
        fail("give at least one event log or directory, or --history-server URL")
    out = console()
    counts: Counter[str] = Counter()
    with _database(url) as (database, deployment, name):
        for fate in _logs(database, deployment, places or (), history_server, since, insecure, out):
            counts[fate.fate.value] += 1
            counts["matched"] += fate.matched
            if fate.problem:
                complain(fate.problem)
    say(_summary(counts, name))
    if counts["damaged"] and not (counts["recorded"] + counts["no news"] + counts["unchanged"]):
        raise typer.Exit(CANNOT)


def _logs(
    database: Database,
    deployment: str,
    places: Iterable[str],
    history_server: str | None,
    since: str | None,
    insecure: bool,
    out: Console,
) -> Iterator[Ingested]:
    from airflow_autoremed.ingestion import event_logs

    sources = list(event_logs.sources_in(places))
    total = sum(getattr(source, "size", 0) for source in sources)
    with Bar(out, "reading", total) as bar:
        yield from event_logs.ingest(database, deployment, sources, bar.advance)
    if history_server:
        from airflow_autoremed.ingestion import history_server as server

        with _web(history_server, insecure=insecure) as web:
            age = parse_duration(since, where="--since") if since else None
            from_then = datetime.now(timezone.utc) - timedelta(seconds=age) if age else None
            remote: list[Source | EventLogError] = list(
                server.sources_on(web, since=f"{from_then:%Y-%m-%d}" if from_then else "")
            )
            with Bar(out, "fetching", len(remote)) as bar:
                for fate in event_logs.ingest(database, deployment, remote):
                    bar.advance(1)
                    yield fate


def _summary(counts: Counter[str], name: str) -> str:
    read = counts["recorded"] + counts["no news"]
    parts = [f"{read:,} read", f"{counts['unchanged']:,} unchanged", f"{counts['damaged']:,} damaged"]
    kept = f"{counts['recorded']:,} recorded in {name}"
    return f"{', '.join(parts)}; {kept}, {counts['matched']:,} of them matched with the attempt that launched them."


@ingest_app.command()
def airflow(
    server: Annotated[str, typer.Option("--url", help="Address of Airflow's API server (2.11: webserver).")],
    user: Annotated[
        str, typer.Option(help="User name to log in with.", envvar="AUTOREMED_AIRFLOW_USER")
    ] = "",
    password: Annotated[
        str,
        typer.Option(
            help="Prefer the environment variable: arguments are visible to other users.",
            envvar="AUTOREMED_AIRFLOW_PASSWORD",
        ),
    ] = "",
    token: Annotated[
        str,
        typer.Option(
            help="Token, instead of user and password. Prefer the environment variable.",
            envvar="AUTOREMED_AIRFLOW_TOKEN",
        ),
    ] = "",
    since: Annotated[
        str | None,
        typer.Option(
            help="How far back to read, for example 90d. Default: resume after the previous run (first run: 90d).",
            metavar="AGE",
        ),
    ] = None,
    operators: Annotated[
        list[str] | None,
        typer.Option(
            "--operator",
            help="Class name of another operator that launches Spark; repeatable.",
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Do not verify the server's certificate.")
    ] = False,
    url: StoreOption = None,
) -> None:
    """Record the attempts that Airflow's own history knows.

    Records start, end and rendered configuration of Spark tasks. Works with Airflow 2.11 (API v1) and 3.x (v2). Safe to interrupt: the next run resumes. What an attempt recorded
    itself is never changed.
    """
    from airflow_autoremed.ingestion import airflow_history
    from airflow_autoremed.platforms import supported_operators

    now = datetime.now(timezone.utc)
    names = {each.rpartition(".")[2] for each in supported_operators()} | set(operators or ())
    out = console()
    last = airflow_history.Progress(now, 0, 0, 0)
    problems = 0
    with _database(url) as (database, deployment, name):
        age = parse_duration(since, where="--since") if since else None
        begin = now - timedelta(seconds=age) if age else None
        with _web(server, user=user, password=password, token=token, insecure=insecure) as web:
            api = airflow_history.connect(web, user=user, password=password)
            with Bar(out, "asking", 0) as bar:
                for news in airflow_history.ingest(
                    database, deployment, api, names, since=begin, default_since=now - timedelta(days=90)
                ):
                    if isinstance(news, airflow_history.Problem):
                        problems += 1
                        complain(news.what)
                        continue
                    bar.advance(news.seen - last.seen)
                    last = news
        from airflow_autoremed.history.queries.run_metrics import match_again

        matched = match_again(database, deployment)
    say(
        f"{last.seen:,} task instances read, {last.attempts:,} attempts of Spark tasks, {last.new:,} of them new in "
        f"{name}."
        + (f" Matched {matched:,} applications with the attempt that launched them." if matched else "")
    )
    if problems and not last.attempts:
        raise typer.Exit(CANNOT)


def _web(server: str, *, user: str = "", password: str = "", token: str = "", insecure: bool = False) -> Web:
    from airflow_autoremed.ingestion.web import Web

    return Web(server, user=user, password=password, token=token, verify=not insecure)


@contextmanager
def _database(given: str | None) -> Iterator[tuple[Database, str, str]]:
    """The store, the deployment, and how the store is called; errors end the command in one line."""
    from airflow_autoremed.errors import WebError
    from airflow_autoremed.history.opening import open_database

    with working_on(given) as place:
        look_at(place.url, place.settings.store_deadline)  # soon, when it cannot be reached
        database = open_database(place.url, _LOCK_WAIT_S)
        try:
            yield database, place.settings.deployment, place.name
        except WebError as error:
            fail(str(error))
        finally:
            database.close()
