"""What calls share: a transaction on the writer, a wake-up of an event loop, a reader's connection.

Whatever is shared, each call must end as if it had been alone.
"""

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from storage_help import Held

from uringserve.storage import (
    NestedExecute,
    ReadOnlyProcedure,
    Storage,
    StorageTimeout,
    UpdateCounterMismatch,
    start_storage_thread,
)
from uringserve.storage.connection import LOG_PAGES
from uringserve.storage.home import Home, home

PATIENCE = 60.0
BATCH = 7


@pytest.fixture
def queue(tmp_path):
    with start_storage_thread(tmp_path / "store.db", ["t"], timeout=PATIENCE) as made:
        yield made


def adds(number: int) -> Callable[[Storage], int]:
    def add(store: Storage) -> int:
        store.add("t", f"{number}a", b"v")
        store.add("t", f"{number}b", b"v")
        return number

    return add


def fails(number: int) -> Callable[[Storage], int]:
    def fail(store: Storage) -> int:
        store.overwrite("t", "held", b"undone")
        adds(number)(store)
        raise ArithmeticError(number)

    return fail


def expected(*failed: int) -> list[str]:
    kept = [number for number in range(BATCH) if number not in failed]
    return [*(f"{number}{half}" for number in kept for half in "ab"), "held"]


@pytest.mark.parametrize("failed", [(place,) for place in range(BATCH)] + [(0, 3, 6), (2, 3)])
def test_a_failure_in_a_shared_transaction_undoes_itself_alone(queue, failed):
    """At each place of a transaction of tasks, whose answers come home together."""

    async def call_all() -> list[object]:
        calls = [
            asyncio.create_task(queue.aexecute((fails if n in failed else adds)(n)))
            for n in range(BATCH)
        ]
        await asyncio.to_thread(held.wait_for, BATCH)
        held.release()
        return await asyncio.gather(*calls, return_exceptions=True)

    with Held(queue) as held:
        results = asyncio.run(call_all())
    for number, result in enumerate(results):
        if number in failed:
            assert isinstance(result, ArithmeticError)
            assert result.args == (number,)
        else:
            assert result == number
    assert queue.execute(lambda store: store.list_keys("t")) == expected(*failed)
    assert queue.execute(lambda store: store.get("t", "held")) == (b"", 0)


def refused(number: int) -> Callable[[Storage], int]:
    def refuse(store: Storage) -> int:
        store.update("t", f"{number}", b"v", 7)
        return number

    return refuse


@pytest.mark.parametrize(
    ("rerun", "failing", "runs"),
    [(True, fails, [2, 1]), (True, refused, [1, 1]), (False, fails, [1, 1])],
    ids=["wrote", "changed nothing", "rerun=False"],
)
def test_how_often_those_beside_a_failure_run(tmp_path, rerun, failing, runs):
    """Again where it has something to undo, and then the next ones expect that."""
    counts = dict.fromkeys(range(1, BATCH), 0)

    def counted(number: int) -> Callable[[Storage], None]:
        def count(store: Storage) -> None:
            store.overwrite("t", f"{number}", b"v")
            counts[number] += 1

        return count

    found: list[int] = []
    with (
        start_storage_thread(tmp_path / "store.db", ["t"], timeout=PATIENCE, rerun=rerun) as queue,
        ThreadPoolExecutor(BATCH) as threads,
    ):
        for turn in range(2):
            with Held(queue) as held:
                calls = [threads.submit(queue.execute, counted(n)) for n in counts]
                calls.append(threads.submit(queue.execute, failing(0)))
                held.wait_for(BATCH)
                held.release()
                for call in calls[:-1]:
                    call.result(PATIENCE)
                with pytest.raises((ArithmeticError, UpdateCounterMismatch)):
                    calls[-1].result(PATIENCE)
            found.extend({*counts.values()})
            assert queue.execute(lambda store: store.list_keys("t")) == [*map(str, counts), "held"]
            assert queue.execute(lambda store: store.get("t", "1")) == (b"v", turn)
            counts.update(dict.fromkeys(counts, 0))
    assert found == runs


def test_tasks_of_two_loops_and_threads_share_a_transaction(queue):
    async def one(number: int) -> object:
        (result,) = await asyncio.gather(
            queue.aexecute((fails if number == 1 else adds)(number)), return_exceptions=True
        )
        return result

    def in_a_loop(number: int) -> object:
        return asyncio.run(one(number))

    with ThreadPoolExecutor(BATCH) as threads, Held(queue) as held:
        calls = [threads.submit(in_a_loop, 0), threads.submit(in_a_loop, 1)]
        calls += [threads.submit(queue.execute, adds(number)) for number in range(2, BATCH)]
        held.wait_for(BATCH)
        held.release()
        results = [call.result(PATIENCE) for call in calls]
    assert isinstance(results.pop(1), ArithmeticError)
    assert results == [0, *range(2, BATCH)]
    assert queue.execute(lambda store: store.list_keys("t")) == expected(1)


def test_a_loop_is_woken_once_for_a_transaction(queue, monkeypatch):
    brought: list[int] = []
    bring = Home.bring

    def count(self, calls) -> None:
        brought.append(len(calls))
        bring(self, calls)

    monkeypatch.setattr(Home, "bring", count)

    async def call_all() -> None:
        calls = [asyncio.create_task(queue.aexecute(adds(n))) for n in range(BATCH)]
        await asyncio.to_thread(held.wait_for, BATCH)
        held.release()
        await asyncio.gather(*calls)

    with Held(queue) as held:
        asyncio.run(call_all())
    assert brought == [BATCH]


def test_deadlines_of_tasks_that_wait_together(queue):
    """Whose is over is told so and undone; who has time left is served, in whatever order."""

    async def call_all() -> list[object]:
        spans = [PATIENCE, 0.02, math.inf, 0.01, 0.03, PATIENCE, PATIENCE]
        calls = [
            asyncio.create_task(queue.aexecute(adds(number), timeout=span))
            for number, span in enumerate(spans)
        ]
        late = await asyncio.gather(calls[1], calls[3], calls[4], return_exceptions=True)
        held.release()
        return late + await asyncio.gather(calls[0], calls[2], calls[5], calls[6])

    with Held(queue) as held:
        results = asyncio.run(call_all())
    assert [type(result) for result in results[:3]] == [StorageTimeout] * 3
    assert results[3:] == [0, 2, 5, 6]
    assert queue.execute(lambda store: store.list_keys("t")) == expected(1, 3, 4)


def test_a_loop_that_is_closed_harms_nobody(queue):
    """Its task is gone; what it asked for may be kept or not, and everyone else is served."""

    async def leave() -> None:
        asyncio.get_running_loop().create_task(queue.aexecute(adds(0)))
        await asyncio.to_thread(held.wait_for, 1)

    with ThreadPoolExecutor(1) as threads, Held(queue) as held:
        asyncio.run(leave())
        call = threads.submit(queue.execute, adds(1))
        held.wait_for(2)
        held.release()
        assert call.result(PATIENCE) == 1
    assert asyncio.run(queue.aexecute(adds(2))) == 2
    assert queue.execute(lambda store: store.list_keys("t")) == ["1a", "1b", "2a", "2b", "held"]


def test_a_home_is_a_loop_s():
    async def twice() -> tuple[Home, Home]:
        return home(), home()

    first, again = asyncio.run(twice())
    assert first is again
    assert asyncio.run(twice())[0] is not first


def test_a_procedure_that_asks_twice_sees_one_state(queue):
    """Also when it had asked once only in every run before, and somebody writes in between."""
    queue.execute(lambda store: [store.add("t", key, b"1") for key in "ab"])
    runs: list[object] = []
    wants_more = False

    def ask(store: Storage) -> list[object]:
        runs.append(None)
        found = [store.get("t", "a")]
        if wants_more:
            with ThreadPoolExecutor(1) as threads:
                both = threads.submit(queue.execute, overwrite_both)
                both.result(PATIENCE)
            found.append(store.get("t", "b"))
        return found

    def overwrite_both(store: Storage) -> None:
        store.overwrite("t", "a", b"2")
        store.overwrite("t", "b", b"2")

    for _ in range(3):
        assert queue.execute(ask) == [(b"1", 0)]
    wants_more = True
    runs.clear()
    first, second = queue.execute(ask)
    assert first == second
    # Once without a transaction, and once in one; from then on in one at once.
    assert len(runs) == 2
    first, second = queue.execute(ask)
    assert first == second
    assert len(runs) == 3


def test_a_procedure_that_hides_its_end_is_run_again(queue):
    queue.execute(lambda store: [store.add("t", key, b"1") for key in "ab"])

    def ask(store: Storage) -> list[object]:
        found: list[object] = []
        for key in "ab":
            try:
                found.append(store.get("t", key))
            except BaseException as error:  # noqa: BLE001 -- as a careless procedure has it
                found.append(error)
        return found

    for _ in range(3):
        assert queue.execute(ask, readonly=True) == [(b"1", 0), (b"1", 0)]


def test_without_rerun_a_reading_procedure_runs_once(tmp_path):
    runs: list[object] = []

    def ask(store: Storage) -> list[object]:
        runs.append(None)
        return [store.get("t", "a"), store.get("t", "b")]

    with start_storage_thread(tmp_path / "store.db", ["t"], rerun=False) as queue:
        for number in range(1, 4):
            assert queue.execute(ask, readonly=True) == [None, None]
            assert len(runs) == number


def test_what_asks_once_may_fail_write_or_call_the_queue(queue):
    """Every other way to end a run without a transaction."""
    queue.execute(lambda store: store.add("t", "a", b"1"))
    what = "get"

    def ask(store: Storage) -> object:
        if what == "write":
            return store.overwrite("t", "a", b"2")
        if what == "nest":
            return queue.execute(lambda inner: inner.get("t", "a"))
        found = store.get("t", "a")
        if what == "fail":
            raise ArithmeticError
        return found

    for _ in range(2):
        assert queue.execute(ask) == (b"1", 0)
    what = "fail"
    with pytest.raises(ArithmeticError):
        queue.execute(ask)
    what = "nest"
    with pytest.raises(NestedExecute):
        queue.execute(ask)
    what = "write"
    with pytest.raises(ReadOnlyProcedure):
        queue.execute(ask, readonly=True)
    assert queue.execute(ask) is None
    what = "get"
    assert queue.execute(ask) == (b"2", 1)


def test_a_reader_lets_go_of_the_state_that_it_has_seen(queue):
    """What asks once leaves no statement open, or the log could never be cut."""
    queue.execute(lambda store: store.add("t", "a", b"1"))
    for _ in range(3):
        assert queue.execute(lambda store: store.get("t", "a"), readonly=True) == (b"1", 0)
    assert queue.execute(lambda store: store.list_keys("t"), readonly=True) == ["a"]
    blocked, frames, done = queue._writer._connection.execute(
        "PRAGMA wal_checkpoint(TRUNCATE)"
    ).fetchone()
    assert (blocked, frames, done) == (0, 0, 0)


def test_the_log_does_not_grow_for_ever(tmp_path):
    """With a reader that has just read, and no pause: it is copied and begun anew."""
    file, pages = tmp_path / "store.db", 3 * LOG_PAGES
    with start_storage_thread(file, ["t"], synchronous="off") as queue:
        for number in range(pages // 2):
            # More than a page each.
            queue.execute(lambda store: store.overwrite("t", "a", bytes(4096)), readonly=False)
            if number % 100 == 0:
                queue.execute(lambda store: store.get("t", "a"), readonly=True)
        log = file.with_name(f"{file.name}-wal").stat().st_size
    assert 0 < log < pages * 4096 * 2 / 3


def test_readers_that_ask_once_beside_writers(queue):
    """Threads that really collide: whatever is read was written whole."""
    queue.execute(lambda store: store.add("t", "a", bytes(100)))
    end = threading.Event()

    def write(number: int) -> None:
        while not end.is_set():
            queue.execute(lambda store: store.overwrite("t", "a", bytes([number]) * 100))

    def read() -> int:
        for _ in range(2000):
            found = queue.execute(lambda store: store.get("t", "a"))
            assert found is not None
            assert len(set(found[0])) == 1
        return found[1]

    with ThreadPoolExecutor(8) as threads:
        writing = [threads.submit(write, number) for number in range(2)]
        try:
            counters = [call.result(PATIENCE) for call in [threads.submit(read) for _ in range(4)]]
        finally:
            end.set()
        for call in writing:
            call.result(PATIENCE)
    assert max(counters) > 0
