"""What a Kubernetes pod tells of itself: how its containers ended, and the end of its log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_autoremed.types import Source

_MOST_LINES = 5_000


def told_by(client: Any, name: str, namespace: str, **of_log: str) -> Iterator[tuple[Source, str]]:
    """Ask the cluster about a pod.

    :param client: a ``CoreV1Api`` of the Kubernetes client.
    :param of_log: which log, where the pod has several containers: ``container=...``.
    :raises kubernetes.client.ApiException: there is no such pod, or we may not read it.
    """
    pod = client.read_namespaced_pod(name, namespace)
    for status in (pod.status.container_statuses or ()) if pod.status else ():
        ended = status.state.terminated if status.state else None
        if ended is not None:
            told = [f"container {status.name} terminated: {ended.reason}, exit code {ended.exit_code}"]
            message = [ended.message] if ended.message else []
            yield Source.PLATFORM, "\n".join([*told, *message]) + "\n"
    # The client's own decoding would give one line, "b'...\\n...'", or take a log of one JSON record apart
    # (kubernetes 36.0.3, ApiClient.deserialize).
    response = client.read_namespaced_pod_log(
        name, namespace, tail_lines=_MOST_LINES, _preload_content=False, **of_log
    )
    if response.data:
        yield Source.DRIVER_LOG, response.data.decode("utf-8", "replace")
