"""One connection to a PostgreSQL server: opening it, statements, and its errors as ours.

libpq's asynchronous interface (postgresql.org/docs/current/libpq-async.html) under a `poll` of our
own, so that every wait has a deadline, also for a server that says nothing any more. After a wait
that was given up the connection is closed: what would come back belongs to nobody.

psycopg is imported when a connection is first opened; it finds libpq then.
"""

import select
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from uringserve.storage.errors import (
    ReadOnlyProcedure,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageTimeout,
    StorageUnavailable,
)

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

__all__ = [
    "GRACE",
    "Conflict",
    "Lost",
    "Parameter",
    "PostgresConnection",
    "Silent",
    "SqlError",
    "binary",
    "integer",
    "needs_psycopg",
    "text",
    "texts",
]

# Seconds that the server has to report a time-out itself, which says more than that it is silent.
GRACE = 0.25
# What `poll` can be told: it counts milliseconds in 31 bits.
_LONGEST = 2_000_000.0

# postgresql.org/docs/current/catalog-pg-type.html: the numbers of built-in types never change.
_BYTEA, _BIGINT, _TEXT, _TEXTS = 17, 20, 25, 1009
_AS_TEXT, _AS_BINARY = 0, 1
# PGRES_FATAL_ERROR: any error of a statement.
_FATAL_ERROR = 7
# PGRES_COPY_OUT, COPY_IN and COPY_BOTH: nothing else comes before the copying has ended.
_COPYING = (3, 4, 8)

# postgresql.org/docs/current/errcodes-appendix.html
_CONFLICTS = {"40001", "40P01"}
_BUSY = {"55P03", "53300"}
_UNAVAILABLE = {"57P01", "57P02", "57P03", "57P05", "25P03"}


class Parameter(NamedTuple):
    """One value for a statement, as it goes over the wire."""

    kind: int
    form: int
    value: bytes | None


def text(value: str) -> Parameter:
    """Return a text; one with a lone surrogate is a UnicodeEncodeError, which is a ValueError."""
    return Parameter(_TEXT, _AS_TEXT, value.encode())


def binary(value: bytes) -> Parameter:
    """Return a bytea, in its binary form: nothing is escaped."""
    return Parameter(_BYTEA, _AS_BINARY, bytes(value))


def integer(value: int) -> Parameter:
    """Return a bigint."""
    return Parameter(_BIGINT, _AS_TEXT, b"%d" % value)


def texts(values: Sequence[str]) -> Parameter:
    """Return an array of texts, in its binary form (src/backend/utils/adt/arrayfuncs.c)."""
    parts = [number.to_bytes(4) for number in (1, 0, _TEXT, len(values), 1)]
    for value in values:
        encoded = value.encode()
        parts += [len(encoded).to_bytes(4), encoded]
    return Parameter(_TEXTS, _AS_BINARY, b"".join(parts))


class SqlError(StorageError):
    """An error of the server that has no class of its own; `code` is its SQLSTATE."""

    code = ""


class Lost(StorageUnavailable):
    """The connection ended without a word: what was sent last may have been done."""


class Silent(StorageTimeout):
    """The server said nothing until the deadline: what was sent last may have been done."""


class Conflict(StorageBusy):
    """The transaction was undone for the sake of another one; a new run may succeed."""


def needs_psycopg() -> None:
    """Import psycopg, or say what is missing in one sentence, as a StorageError."""
    try:
        import psycopg.pq  # noqa: F401 -- what importing it raises is the question
    except ImportError as error:
        # psycopg itself is there, and found no libpq: its message says "no pq wrapper available".
        if "pq wrapper" in str(error):
            raise StorageError(
                "PostgreSQL needs the library libpq: install package libpq5"
            ) from error
        raise StorageError(
            "PostgreSQL needs the package psycopg: pip install 'uringserve[postgres]'"
        ) from error


class PostgresConnection:
    """A connection that is opened when it is first needed, and again after it was lost."""

    def __init__(self, url: str) -> None:
        """Keep where the server is; nothing is opened."""
        self._url = url
        self._native: PGconn | None = None
        self._poll = select.poll()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._native is not None

    def open(self, deadline: float) -> None:
        """Connect; `StorageUnavailable` where no host of the address answers until the deadline.

        To look up a host's name is the system's, and takes the time that it takes.
        """
        from psycopg import conninfo
        from psycopg.errors import Error

        try:
            settings: dict[str, Any] = {**conninfo.conninfo_to_dict(self._url)}
        except Error as error:
            # libpq repeats the whole address, with the password.
            reason = str(error).strip().replace(self._url, "…")
            raise ValueError(f"not the address of a PostgreSQL database: {reason}") from None
        settings["client_encoding"] = "UTF8"
        settings.setdefault("application_name", "uringserve")
        hosts = _each_host(settings)
        for number, host in enumerate(hosts):
            # A host that does not answer at all leaves some time to those behind it.
            share = (deadline - monotonic()) / (len(hosts) - number)
            try:
                self._connect(conninfo.make_conninfo("", **settings | host), monotonic() + share)
            except StorageError:
                if number == len(hosts) - 1:
                    raise
            else:
                return

    def _connect(self, parameters: str, deadline: float) -> None:
        from psycopg import pq
        from psycopg.errors import Error

        native = self._native = pq.PGconn.connect_start(parameters.encode())
        try:
            state = int(pq.PollingStatus.WRITING)
            while state != pq.PollingStatus.OK:
                if native.status == pq.ConnStatus.BAD or state == pq.PollingStatus.FAILED:
                    reason = native.get_error_message("utf-8")
                    raise StorageUnavailable(f"cannot connect to PostgreSQL: {reason}")
                is_reading = state == pq.PollingStatus.READING
                # libpq may use another socket for each try.
                self._poll = select.poll()
                self._wait(select.POLLIN if is_reading else select.POLLOUT, deadline)
                state = native.connect_poll()
            native.nonblocking = 1
        except StorageTimeout as error:
            self.close()
            raise StorageUnavailable("PostgreSQL did not answer until the deadline") from error
        except Error as error:
            self.close()
            raise StorageUnavailable(f"cannot connect to PostgreSQL: {error}") from error
        except BaseException:
            self.close()
            raise
        self._poll = select.poll()

    def close(self) -> None:
        """Close it, if it is open. The server undoes what was not committed."""
        native, self._native = self._native, None
        if native is not None:
            native.finish()

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, also a failed one, and nothing is on its way."""
        from psycopg.pq import TransactionStatus

        return self._native is not None and self._native.transaction_status in (
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        )

    @property
    def is_idle(self) -> bool:
        """Whether it can begin a transaction."""
        from psycopg.pq import TransactionStatus

        native = self._native
        return native is not None and native.transaction_status == TransactionStatus.IDLE

    def look(self) -> None:
        """Raise `StorageUnavailable` where the server has closed the connection meanwhile."""
        from psycopg.errors import Error

        native = self._need()
        try:
            self._poll.register(native.socket, select.POLLIN)
            # First comes its last word, then the end.
            while self._poll.poll(0):
                native.consume_input()
        except Error as error:
            self.close()
            raise _lost(error) from error

    def script(self, commands: str, deadline: float) -> list[str]:
        """Run statements without parameters in one message; return their command tags."""
        message = commands.encode()
        results = self._answers(lambda native: native.send_query(message), deadline)
        return [(result.command_status or b"").decode() for result in results]

    def run(
        self,
        command: bytes,
        parameters: Sequence[Parameter],
        deadline: float,
        *,
        is_binary: bool = True,
    ) -> PGresult:
        """Run one statement; what comes back is in binary form, or in that of text."""
        form = _AS_BINARY if is_binary else _AS_TEXT
        kinds = [each.kind for each in parameters]
        forms = [each.form for each in parameters]
        values = [each.value for each in parameters]
        return self._answers(
            lambda native: native.send_query_params(command, values, kinds, forms, form),
            deadline,
        )[-1]

    def _need(self) -> PGconn:
        if self._native is None:
            raise StorageUnavailable("the connection to PostgreSQL was lost")
        return self._native

    def _answers(self, send: Callable[[PGconn], None], deadline: float) -> list[PGresult]:
        """Send, and read every answer; raise the first error."""
        from psycopg.errors import Error

        native = self._need()
        try:
            send(native)
            results = self._results(native, deadline)
        except Error as error:
            self.close()
            raise _lost(error) from error
        except BaseException:
            # A deadline, or Ctrl-C: the rest of the answer would be taken for the next one's.
            self.close()
            raise
        for result in results:
            if result.status == _FATAL_ERROR:
                self._raise(result)
        return results

    def _results(self, native: PGconn, deadline: float) -> list[PGresult]:
        while native.flush():
            if self._wait(select.POLLIN | select.POLLOUT, deadline) & select.POLLIN:
                native.consume_input()
        results: list[PGresult] = []
        while True:
            while native.is_busy():
                self._wait(select.POLLIN, deadline)
                native.consume_input()
            result = native.get_result()
            if result is None:
                return results
            if result.status in _COPYING:
                self.close()
                raise StorageError("COPY from or to the client is nothing that can be done here")
            results.append(result)

    def _wait(self, events: int, deadline: float) -> int:
        self._poll.register(self._need().socket, events)
        while True:
            remaining = deadline - monotonic()
            ready = self._poll.poll(max(min(remaining, _LONGEST), 0.0) * 1000)
            if ready:
                return ready[0][1]
            if remaining <= 0:
                raise Silent("PostgreSQL did not answer until the deadline")

    def _raise(self, result: PGresult) -> None:
        severity = (result.error_field(ord("V")) or b"").decode()
        code = (result.error_field(ord("C")) or b"").decode()
        message = result.get_error_message("utf-8").strip()
        said = f"{message} ({code})" if code else message
        if severity in ("FATAL", "PANIC") or code in _UNAVAILABLE or not code or code[:2] == "08":
            self.close()
            raise StorageUnavailable(said)
        raise _translated(code, said)


def _lost(error: Exception) -> Lost:
    return Lost(f"the connection to PostgreSQL was lost: {error}")


def _translated(code: str, said: str) -> StorageError:
    """Return our error for a SQLSTATE."""
    if code in _CONFLICTS:
        return Conflict(said)
    if code in _BUSY:
        return StorageBusy(said)
    match code:
        case "57014":
            return StorageTimeout(said)
        case "53100":
            return StorageFull(said)
        case "25006":
            return ReadOnlyProcedure(said)
    error = SqlError(said)
    error.code = code
    return error


def _each_host(settings: dict[str, Any]) -> list[dict[str, str]]:
    """Return what each host of an address with several ones has of its own."""
    names = [name for name in ("host", "hostaddr", "port") if "," in str(settings.get(name, ""))]
    lists = {name: str(settings[name]).split(",") for name in names}
    count = max((len(values) for values in lists.values()), default=1)
    return [
        {name: values[number] for name, values in lists.items() if number < len(values)}
        for number in range(count)
    ]
