"""What state the schema of a database is in."""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import Engine

from airflow_autoremed.history.db import schema_state
from airflow_autoremed.history.db.run_metrics_table import metadata
from airflow_autoremed.history.db.schema_state import State


def differences(engine: Engine) -> list[Any]:
    """What Alembic would change to get from the tables to ``metadata``."""
    with engine.connect() as connection:
        options = {
            "version_table": schema_state.ALEMBIC_TABLE,
            "compare_type": True,
            "compare_server_default": True,
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def state(engine: Engine) -> State:
    with engine.connect() as connection:
        return schema_state.look(connection).state


def alembic_version(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return [row[0] for row in connection.exec_driver_sql(f"SELECT * FROM {schema_state.ALEMBIC_TABLE}")]
