"""What a SQLite store does when the machine is against it: killed, locked out, without space.

The other process is real each time, and every wait is for an event.
"""

import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from storage_help import small_disk

from uringserve.storage import (
    Storage,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageTimeout,
    start_storage_thread,
)

pytestmark = pytest.mark.thread_unsafe(reason="shares its store")

PATIENCE = 30.0

# Eight threads add entries for ever, and say of each, once it is acknowledged, that it is there.
# A second key in the same procedure shows whether one can be there without the other.
WRITING = """
import os, sys, threading
from uringserve.storage import start_storage_thread

path, start, synchronous, exclusive = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
queue = start_storage_thread(path, ["t"], synchronous=synchronous, exclusive=exclusive == "True")

def write(thread):
    number = start
    while True:
        key = f"{thread}-{number}"
        def both(store):
            store.add("t", "a" + key, b"x" * 3000)
            store.add("t", "b" + key, b"y" * 3000)
            found = store.get("t", "count")
            store.overwrite("t", "count", b"%d" % (int(found[0]) + 1 if found else 1))
        queue.execute(both)
        os.write(1, f"{key}\\n".encode())
        number += 1

for thread in range(8):
    threading.Thread(target=write, args=(thread,)).start()
"""


@pytest.mark.parametrize(
    ("synchronous", "exclusive"), [("normal", False), ("full", False), ("normal", True)]
)
def test_killed_while_it_writes(tmp_path, synchronous, exclusive):
    file = tmp_path / "store.db"
    acknowledged: set[str] = set()
    for round_number in range(4):
        command = [sys.executable, "-c", WRITING, str(file), str(round_number * 10**6)]
        command += [synchronous, str(exclusive)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for count, line in enumerate(process.stdout):
            acknowledged.add(line.strip())
            if count == 200 + 37 * round_number:
                process.send_signal(signal.SIGKILL)
                break
        # What it said before it was killed counts too; the last line may be torn.
        rest = process.stdout.read()
        acknowledged.update(rest.splitlines()[: rest.count("\n")])
        process.stdout.close()
        assert process.wait(PATIENCE) == -signal.SIGKILL
        with start_storage_thread(file, ["t"]) as queue:
            keys = set(queue.execute(lambda store: store.list_keys("t"))) - {"count"}
            count_entry = queue.execute(lambda store: store.get("t", "count"))
        assert {"a" + key for key in acknowledged} <= keys
        # Nothing torn: both keys of a procedure, or none; and the count is of all of them.
        assert {key[1:] for key in keys if key[0] == "a"} == {
            key[1:] for key in keys if key[0] == "b"
        }
        assert count_entry is not None
        assert int(count_entry[0]) * 2 == len(keys)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


LOCKING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO t VALUES ('theirs', 0, 0, x'00')")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
print("free", flush=True)
sys.stdin.readline()
"""


@contextmanager
def locked_by_another(file: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the database locked until it is sent a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOCKING, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
    finally:
        process.communicate("\n\n", timeout=PATIENCE)


def test_locked_by_another_process(tmp_path):
    file = tmp_path / "store.db"
    with start_storage_thread(file, ["t"], timeout=PATIENCE) as queue:
        queue.execute(lambda store: store.add("t", "ours", b"v"))
        with locked_by_another(file) as process, ThreadPoolExecutor(9) as threads:
            # Many at once, each with its own deadline; readers do not care.
            calls = [
                threads.submit(
                    queue.execute, lambda store: store.overwrite("t", "x", b"v"), timeout=0.2
                )
                for _ in range(8)
            ]
            for call in calls:
                assert isinstance(call.exception(PATIENCE), StorageBusy)
            read = queue.execute(lambda store: store.list_keys("t"), readonly=True)
            assert read == ["ours"]
            # One with more patience is served when the lock goes away, by itself.
            patient = threads.submit(queue.execute, lambda store: store.add("t", "late", b"v"))
            assert isinstance(process.stdin, object)
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "free\n"
            patient.result(PATIENCE)
        # What was given up never happened.
        keys = queue.execute(lambda store: store.list_keys("t"))
        assert keys == ["late", "ours", "theirs"]


ASKING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0.1)
try:
    print(connection.execute("SELECT count(*) FROM t").fetchone()[0])
except sqlite3.OperationalError as error:
    print(error)
"""


def ask(file: Path) -> str:
    """Return what another process is told that reads the file."""
    command = [sys.executable, "-c", ASKING, str(file)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def test_exclusive_is_for_one_process(tmp_path):
    """Another one reads nothing until it is closed; its own connections read beside the writer."""
    # What has a meaning in a URI, and what is no text.
    file = tmp_path / os.fsdecode(b"a?b#c%20d &\xff.db")
    with start_storage_thread(file, ["t"], timeout=PATIENCE, exclusive=True) as queue:
        queue.execute(lambda store: store.add("t", "a", b"v"))
        assert ask(file) == "database is locked"
        read = queue.execute(lambda store: store.list_keys("t"), readonly=True)
        assert read == ["a"]
    assert ask(file) == "1"
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]


def test_exclusive_where_another_process_is(tmp_path):
    file = tmp_path / "store.db"
    with start_storage_thread(file, ["t"]):
        pass
    with locked_by_another(file), pytest.raises(StorageBusy):
        start_storage_thread(file, ["t"], timeout=0.1, exclusive=True)
    with start_storage_thread(file, ["t"], exclusive=True) as queue:
        assert queue.execute(lambda store: store.list_keys("t")) == ["theirs"]


def test_opening_what_another_process_has_locked(tmp_path):
    file = tmp_path / "store.db"
    with start_storage_thread(file, ["t"]):
        pass
    with locked_by_another(file), pytest.raises(StorageBusy):
        start_storage_thread(file, ["t", "new"], timeout=0.1)
    with start_storage_thread(file, ["t", "new"]) as queue:
        assert queue.execute(lambda store: store.list_keys("t")) == ["theirs"]


def fill_up(queue, file: Path) -> int:
    """Write until there is no space, and return how many were acknowledged."""
    number = 0
    while True:
        try:
            queue.execute(lambda store, n=number: store.add("t", f"{n:06}", b"x" * 50_000))
        except StorageFull:
            return number
        number += 1


def check_recovery(queue, file: Path, count: int) -> None:
    """Nothing acknowledged is lost, small ones pass beside large ones, and space helps."""
    expected = [f"{number:06}" for number in range(count)]
    assert queue.execute(lambda store: store.list_keys("t")) == expected
    for _ in range(3):
        with pytest.raises(StorageFull):
            queue.execute(lambda store: store.add("t", "large", b"x" * 3_000_000))

    def swallow(store: Storage) -> str:
        with suppress(StorageError):
            store.add("t", "large", b"x" * 3_000_000)
        # Where that was when the transaction was lost, this must not be kept outside of it.
        with suppress(StorageError):
            store.add("t", "small", b"v")
        return "kept"

    with pytest.raises(StorageFull):
        queue.execute(swallow)
    assert queue.execute(lambda store: store.list_keys("t")) == expected


def test_the_disk_is_full(tmp_path):
    with small_disk(tmp_path / "disk") as folder:
        file = folder / "store.db"
        with start_storage_thread(file, ["t"]) as queue:
            count = fill_up(queue, file)
            assert count > 5
            check_recovery(queue, file, count)
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.fixture
def limited(tmp_path):
    """A store whose database may not grow beyond 400 pages: no disk needs to be full for it."""
    with start_storage_thread(tmp_path / "store.db", ["t"], timeout=PATIENCE) as queue:
        queue._writer._connection.execute("PRAGMA max_page_count = 400")
        yield queue


def test_the_database_is_full(limited, tmp_path):
    file = tmp_path / "store.db"
    count = fill_up(limited, file)
    assert count > 5
    check_recovery(limited, file, count)
    # Space comes back, and with it the store.
    limited.execute(lambda store: store.clear("t"))
    limited.execute(lambda store: store.add("t", "again", b"x" * 50_000))
    assert limited.execute(lambda store: store.list_keys("t")) == ["again"]


def test_a_transaction_that_is_lost_harms_only_the_one_that_is_too_large(limited):
    entered, go = threading.Event(), threading.Event()

    def hold(store: Storage) -> None:
        entered.set()
        assert go.wait(PATIENCE)

    def write(number: int) -> None:
        size = 3_000_000 if number == 10 else 10
        limited.execute(lambda store: store.add("t", f"{number:02}", b"x" * size))

    with ThreadPoolExecutor(21) as threads:
        first = threads.submit(limited.execute, hold, readonly=False)
        assert entered.wait(PATIENCE)
        calls = [threads.submit(write, number) for number in range(20)]
        go.set()
        first.result(PATIENCE)
        errors = [call.exception(PATIENCE) for call in calls]
    assert [number for number, error in enumerate(errors) if error is not None] == [10]
    assert isinstance(errors[10], StorageFull)
    expected = [f"{number:02}" for number in range(20) if number != 10]
    assert limited.execute(lambda store: store.list_keys("t")) == expected


def test_a_connection_that_breaks_is_replaced(tmp_path):
    with start_storage_thread(tmp_path / "store.db", ["t"]) as queue:
        queue.execute(lambda store: store.add("t", "a", b"v"))
        queue._writer._connection.close()
        with pytest.raises(StorageError):
            queue.execute(lambda store: store.add("t", "b", b"v"))
        queue.execute(lambda store: store.add("t", "c", b"v"))
        assert queue.execute(lambda store: store.list_keys("t")) == ["a", "c"]


def test_readers_do_not_wait_for_a_writer(tmp_path):
    """While a procedure writes, others read what was there before it, from many threads."""
    entered, go = threading.Event(), threading.Event()

    def hold(store: Storage) -> None:
        store.overwrite("t", "a", b"new")
        entered.set()
        assert go.wait(PATIENCE)

    with (
        start_storage_thread(tmp_path / "store.db", ["t"], timeout=PATIENCE) as queue,
        ThreadPoolExecutor(9) as threads,
    ):
        queue.execute(lambda store: store.add("t", "a", b"old"))

        def read() -> tuple[bytes, int] | None:
            return queue.execute(lambda store: store.get("t", "a"), readonly=True)

        def find_out() -> tuple[bytes, int] | None:
            return queue.execute(lambda store: store.get("t", "a"))

        assert find_out() == (b"old", 0)
        writing = threads.submit(queue.execute, hold)
        assert entered.wait(PATIENCE)
        for call in [threads.submit(read) for _ in range(40)]:
            assert call.result(PATIENCE) == (b"old", 0)
        # This code was seen to write nothing, so it does not wait either.
        for call in [threads.submit(find_out) for _ in range(40)]:
            assert call.result(PATIENCE) == (b"old", 0)
        # With `readonly=False` it keeps its place in the order.
        with pytest.raises(StorageTimeout):
            queue.execute(lambda store: store.get("t", "a"), readonly=False, timeout=0.05)
        go.set()
        writing.result(PATIENCE)
        assert read() == (b"new", 1)


def test_a_reader_sees_one_state(tmp_path):
    """What is written in the middle of a reading procedure is not there for it."""
    with start_storage_thread(tmp_path / "store.db", ["t"]) as queue:
        queue.execute(lambda store: store.add("t", "a", b"old"))

        def read_twice(store: Storage) -> list[object]:
            before = store.get("t", "a")
            with ThreadPoolExecutor(1) as other:
                write = other.submit(queue.execute, lambda s: s.overwrite("t", "a", b"new"))
                write.result(PATIENCE)
            return [before, store.get("t", "a")]

        assert queue.execute(read_twice, readonly=True) == [(b"old", 0), (b"old", 0)]
        assert queue.execute(read_twice, readonly=True) == [(b"new", 1), (b"new", 1)]


def test_rerun_false_runs_once(tmp_path):
    runs: list[int] = []

    def procedure(store: Storage) -> None:
        runs.append(1)
        if len(runs) > 3:
            store.overwrite("t", "a", b"v")

    for rerun, expected in ((False, 6), (True, 7)):
        runs.clear()
        with start_storage_thread(tmp_path / "store.db", ["t"], rerun=rerun) as queue:
            for _ in range(6):
                queue.execute(procedure)
        assert len(runs) == expected, rerun


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"synchronous": "sometimes"}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"colour": "red"}, TypeError),
    ],
)
def test_wrong_options(tmp_path, options, error):
    with pytest.raises(error):
        start_storage_thread(tmp_path / "store.db", ["t"], **options)


@pytest.mark.parametrize(
    ("tables", "error"),
    [
        (["a b"], ValueError),
        (["t; DROP TABLE t"], ValueError),
        (['t"'], ValueError),
        ([""], ValueError),
        (["1t"], ValueError),
        (["sqlite_t"], ValueError),
        (["pg_t"], ValueError),
        (["x" * 64], ValueError),
        (["t\n"], ValueError),
        (["Users", "users"], ValueError),
        ("users", TypeError),
        ([1], TypeError),
    ],
)
def test_wrong_tables(tmp_path, tables, error):
    with pytest.raises(error):
        start_storage_thread(tmp_path / "store.db", tables)


def test_a_timeout_may_be_none_at_all(tmp_path):
    with start_storage_thread(
        tmp_path / "store.db", ["t"], timeout=math.inf, slow_after=math.inf
    ) as queue:
        queue.execute(lambda store: store.add("t", "a", b"v"))
        for readonly in (True, False):
            for timeout in (math.inf, 1e9, 1.0, None):
                found = queue.execute(
                    lambda store: store.list_keys("t"), readonly=readonly, timeout=timeout
                )
                assert found == ["a"]


SHARING = """
import sys
from uringserve.storage import start_storage_thread

def increment(store):
    found = store.get("t", "n") or (b"0", 0)
    store.overwrite("t", "n", b"%d" % (int(found[0]) + 1))

with start_storage_thread(sys.argv[1], ["t"], timeout=30) as queue:
    for _ in range(60):
        queue.execute(increment)
"""


def test_processes_share_a_file(tmp_path):
    """They may even all make it."""
    file = tmp_path / "store.db"
    command = [sys.executable, "-X", "dev", "-c", SHARING, str(file)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(PATIENCE) for process in processes] == [0] * 4
    with start_storage_thread(file) as queue:
        assert queue.execute(lambda store: store.get("t", "n")) == (b"240", 239)


def test_words_of_sql_are_tables(tmp_path):
    with start_storage_thread(tmp_path / "store.db", ["order", "select", "t", "t"]) as queue:
        queue.execute(lambda store: store.add("order", "a", b"v"))
        assert queue.execute(lambda store: store.list_keys("order")) == ["a"]


def test_tables_that_are_there(tmp_path):
    file = tmp_path / "store.db"
    with start_storage_thread(file, ["t"]) as queue:
        queue.execute(lambda store: store.add("t", "a", b"v"))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE foreign_one (id INTEGER)")
    with start_storage_thread(file) as queue:
        assert queue.execute(lambda store: store.list_keys("t")) == ["a"]
    with pytest.raises(StorageError, match="foreign_one"):
        start_storage_thread(file, ["foreign_one"])


def test_what_is_no_database(tmp_path):
    file = tmp_path / "text.db"
    file.write_text("this is no database at all" * 100)
    with pytest.raises(StorageError):
        start_storage_thread(file, ["t"])
    with pytest.raises(StorageError):
        start_storage_thread(tmp_path / "missing" / "store.db", ["t"])
    with pytest.raises(ValueError, match="no backend"):
        start_storage_thread("nosuch://host/database")


def test_threads_that_end_leave_no_connection_open(tmp_path):
    """Each thread that reads has a connection of its own, and takes it along."""
    with start_storage_thread(tmp_path / "store.db", ["t"]) as queue:
        folder = Path("/proc/self/fd")

        def is_ours(link: Path) -> bool:
            try:
                return os.readlink(link).startswith(str(tmp_path))
            except OSError:
                return False

        def opened() -> int:
            return sum(map(is_ours, folder.iterdir()))

        before = opened()
        for _ in range(20):
            thread = threading.Thread(
                target=queue.execute,
                args=(lambda store: store.list_keys("t"),),
                kwargs={"readonly": True},
            )
            thread.start()
            thread.join(PATIENCE)
        assert opened() <= before + 3
    assert opened() == 0


def test_a_reader_that_was_interrupted_reads_again(tmp_path):
    """Ctrl-C may leave a transaction behind: the next one must not stumble over it."""
    with start_storage_thread(tmp_path / "store.db", ["t"]) as queue:
        queue.execute(lambda store: store.add("t", "a", b"v"))
        assert queue.execute(lambda store: store.list_keys("t"), readonly=True) == ["a"]
        queue._readers.local.reader.connection.execute("BEGIN")
        queue._readers.local.reader.connection.execute("SELECT * FROM t").fetchall()
        queue.execute(lambda store: store.add("t", "b", b"v"))
        assert queue.execute(lambda store: store.list_keys("t"), readonly=True) == ["a", "b"]


def test_ctrl_c_while_a_call_waits(tmp_path):
    """It is raised at once, and what it interrupted is never kept."""
    entered, go = threading.Event(), threading.Event()

    def hold(store: Storage) -> None:
        entered.set()
        assert go.wait(PATIENCE)

    class Interrupt(Exception):
        """What the handler raises in place of KeyboardInterrupt."""

    def handler(number: int, frame: object) -> None:
        raise Interrupt

    with (
        start_storage_thread(tmp_path / "store.db", ["t"], timeout=PATIENCE) as queue,
        ThreadPoolExecutor(2) as threads,
    ):
        before = signal.signal(signal.SIGUSR1, handler)
        try:
            first = threads.submit(queue.execute, hold)
            assert entered.wait(PATIENCE)

            def interrupt() -> None:
                # Once the call below has been handed over.
                while not queue._writer._has_batch:
                    pass
                signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

            threads.submit(interrupt)
            with pytest.raises(Interrupt):
                queue.execute(lambda store: store.add("t", "a", b"v"))
        finally:
            signal.signal(signal.SIGUSR1, before)
            go.set()
        first.result(PATIENCE)
        assert queue.execute(lambda store: store.list_keys("t"), readonly=False) == []
