"""The glue to Airflow: opting in, one attempt's life, options."""

from __future__ import annotations
