"""``autoremed demo``: real Airflow and real Spark on this machine, in a temporary directory."""

from __future__ import annotations
