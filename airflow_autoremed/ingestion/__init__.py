"""Filling the history from what there is already: event logs, a History Server, Airflow's own history."""

from __future__ import annotations
