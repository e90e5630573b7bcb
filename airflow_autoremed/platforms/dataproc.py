"""``DataprocSubmitJobOperator`` and ``DataprocCreateBatchOperator`` of apache-airflow-providers-google.

The configuration is the ``properties`` of the job or of the batch's runtime. Both may be given as dictionaries or as
messages of the client library; a patched try gets a dictionary. Request ids, and ids that are fixed, make Google give
back, or refuse, what was submitted with them before: a patched try gets others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import uuid4

from airflow_autoremed.platforms.base import Platform, flat
from airflow_autoremed.types import Source

_KINDS = ("spark_job", "pyspark_job", "spark_sql_job", "spark_r_job")
_BATCHES = ("spark_batch", "pyspark_batch", "spark_sql_batch", "spark_r_batch")
_MAIN = ("main_python_file_uri", "main_class", "main_jar_file_uri", "main_r_file_uri", "query_file_uri")
_LONGEST_ID = 63
"""Characters of a batch's id."""
_MOST_LOG = 4 * 1024 * 1024
_ID = re.compile(
    r"[Jj]ob_id['\"]?[:=]\s*['\"]?([\w-]+)|[Jj]ob ID ([\w-]+)|[Bb]atch(?: job)? ([a-z0-9][a-z0-9-]{3,62})"
)


class DataprocJobPlatform(Platform):
    """``DataprocSubmitJobOperator``."""

    name = "dataproc_job"
    has_own_sizes = True

    def read_conf(self, operator: Any) -> dict[str, str]:
        """The properties of the job, of whichever of Spark's kinds it is."""
        return flat(_inner(operator.job, _KINDS)[1].get("properties"))

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* in these."""
        job = _as_dict(operator.job)
        kind, inner = _inner(job, _KINDS)
        if kind:
            properties = {**(inner.get("properties") or {}), **changes}
            operator.job = {**job, kind: {**inner, "properties": properties}}

    def job(self, operator: Any) -> dict[str, str]:
        """The kind, and the main file or class."""
        kind, inner = _inner(operator.job, _KINDS)
        return {"kind": kind, **{name: str(inner[name]) for name in _MAIN if inner.get(name)}}

    def renew(self, operator: Any) -> str | None:
        """Another request id, and another job id, where they are fixed."""
        if getattr(operator, "start_from_trigger", False):
            return (
                "the task starts in the triggerer (start_from_trigger), which submits what the Dag file says"
            )
        if not _inner(operator.job, _KINDS)[0]:
            return "it is not a Spark job"
        if operator.request_id:
            operator.request_id = str(uuid4())
        job = _as_dict(operator.job)
        reference = _as_dict(job.get("reference") or {})
        if reference.get("job_id"):
            fixed = {**reference, "job_id": _another(str(reference["job_id"]), 100)}
            operator.job = {**job, "reference": fixed}
        return None

    def own_retries(self, operator: Any) -> str | None:
        """``scheduling.max_failures_per_hour``."""
        scheduling = _as_dict(_as_dict(operator.job).get("scheduling") or {})
        most = scheduling.get("max_failures_per_hour") or scheduling.get("max_failures_total")
        if not most:
            return None
        return f"Dataproc itself restarts a failed driver up to {most} times, with the same configuration."

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """The details of the state, and the driver's output in Cloud Storage."""
        job_id = getattr(operator, "job_id", None) or _found_id(str(exception))
        if not job_id:
            return
        hook = operator.hook or _hook(operator)
        job = hook.get_job(job_id=job_id, project_id=operator.project_id, region=operator.region)
        yield Source.PLATFORM, f"{job.status.details}\n"
        uri = getattr(job, "driver_output_resource_uri", "")
        if uri:
            yield Source.DRIVER_LOG, _output(operator, str(uri))

    def kill(self, operator: Any, announce: Callable[[], None]) -> bool:
        """Cancel the job, as ``on_kill`` does."""
        if not operator.job_id or not operator.cancel_on_kill:
            return False
        announce()
        operator.on_kill()
        return True


class DataprocBatchPlatform(Platform):
    """``DataprocCreateBatchOperator``: Serverless for Spark, which allows certain sizes of memory per core."""

    name = "dataproc_batch"
    has_own_sizes = True

    def read_conf(self, operator: Any) -> dict[str, str]:
        """``runtime_config.properties`` of the batch."""
        return flat(_as_dict(_as_dict(operator.batch).get("runtime_config") or {}).get("properties"))

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* in these."""
        batch = _as_dict(operator.batch)
        runtime = _as_dict(batch.get("runtime_config") or {})
        properties = {**(runtime.get("properties") or {}), **changes}
        operator.batch = {**batch, "runtime_config": {**runtime, "properties": properties}}

    def job(self, operator: Any) -> dict[str, str]:
        """The kind, and the main file or class."""
        kind, inner = _inner(operator.batch, _BATCHES)
        return {"kind": kind, **{name: str(inner[name]) for name in _MAIN if inner.get(name)}}

    def renew(self, operator: Any) -> str | None:
        """Another request id, and another batch id, where they are fixed: the operator takes up a batch whose id is
        there already."""
        if operator.request_id:
            operator.request_id = str(uuid4())
        if operator.batch_id:
            operator.batch_id = _another(str(operator.batch_id), _LONGEST_ID)
        return None

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """The message of the state, and the driver's output in Cloud Storage."""
        batch_id = _found_id(str(exception)) or operator.batch_id
        if not batch_id:
            return
        batch = _hook(operator).get_batch(
            batch_id=batch_id, region=operator.region, project_id=operator.project_id
        )
        yield Source.PLATFORM, f"{batch.state_message}\n"
        uri = getattr(getattr(batch, "runtime_info", None), "output_uri", "")
        if uri:
            yield Source.DRIVER_LOG, _output(operator, str(uri))


def _as_dict(value: Any) -> dict[str, Any]:
    """A message of the client library as a dictionary; a dictionary as a copy of itself."""
    if isinstance(value, Mapping):
        return dict(value)
    to_dict = type(value).to_dict
    made: dict[str, Any]
    try:
        made = to_dict(value, always_print_fields_with_no_presence=False)
    except TypeError:  # proto-plus before 1.24
        made = to_dict(value, including_default_value_fields=False)
    return made


def _inner(job: Any, kinds: Iterable[str]) -> tuple[str, dict[str, Any]]:
    """Which of *kinds* it is, with what it says; nothing where it is another."""
    whole = _as_dict(job or {})
    for kind in kinds:
        if whole.get(kind):
            return kind, _as_dict(whole[kind])
    return "", {}


def _another(identifier: str, longest: int) -> str:
    """The same with another end."""
    end = uuid4().hex[:8]
    return f"{identifier[: longest - 9]}-{end}"


def _found_id(text: str) -> str | None:
    """Of a deferred try, of which the exception alone is left."""
    found = _ID.search(text)
    return None if found is None else next(each for each in found.groups() if each)


def _hook(operator: Any) -> Any:
    from airflow.providers.google.cloud.hooks.dataproc import DataprocHook

    return DataprocHook(gcp_conn_id=operator.gcp_conn_id, impersonation_chain=operator.impersonation_chain)


def _output(operator: Any, uri: str) -> str:
    """The end of the driver's output, which is in pieces of that name."""
    from airflow.providers.google.cloud.hooks.gcs import GCSHook

    hook = GCSHook(gcp_conn_id=operator.gcp_conn_id, impersonation_chain=operator.impersonation_chain)
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    found = b""
    listed = hook.list(bucket_name=bucket, prefix=prefix) or []
    # Another job's output may have a name that begins in the same way.
    pieces = sorted(name for name in listed if re.fullmatch(r"(?:\.\d+)?", name.removeprefix(prefix)))
    for name in pieces[-8:]:
        found = (found + hook.download(bucket_name=bucket, object_name=name))[-_MOST_LOG:]
    return found.decode("utf-8", "replace")
