"""What Alembic runs: see :mod:`airflow_autoremed.history.migrations`, which calls it."""

from __future__ import annotations

from alembic import context

from airflow_autoremed.history import readiness, schema


def _run() -> None:
    attributes = context.config.attributes
    connection = attributes["connection"]
    if connection is None:
        context.configure(
            dialect_name=attributes["dialect"].name,
            literal_binds=True,
            version_table=readiness.ALEMBIC_TABLE,
            transactional_ddl=attributes["dialect"].name == "postgresql",
        )
        context.run_migrations()
        return
    context.configure(
        connection=connection, target_metadata=schema.metadata, version_table=readiness.ALEMBIC_TABLE
    )
    # Where to begin is told by our own table: Alembic's is missing from stores of version 1.
    with context.begin_transaction():
        context.get_context().stamp(context.script, attributes["start"])
        context.run_migrations()


_run()
