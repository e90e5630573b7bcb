"""The operators of apache-airflow-providers-amazon that run Spark on EMR: on EC2, Serverless and on EKS.

On EC2 the configuration stands in the arguments of each step that calls ``spark-submit``; on Serverless and EKS in
``sparkSubmitParameters`` and in the classification ``spark-defaults`` of the overrides. A client token makes AWS give
back the run that was started with it before: a patched try gets another.
"""

from __future__ import annotations

import ast
import re
import shlex
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from uuid import uuid4

from airflow_autoremed.platforms import arguments
from airflow_autoremed.platforms.base import Platform, flat
from airflow_autoremed.types import Source

_MOST_LOG = 2 * 1024 * 1024
"""Bytes of a log, packed, that are fetched."""
_MOST_LOGS = 8
_SUBMIT = ("spark-submit", "spark-submit.sh", "pyspark", "spark-sql", "spark-example")


class EmrStepsPlatform(Platform):
    """``EmrAddStepsOperator``. All Spark steps of an operator are taken for one job: a change is made to each."""

    name = "emr_steps"

    def read_conf(self, operator: Any) -> dict[str, str]:
        """Of the first Spark step, completed by the others."""
        conf: dict[str, str] = {}
        for _, words, at in reversed(_spark_steps(_steps(operator))):
            conf.update(arguments.read(words[at:]))
        return conf

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* in the arguments of every Spark step."""
        steps = [dict(step) for step in _steps(operator)]
        for number, words, at in _spark_steps(steps):
            args = [*words[:at], *arguments.write(words[at:], changes)]
            steps[number]["HadoopJarStep"] = {**steps[number]["HadoopJarStep"], "Args": args}
        operator.steps = steps

    def job(self, operator: Any) -> dict[str, str]:
        """The applications of the Spark steps."""
        found = {}
        for number, words, at in _spark_steps(_steps(operator)):
            known = arguments.application(words[at:])
            found.update({f"step {number} {name}": value for name, value in known.items()})
        return found or {"steps": str(len(_steps(operator)))}

    def renew(self, operator: Any) -> str | None:
        """Steps have no tokens; but there has to be one that runs Spark."""
        return None if _spark_steps(_steps(operator)) else "none of its steps calls spark-submit"

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """Why the failed steps failed, and the end of their standard error on S3."""
        cluster = operator.job_flow_id
        if not cluster:
            cluster = operator.hook.get_cluster_id_by_name(
                str(operator.job_flow_name), operator.cluster_states
            )
        names = {str(step.get("Name")) for step in _steps(operator)}
        client = operator.hook.conn
        for step in client.list_steps(ClusterId=cluster, StepStates=["FAILED", "CANCELLED"]).get("Steps", [])[
            :10
        ]:
            if step.get("Name") not in names:
                continue
            details = step.get("Status", {}).get("FailureDetails") or {}
            told = [str(details[name]) for name in ("Reason", "Message") if details.get(name)]
            reason = step.get("Status", {}).get("StateChangeReason", {}).get("Message")
            yield Source.PLATFORM, "\n".join([*told, *([str(reason)] if reason else [])]) + "\n"
            if details.get("LogFile"):
                yield from _s3_log(operator.hook, str(details["LogFile"]).rstrip("/") + "/stderr.gz")
            return


def _steps(operator: Any) -> Sequence[Mapping[str, Any]]:
    """The steps; a text stands for a list of them, as the operator itself takes it."""
    steps = operator.steps
    found = ast.literal_eval(steps) if isinstance(steps, str) else steps
    return list(found or ())


def _spark_steps(steps: Sequence[Mapping[str, Any]]) -> list[tuple[int, list[str], int]]:
    """Each step that calls spark-submit: its number, its arguments, and where those of spark-submit begin."""
    found = []
    for number, step in enumerate(steps):
        words = [str(word) for word in (step.get("HadoopJarStep") or {}).get("Args") or []]
        at = next((n for n, word in enumerate(words) if word.rpartition("/")[2] in _SUBMIT), None)
        if at is not None:
            found.append((number, words, at + 1))
    return found


class _WithParameters(Platform):
    """What Serverless and EKS have in common."""

    driver: ClassVar[str]
    """Key of the job driver that holds ``sparkSubmitParameters``."""

    def read_conf(self, operator: Any) -> dict[str, str]:
        """``sparkSubmitParameters`` over the classification ``spark-defaults``, as spark-submit has it."""
        return {**flat(_defaults(operator.configuration_overrides)), **arguments.read(self._words(operator))}

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* in ``sparkSubmitParameters``, which win over the overrides."""
        driver = dict(operator.job_driver or {})
        inner = dict(driver.get(self.driver) or {})
        inner["sparkSubmitParameters"] = shlex.join(arguments.write(self._words(operator), changes))
        operator.job_driver = {**driver, self.driver: inner}

    def job(self, operator: Any) -> dict[str, str]:
        """The entry point, and the main class."""
        inner = (operator.job_driver or {}).get(self.driver) or {}
        found = {"entry point": str(inner.get("entryPoint", ""))}
        return {**found, **arguments.application(self._words(operator))}

    def other_driver(self, operator: Any) -> str | None:
        """Why nothing can be written, where the job is driven by something else (SQL, Hive)."""
        given = operator.job_driver or {}
        if not given or self.driver in given:
            return None
        return f"its job driver is {', '.join(sorted(given))}, which has no sparkSubmitParameters to patch"

    def _words(self, operator: Any) -> list[str]:
        inner = (operator.job_driver or {}).get(self.driver) or {}
        return shlex.split(str(inner.get("sparkSubmitParameters") or ""))


class EmrServerlessPlatform(_WithParameters):
    """``EmrServerlessStartJobOperator``. Sizes of workers follow from memory and cores; AWS allows certain pairs."""

    name = "emr_serverless"
    driver = "sparkSubmit"

    def renew(self, operator: Any) -> str | None:
        """Another client token."""
        operator.client_request_token = str(uuid4())
        return self.other_driver(operator)

    def own_retries(self, operator: Any) -> str | None:
        """``retryPolicy`` of the job run."""
        most = ((operator.config or {}).get("retryPolicy") or {}).get("maxAttempts")
        return None if most in (None, 1) else _told_of_retries("EMR Serverless", most)

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """The state's details, and the driver's standard error where logs go to S3."""
        job = getattr(operator, "job_id", None) or _job_id(str(exception))
        if not job:
            return
        run = operator.hook.conn.get_job_run(applicationId=operator.application_id, jobRunId=job)["jobRun"]
        yield Source.PLATFORM, f"{run.get('stateDetails') or run.get('state')}\n"
        uri = _log_uri(run.get("configurationOverrides") or operator.configuration_overrides)
        if uri:
            place = f"{uri}/applications/{operator.application_id}/jobs/{job}/SPARK_DRIVER"
            for name in ("stderr.gz", "stdout.gz"):
                yield from _s3_log(operator.hook, f"{place}/{name}")

    def kill(self, operator: Any, announce: Any) -> bool:
        """Cancel the job run, as ``on_kill`` does."""
        return _killed(operator, announce)


class EmrContainerPlatform(_WithParameters):
    """``EmrContainerOperator``: EMR on EKS."""

    name = "emr_containers"
    driver = "sparkSubmitJobDriver"

    def renew(self, operator: Any) -> str | None:
        """Another client token where one is fixed; without one the operator makes one for each run."""
        if operator.client_request_token:
            operator.client_request_token = str(uuid4())
        return self.other_driver(operator)

    def own_retries(self, operator: Any) -> str | None:
        """``retryPolicyConfiguration`` of the job run."""
        most = getattr(operator, "job_retry_max_attempts", None)
        return None if most in (None, 1) else _told_of_retries("EMR on EKS", most)

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """Failure reason and state details, and the driver's standard error where logs go to S3."""
        job = getattr(operator, "job_id", None) or _job_id(str(exception))
        if not job:
            return
        cluster = operator.virtual_cluster_id
        run = operator.hook.conn.describe_job_run(id=job, virtualClusterId=cluster)["jobRun"]
        told = [str(run[name]) for name in ("failureReason", "stateDetails") if run.get(name)]
        yield Source.PLATFORM, "\n".join(told) + "\n"
        uri = _log_uri(run.get("configurationOverrides") or operator.configuration_overrides)
        if uri:
            yield from _container_logs(operator.hook, f"{uri}/{cluster}/jobs/{job}/containers/")

    def kill(self, operator: Any, announce: Any) -> bool:
        """Cancel the job run, as ``on_kill`` does."""
        return _killed(operator, announce)


def _told_of_retries(who: str, most: Any) -> str:
    return f"{who} itself tries a failed job {most} times, with the same configuration, before Airflow hears of it."


def _killed(operator: Any, announce: Any) -> bool:
    if not getattr(operator, "job_id", None):
        return False
    announce()
    operator.on_kill()
    return True


_JOB_ID = re.compile(r"(?:job_id'?\"?: '?\"?|query_execution_id is |jobId - )([0-9a-z]{10,})")


def _job_id(text: str) -> str | None:
    """Of a deferred try, of which the exception alone is left."""
    found = _JOB_ID.search(text)
    return None if found is None else found[1]


def _defaults(overrides: Any) -> Mapping[str, Any]:
    if not isinstance(overrides, Mapping):
        return {}
    for each in overrides.get("applicationConfiguration") or ():
        if each.get("classification") == "spark-defaults":
            return dict(each.get("properties") or {})
    return {}


def _log_uri(overrides: Any) -> str | None:
    if not isinstance(overrides, Mapping):
        return None
    uri = ((overrides.get("monitoringConfiguration") or {}).get("s3MonitoringConfiguration") or {}).get(
        "logUri"
    )
    return str(uri).rstrip("/") if uri else None


def _container_logs(hook: Any, place: str) -> Iterator[tuple[Source, str]]:
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    client = hook.get_session().client("s3")
    listed = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1000).get("Contents") or []
    keys = [each["Key"] for each in listed if each["Key"].endswith(("stderr.gz", "stdout.gz"))]
    for key in sorted(keys, key=lambda key: "driver" not in key)[:_MOST_LOGS]:
        source = Source.DRIVER_LOG if "driver" in key else Source.EXECUTOR_LOG
        yield from _s3_log(hook, f"s3://{bucket}/{key}", source)


def _s3_log(hook: Any, uri: str, source: Source = Source.DRIVER_LOG) -> Iterator[tuple[Source, str]]:
    """A packed log; nothing where it is not there (AWS writes it minutes later)."""
    bucket, _, key = uri.removeprefix("s3://").removeprefix("s3n://").partition("/")
    client = hook.get_session().client("s3")
    try:
        body = client.get_object(Bucket=bucket, Key=key)["Body"].read(_MOST_LOG)
    except client.exceptions.ClientError:
        return

    yield source, zlib.decompressobj(wbits=31).decompress(body, 16 * _MOST_LOG).decode("utf-8", "replace")
