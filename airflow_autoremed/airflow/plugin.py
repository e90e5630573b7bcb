"""The Airflow plugin: loaded by every Airflow process, so it imports next to nothing."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_autoremed.airflow.opt_in import listener


class AutoremedPlugin(AirflowPlugin):
    """Registers the listener."""

    name = "autoremed"
    listeners = [listener]
