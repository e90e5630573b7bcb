"""The operators of apache-airflow-providers-databricks that launch a cluster for their run.

What Spark is told stands in ``spark_conf`` of the new cluster: of the run, of one of its tasks, or of a job cluster that
tasks share. The memory of an executor follows from the node type: Databricks sets ``spark.executor.memory`` by it, and
takes another only where it fits the node. So a heap can grow only into what the node type leaves, and a larger node type
is the author's to choose. A cluster that exists already, and a job that is defined in Databricks, are not ours to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar
from uuid import uuid4

from airflow_autoremed.platforms.base import Platform, flat, note_submitted, watch_hook
from airflow_autoremed.types import Source

_MOST_TASKS = 20
_WORK = (
    "notebook_task",
    "spark_python_task",
    "spark_jar_task",
    "spark_submit_task",
    "python_wheel_task",
    "pipeline_task",
    "dbt_task",
)


class DatabricksSubmitRunPlatform(Platform):
    """``DatabricksSubmitRunOperator``, whose run is told as ``json``, as arguments, or both (arguments win)."""

    name = "databricks_submit_run"
    has_own_sizes = True
    run_attributes = ("run_id",)

    def read_conf(self, operator: Any) -> dict[str, str]:
        """``spark_conf`` of the first new cluster, completed by the others."""
        return _conf_of_clusters(_whole(operator))

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* in ``spark_conf`` of every new cluster of the run."""
        for name in ("new_cluster", "tasks"):
            value = getattr(operator, name, None)
            if value:
                setattr(operator, name, _changed({name: value}, changes)[name])
        if operator.json:
            operator.json = _changed(operator.json, changes)

    def job(self, operator: Any) -> dict[str, str]:
        """What the run does."""
        whole = _whole(operator)
        tasks = whole.get("tasks") or [whole]
        found = {}
        for number, task in enumerate(tasks):
            found.update({f"{number} {kind}": str(task[kind]) for kind in _WORK if task.get(kind)})
        return found or {"run": str(whole.get("run_name") or operator.task_id)}

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """No stream; but the run that is submitted is seen."""
        super().tap(operator, write)
        _watch_submission(operator)

    def renew(self, operator: Any) -> str | None:
        """Another idempotency token, where one is fixed."""
        if not any(True for _ in _clusters(_whole(operator))):
            return "the run uses a cluster that exists already (or serverless compute), whose settings are not the run's"
        if operator.idempotency_token:
            operator.idempotency_token = str(uuid4())
        if (operator.json or {}).get("idempotency_token"):
            operator.json = {**operator.json, "idempotency_token": str(uuid4())}
        return None

    def own_retries(self, operator: Any) -> str | None:
        """``max_retries`` of the run's tasks."""
        whole = _whole(operator)
        return _told(
            max((int(task.get("max_retries") or 0) for task in whole.get("tasks") or [whole]), default=0)
        )

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """Error and trace of the failed tasks' output."""
        yield from _outputs(operator, self.run_id(operator), exception)

    def kill(self, operator: Any, announce: Callable[[], None]) -> bool:
        """Cancel the run, as ``on_kill`` does."""
        if not getattr(operator, "run_id", None):
            return False
        announce()
        operator.on_kill()
        return True


class DatabricksTaskPlatform(Platform):
    """``DatabricksNotebookOperator`` and ``DatabricksTaskOperator``, outside of a workflow task group."""

    name = "databricks_task"
    has_own_sizes = True
    run_attributes = ("databricks_run_id",)
    work: ClassVar[tuple[str, ...]] = ("notebook_path", "task_config")

    def read_conf(self, operator: Any) -> dict[str, str]:
        """``spark_conf`` of the new cluster."""
        return flat((operator.new_cluster or {}).get("spark_conf"))

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Set *changes* in it."""
        cluster = operator.new_cluster or {}
        operator.new_cluster = {**cluster, "spark_conf": {**(cluster.get("spark_conf") or {}), **changes}}

    def job(self, operator: Any) -> dict[str, str]:
        """The notebook, or the task's configuration."""
        return {name: str(value) for name in self.work if (value := getattr(operator, name, None))} or {
            "task": str(operator.task_id)
        }

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """No stream; but the run that is submitted is seen."""
        super().tap(operator, write)
        _watch_submission(operator)

    def renew(self, operator: Any) -> str | None:
        """Every launch is a new run; but not every cluster is the task's own."""
        if operator._databricks_workflow_task_group is not None:
            return "the task runs in a Databricks workflow, which was launched with its configuration before"
        if not (operator.new_cluster or {}).get("spark_version"):
            return "the task uses a cluster that exists already, whose settings are not the task's"
        return None

    def own_retries(self, operator: Any) -> str | None:
        """``max_retries`` of the task."""
        most = getattr(operator, "max_retries", None)
        return _told(int(str(most)) if str(most).isdigit() else 0)

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """Error and trace of the failed tasks' output."""
        yield from _outputs(operator, self.run_id(operator), exception)


class DatabricksRunNowPlatform(DatabricksSubmitRunPlatform):
    """``DatabricksRunNowOperator``: a job that is defined in Databricks. Its failures are judged; its configuration
    cannot be changed for one run."""

    name = "databricks_run_now"

    def read_conf(self, operator: Any) -> dict[str, str]:
        """Nothing: it is not in the operator."""
        return {}

    def write_conf(self, operator: Any, changes: Mapping[str, str]) -> None:
        """Nothing can be changed; :meth:`renew` has said so before."""

    def renew(self, operator: Any) -> str | None:
        """The API overrides parameters of a job, not its clusters."""
        return "the job and its clusters are defined in Databricks, and a run cannot override their configuration"

    def job(self, operator: Any) -> dict[str, str]:
        """The job."""
        named = ("job_id", "job_name")
        whole = operator.json or {}
        return {
            name: str(value) for name in named if (value := getattr(operator, name, None) or whole.get(name))
        }

    def own_retries(self, operator: Any) -> str | None:
        """Not known from here."""
        return None


def _watch_submission(operator: Any) -> None:
    def seen(run: Mapping[str, Any], *_args: Any, **_kwargs: Any) -> None:
        note_submitted(operator, _conf_of_clusters(run))

    watch_hook(operator, "_hook", "submit_run", seen)


def _conf_of_clusters(whole: Mapping[str, Any]) -> dict[str, str]:
    """``spark_conf`` of the first new cluster, completed by the others."""
    conf: dict[str, str] = {}
    for cluster in reversed(list(_clusters(whole))):
        conf.update(flat(cluster.get("spark_conf")))
    return conf


def _told(most: int) -> str | None:
    if not most:
        return None
    times = "without end" if most < 0 else f"up to {most} times"
    return f"Databricks itself runs a failed task again, {times}, with the same configuration."


def _whole(operator: Any) -> dict[str, Any]:
    """The run as it is told, arguments over ``json``."""
    whole = dict(operator.json or {})
    for name in ("tasks", "new_cluster", "run_name", *_WORK):
        value = getattr(operator, name, None)
        if value is not None:
            whole[name] = value
    return whole


def _clusters(whole: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The new clusters of a run."""
    if isinstance(whole.get("new_cluster"), Mapping):
        yield whole["new_cluster"]
    for name in ("tasks", "job_clusters"):
        for each in whole.get(name) or ():
            if isinstance(each, Mapping) and isinstance(each.get("new_cluster"), Mapping):
                yield each["new_cluster"]


def _changed(whole: Mapping[str, Any], changes: Mapping[str, str]) -> dict[str, Any]:
    """*whole* with *changes* in the conf of each new cluster; nothing of it is changed in place."""

    def cluster(given: Mapping[str, Any]) -> dict[str, Any]:
        return {**given, "spark_conf": {**(given.get("spark_conf") or {}), **changes}}

    result = dict(whole)
    if isinstance(result.get("new_cluster"), Mapping):
        result["new_cluster"] = cluster(result["new_cluster"])
    for name in ("tasks", "job_clusters"):
        if result.get(name):
            result[name] = [
                {**each, "new_cluster": cluster(each["new_cluster"])}
                if isinstance(each, Mapping) and isinstance(each.get("new_cluster"), Mapping)
                else each
                for each in result[name]
            ]
    return result


def _outputs(operator: Any, run_id: Any, exception: BaseException) -> Iterator[tuple[Source, str]]:
    """What the failed tasks of a run said. The operator's own exception names the run of a deferred try."""
    import re

    if run_id is None:
        found = re.search(r"run_id['\"]?[:=]? ?['\"]?(\d+)|/run(?:s)?/(\d+)", str(exception))
        if found is None:
            return
        run_id = int(next(each for each in found.groups() if each))
    hook = operator._hook
    run = hook.get_run(run_id)
    message = (run.get("state") or {}).get("state_message")
    if message:
        yield Source.PLATFORM, f"{message}\n"
    for task in (run.get("tasks") or [run])[:_MOST_TASKS]:
        if (task.get("state") or {}).get("result_state") in (None, "SUCCESS"):
            continue
        output = hook.get_run_output(task["run_id"])
        for name in ("error", "error_trace", "logs"):
            if output.get(name):
                yield (Source.DRIVER_LOG if name == "logs" else Source.PLATFORM), f"{output[name]}\n"
