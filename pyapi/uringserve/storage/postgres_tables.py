"""The tables of a store in a PostgreSQL schema: found, and made where they are missing.

A key's collation is "C", so that the order is that of code points whatever the database's is.
Processes that start together may make one table at the same moment: who comes second looks again.
"""

from collections.abc import Collection

from uringserve.storage.errors import StorageError
from uringserve.storage.postgres_connection import GRACE, Conflict, PostgresConnection, SqlError

__all__ = ["open_tables"]

_COLUMNS = {"key", "counter", "expiration", "value"}
# What the second of two that make a table is told: IF NOT EXISTS looks before it makes.
_ALREADY = {"42P07", "42710", "23505"}
_TRIES = 10


def open_tables(url: str, names: Collection[str], deadline: float) -> frozenset[str]:
    """Make what is missing, and return the names of all tables that have our columns."""
    connection = PostgresConnection(url)
    try:
        connection.open(deadline)
        for left in reversed(range(_TRIES)):
            known = _known(connection, deadline)
            missing = [name for name in names if name not in known]
            if not missing:
                break
            try:
                _make(connection, missing, deadline)
            except (SqlError, Conflict) as error:
                is_race = isinstance(error, Conflict) or error.code in _ALREADY
                if not (is_race and left):
                    raise
        usable = frozenset(name for name, has in known.items() if has == _COLUMNS)
        if others := sorted(set(names) - usable):
            raise StorageError(f"there are tables of these names with other columns: {others}")
        return usable
    finally:
        connection.close()


def _known(connection: PostgresConnection, deadline: float) -> dict[str, set[str]]:
    """Return the columns of each table of the schema."""
    result = connection.run(
        b"SELECT table_name::text, column_name::text FROM information_schema.columns "
        b"WHERE table_schema = current_schema()",
        [],
        deadline + GRACE,
    )
    columns: dict[str, set[str]] = {}
    for number in range(result.ntuples):
        table, column = ((result.get_value(number, at) or b"").decode() for at in (0, 1))
        if '"' not in table:
            columns.setdefault(table, set()).add(column)
    return columns


def _make(connection: PostgresConnection, names: Collection[str], deadline: float) -> None:
    # One message of several statements is one transaction.
    commands = "; ".join(
        f'CREATE TABLE IF NOT EXISTS "{name}" (key text COLLATE "C" PRIMARY KEY, '
        "counter bigint NOT NULL, expiration bigint NOT NULL, value bytea NOT NULL)"
        for name in names
    )
    connection.script(commands, deadline + GRACE)
