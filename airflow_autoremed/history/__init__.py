"""The store: which attempts there were, what was decided about each, and how it ended.

SQLAlchemy is loaded when a :class:`Store` is used for the first time, not when this package is imported.
"""

from __future__ import annotations

from airflow_autoremed.history.store import Store

__all__ = ["Store"]
