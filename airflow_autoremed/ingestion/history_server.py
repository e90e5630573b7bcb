"""Event logs from a Spark History Server, through its REST API (``/api/v1``): for whom the directory is out of reach.

The server sends an application's log as a ZIP archive, which is kept in a temporary file while it is read.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any
from urllib.parse import quote

from airflow_autoremed.errors import EventLogError, WebError
from airflow_autoremed.ingestion.event_logs import Source
from airflow_autoremed.ingestion.web import Web
from airflow_autoremed.spark.event_log_files import EventLog, in_order


def sources_on(
    web: Web, *, since: str = "", on_bytes: Callable[[int], None] | None = None
) -> Iterator[Source]:
    """The logs of all applications that the server knows, ended or not.

    :param since: only applications that started from then on (``2026-03-01`` or ``2026-03-01T12:00:00.000GMT``).
    :param on_bytes: told of each block that arrives, with its size.
    :raises WebError: when the server cannot be asked.
    """
    query = {"minDate": since} if since else {}
    found = web.json("/api/v1/applications", query)
    if not isinstance(found, list):
        raise WebError(
            f"{web.name} is not a History Server: /api/v1/applications does not answer with a list"
        )
    for application in found:
        if not isinstance(application, dict) or not application.get("id"):
            continue
        for attempt in application.get("attempts") or ():
            yield _source(web, str(application["id"]), attempt, on_bytes)


def _source(web: Web, app_id: str, attempt: dict[str, Any], on_bytes: Callable[[int], None] | None) -> Source:
    path = f"/api/v1/applications/{quote(app_id, safe='')}"
    if attempt.get("attemptId"):
        path += f"/{quote(str(attempt['attemptId']), safe='')}"
    path += "/logs"
    stamp = f"{attempt.get('lastUpdated')} {attempt.get('completed')}"

    @contextmanager
    def fetch() -> Iterator[EventLog]:
        with tempfile.TemporaryFile(prefix="autoremed-") as file:
            try:
                web.download(path, file, on_bytes)
                archive = zipfile.ZipFile(file)
            except (WebError, zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
                raise EventLogError(f"{app_id} cannot be downloaded from {web.name}: {error}") from None
            with archive:
                yield log_in(archive, f"{web.name}{path}")

    return Source(f"{web.name}{path}", stamp, 0, fetch)


def log_in(archive: zipfile.ZipFile, name: str) -> EventLog:
    """The log in an archive: a single file, or the parts of a rolling one.

    :raises EventLogError: when there is none.
    """
    members = {
        member.filename.rsplit("/", 1)[-1]: member for member in archive.infolist() if not member.is_dir()
    }
    parts = (
        in_order(list(members)) or [each for each in members if not each.startswith((".", "appstatus_"))][:1]
    )
    if not parts:
        raise EventLogError(f"{name}: the archive holds no event log")

    def open_part(part: str) -> IO[bytes]:
        return archive.open(members[part])

    return EventLog(name, tuple(parts), sum(members[part].file_size for part in parts), open_part=open_part)
