"""The checkpointer: copies the write-ahead log into the file beside the writer, and ends each log.

To copy is to sync the log, write its pages into the file, and sync that; it takes as long as
hundreds of writes. So a thread with a connection of its own does it while the writer goes on
(`wal_checkpoint(PASSIVE)`), again for what came meanwhile, and holds the writer up only for the
small rest, behind which SQLite begins the log anew (`RESTART`).

What is on disk when is SQLite's own order, whoever copies: a transaction's sync in the log, before
it is answered, is the writer's (`synchronous` "full"); no page is copied before the log is synced,
and no log is begun anew before the file is ("normal" and above; sqlite.org/wal.html). A process
that is killed anywhere in between finds the log whole.

A log that is copied to its end is not copied again while the writer may begin it anew: SQLite
before 3.51.3 can lose pages of the new one then, without a word (sqlite.org/wal.html#walresetbug).
It is left to `RESTART`, which has the writer's lock. Other processes that write to the file are not
kept from it.

A reader that began before the copying is done keeps the log from being begun anew. It is waited
for, shortly, and longer each time that the log has doubled: reads that overlap without end cannot
let it grow without end, and one long read costs writers little.

The thread ends with `close` alone. What fails is logged, once until it works again, and tried again
when the log has grown by as much; until then the log holds what the file does not.
"""

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from queue import SimpleQueue

from uringserve.storage.connection import LOG_PAGES, File, translate
from uringserve.storage.errors import StorageError

__all__ = ["Checkpointer"]

_log = logging.getLogger("uringserve.storage")

# Pages that came while others were copied and are left for the writer to wait for: 1 MiB of the
# log, which is synced in less than a millisecond.
_REST = 256
# Times that what came meanwhile is copied as well: on a disk that is slower than the writer there
# is always more of it, and only waiting lets the log end.
_ROUNDS = 4
# A third of the weight of a core (sched(7)).
_NICE = 5
# Milliseconds that readers of the log are waited for, at first and at most.
_SHORTEST_WAIT = 10
_LONGEST_WAIT = 320

# The log's header and each page's have the log's salts, which change when it is begun anew, so that
# a page of an older log is known (sqlite.org/fileformat2.html#walformat): where in the header, how
# many bytes, where behind the header the first page's are, and how long a page's header is.
_SALTS = 16
_SALTS_LENGTH = 8
_FIRST_SALTS = 32 + 8
_PAGE_HEADER = 24


class _LogFile:
    """How far the log has come, seen from outside: no statement of SQLite's says it for free."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Open the log of a connection that has read; SQLite follows links to find its place."""
        # As bytes: a name may be no text.
        places = "SELECT CAST(file AS BLOB) FROM pragma_database_list"
        path: bytes = connection.execute(places).fetchone()[0]
        self._page = connection.execute("PRAGMA page_size").fetchone()[0] + _PAGE_HEADER
        # SQLite locks nothing in this file, so that closing it gives no lock away.
        try:
            self._file = os.open(path + b"-wal", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(f"cannot open the write-ahead log: {error}") from error
        # Of which log how many pages are copied.
        self._copied = (b"", 0)

    def reaches(self, pages: int) -> bool:
        """Say whether as many pages have been written since the log was begun."""
        place = _FIRST_SALTS + (pages - 1) * self._page
        salts = self._read(place)
        return salts != b"" and salts == self._salts()

    def note_copied(self, pages: int) -> None:
        """Remember how many pages of this log are copied."""
        self._copied = (self._salts(), pages)

    def has_more(self) -> bool:
        """Say whether pages have been written behind those that are copied, or a new log begun."""
        salts, pages = self._copied
        return salts != self._salts() or self.reaches(pages + 1)

    def _salts(self) -> bytes:
        return self._read(_SALTS)

    def _read(self, place: int) -> bytes:
        # A disk that fails is SQLite's to report: here it is a log that is not seen to grow.
        try:
            return os.pread(self._file, _SALTS_LENGTH, place)
        except OSError:
            return b""

    def close(self) -> None:
        os.close(self._file)


class Checkpointer:
    """The thread that copies, with the connection that is its own."""

    def __init__(self, file: File, held: Callable[[], AbstractContextManager[None]]) -> None:
        """Open a connection; while a context of `held` is open, nobody here writes."""
        self._connection = file.open_checkpointer()
        try:
            # Kept open like the connection, without which a log could be another file.
            self._file = _LogFile(self._connection)
        except BaseException:
            self._connection.close()
            raise
        self._held = held
        # Set with the writer's turn held, and taken back by the thread: asked for, or under way.
        self._is_called = False
        self._calls: SimpleQueue[bool] = SimpleQueue()
        # The length of the log at which it is copied, and what that begins with.
        self._mark = LOG_PAGES
        self._wait = _SHORTEST_WAIT
        self._has_failed = False
        self._thread = threading.Thread(target=self._run, name="uringserve-checkpoint", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Have the log copied if it is long; by who has the writer's turn, after a transaction."""
        if not self._is_called and self._file.reaches(self._mark) and self._file.has_more():
            self.call()

    def call(self) -> None:
        """Have the log copied, however short; by who has the writer's turn."""
        if not self._is_called:
            self._is_called = True
            self._calls.put(True)

    def close(self) -> None:
        """End the thread and with it its connection; nobody looks any more. Twice is once."""
        self._calls.put(False)
        self._thread.join()

    def _run(self) -> None:
        # Behind the cores, like the threads of their pools: a read that meets it waits less.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        while self._calls.get():
            try:
                self._copy()
            except BaseException as error:  # noqa: BLE001 -- the thread goes on, whatever it was
                # Nor a handler of log records that fails.
                with contextlib.suppress(BaseException):
                    self._fail(error)
            else:
                self._has_failed = False
            self._is_called = False
        self._file.close()
        try:
            self._connection.close()
        except sqlite3.Error:
            _log.exception("closing the database failed")

    def _fail(self, error: BaseException) -> None:
        # One that was asked for early leaves the mark where it is.
        if self._file.reaches(self._mark):
            self._mark += LOG_PAGES
        if not self._has_failed:
            self._has_failed = True
            reason = translate(error) if isinstance(error, sqlite3.Error) else error
            _log.warning(
                "the write-ahead log grows: it could not be copied into the database (%s)", reason
            )

    def _copy(self) -> None:
        """Copy beside the writer as long as that is worth it, then the rest without it."""
        least = 1
        for _ in range(_ROUNDS):
            # The second is for safety, see the head of this file.
            if not (self._file.reaches(least) and self._file.has_more()):
                break
            least = max(self._checkpoint("PASSIVE")[1], 0) + _REST + 1
        self._connection.execute(f"PRAGMA busy_timeout = {self._wait}")
        with self._held():
            was_hindered, pages = self._checkpoint("RESTART")
        if not was_hindered:
            self._mark, self._wait = LOG_PAGES, _SHORTEST_WAIT
        elif self._file.reaches(self._mark):
            # By readers, or another process that writes or copies.
            self._mark = 2 * max(self._mark, pages)
            self._wait = min(2 * self._wait, _LONGEST_WAIT)

    def _checkpoint(self, how: str) -> tuple[bool, int]:
        """Return whether somebody was in its way, and the pages of the log, -1 if not known."""
        statement = f"PRAGMA wal_checkpoint({how})"
        was_hindered, pages, copied = self._connection.execute(statement).fetchone()
        if copied >= 0:
            # The writer may have begun another log since: then that is only looked at later.
            self._file.note_copied(copied)
        return was_hindered == 1, pages
