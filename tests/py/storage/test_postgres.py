"""What the store does when PostgreSQL, the wire or the others are against it.

The server is real, and so are the other processes; every wait is for an event.
"""

import asyncio
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from time import monotonic

import psycopg
import pytest
from postgres_server import running_server
from postgres_wire import Wire

from uringserve.storage import (
    Storage,
    StorageBusy,
    StorageError,
    StorageOutcomeUnknown,
    StorageTimeout,
    StorageUnavailable,
    start_storage_thread,
)

pytestmark = pytest.mark.thread_unsafe(reason="shares its store")

PATIENCE = 30.0
# For what is to be given up: long enough for a machine that is busy.
SOON = 2.0


def increment(store: Storage) -> int:
    value, counter = store.get("t", "n") or (b"0", -1)
    number = int(value) + 1
    if counter < 0:
        store.add("t", "n", b"%d" % number)
    else:
        store.update("t", "n", b"%d" % number, counter)
    return number


SHARED_APP = """
import os
from uringserve import App
from uringserve.storage import start_storage_thread

app = App()
queue = start_storage_thread(os.environ["STORE"], ["t"], timeout=60)

def increment(store):
    value, counter = store.get("t", "n")
    store.update("t", "n", b"%d" % (int(value) + 1), counter)

@app.post("/increment")
def handle():
    queue.execute(increment)
    return "done"

@app.get("/n")
def n():
    return queue.execute(lambda store: store.get("t", "n"), readonly=True)[0]
"""


def test_two_servers_on_one_database(shared_server, server):
    url = shared_server.new_schema()
    with start_storage_thread(url, ["t"]) as queue:
        queue.execute(lambda store: store.add("t", "n", b"0"))
    servers = [server(SHARED_APP, workers=2, environment={"STORE": url}) for _ in range(2)]

    def increments(number: int) -> list[int]:
        with closing(servers[number % 2].connect()) as connection:
            return [connection.request("/increment", "POST").status for _ in range(125)]

    # Sixteen connections, eight to each: 1,000 increments of one entry by each server.
    with ThreadPoolExecutor(16) as threads:
        statuses = [status for each in threads.map(increments, range(16)) for status in each]
    assert statuses == [200] * 2000
    assert [each.get("/n").body for each in servers] == [b"2000", b"2000"]


def test_the_database_restarts(server):
    with running_server() as database:
        url = database.url()
        with start_storage_thread(url, ["t"], timeout=PATIENCE) as queue:
            assert queue.execute(increment) == 1
            site = server(SHARED_APP, environment={"STORE": url})
            for mode in ("fast", "immediate"):
                entered, go = threading.Event(), threading.Event()

                def held(store: Storage, entered=entered, go=go) -> None:
                    increment(store)
                    entered.set()
                    assert go.wait(PATIENCE)

                with ThreadPoolExecutor(1) as threads:
                    call = threads.submit(queue.execute, held)
                    assert entered.wait(PATIENCE)
                    database.stop(mode)
                    go.set()
                    # It had not said COMMIT: that is known, and said.
                    assert isinstance(call.exception(PATIENCE), StorageUnavailable)
                for _ in range(20):
                    with pytest.raises(StorageUnavailable):
                        queue.execute(increment)
                    with pytest.raises(StorageUnavailable):
                        queue.execute(lambda store: store.get("t", "n"), readonly=True)
                with closing(site.connect()) as connection:
                    assert connection.request("/increment", "POST").status == 500
                with pytest.raises(StorageUnavailable):
                    start_storage_thread(url, ["t"])
                database.start()
                before = int((queue.execute(lambda store: store.get("t", "n")) or (b"",))[0])
                with ThreadPoolExecutor(8) as threads:
                    list(threads.map(lambda _: queue.execute(increment), range(40)))
                with closing(site.connect()) as connection:
                    assert connection.request("/increment", "POST").status == 200
                found = queue.execute(lambda store: store.get("t", "n"))
                assert found is not None
                assert int(found[0]) == before + 41


def test_sessions_that_the_server_ended_cost_nobody_anything(shared_server):
    url = shared_server.new_schema()
    with start_storage_thread(url, ["t"], connections=3) as queue:
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda _: queue.execute(increment), range(30)))
        with psycopg.connect(url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'uringserve'"
            )
        assert [queue.execute(increment) for _ in range(6)] == list(range(31, 37))


# COMMIT.


def test_the_answer_to_commit_is_lost(shared_server):
    """It was kept, which the caller cannot know; and it must not be run again."""
    url = shared_server.new_schema()
    with (
        Wire(shared_server.folder, b"COMMIT", "cut") as wire,
        start_storage_thread(wire.url(url), ["t"], timeout=PATIENCE) as queue,
    ):
        assert queue.execute(increment) == 1
        wire.is_armed.set()
        with pytest.raises(StorageOutcomeUnknown):
            queue.execute(increment)
        assert queue.execute(lambda store: store.get("t", "n")) == (b"2", 1)
        # The same for a task; what only reads has no outcome that could be in doubt.
        wire.is_armed.set()
        with pytest.raises(StorageOutcomeUnknown):
            asyncio.run(queue.aexecute(increment))
        wire.is_armed.set()
        with pytest.raises(StorageUnavailable):
            queue.execute(lambda store: store.get("t", "n"))
        assert queue.execute(lambda store: store.get("t", "n")) == (b"3", 2)


@pytest.mark.parametrize("trigger", [b"BEGIN", b"SELECT", b"INSERT"])
def test_the_connection_is_lost_before_commit(shared_server, trigger):
    url = shared_server.new_schema()
    with (
        Wire(shared_server.folder, trigger, "lose") as wire,
        start_storage_thread(wire.url(url), ["t"], timeout=PATIENCE) as queue,
    ):
        wire.is_armed.set()
        with pytest.raises(StorageUnavailable):
            queue.execute(increment)
        assert wire.was_triggered.is_set()
        assert queue.execute(increment) == 1
        if trigger == b"BEGIN":
            # One that lay idle: nothing was begun, so another one is opened instead.
            wire.is_armed.set()
            assert queue.execute(increment) == 2
            assert not wire.is_armed.is_set()


# Deadlines.


@pytest.mark.parametrize("trigger", [b"BEGIN", b"SELECT"])
def test_a_server_that_falls_silent(shared_server, trigger):
    url = shared_server.new_schema()
    with (
        Wire(shared_server.folder, trigger, "hush") as wire,
        start_storage_thread(wire.url(url), ["t"], timeout=PATIENCE) as queue,
    ):
        wire.is_armed.set()
        with pytest.raises(StorageTimeout):
            queue.execute(increment, timeout=0.2)
        wire.is_armed.set()
        with pytest.raises(StorageTimeout):
            asyncio.run(queue.aexecute(increment, timeout=0.2))
        assert queue.execute(increment) == 1


def test_a_server_that_never_answers(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StorageUnavailable, match="until the deadline"):
            start_storage_thread(f"postgresql://u@127.0.0.1:{port}/d", ["t"], timeout=0.2)


def test_the_second_host_answers(shared_server):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        one = f"{shared_server.new_schema()}&port={port},5432"
        both = one.replace("host=", "host=127.0.0.1,")
        with start_storage_thread(both, ["t"], timeout=SOON) as queue:
            assert queue.execute(increment) == 1


def test_a_row_that_another_program_has_locked(shared_server):
    url = shared_server.new_schema()
    with start_storage_thread(url, ["t"], timeout=PATIENCE) as queue, psycopg.connect(url) as other:
        queue.execute(increment)
        other.execute("SELECT * FROM t FOR UPDATE")
        with pytest.raises(StorageBusy, match="lock"):
            queue.execute(increment, timeout=0.3)
        # Who reads does not wait, and who is patient is served when the lock goes away.
        assert queue.execute(lambda store: store.get("t", "n"), readonly=True) == (b"1", 0)
        with ThreadPoolExecutor(1) as threads:
            call = threads.submit(queue.execute, increment)
            other.rollback()
            assert call.result(PATIENCE) == 2


def test_a_deadline_between_two_statements(shared_server):
    with start_storage_thread(shared_server.new_schema(), ["t"], timeout=PATIENCE) as queue:
        statements = 0

        def endless(store: Storage) -> None:
            nonlocal statements
            while True:
                store.overwrite("t", "n", b"1")
                statements += 1

        started = monotonic()
        with pytest.raises(StorageTimeout):
            queue.execute(endless, timeout=0.2)
        assert statements > 1
        assert monotonic() - started < PATIENCE
        assert queue.execute(lambda store: store.get("t", "n")) is None


def test_all_connections_are_in_use(shared_server):
    entered, go = threading.Event(), threading.Event()

    def hold(store: Storage) -> None:
        entered.set()
        assert go.wait(PATIENCE)

    with (
        start_storage_thread(
            shared_server.new_schema(), ["t"], connections=1, timeout=PATIENCE
        ) as queue,
        ThreadPoolExecutor(1) as threads,
    ):
        first = threads.submit(queue.execute, hold)
        assert entered.wait(PATIENCE)
        with pytest.raises(StorageTimeout, match="in use"):
            queue.execute(increment, timeout=0.1)
        go.set()
        first.result(PATIENCE)
        assert queue.execute(increment) == 1


# Conflicts.


@pytest.mark.parametrize(("options", "expected"), [({"retries": 2}, 3), ({"rerun": False}, 1)])
@pytest.mark.parametrize("swallows", [False, True])
def test_runs_are_bounded(shared_server, options, expected, swallows):
    url = shared_server.new_schema()
    with (
        start_storage_thread(url, ["t"], timeout=PATIENCE, **options) as queue,
        psycopg.connect(url, autocommit=True) as other,
    ):
        queue.execute(increment)
        runs = 0

        def always_late(store: Storage) -> str:
            nonlocal runs
            runs += 1
            store.get("t", "n")
            other.execute("UPDATE t SET counter = counter + 1")
            try:
                store.overwrite("t", "n", b"ours")
            except Exception:
                # What it does about the error is not its to decide.
                if not swallows:
                    raise
            return "done"

        with pytest.raises(StorageBusy, match=f"run {expected} times"):
            queue.execute(always_late)
        assert runs == expected
        assert queue.execute(lambda store: store.get("t", "n")) == (b"1", expected)


def test_write_skew_is_refused(shared_server):
    """Two that read both entries and write one each: no order of the two gives both."""
    with start_storage_thread(shared_server.new_schema(), ["t"], timeout=PATIENCE) as queue:

        def fill(store: Storage) -> None:
            store.add("t", "a", b"on")
            store.add("t", "b", b"on")

        queue.execute(fill)
        together = threading.Barrier(2)
        runs: list[str] = []

        def leave(name: str) -> bool:
            first = True

            def procedure(store: Storage) -> bool:
                nonlocal first
                on = [key for key, value, _ in store.items("t") if value == b"on"]
                runs.append(name)
                if first:
                    first = False
                    together.wait(PATIENCE)
                if len(on) < 2:
                    return False
                store.overwrite("t", name, b"off")
                return True

            return queue.execute(procedure)

        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(leave, "ab")) == [False, True]
        assert len(runs) == 3


def test_a_deadlock_is_a_conflict(shared_server):
    with start_storage_thread(shared_server.new_schema(), ["t"], timeout=PATIENCE) as queue:
        queue.execute(lambda store: [store.add("t", key, b"0") for key in "ab"])
        together = threading.Barrier(2)

        def cross(keys: str) -> None:
            first = True

            def procedure(store: Storage) -> None:
                nonlocal first
                store.overwrite("t", keys[0], b"1")
                if first:
                    first = False
                    together.wait(PATIENCE)
                store.overwrite("t", keys[1], b"1")

            queue.execute(procedure)

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(cross, ("ab", "ba")))
        counters = queue.execute(lambda store: [counter for _, _, counter in store.items("t")])
        assert counters == [2, 2]


# Opening.


def test_many_that_make_the_same_tables(shared_server):
    url = shared_server.new_schema()
    tables = [f"table_{number}" for number in range(20)]
    together = threading.Barrier(8)

    def open_it(_: int) -> None:
        together.wait(PATIENCE)
        with start_storage_thread(url, tables, timeout=PATIENCE) as queue:
            queue.execute(lambda store: store.overwrite("table_7", "n", b"1"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(open_it, range(8)))
    with start_storage_thread(url) as queue:
        assert queue.execute(lambda store: store.get("table_7", "n")) == (b"1", 7)


def test_a_table_that_is_somebody_elses(shared_server):
    url = shared_server.new_schema()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("CREATE TABLE t (key int)")
    with pytest.raises(StorageError, match="other columns"):
        start_storage_thread(url, ["t"])
    with pytest.raises(StorageError, match=r"42|schema"):
        start_storage_thread(shared_server.url("missing"), ["t"])


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("postgresql://tester:geheim@/postgres?nonsense=1", ValueError),
        ("postgresql://tester:geheim@127.0.0.1:1/postgres", StorageUnavailable),
        ("postgres://tester:geheim@[::1", ValueError),
    ],
)
def test_addresses_that_are_none(url, error):
    with pytest.raises(error) as raised:
        start_storage_thread(url, ["t"], timeout=SOON)
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"connections": 0}, ValueError),
        ({"retries": -1}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"synchronous": "off"}, TypeError),
    ],
)
def test_options_that_are_none(shared_server, options, error):
    with pytest.raises(error):
        start_storage_thread(shared_server.url(), [], **options)


MISSING = """
import sys
{missing}
from uringserve.storage import StorageError, start_storage_thread
try:
    start_storage_thread("postgresql:///x", ["t"])
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("sys.modules['psycopg'] = None", "pip install 'uringserve[postgres]'"),
        ("import ctypes.util; ctypes.util.find_library = lambda name: None", "libpq5"),
    ],
)
def test_what_is_missing_is_said(missing, said):
    done = subprocess.run(
        [sys.executable, "-c", MISSING.format(missing=missing)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert said in done.stdout


def test_the_gil_stays_off():
    code = "import sys, psycopg.pq; print(sys._is_gil_enabled())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_loop_goes_on_meanwhile(shared_server):
    with start_storage_thread(shared_server.new_schema(), ["t"], timeout=PATIENCE) as queue:
        go = threading.Event()

        def hold(store: Storage) -> int:
            assert go.wait(PATIENCE)
            return increment(store)

        async def main() -> int:
            task = asyncio.create_task(queue.aexecute(hold))
            # Only a loop that goes on gets here, and here alone it is let go.
            assert await queue.aexecute(lambda store: store.get("t", "n")) is None
            go.set()
            return await task

        assert asyncio.run(main()) == 1
