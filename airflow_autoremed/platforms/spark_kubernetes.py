"""``SparkKubernetesOperator`` of apache-airflow-providers-cncf-kubernetes: a SparkApplication of the Spark operator.

The application is a dictionary (``template_spec``) or YAML (``application_file``: a path or the text itself). Sizes are fields
of ``spec.driver`` and ``spec.executor``, everything else is ``spec.sparkConf``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from airflow_autoremed.deadline import within
from airflow_autoremed.platforms.base import Later, flat, own_method, quietly, replace_method
from airflow_autoremed.platforms.conf_with_arguments import ConfWithArguments
from airflow_autoremed.platforms.pod import told_by
from airflow_autoremed.spark.keys import PATCHABLE
from airflow_autoremed.types import Conf, Source

_REATTACHED = "_autoremed_reattached"
_KEPT = "_autoremed_kept"
"""Attribute of an operator: what its driver's pod told before it was deleted."""
_KEEPING_S = 10.0
"""How long a deletion may wait for that."""


class SparkKubernetesPlatform(ConfWithArguments):
    """Read, write and ask about a ``SparkKubernetesOperator``."""

    name = "spark_kubernetes"
    # Fields of the specification.
    arguments: ClassVar[Mapping[str, str]] = {
        "spark.executor.memory": "executor.memory",
        "spark.executor.memoryOverhead": "executor.memoryOverhead",
        "spark.executor.cores": "executor.cores",
        "spark.executor.instances": "executor.instances",
        "spark.driver.memory": "driver.memory",
        "spark.driver.memoryOverhead": "driver.memoryOverhead",
        "spark.driver.cores": "driver.cores",
        "spark.executor.extraJavaOptions": "executor.javaOptions",
        "spark.driver.extraJavaOptions": "driver.javaOptions",
    }
    counts = ("executor.cores", "executor.instances", "driver.cores")
    prefers_arguments = True

    def held(self, operator: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """``sparkConf``, and the sizes of driver and executor."""
        return self._of_spec(self._spec(self._body(operator)))

    def hold(self, operator: Any, conf: dict[str, Any], arguments: dict[str, Any]) -> None:
        """The application becomes a dictionary of its own; the author's file and dictionary stay as they are."""
        body = copy.deepcopy(self._body(operator))
        spec = body.setdefault("spark", {}).setdefault("spec", {})
        for name, value in arguments.items():
            role, _, field = name.partition(".")
            spec.setdefault(role, {})[field] = value
        if conf:
            spec["sparkConf"] = conf
        operator.template_spec = body
        operator.application_file = None
        vars(operator).pop("launcher", None)  # made of the former body

    def submitted_conf(self, operator: Any) -> Conf | None:
        """From the application that the operator's launcher created."""
        created = _created(operator)
        if not created:
            return super().submitted_conf(operator)
        conf, fields = self._of_spec(created.get("spec") or {})
        sizes = {key: fields[name] for key, name in self.arguments.items() if name in fields}
        return {key: value for key, value in flat({**conf, **sizes}).items() if key in PATCHABLE}

    def job(self, operator: Any) -> dict[str, str]:
        """The application's file and main class."""
        spec = self._spec(self._body(operator))
        named = ("mainApplicationFile", "mainClass")
        return {name: str(spec[name]) for name in named if spec.get(name)} or {"name": str(operator.name)}

    def renew(self, operator: Any) -> str | None:
        """A fixed name is that of the application of the try before, which may still be there."""
        if not operator.random_name_suffix:
            operator.random_name_suffix = True
        return None

    def reconnected(self, operator: Any) -> bool:
        """With ``reattach_on_restart`` the operator goes on with a driver of an earlier try that is still there and has
        not failed."""
        return bool(getattr(operator, _REATTACHED, False))

    def own_retries(self, operator: Any) -> str | None:
        """``restartPolicy`` of the application."""
        policy = self._spec(self._body(operator)).get("restartPolicy") or {}
        if policy.get("type") not in ("Always", "OnFailure"):
            return None
        most = policy.get("onFailureRetries")
        times = "" if most is None else f" up to {most} times"
        return f"The Spark operator itself restarts a failed application{times}, with the same configuration."

    def run_id(self, operator: Any) -> Any:
        """The name of the driver's pod."""
        pod = getattr(operator, "pod", None)
        if pod is not None:
            return pod.metadata.name
        application = (_created(operator).get("metadata") or {}).get("name")
        return f"{application}-driver" if application else super().run_id(operator)

    def diagnostics(self, operator: Any, exception: BaseException) -> Iterable[tuple[Source, str]]:
        """How the driver's containers ended, and the end of its log: as they were before the operator deleted the pod,
        else from the pod that is still there."""
        kept = vars(operator).get(_KEPT)
        if kept is not None:
            return list(kept)
        name = self.run_id(operator)
        return () if name is None else _of_pod(operator, str(name))

    def tap(self, operator: Any, write: Callable[[str], None]) -> None:
        """The driver's log as the operator reads it (``get_logs``), line by line through the callbacks of the manager
        of pods. What a pod tells is kept before the operator deletes it, which is before the failure is raised."""

        def manager() -> Any:
            from airflow.providers.cncf.kubernetes.callbacks import KubernetesPodOperatorCallback
            from airflow.providers.cncf.kubernetes.utils.pod_manager import PodManager

            def progress_callback(*, line: str, **_: Any) -> None:
                write(line)

            seen = {"progress_callback": staticmethod(progress_callback)}
            tap = type("Tap", (KubernetesPodOperatorCallback,), seen)
            return PodManager(kube_client=operator.client, callbacks=[tap])

        vars(operator)["pod_manager"] = Later(manager)
        _note_reattaching(operator)
        _keep_before_deletion(operator)

    def _of_spec(self, spec: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        fields = {}
        for name in self.arguments.values():
            role, _, field = name.partition(".")
            if (spec.get(role) or {}).get(field) is not None:
                fields[name] = spec[role][field]
        return spec.get("sparkConf") or {}, fields

    @staticmethod
    def _body(operator: Any) -> dict[str, Any]:
        body: dict[str, Any] = operator.manage_template_specs()
        return body

    @staticmethod
    def _spec(body: Mapping[str, Any]) -> dict[str, Any]:
        spec: dict[str, Any] = (body.get("spark") or {}).get("spec") or {}
        return spec


def _created(operator: Any) -> Mapping[str, Any]:
    """The application as Kubernetes has taken it from this object; empty when it has created none."""
    return getattr(vars(operator).get("launcher"), "spark_obj_spec", None) or {}


def _of_pod(operator: Any, name: str) -> list[tuple[Source, str]]:
    container = operator.BASE_CONTAINER_NAME
    return list(told_by(operator.client, name, operator.namespace, container=container))


def _keep_before_deletion(operator: Any) -> None:
    """Have what the pod of a failed driver tells kept on *operator* before the operator deletes it."""
    delete = own_method(operator, "process_pod_deletion")
    if delete is None:
        return
    setattr(operator, _KEPT, None)

    def process_pod_deletion(pod: Any, *args: Any, **kwargs: Any) -> Any:
        quietly(_keep, operator, pod)
        return delete(pod, *args, **kwargs)

    replace_method(operator, "process_pod_deletion", process_pod_deletion)


def _keep(operator: Any, pod: Any) -> None:
    if pod is not None and pod.status.phase != "Succeeded" and operator.delete_on_termination:
        setattr(operator, _KEPT, within(_KEEPING_S, lambda: _of_pod(operator, pod.metadata.name)))


def _note_reattaching(operator: Any) -> None:
    """Remember on *operator* whether the driver that it finds is that of another try, as the pod's label says."""
    find = own_method(operator, "find_spark_job")
    if find is None:
        return
    setattr(operator, _REATTACHED, False)

    def find_spark_job(context: Any, *args: Any, **kwargs: Any) -> Any:
        pod = find(context, *args, **kwargs)
        if pod is not None:
            begun_by = (pod.metadata.labels or {}).get("try_number")
            setattr(operator, _REATTACHED, begun_by not in (None, str(context["ti"].try_number)))
        return pod

    replace_method(operator, "find_spark_job", find_spark_job)
