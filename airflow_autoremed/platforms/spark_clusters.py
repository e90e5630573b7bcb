"""What the cluster managers behind spark-submit know of a driver that ran in them (``deploy_mode="cluster"``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_autoremed.platforms import pod
from airflow_autoremed.types import Source


def driver_diagnostics(hook: Any, followed: Any) -> Iterator[tuple[Source, str]]:
    """Through the operator's own hook, with its addresses and credentials.

    :param hook: a ``SparkSubmitHook`` that has run.
    :param followed: the id that the operator kept of its run; ``None`` where the hook alone knows.
    """
    if getattr(hook, "_is_yarn_cluster_mode", False):
        yield from _yarn(hook, getattr(hook, "_yarn_application_id", None) or followed)
    elif getattr(hook, "_kubernetes_driver_pod", None):
        yield from _kubernetes(hook)
    elif getattr(hook, "_driver_id", None):
        yield from _standalone(hook)


def _yarn(hook: Any, application_id: Any) -> Iterator[tuple[Source, str]]:
    """The diagnostics of the ResourceManager, where the connection names its address."""
    ask = getattr(hook, "_query_yarn_application_status", None)
    if application_id is None or ask is None:
        return
    state, final_status, diagnostics = ask(str(application_id))
    yield Source.PLATFORM, f"YARN application {state}, final status {final_status}\n{diagnostics}\n"


def _kubernetes(hook: Any) -> Iterator[tuple[Source, str]]:
    """How the driver's container ended, and the end of its log."""
    from airflow.providers.cncf.kubernetes import kube_client

    client = kube_client.get_kube_client()
    yield from pod.told_by(client, hook._kubernetes_driver_pod, hook._connection["namespace"])


def _standalone(hook: Any) -> Iterator[tuple[Source, str]]:
    """The state that the hook was told last; the driver's log stays on the worker that ran it."""
    status = getattr(hook, "_driver_status", None)
    if status:
        yield Source.PLATFORM, f"standalone driver {hook._driver_id}: {status}\n"
