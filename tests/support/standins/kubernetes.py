"""A Kubernetes API as far as ``SparkKubernetesOperator`` needs one: pods, their logs, and SparkApplications, which a
Spark operator turns into a driver's pod."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.support.standins.json_server import Handler, serving
from tests.support.standins.scripted import ScriptedSpark

_CONTAINER = "spark-kubernetes-driver"
_SIZES = {"memory": "memory", "memoryOverhead": "memoryOverhead", "cores": "cores", "instances": "instances"}


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Cluster:
    """What a namespace holds."""

    spark: ScriptedSpark
    queued_s: float = 0.3
    """How long an application stays SUBMITTED: an operator that looks once sees it running or failed."""
    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)

    def create(self, application: dict[str, Any]) -> None:
        name, driver = application["metadata"]["name"], f"{application['metadata']['name']}-driver"
        self.applications[name] = application
        application["status"] = {
            "applicationState": {"state": "SUBMITTED"},
            "driverInfo": {"podName": driver},
        }
        labels = (application["spec"].get("driver") or {}).get("labels") or {}
        self.pods[driver] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": driver,
                "namespace": "default",
                "uid": driver,
                "creationTimestamp": _now(),
                "labels": {**labels, "spark-role": "driver"},
            },
            "spec": {"containers": [{"name": _CONTAINER, "image": "x"}]},
            "status": {"phase": "Pending", "containerStatuses": []},
        }
        self.logs[driver] = ""
        timer = threading.Timer(self.queued_s, self._start, (application, driver))
        timer.daemon = True
        timer.start()

    def _start(self, application: dict[str, Any], driver: str) -> None:
        spec = application["spec"]
        sizes = {
            f"spark.{role}.{name}": (spec.get(role) or {})[name]
            for role in ("driver", "executor")
            for name in _SIZES
            if (spec.get(role) or {}).get(name) is not None
        }
        self._become(driver, "Running", {"running": {"startedAt": _now()}})
        application["status"]["applicationState"]["state"] = "RUNNING"

        def ended(succeeded: bool, output: str) -> None:
            self.logs[driver] = output
            code = 0 if succeeded else 1
            reason = "Completed" if succeeded else "Error"
            ended = {"exitCode": code, "reason": reason, "startedAt": _now(), "finishedAt": _now()}
            self._become(driver, "Succeeded" if succeeded else "Failed", {"terminated": ended})
            state = {"state": "COMPLETED" if succeeded else "FAILED"}
            if not succeeded:
                state["errorMessage"] = "driver container failed with ExitCode: 1, Reason: Error"
            application["status"]["applicationState"] = state

        self.spark.run({**(spec.get("sparkConf") or {}), **sizes}, ended)

    def _become(self, driver: str, phase: str, state: dict[str, Any]) -> None:
        if driver in self.pods:
            status = {"name": _CONTAINER, "ready": False, "restartCount": 0, "image": "x", "imageID": "x"}
            self.pods[driver]["status"] = {"phase": phase, "containerStatuses": [{**status, "state": state}]}

    def delete(self, name: str) -> None:
        self.applications.pop(name, None)
        self.pods.pop(f"{name}-driver", None)


def _matches(labels: dict[str, str], selector: str) -> bool:
    for term in filter(None, selector.split(",")):
        if term.startswith("!"):
            fits = term[1:] not in labels
        else:
            name, sign, value = re.fullmatch(r"([^=!]+)(!?==?)(.*)", term).groups()
            fits = (labels.get(name) == value) is (sign[0] != "!")
        if not fits:
            return False
    return True


_GONE = (
    404,
    {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found"},
)


@contextmanager
def kubernetes(spark: ScriptedSpark, folder: Path) -> Iterator[tuple[Cluster, Path]]:
    """A cluster, and a kubeconfig for it in *folder*."""
    cluster = Cluster(spark)

    class Api(Handler):
        def answer(self, method: str, path: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
            if "sparkapplications" in path:
                return self.application(method, path[path.index("sparkapplications") + 1 :], body)
            if path[-1] == "pods":
                unwanted = re.findall(r"status\.phase!=(\w+)", query.get("fieldSelector", ""))
                found = [
                    pod
                    for pod in cluster.pods.values()
                    if _matches(pod["metadata"]["labels"], query.get("labelSelector", ""))
                    and pod["status"]["phase"] not in unwanted
                ]
                return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found}
            if path[-1] == "events":
                return 200, {"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": []}
            if path[-1] == "version":
                return 200, {"major": "1", "minor": "33"}
            name = path[path.index("pods") + 1]
            if name not in cluster.pods:
                return _GONE
            if path[-1] == "log":
                lines = cluster.logs[name].splitlines()[-int(query.get("tailLines", 10**9)) :]
                stamp = f"{_now()} " if query.get("timestamps", "").lower() == "true" else ""
                return 200, "".join(f"{stamp}{line}\n" for line in lines)
            if method == "PATCH":
                labels = (body.get("metadata") or {}).get("labels") or {}
                cluster.pods[name]["metadata"]["labels"].update(labels)
            return 200, cluster.pods[name]

        def application(self, method: str, path: list[str], body: Any) -> tuple[int, Any]:
            if method == "POST":
                cluster.create(body)
                return 201, body
            if path[0] not in cluster.applications:
                return _GONE
            if method == "DELETE":
                cluster.delete(path[0])
                return 200, {"kind": "Status", "status": "Success"}
            return 200, cluster.applications[path[0]]

    with serving(Api) as port:
        named = {"cluster": "c", "user": "u", "namespace": "default"}
        config = folder / "kubeconfig"
        config.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                    "users": [{"name": "u", "user": {"token": "t"}}],
                    "contexts": [{"name": "x", "context": named}],
                    "current-context": "x",
                }
            )
        )
        yield cluster, config
