"""The operators of apache-airflow-providers-amazon that run Spark on EMR: on EC2, Serverless and on EKS.

On EC2 the configuration stands in the arguments of each step that calls ``spark-submit``; on Serverless and EKS in
``sparkSubmitParameters`` and in the classification ``spark-defaults`` of the overrides. A client token makes AWS give
back the run that was started with it before: a patched try gets another.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from uuid import uuid4

from airflow_autoremed.platforms import arguments
from airflow_autoremed.platforms.aws import bucket_and_key, client_of, s3_log, watch_start
from airflow_autoremed.platforms.base import Platform, flat
from airflow_autoremed.types import Source

_MOST_LOGS = 8
_MOST_STEPS = 10
_STEP_IDS = "_autoremed_steps"
"""Attribute of an operator: the ids of the steps that it added."""
_CLUSTER = "_autoremed_cluster"
"""Attribute of an operator: the cluster to which it added them."""
_STEP_ID = re.compile(r"\bs-[0-9A-Z]{10,}\b")
_LEFT_TO_YARN = re.compile(
    r"\b(application_\d+_\d+)\b(?=[^\n]*finished with failed status)|User application exited with status"
)
"""The step only followed an application: why it failed is in the logs of the application's containers."""
_APPLICATION = re.compile(r"\bapplication_\d+_\d+\b")
_SUBMIT = ("spark-submit", "spark-submit.sh", "pyspark", "spark-sql", "spark-example")


class EmrStepsPlatform(Platform):
    """``EmrAddStepsOperator``. All Spark steps of an operator are taken for one job: a change is made to each."""

    name = "emr_steps"
    has_own_sizes = True
    run_attributes = (_STEP_IDS,)

    def read_conf(self, operator: Any) -> dict[str, str]:
        """Of the first Spark step, completed by the others."""
        return _conf_of_steps(_steps(operator))

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

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """No stream; but the steps that are added are seen, with their ids, which the operator does not keep."""
        super().tap(operator, write)
        for name in (_STEP_IDS, _CLUSTER):
            setattr(operator, name, None)

        def conf(call: Mapping[str, Any]) -> Mapping[str, str]:
            setattr(operator, _CLUSTER, call.get("JobFlowId"))
            return _conf_of_steps(call.get("Steps") or ())

        def started(answer: Mapping[str, Any]) -> None:
            setattr(operator, _STEP_IDS, [str(each) for each in answer["StepIds"]])

        watch_start(operator, "AddJobFlowSteps", conf, started)

    def note(self, operator: Any) -> dict[str, Any]:
        """With the cluster."""
        noted = super().note(operator)
        cluster = self._cluster(operator)
        return {**noted, "cluster": str(cluster)} if noted and cluster else noted

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """Why the operator's own steps failed, and the end of their standard error on S3; of one that only followed
        an application of YARN, the logs of its containers too.

        Where the ids of the steps are not known, nothing: another task may have added one of the same name.
        """
        known = self.run_id(operator) or _STEP_ID.findall(str(exception))
        cluster = self._cluster(operator)
        if not cluster or not known:
            return
        client = operator.hook.conn
        steps = [
            client.describe_step(ClusterId=cluster, StepId=step_id)["Step"] for step_id in known[:_MOST_STEPS]
        ]
        # Those that were cancelled were cancelled because of the one that failed.
        for step in [each for each in steps if each["Status"].get("State") == "FAILED"]:
            yield from self._of_step(operator, cluster, step)

    def _of_step(self, operator: Any, cluster: str, step: Mapping[str, Any]) -> Iterator[tuple[Source, str]]:
        status = step["Status"]
        details = status.get("FailureDetails") or {}
        reasons = (
            details.get("Reason"),
            details.get("Message"),
            (status.get("StateChangeReason") or {}).get("Message"),
        )
        yield Source.PLATFORM, "\n".join(str(each) for each in reasons if each) + "\n"
        place = details.get("LogFile") or _log_of_step(operator.hook.conn, cluster, str(step["Id"]))
        if not place:
            return
        client = client_of(operator.hook, "s3")
        place = str(place).rstrip("/").removesuffix(".gz").removesuffix("/stderr")
        left_to_yarn = False
        application = None
        for source, log in s3_log(client, f"{place}/stderr.gz"):
            left_to_yarn = _LEFT_TO_YARN.search(log) is not None
            application = next(reversed(_APPLICATION.findall(log)), None)
            yield source, log
        if left_to_yarn and application:
            yield from _container_logs(client, f"{place.rpartition('/steps/')[0]}/containers/{application}/")

    def _cluster(self, operator: Any) -> str | None:
        noted = self.noted(operator).get("cluster")
        found = getattr(operator, _CLUSTER, None) or noted or operator.job_flow_id
        if not found and operator.job_flow_name:
            found = operator.hook.get_cluster_id_by_name(str(operator.job_flow_name), operator.cluster_states)
        return str(found) if found else None


def _conf_of_steps(steps: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    conf: dict[str, str] = {}
    for _, words, at in reversed(_spark_steps(steps)):
        conf.update(arguments.read(words[at:]))
    return conf


def _log_of_step(client: Any, cluster: str, step_id: str) -> str | None:
    """Where the cluster puts the logs of a step whose details do not say so."""
    uri = client.describe_cluster(ClusterId=cluster)["Cluster"].get("LogUri")
    return f"{str(uri).rstrip('/')}/{cluster}/steps/{step_id}" if uri else None


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

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """No stream; but the job that is started is seen."""
        super().tap(operator, write)
        watch_start(operator, "StartJobRun", self._conf_of_call)

    def _conf_of_call(self, call: Mapping[str, Any]) -> dict[str, str]:
        inner = (call.get("jobDriver") or {}).get(self.driver) or {}
        words = shlex.split(str(inner.get("sparkSubmitParameters") or ""))
        return {**flat(_defaults(call.get("configurationOverrides"))), **arguments.read(words)}

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
    has_own_sizes = True
    run_attributes = ("job_id",)
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
        job = self.run_id(operator) or _job_id(str(exception))
        if not job:
            return
        run = operator.hook.conn.get_job_run(applicationId=operator.application_id, jobRunId=job)["jobRun"]
        yield Source.PLATFORM, f"{run.get('stateDetails') or run.get('state')}\n"
        uri = _log_uri(run.get("configurationOverrides") or operator.configuration_overrides)
        if uri:
            place = f"{uri}/applications/{operator.application_id}/jobs/{job}/SPARK_DRIVER"
            client = client_of(operator.hook, "s3")
            for name in ("stderr.gz", "stdout.gz"):
                yield from s3_log(client, f"{place}/{name}")

    def kill(self, operator: Any, announce: Any) -> bool:
        """Cancel the job run, as ``on_kill`` does."""
        return _killed(operator, announce)


class EmrContainerPlatform(_WithParameters):
    """``EmrContainerOperator``: EMR on EKS."""

    name = "emr_containers"
    has_own_sizes = True
    run_attributes = ("job_id",)
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
        job = self.run_id(operator) or _job_id(str(exception))
        if not job:
            return
        cluster = operator.virtual_cluster_id
        run = operator.hook.conn.describe_job_run(id=job, virtualClusterId=cluster)["jobRun"]
        told = [str(run[name]) for name in ("failureReason", "stateDetails") if run.get(name)]
        yield Source.PLATFORM, "\n".join(told) + "\n"
        uri = _log_uri(run.get("configurationOverrides") or operator.configuration_overrides)
        if uri:
            yield from _container_logs(
                client_of(operator.hook, "s3"), f"{uri}/{cluster}/jobs/{job}/containers/"
            )

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


def _container_logs(client: Any, place: str) -> Iterator[tuple[Source, str]]:
    """Of the containers whose logs are under *place*: the driver's first."""
    bucket, prefix = bucket_and_key(place)
    listed = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1000).get("Contents") or []
    keys = [each["Key"] for each in listed if each["Key"].endswith(("stderr.gz", "stdout.gz"))]
    for key in sorted(keys, key=lambda key: (not _is_the_drivers(key), key))[:_MOST_LOGS]:
        source = Source.DRIVER_LOG if _is_the_drivers(key) else Source.EXECUTOR_LOG
        yield from s3_log(client, f"s3://{bucket}/{key}", source)


def _is_the_drivers(key: str) -> bool:
    """On EKS its container is named so; on YARN in cluster mode it is the application's first."""
    return "driver" in key or re.search(r"container_[^/]*_000001/", key) is not None
