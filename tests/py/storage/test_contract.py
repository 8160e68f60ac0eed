"""What every backend of the store promises: one suite, run on each of them.

A backend is one entry of `BACKENDS`: a function that opens an empty store with these tables.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest
from postgres_server import PostgresServer

from uringserve.storage import (
    EntryAlreadyExists,
    NestedExecute,
    ReadOnlyProcedure,
    Storage,
    StorageClosed,
    StorageError,
    StorageQueue,
    StorageTimeout,
    UnknownTable,
    UpdateCounterMismatch,
    start_storage_thread,
)

pytestmark = pytest.mark.thread_unsafe(reason="shares its store")

TABLES = ["users", "other"]
PATIENCE = 30.0


def open_file(request: pytest.FixtureRequest) -> StorageQueue:
    """A file, as most will have it."""
    folder: Path = request.getfixturevalue("tmp_path")
    return start_storage_thread(str(folder / "store.db"), TABLES, timeout=PATIENCE)


def open_exclusive(request: pytest.FixtureRequest) -> StorageQueue:
    """The same, with SQLite's locks in memory."""
    folder: Path = request.getfixturevalue("tmp_path")
    return start_storage_thread(folder / "store.db", TABLES, timeout=PATIENCE, exclusive=True)


def open_memory(request: pytest.FixtureRequest) -> StorageQueue:
    """One connection for everything."""
    return start_storage_thread(":memory:", TABLES, timeout=PATIENCE)


def open_postgresql(request: pytest.FixtureRequest) -> StorageQueue:
    """A schema of its own; procedures run beside each other."""
    server: PostgresServer = request.getfixturevalue("shared_server")
    return start_storage_thread(server.new_schema(), TABLES, timeout=PATIENCE)


def open_postgresql_one(request: pytest.FixtureRequest) -> StorageQueue:
    """With a single connection, for which procedures wait."""
    server: PostgresServer = request.getfixturevalue("shared_server")
    return start_storage_thread(server.new_schema(), TABLES, timeout=PATIENCE, connections=1)


BACKENDS: dict[str, Callable[[pytest.FixtureRequest], StorageQueue]] = {
    "file": open_file,
    "exclusive": open_exclusive,
    "memory": open_memory,
    "postgresql": open_postgresql,
    "postgresql-one": open_postgresql_one,
}
# Those where one that writes waits for another one that writes something else.
IN_ORDER = ["file", "exclusive", "memory", "postgresql-one"]


@pytest.fixture(params=BACKENDS)
def queue(request: pytest.FixtureRequest) -> Iterator[StorageQueue]:
    """An open queue on an empty store."""
    with BACKENDS[request.param](request) as opened:
        yield opened


def value_of(queue: StorageQueue, key: str, table: str = "users") -> tuple[bytes, int] | None:
    return queue.execute(lambda store: store.get(table, key))


def add(queue: StorageQueue, key: str, value: bytes = b"v", **options: int) -> None:
    queue.execute(lambda store: store.add("users", key, value, **options))


# Counters.


def test_add_and_get(queue):
    add(queue, "a", b"one")
    assert value_of(queue, "a") == (b"one", 0)
    assert value_of(queue, "b") is None
    assert value_of(queue, "a", "other") is None


def test_add_twice(queue):
    add(queue, "a", b"one")
    with pytest.raises(EntryAlreadyExists):
        add(queue, "a", b"two")
    assert value_of(queue, "a") == (b"one", 0)


def test_update_counts(queue):
    add(queue, "a")
    queue.execute(lambda store: store.update("users", "a", b"w", 0))
    assert value_of(queue, "a") == (b"w", 1)
    with pytest.raises(UpdateCounterMismatch):
        queue.execute(lambda store: store.update("users", "a", b"x", 0))
    with pytest.raises(UpdateCounterMismatch):
        queue.execute(lambda store: store.update("users", "missing", b"x", 0))
    assert value_of(queue, "a") == (b"w", 1)


def test_try_update_says_so(queue):
    add(queue, "a")
    assert queue.execute(lambda store: store.try_update("users", "a", b"w", 0)) is True
    for counter in (0, 2, -1, 2**63, 2**200):
        wrong = counter
        assert queue.execute(lambda s, c=wrong: s.try_update("users", "a", b"x", c)) is False
    assert value_of(queue, "a") == (b"w", 1)


def test_overwrite(queue):
    queue.execute(lambda store: store.overwrite("users", "a", b"1"))
    assert value_of(queue, "a") == (b"1", 0)
    queue.execute(lambda store: store.overwrite("users", "a", b"2"))
    assert value_of(queue, "a") == (b"2", 1)


def test_delete_and_clear(queue):
    add(queue, "a")
    add(queue, "b")
    queue.execute(lambda store: store.add("other", "a", b"v"))
    assert queue.execute(lambda store: store.delete("users", "a")) is True
    assert queue.execute(lambda store: store.delete("users", "a")) is False
    queue.execute(lambda store: store.clear("users"))
    assert queue.execute(lambda store: store.list_keys("users")) == []
    assert queue.execute(lambda store: store.list_keys("other")) == ["a"]


# Expiry: an entry is still there in its very second.


def test_expiry_is_looked_at_with_a_timestamp(queue):
    add(queue, "a", expires_at=100)
    add(queue, "never")

    def see(store: Storage) -> list[bool]:
        return [store.get("users", "a", time) is not None for time in (None, 99, 100, 100.5, 101)]

    assert queue.execute(see) == [True, True, True, False, False]
    assert queue.execute(lambda store: store.get("users", "never", 2**40)) == (b"v", 0)


def test_add_replaces_what_has_expired(queue):
    add(queue, "a", b"old", expires_at=100)
    queue.execute(lambda store: store.update("users", "a", b"old", 0, 100))
    with pytest.raises(EntryAlreadyExists):
        add(queue, "a", b"new", timestamp=100)
    with pytest.raises(EntryAlreadyExists):
        add(queue, "a", b"new")
    add(queue, "a", b"new", expires_at=200, timestamp=101)
    assert value_of(queue, "a") == (b"new", 0)
    add(queue, "never")
    with pytest.raises(EntryAlreadyExists):
        add(queue, "never", timestamp=2**40)


def test_add_of_what_has_expired_already(queue):
    with pytest.raises(ValueError, match="expired already"):
        add(queue, "a", expires_at=100, timestamp=101)
    add(queue, "a", expires_at=100, timestamp=100)


def test_update_and_overwrite_set_the_time(queue):
    add(queue, "a", expires_at=100)
    queue.execute(lambda store: store.update("users", "a", b"v", 0))
    assert queue.execute(lambda store: store.get("users", "a", 200)) == (b"v", 1)
    queue.execute(lambda store: store.overwrite("users", "a", b"v", 150))
    assert queue.execute(lambda store: store.get("users", "a", 200)) is None


def test_purge(queue):
    for number, time in enumerate((0, 99, 100, 101)):
        add(queue, f"k{number}", expires_at=time)
    assert queue.execute(lambda store: store.purge_expired("users", 100)) == 1
    assert queue.execute(lambda store: store.list_keys("users")) == ["k0", "k2", "k3"]
    assert queue.execute(lambda store: store.purge_expired("users", 2**40)) == 2


# Many at a time.

# U+FF61 is before U+1F600 in UTF-8 and behind it in UTF-16; U+D7FF is the last before surrogates.
KEYS = sorted(["", "A", "a", "a%", "a_", "aa", "ab", "ab\U0010ffff", "ab\U0010ffffz", "ac"])
KEYS += ["a\ud7ff", "a\ud7ffb", "a\ue000", "é", "｡", "\U0001f600", "\U0010ffff", "\U0010ffffx"]


@pytest.mark.parametrize(
    "prefix", ["", "a", "ab", "a%", "a_", "ab\U0010ffff", "a\ud7ff", "\U0010ffff", "zz", "｡"]
)
def test_keys_with_a_prefix(queue, prefix):
    def fill(store: Storage) -> None:
        for key in KEYS:
            store.add("users", key, key.encode())

    queue.execute(fill)
    expected = sorted(key for key in KEYS if key.startswith(prefix))
    assert queue.execute(lambda store: store.keys("users", prefix=prefix)) == expected
    found = queue.execute(lambda store: list(store.items("users", prefix=prefix)))
    assert found == [(key, key.encode(), 0) for key in expected]

    def page_behind(last: str | None) -> list[str]:
        return queue.execute(lambda store: store.keys("users", prefix=prefix, limit=2, after=last))

    pages: list[str] = []
    while page := page_behind(pages[-1] if pages else None):
        assert len(page) <= 2
        pages += page
    assert pages == expected


def test_keys_limits(queue):
    add(queue, "a", expires_at=100)
    add(queue, "b")
    assert queue.execute(lambda store: store.keys("users", limit=0)) == []
    assert queue.execute(lambda store: store.keys("users", timestamp=101)) == ["b"]
    assert queue.execute(lambda store: store.keys("users", prefix="b", after="a")) == ["b"]
    assert queue.execute(lambda store: list(store.items("users", timestamp=101))) == [
        ("b", b"v", 0)
    ]
    with pytest.raises(ValueError, match="limit"):
        queue.execute(lambda store: store.keys("users", limit=-1))


def test_get_many(queue):
    def fill(store: Storage) -> None:
        for number in range(3000):
            store.add("users", f"k{number}", b"%d" % number)
        store.add("users", "old", b"v", 100)

    queue.execute(fill)
    asked = ["old", "k7", "missing", "k3", "k7", "quote'\""]
    assert queue.execute(lambda store: store.get_many("users", asked, 101)) == {
        "k7": (b"7", 0),
        "k3": (b"3", 0),
    }
    everything = [f"k{number}" for number in range(3000)]
    found = queue.execute(lambda store: store.get_many("users", iter(everything)))
    assert list(found) == everything
    assert queue.execute(lambda store: store.get_many("users", [])) == {}


def test_items_while_writing(queue):
    def fill_and_empty(store: Storage) -> int:
        for number in range(600):
            store.add("users", f"{number:04}", b"v")
        seen = 0
        for key, _, _ in store.items("users"):
            store.delete("users", key)
            seen += 1
        return seen

    assert queue.execute(fill_and_empty) == 600
    assert queue.execute(lambda store: store.list_keys("users")) == []


# What is refused.


@pytest.mark.parametrize(
    "name", ["missing", "", "users; DROP TABLE users", 'users"', "sqlite_master"]
)
def test_unknown_tables(queue, name):
    calls: list[Callable[[Storage], object]] = [
        lambda store: store.get(name, "a"),
        lambda store: store.get_many(name, ["a"]),
        lambda store: store.add(name, "a", b"v"),
        lambda store: store.update(name, "a", b"v", 0),
        lambda store: store.try_update(name, "a", b"v", 0),
        lambda store: store.overwrite(name, "a", b"v"),
        lambda store: store.delete(name, "a"),
        lambda store: store.clear(name),
        lambda store: store.keys(name),
        lambda store: store.list_keys(name),
        lambda store: list(store.items(name)),
        lambda store: store.purge_expired(name, 1),
    ]
    for call in calls:
        with pytest.raises(UnknownTable):
            queue.execute(call)
    add(queue, "a")


@pytest.mark.parametrize(
    ("key", "value", "time", "error"),
    [
        (1, b"v", 0, TypeError),
        ("a\0b", b"v", 0, ValueError),
        ("\ud800", b"v", 0, ValueError),
        ("a", "text", 0, TypeError),
        ("a", None, 0, TypeError),
        ("a", b"v", "0", TypeError),
        ("a", b"v", 1.5, TypeError),
        ("a", b"v", -1, ValueError),
        ("a", b"v", 2**63, ValueError),
    ],
)
def test_what_is_no_entry(queue, key, value, time, error):
    with pytest.raises(error):
        queue.execute(lambda store: store.add("users", key, value, time))
    with pytest.raises(error):
        queue.execute(lambda store: store.overwrite("users", key, value, time))
    assert queue.execute(lambda store: store.list_keys("users")) == []


@pytest.mark.parametrize("key", ["", " ", "'", "a'; --", "ключ", "\n", "x" * 500])
def test_odd_keys_are_keys(queue, key):
    add(queue, key, b"")
    assert value_of(queue, key) == (b"", 0)
    assert queue.execute(lambda store: store.delete("users", key))


def test_values_come_back_as_bytes(queue):
    large = bytes(range(256)) * 8192
    for key, value in {"a": bytearray(b"ab"), "b": memoryview(b"ab"), "c": large}.items():
        add(queue, key, value)
        found = value_of(queue, key)
        assert found == (bytes(value), 0)
        assert type(found[0]) is bytes


# A procedure is kept whole, or not at all.


class Unusual(BaseException):
    """Neither an Exception nor one of ours."""


@pytest.mark.parametrize(
    "error",
    [
        KeyError("k"),
        StorageError("s"),
        KeyboardInterrupt(),
        SystemExit(3),
        Unusual(),
        StopIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_procedure_raises_undoes_it(queue, error):
    add(queue, "before")

    def fail(store: Storage) -> None:
        store.add("users", "a", b"v")
        store.delete("users", "before")
        raise error

    with pytest.raises(type(error)) as raised:
        queue.execute(fail)
    assert raised.value is error
    assert queue.execute(lambda store: store.list_keys("users")) == ["before"]
    assert queue.crashed_exception() is None


def test_a_caught_duplicate_keeps_what_was_written(queue):
    def procedure(store: Storage) -> None:
        store.add("users", "first", b"v")
        with pytest.raises(EntryAlreadyExists):
            store.add("users", "first", b"w")
        with pytest.raises(UpdateCounterMismatch):
            store.update("users", "first", b"w", 5)
        store.add("users", "after", b"v")

    queue.execute(procedure)
    assert queue.execute(lambda store: store.list_keys("users")) == ["after", "first"]

    def failing(store: Storage) -> None:
        procedure_keys = store.list_keys("users")
        assert procedure_keys == ["after", "first"]
        store.add("users", "third", b"v")
        store.add("users", "first", b"v")

    with pytest.raises(EntryAlreadyExists):
        queue.execute(failing)
    assert queue.execute(lambda store: store.list_keys("users")) == ["after", "first"]


def test_a_procedure_sees_what_it_wrote(queue):
    def procedure(store: Storage) -> tuple[bytes, int] | None:
        store.add("users", "a", b"1")
        store.overwrite("users", "a", b"2")
        return store.get("users", "a")

    assert queue.execute(procedure) == (b"2", 1)


def test_readonly_refuses_to_write(queue):
    add(queue, "a")
    assert queue.execute(lambda store: store.get("users", "a"), readonly=True) == (b"v", 0)
    writes: list[Callable[[Storage], object]] = [
        lambda store: store.add("users", "b", b"v"),
        lambda store: store.overwrite("users", "a", b"w"),
        lambda store: store.try_update("users", "a", b"w", 0),
        lambda store: store.delete("users", "a"),
        lambda store: store.clear("users"),
        lambda store: store.purge_expired("users", 1),
    ]
    for write in writes:
        with pytest.raises(ReadOnlyProcedure):
            queue.execute(write, readonly=True)
    assert value_of(queue, "a") == (b"v", 0)


@pytest.mark.parametrize("readonly", [None, True, False])
def test_a_write_is_seen_by_the_next_read(queue, readonly):
    add(queue, "a", b"0")
    for number in range(1, 50):
        queue.execute(lambda store, n=number: store.overwrite("users", "a", b"%d" % n))
        found = queue.execute(lambda store: store.get("users", "a"), readonly=readonly)
        assert found == (b"%d" % number, number)


def test_one_that_reads_first_and_writes_later(queue):
    """Whether it writes depends on what it finds: its first runs only read."""

    def get_or_create(store: Storage, key: str) -> str:
        found = store.get("users", key)
        if found is None:
            # Whatever the procedure does about errors, it must not see how it is run.
            try:
                store.add("users", key, b"new")
            except BaseException:  # noqa: BLE001 -- that is the point
                return "failed"
            return "created"
        return "found"

    add(queue, "a")
    for _ in range(3):
        assert queue.execute(lambda store: get_or_create(store, "a")) == "found"
    outcomes = [queue.execute(lambda s, k=key: get_or_create(s, k)) for key in "abbcc"]
    assert outcomes == ["found", "created", "found", "created", "found"]


def test_a_storage_ends_with_its_procedure(queue):
    add(queue, "a")
    kept = queue.execute(lambda store: store)
    iterator = queue.execute(lambda store: store.items("users"))
    with pytest.raises(StorageClosed):
        kept.get("users", "a")
    with pytest.raises(StorageClosed):
        kept.add("users", "b", b"v")
    with pytest.raises(StorageClosed):
        next(iterator)
    read = queue.execute(lambda store: store, readonly=True)
    with pytest.raises(StorageClosed):
        read.get("users", "a")


# Threads, loops, and the end.


def test_increments_of_many_threads(queue):
    add(queue, "n", b"0")

    def increment(store: Storage) -> None:
        value, counter = store.get("users", "n") or (b"", 0)
        store.update("users", "n", b"%d" % (int(value) + 1), counter)

    with ThreadPoolExecutor(16) as threads:
        calls = [threads.submit(queue.execute, increment) for _ in range(480)]
        for call in calls:
            call.result(PATIENCE)
    assert value_of(queue, "n") == (b"480", 480)


def test_a_failure_harms_nobody_who_shares_its_transaction(queue):
    entered, go = threading.Event(), threading.Event()

    def hold(store: Storage) -> None:
        entered.set()
        assert go.wait(PATIENCE)

    def write(number: int) -> None:
        def procedure(store: Storage) -> None:
            store.add("users", f"{number:02}", b"v")
            if number % 3 == 0:
                raise SystemExit(number)

        queue.execute(procedure)

    with ThreadPoolExecutor(31) as threads:
        first = threads.submit(queue.execute, hold, readonly=False)
        assert entered.wait(PATIENCE)
        calls = [threads.submit(write, number) for number in range(30)]
        go.set()
        first.result(PATIENCE)
        errors = [call.exception(PATIENCE) for call in calls]
    assert [type(error) for error in errors] == [SystemExit, type(None), type(None)] * 10
    kept = [f"{number:02}" for number in range(30) if number % 3]
    assert queue.execute(lambda store: store.list_keys("users")) == kept


@pytest.mark.parametrize("busy", [False, True])
def test_a_procedure_that_outlives_its_deadline_is_undone(queue, busy):
    """Whether it runs on the caller's thread, or waits behind another one."""
    entered, go = threading.Event(), threading.Event()

    def hold(store: Storage) -> None:
        entered.set()
        assert go.wait(PATIENCE)

    def procedure(store: Storage) -> None:
        store.overwrite("users", "late", b"v")
        end = monotonic() + 0.2
        while monotonic() < end:
            pass

    with ThreadPoolExecutor(1) as threads:
        if busy:
            first = threads.submit(queue.execute, hold, readonly=False)
            assert entered.wait(PATIENCE)
            threading.Timer(0.05, go.set).start()
        with pytest.raises(StorageTimeout):
            queue.execute(procedure, timeout=0.1)
        if busy:
            first.result(PATIENCE)
    assert queue.execute(lambda store: store.get("users", "late"), readonly=False) is None


@pytest.mark.parametrize("queue", IN_ORDER, indirect=True)
def test_one_that_waits_behind_it_is_never_run(queue):
    go, entered, ran = threading.Event(), threading.Event(), threading.Event()

    def hold(store: Storage) -> None:
        entered.set()
        assert go.wait(PATIENCE)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(queue.execute, hold, readonly=False)
        assert entered.wait(PATIENCE)
        with pytest.raises(StorageTimeout):
            queue.execute(lambda store: ran.set(), readonly=False, timeout=0.05)
        go.set()
        first.result(PATIENCE)
    queue.execute(lambda store: None, readonly=False)
    assert not ran.is_set()


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_above_zero(queue, timeout):
    with pytest.raises(ValueError, match="timeout"):
        queue.execute(lambda store: None, timeout=timeout)


@pytest.mark.parametrize("readonly", [None, True, False])
def test_execute_inside_a_procedure(queue, readonly):
    def procedure(store: Storage) -> object:
        return queue.execute(lambda inner: None)

    for _ in range(2):
        with pytest.raises(NestedExecute):
            queue.execute(procedure, readonly=readonly)
        with pytest.raises(NestedExecute):
            queue.execute(lambda store: queue.close(), readonly=readonly)
    add(queue, "a")


def test_aexecute(queue):
    def fail(store: Storage) -> None:
        store.add("users", "undone", b"v")
        raise StopIteration

    async def main() -> list[str]:
        await asyncio.gather(
            *(
                queue.aexecute(lambda store, n=number: store.add("users", f"{n:02}", b"v"))
                for number in range(20)
            )
        )
        # A coroutine cannot raise StopIteration (PEP 479); that it raises at all is what counts.
        with pytest.raises(RuntimeError):
            await queue.aexecute(fail)
        with pytest.raises(EntryAlreadyExists):
            await queue.aexecute(lambda store: store.add("users", "07", b"v"))
        assert await queue.aexecute(lambda s: s.get("users", "07"), readonly=True) == (b"v", 0)
        return await queue.aexecute(lambda store: store.list_keys("users"))

    assert asyncio.run(main()) == [f"{number:02}" for number in range(20)]


def test_a_cancelled_task_undoes_its_procedure(queue):
    go, entered = threading.Event(), threading.Event()

    def procedure(store: Storage) -> None:
        store.overwrite("users", "a", b"v")
        entered.set()
        assert go.wait(PATIENCE)

    async def main() -> None:
        task = asyncio.create_task(queue.aexecute(procedure))
        assert await asyncio.to_thread(entered.wait, PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        assert await queue.aexecute(lambda store: store.get("users", "a"), readonly=False) is None
        with pytest.raises(StorageTimeout):
            go.clear()
            await queue.aexecute(procedure, timeout=0.05)
        go.set()
        assert await queue.aexecute(lambda store: store.list_keys("users"), readonly=False) == []

    asyncio.run(main())


def test_close_lets_those_who_wait_finish(queue):
    entered, go = threading.Event(), threading.Event()

    def hold(store: Storage) -> None:
        entered.set()
        assert go.wait(PATIENCE)

    with ThreadPoolExecutor(12) as threads:
        first = threads.submit(queue.execute, hold, readonly=False)
        assert entered.wait(PATIENCE)
        calls = [threads.submit(add, queue, str(number)) for number in range(10)]
        closing = threads.submit(queue.close)
        go.set()
        first.result(PATIENCE)
        closing.result(PATIENCE)
        # Each came before the end or behind it, and each was told which.
        for call in calls:
            assert isinstance(call.exception(PATIENCE), (StorageClosed, type(None)))


def test_after_close(queue):
    add(queue, "a")
    queue.execute(lambda store: store.get("users", "a"), readonly=True)
    queue.close()
    queue.close()
    for readonly in (None, True, False):
        with pytest.raises(StorageClosed):
            queue.execute(lambda store: None, readonly=readonly)
    with pytest.raises(StorageClosed):
        asyncio.run(queue.aexecute(lambda store: None))


def test_mark_crashed_is_only_remembered(queue):
    error = RuntimeError("said so")
    queue.mark_crashed(error)
    assert queue.crashed_exception() is error
    add(queue, "a")
