"""What Alembic runs: see :mod:`airflow_autoremed.history.migrations`, which calls it."""

from __future__ import annotations

from alembic import context
from sqlalchemy.schema import CreateTable

from airflow_autoremed.history.db import schema_state
from airflow_autoremed.history.db.run_metrics_table import metadata
from airflow_autoremed.history.migrations import steps


def _run() -> None:
    attributes = context.config.attributes
    connection = attributes["connection"]
    if connection is None:
        context.configure(
            dialect_name=attributes["dialect"], literal_binds=True, version_table=schema_state.ALEMBIC_TABLE
        )
        with context.begin_transaction():
            if attributes["adopt"]:
                context.execute(CreateTable(schema_state.alembic_version))
                steps.insert(schema_state.alembic_version, version_num=attributes["start"])
            context.run_migrations()
        return
    context.configure(
        connection=connection, target_metadata=metadata, version_table=schema_state.ALEMBIC_TABLE
    )
    with context.begin_transaction():
        # Where to begin is told by our own table: Alembic's is missing from stores of version 1.
        context.get_context().stamp(context.script, attributes["start"])
        context.run_migrations()


_run()
