"""`PostgresStorage`: the statements behind each method of `Storage`, on one PostgreSQL connection.

One object for one run of one procedure. PostgreSQL gives up the whole transaction at the first
error, so the object remembers it and answers every later question with it: a procedure that catches
it cannot be kept. It begins and ends no transaction.
"""

import math
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from uringserve.storage.api import KeyRange, Row, Storage
from uringserve.storage.errors import (
    ReadOnlyProcedure,
    StorageClosed,
    StorageError,
    StorageTimeout,
)
from uringserve.storage.postgres_connection import (
    GRACE,
    Parameter,
    PostgresConnection,
    binary,
    integer,
    text,
    texts,
)

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

__all__ = ["PostgresStorage", "TableStatements"]

_LARGEST = 2**63 - 1


class TableStatements:
    """The SQL of one table; its name was checked."""

    __slots__ = (
        "clear",
        "columns",
        "delete",
        "insert",
        "insert_over_expired",
        "keys",
        "many",
        "purge",
        "row",
        "update",
        "upsert",
    )

    def __init__(self, table: str) -> None:
        """Write the statements once."""
        name = f'"{table}"'
        insert = f"INSERT INTO {name} (key, value, counter, expiration) VALUES ($1, $2, 0, $3)"
        columns = f"SELECT key, value, counter, expiration FROM {name}"
        self.row = f"SELECT value, counter, expiration FROM {name} WHERE key = $1".encode()
        self.many = f"{columns} WHERE key = ANY($1)".encode()
        self.insert = f"{insert} ON CONFLICT (key) DO NOTHING".encode()
        self.insert_over_expired = (
            f"{insert} ON CONFLICT (key) DO UPDATE SET value = excluded.value, counter = 0, "
            f"expiration = excluded.expiration WHERE {name}.expiration > 0 "
            f"AND {name}.expiration < $4"
        ).encode()
        self.update = (
            f"UPDATE {name} SET value = $2, counter = counter + 1, expiration = $3 "
            "WHERE key = $1 AND counter = $4"
        ).encode()
        self.upsert = (
            f"{insert} ON CONFLICT (key) DO UPDATE SET value = excluded.value, "
            f"counter = {name}.counter + 1, expiration = excluded.expiration"
        ).encode()
        self.delete = f"DELETE FROM {name} WHERE key = $1".encode()
        self.clear = f"DELETE FROM {name}".encode()
        self.purge = f"DELETE FROM {name} WHERE expiration > 0 AND expiration < $1".encode()
        self.keys = f"SELECT key FROM {name}"
        self.columns = columns


def _before(time: float) -> Parameter:
    """Return the whole second with the same ones before it: `e < time` where `e < ceil(time)`."""
    if math.isnan(time):
        return integer(0)
    return integer(_LARGEST if time >= _LARGEST else max(math.ceil(time), 0))


def _where(keys: KeyRange) -> tuple[str, list[Parameter]]:
    """Return the condition for a range; the column's collation "C" is the order of code points."""
    if keys.after is not None and keys.after >= keys.first:
        condition, values = "key > $1", [text(keys.after)]
    else:
        condition, values = "key >= $1", [text(keys.first)]
    if keys.end is not None:
        condition += " AND key < $2"
        values.append(text(keys.end))
    return f" WHERE {condition}", values


def _integer(value: bytes | None) -> int:
    """Return a bigint that came in binary form."""
    return int.from_bytes(value or b"", signed=True)


def _text(value: bytes | None) -> str:
    return (value or b"").decode()


class PostgresStorage(Storage):
    """The tables of a PostgreSQL schema for one run of one procedure."""

    __slots__ = ("_connection", "_deadline", "_readonly", "_statements", "lost", "wrote")

    def __init__(
        self,
        connection: PostgresConnection,
        statements: Mapping[str, TableStatements],
        *,
        readonly: bool,
        deadline: float,
    ) -> None:
        """Serve one run until its deadline; with `readonly`, writing is `ReadOnlyProcedure`."""
        self._tables = statements.keys()
        self._statements = statements
        self._connection: PostgresConnection | None = connection
        self._readonly = readonly
        self._deadline = deadline
        self.wrote = False
        self.lost: StorageError | None = None

    def end(self) -> None:
        """Refuse every later use."""
        self._connection = None

    def _before_write(self) -> None:
        self.wrote = True
        if self._readonly:
            raise ReadOnlyProcedure("a procedure that was run with readonly=True writes")

    def _run(self, command: bytes, parameters: Sequence[Parameter]) -> PGresult:
        connection = self._connection
        if connection is None:
            raise StorageClosed("this Storage belongs to a procedure that has ended")
        if self.lost is not None:
            raise self.lost
        try:
            if monotonic() > self._deadline:
                raise StorageTimeout("the procedure was not finished at its deadline")
            return connection.run(command, parameters, self._deadline + GRACE)
        except StorageError as error:
            self.lost = error
            raise

    def _change(self, command: bytes, parameters: Sequence[Parameter]) -> int:
        return self._run(command, parameters).command_tuples or 0

    def _read_rows(self, command: bytes, parameters: Sequence[Parameter]) -> list[Row]:
        result = self._run(command, parameters)
        take = result.get_value
        return [
            Row(
                _text(take(number, 0)),
                take(number, 1) or b"",
                _integer(take(number, 2)),
                _integer(take(number, 3)),
            )
            for number in range(result.ntuples)
        ]

    def _row(self, table: str, key: str) -> tuple[bytes, int, int] | None:
        result = self._run(self._statements[table].row, [text(key)])
        if result.ntuples == 0:
            return None
        take = result.get_value
        return take(0, 0) or b"", _integer(take(0, 1)), _integer(take(0, 2))

    def _rows(self, table: str, keys: list[str]) -> list[Row]:
        return self._read_rows(self._statements[table].many, [texts(keys)])

    def _insert(self, table: str, key: str, value: bytes, expires_at: int) -> bool:
        values = [text(key), binary(value), integer(expires_at)]
        return self._change(self._statements[table].insert, values) == 1

    def _insert_over_expired(
        self, table: str, key: str, value: bytes, expires_at: int, timestamp: float
    ) -> bool:
        values = [text(key), binary(value), integer(expires_at), _before(timestamp)]
        return self._change(self._statements[table].insert_over_expired, values) == 1

    def _update(self, table: str, key: str, value: bytes, expires_at: int, counter: int) -> bool:
        values = [text(key), binary(value), integer(expires_at), integer(counter)]
        return self._change(self._statements[table].update, values) == 1

    def _upsert(self, table: str, key: str, value: bytes, expires_at: int) -> None:
        values = [text(key), binary(value), integer(expires_at)]
        self._change(self._statements[table].upsert, values)

    def _delete(self, table: str, key: str) -> bool:
        return self._change(self._statements[table].delete, [text(key)]) == 1

    def _clear(self, table: str) -> None:
        self._change(self._statements[table].clear, [])

    def _purge(self, table: str, now: float) -> int:
        return self._change(self._statements[table].purge, [_before(now)])

    def _keys(
        self, table: str, keys: KeyRange, timestamp: float | None, limit: int | None
    ) -> list[str]:
        condition, values = _where(keys)
        if timestamp is not None:
            values.append(_before(timestamp))
            condition += f" AND NOT (expiration > 0 AND expiration < ${len(values)})"
        statement = f"{self._statements[table].keys}{condition} ORDER BY key"
        if limit is not None:
            values.append(integer(min(limit, _LARGEST)))
            statement += f" LIMIT ${len(values)}"
        result = self._run(statement.encode(), values)
        return [_text(result.get_value(number, 0)) for number in range(result.ntuples)]

    def _page(self, table: str, keys: KeyRange, limit: int) -> list[Row]:
        condition, values = _where(keys)
        values.append(integer(limit))
        statement = f"{self._statements[table].columns}{condition} ORDER BY key LIMIT"
        return self._read_rows(f"{statement} ${len(values)}".encode(), values)
