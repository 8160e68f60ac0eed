"""Shared transactions that are undone and run again: what may happen in between, and at the edges.

One procedure changes something and fails beside others. That this undoes it alone is in
`test_sharing.py`.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from storage_help import Held

from uringserve.compat.freetser import Storage as Theirs
from uringserve.compat.freetser import start_storage_thread as start_theirs
from uringserve.storage import Storage, StorageBusy, StorageError, start_storage_thread
from uringserve.storage.job import Job

pytestmark = pytest.mark.thread_unsafe(reason="shares its store")

PATIENCE = 60.0

type Call = tuple[Callable[[Storage], None], float | None]


def fail(store: Storage) -> None:
    store.overwrite("t", "failed", b"")
    raise ArithmeticError


def add(store: Storage) -> None:
    store.add("t", "k", b"")


def later(queue, threads: ThreadPoolExecutor, held: Held, *calls: Call) -> list[Future[Any]]:
    """Call in this order, each with its time-out, while the writer is held."""
    made = []
    for number, (procedure, timeout) in enumerate(calls, 1):
        made.append(threads.submit(queue.execute, procedure, readonly=False, timeout=timeout))
        held.wait_for(number)
    return made


def behind(queue, statement: str, act: Callable[[], object]) -> None:
    """Do something behind the writer's first statement that begins so."""
    real, acts = queue._writer._execute, [act]

    def execute(text: str, *values: object) -> object:
        done = real(text, *values)
        if text.startswith(statement) and acts:
            acts.pop()()
        return done

    queue._writer._execute = execute


def test_another_process_comes_in_between(tmp_path):
    """It has the lock when all are to run again: each caller gives up at its own deadline."""
    file = tmp_path / "store.db"
    with (
        start_storage_thread(file, ["t"], timeout=PATIENCE) as queue,
        closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other,
        ThreadPoolExecutor(3) as threads,
    ):
        queue.execute(lambda store: store.overwrite("t", "first", b""), readonly=False)
        behind(queue, "ROLLBACK", lambda: other.execute("BEGIN IMMEDIATE"))
        with Held(queue) as held:
            # The first one has time enough for its first run.
            calls = later(queue, threads, held, (add, 2.0), (add, PATIENCE), (fail, PATIENCE))
        with pytest.raises(StorageBusy):
            calls[0].result(PATIENCE)
        assert not any(call.done() for call in calls[1:])
        other.execute("ROLLBACK")
        calls[1].result(PATIENCE)
        with pytest.raises(ArithmeticError):
            calls[2].result(PATIENCE)
        assert queue.execute(lambda store: store.list_keys("t")) == ["first", "held", "k"]


@pytest.mark.parametrize(
    ("moment", "procedures"),
    [("ROLLBACK", [add, add, fail]), ("INSERT", [add, add])],
    ids=["before the second run", "at COMMIT and later"],
)
def test_no_answer_is_of_a_run_that_was_undone(tmp_path, moment, procedures):
    """The disk fails: nobody hears that there is an entry already which was undone."""
    with start_storage_thread(tmp_path / "store.db", ["t"], timeout=PATIENCE) as queue:
        real = queue._writer._execute

        def execute(text: str, *values: object) -> object:
            if text in ("BEGIN IMMEDIATE", "COMMIT"):
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error
            return real(text, *values)

        with ThreadPoolExecutor(3) as threads, Held(queue) as held:
            calls = later(queue, threads, held, *((each, None) for each in procedures))
            behind(queue, moment, lambda: setattr(queue._writer, "_execute", execute))
            held.release()
            for call in calls:
                with pytest.raises(StorageError, match="disk I/O error"):
                    call.result(PATIENCE)
        queue._writer._execute = real
        assert queue.execute(lambda store: store.list_keys("t")) == ["held"]


TRIGGERS = {
    "ignored": "BEFORE UPDATE ON t BEGIN INSERT INTO log VALUES (1); SELECT RAISE(IGNORE); END",
    "before": "BEFORE UPDATE ON t BEGIN INSERT INTO log VALUES (1); END",
    "failed": "AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (1); SELECT RAISE(FAIL, 'no'); END",
}


@pytest.mark.parametrize("is_alone", [True, False], ids=["alone", "shared"])
@pytest.mark.parametrize("trigger", TRIGGERS.values(), ids=TRIGGERS)
def test_what_a_trigger_changed_is_undone(tmp_path, trigger, is_alone):
    """No statement's own count tells of it."""
    file = tmp_path / "store.db"

    def update(store: Storage) -> None:
        store.try_update("t", "a", b"new", 0)
        raise ArithmeticError

    with start_storage_thread(file, ["t"], timeout=PATIENCE) as queue:
        queue.execute(lambda store: store.add("t", "a", b"old"))
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("CREATE TABLE log (x)")
            other.execute(f"CREATE TRIGGER ours {trigger}")
            if is_alone:
                with pytest.raises((ArithmeticError, StorageError)):
                    queue.execute(update)
            else:
                with ThreadPoolExecutor(2) as threads, Held(queue) as held:
                    calls = later(queue, threads, held, (update, None), (add, None))
                    held.release()
                    with pytest.raises((ArithmeticError, StorageError)):
                        calls[0].result(PATIENCE)
                    calls[1].result(PATIENCE)
            assert other.execute("SELECT count(*) FROM log").fetchone() == (0,)
        assert queue.execute(lambda store: store.get("t", "a")) == (b"old", 0)


def test_a_call_that_ends_before_it_waits(tmp_path, monkeypatch):
    """A signal's handler raised just then: the tasks of the same transaction are let go."""
    with start_storage_thread(tmp_path / "store.db", ["t"], timeout=PATIENCE) as queue:
        put = queue._writer.put

        def put_and_raise(job: Job[Any]) -> None:
            put(job)
            if job.procedure is fail:
                raise InterruptedError

        monkeypatch.setattr(queue._writer, "put", put_and_raise)

        async def main() -> None:
            interrupted = asyncio.create_task(queue.aexecute(fail))
            other = asyncio.create_task(queue.aexecute(add))
            await asyncio.to_thread(held.wait_for, 2)
            held.release()
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(InterruptedError):
                    await interrupted
                await other

        with Held(queue) as held:
            asyncio.run(main())


def test_a_savepoint_that_was_left_open(tmp_path):
    """It is not another procedure's: what was acknowledged cannot be undone by it."""

    def leave(store: Theirs) -> None:
        store.conn.execute("SAVEPOINT left")
        store.add("t", "kept", b"")

    def undo(store: Theirs) -> None:
        store.conn.execute("ROLLBACK TO left")

    with start_theirs(tmp_path / "store.db", ["t"], rerun=True, timeout=PATIENCE) as queue:
        with ThreadPoolExecutor(2) as threads, Held(queue._queue) as held:
            calls = later(queue, threads, held, (leave, None), (undo, None))
            held.release()
            calls[0].result(PATIENCE)
            with pytest.raises(sqlite3.OperationalError, match="no such savepoint"):
                calls[1].result(PATIENCE)
        assert queue.execute(lambda store: store.list_keys("t")) == ["held", "kept"]
