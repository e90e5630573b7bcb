"""Which configuration the next try should have: the playbook, inside the limits."""

from __future__ import annotations

from airflow_autoremed.recommending.playbook import recommend

__all__ = ["recommend"]
