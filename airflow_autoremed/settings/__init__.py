"""The ``[autoremed]`` section of the Airflow configuration: its options, how each is read, and what they say together.

Every Airflow process loads this for the provider information, so it stays cheap: standard library only.
"""

from __future__ import annotations

from airflow_autoremed.settings.deployment import Settings, airflow_home, from_options, load
from airflow_autoremed.settings.options import OPTIONS, PER_TASK, SECTION, parse_group, parse_per_task
from airflow_autoremed.settings.parsers import parse_duration

__all__ = [
    "OPTIONS",
    "PER_TASK",
    "SECTION",
    "Settings",
    "airflow_home",
    "from_options",
    "load",
    "parse_duration",
    "parse_group",
    "parse_per_task",
]
