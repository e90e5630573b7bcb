"""Whether the tables are as this code knows them, asked in the shortest way: every try asks. Imports SQLAlchemy.

Where the answer is no, :mod:`airflow_autoremed.history.db.schema_state` takes a closer look.
"""

from __future__ import annotations

from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from airflow_autoremed.history.db import schema_version

PROBED = {
    "autoremed_attempts": "key",
    "autoremed_decisions": "key",
    "autoremed_patches": "key",
    "autoremed_grants": "key",
    "autoremed_patch_changes": "id",
    "autoremed_outcomes": "key",
    "autoremed_overrides": "id",
    "autoremed_run_metrics": "key",
}
"""Each table but that of the version, and its primary key."""

# A row that no table has, looked for by its primary key in each: the database refuses when one is missing. As text,
# because SQLAlchemy takes longer to put such a query together than the database to answer it, and every try asks.
_PROBE = (
    "SELECT autoremed_meta.value{} FROM autoremed_meta WHERE autoremed_meta.name = 'schema_version'".format(
        "".join(
            f", (SELECT {table}.{key} FROM {table} WHERE {table}.{key} = {0 if key == 'id' else repr('')})"
            for table, key in PROBED.items()
        )
    )
)


def is_current(engine: Engine) -> bool:
    """Whether the version is ours and no table is missing: one query, whatever the number of rows."""
    with engine.connect() as connection:
        try:
            row = connection.exec_driver_sql(_PROBE).first()
        except (ProgrammingError, OperationalError) as error:
            if _lacks_table(error):
                return False
            raise
    return row is not None and row[0] == str(schema_version.VERSION)


def _lacks_table(error: DBAPIError) -> bool:
    """Whether *error* says that there is no such table or column, as the drivers put it.

    Postgres: SQLSTATE 42P01 and 42703; MySQL: errors 1146 and 1054; SQLite has its words only.
    """
    original = error.orig
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    number = original.args[0] if original is not None and original.args else None
    return (
        state in ("42P01", "42703")
        or number in (1146, 1054)
        or "no such table" in str(original)
        or "no such column" in str(original)
    )
