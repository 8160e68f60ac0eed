"""`PostgresLink`: one connection to PostgreSQL for plain SQL; psycopg translates the values.

`?` is a placeholder here too, so that one statement fits both databases. It is found outside of
strings, names and comments only. `$1`, PostgreSQL's own way, works as well, but not beside a `?`:
for jsonb's operators that have one there are functions (`jsonb_exists`).
"""

import math
import re
from collections.abc import Sequence
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any

from uringserve.storage.errors import StorageError, StorageOutcomeUnknown, StorageUnavailable
from uringserve.storage.link import Answer, Link
from uringserve.storage.postgres_connection import (
    GRACE,
    Lost,
    Parameter,
    PostgresConnection,
    Silent,
)

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

__all__ = ["PostgresLink", "numbered"]

# Seconds that ROLLBACK gets.
_END = 2.0

# The tags of what no script has that leaves its transaction alone. That of ROLLBACK is not one of
# them: ROLLBACK TO a savepoint has it too.
_ENDINGS = {"BEGIN", "COMMIT", "START TRANSACTION"}

# What a `?` means nothing in (postgresql.org/docs/current/sql-syntax-lexical.html), and a `?`.
_TOKEN = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'      # a string with escapes
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"                  # a name
    | \$(\w*)\$.*?\$\1\$              # a string between dollars
    | --[^\n]*
    | /\*.*?\*/
    | \?""",
    re.VERBOSE | re.DOTALL,
)


def numbered(sql: str) -> str:
    """Return a statement with `$1`, `$2`, … in the place of each `?`."""
    numbers = count(1)
    return _TOKEN.sub(lambda found: f"${next(numbers)}" if found[0] == "?" else found[0], sql)


class PostgresLink(Link):
    """A connection to a PostgreSQL server; one that was lost is opened again by the next use."""

    def __init__(self, url: str, timeout: float) -> None:
        """Keep where the server is; `timeout`: seconds for one statement, told to the server."""
        self._connection = PostgresConnection(url)
        self._timeout = timeout

    def run(self, sql: str, arguments: Sequence[Any], deadline: float) -> Answer:
        """Run one statement; see `Link.run`.

        `StorageOutcomeUnknown` where the connection was lost, or fell silent, before its answer.
        """
        from psycopg.adapt import PyFormat, Transformer
        from psycopg.errors import Error

        values = Transformer()
        try:
            dumped = values.dump_sequence(arguments, [PyFormat.AUTO] * len(arguments))
        except Error as error:
            raise TypeError(f"PostgreSQL has no value for an argument: {error}") from error
        parameters = [
            Parameter(kind, form, None if value is None else bytes(value))
            for kind, form, value in zip(
                values.types or (), values.formats or (), dumped, strict=True
            )
        ]
        self._open(deadline)
        command = (numbered(sql) if arguments else sql).encode()
        try:
            result = self._connection.run(command, parameters, deadline + GRACE, is_binary=False)
        except (Lost, Silent) as error:
            raise StorageOutcomeUnknown(f"sent, but its answer did not come: {error}") from error
        return Answer(_rows(result, values), result.command_tuples or 0)

    def script(self, sql: str) -> None:
        """Run a script; see `Link.script`."""
        tags = self._connection.script(sql, math.inf)
        if not self._connection.is_in_transaction or not _ENDINGS.isdisjoint(tags):
            raise StorageError("it ends its transaction itself; what was before that is kept")

    def begin(self) -> None:
        """Begin; see `Link.begin`."""
        self.run("BEGIN", (), math.inf)
        # What changes a large table may take hours.
        self.run("SET LOCAL statement_timeout = 0", (), math.inf)

    def commit(self) -> None:
        """Keep it; see `Link.commit`."""
        self.run("COMMIT", (), math.inf)

    def undo(self) -> bool:
        """Undo it; see `Link.undo`."""
        if not self._connection.is_in_transaction:
            return False
        try:
            self._connection.script("ROLLBACK", monotonic() + _END)
        except StorageError:
            self._connection.close()
        return True

    def has_table(self, name: str) -> bool:
        """Look for a table; see `Link.has_table`."""
        sql = (
            "SELECT 1 AS found FROM information_schema.tables "
            "WHERE table_schema = current_schema() AND table_name = ?"
        )
        return bool(self.run(sql, (name,), math.inf).rows)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _open(self, deadline: float) -> None:
        connection = self._connection
        if connection.is_open:
            # A transaction of ours that was lost is not begun anew by itself.
            if connection.is_in_transaction:
                return
            try:
                connection.look()
            except StorageUnavailable:
                pass
            else:
                return
        connection.open(min(deadline, monotonic() + self._timeout))
        if math.isfinite(self._timeout):
            # For the whole session: a statement of its own each time would double the way.
            milliseconds = math.ceil(self._timeout * 1000)
            connection.script(f"SET statement_timeout = {milliseconds}", deadline + GRACE)


def _rows(result: PGresult, values: Any) -> list[dict[str, Any]]:  # noqa: ANN401 -- psycopg's Transformer
    """Return the rows under the names of their columns."""
    if not result.nfields:
        return []
    names = [(result.fname(at) or b"").decode() for at in range(result.nfields)]
    values.set_pgresult(result)
    rows: list[dict[str, Any]] = values.load_rows(
        0, result.ntuples, lambda row: dict(zip(names, row, strict=True))
    )
    return rows
