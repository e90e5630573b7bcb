"""The Airflow plugin: loaded by every Airflow process, so it imports next to nothing."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_autoremed.airflow.opt_in import listener
from airflow_autoremed.airflow.ui import doors


class AutoremedPlugin(AirflowPlugin):
    """Registers the listener and the page."""

    name = "autoremed"
    listeners = [listener]
    fastapi_apps = doors.fastapi_apps()
    external_views = doors.external_views()
    operator_extra_links = doors.operator_links()
