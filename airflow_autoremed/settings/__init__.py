"""The ``[autoremed]`` section of the Airflow configuration: its options, how each is read, and what they say together.

A Dag file that opts a task in loads this, so it stays cheap: standard library only.
"""

from __future__ import annotations

from airflow_autoremed.settings.loading import from_options, load
from airflow_autoremed.settings.options import OPTIONS, PER_TASK, SECTION, parse_group, parse_per_task
from airflow_autoremed.settings.parsers import parse_duration
from airflow_autoremed.settings.values import Settings, airflow_home

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
