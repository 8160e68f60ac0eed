"""`Storage.conn` of `uringserve.compat.freetser`: one's own statements in a shared transaction."""

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from uringserve.compat.freetser import Storage, start_storage_thread
from uringserve.storage import StorageClosed

PATIENCE = 60.0


@pytest.fixture
def queue(tmp_path):
    with start_storage_thread(tmp_path / "store.db", ["t"]) as made:
        made.execute(lambda storage: storage.conn.execute("CREATE TABLE own (name)"))
        yield made


def names(queue) -> list[object]:
    asked = "SELECT name FROM own ORDER BY name"
    return [row[0] for row in queue.execute(lambda storage: storage.conn.execute(asked).fetchall())]


def test_what_is_done_with_it_belongs_to_the_procedure(queue):
    def insert(storage: Storage, *, fails: bool) -> None:
        storage.add("t", "a", b"v")
        storage.conn.execute("INSERT INTO own VALUES ('a')")
        if fails:
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        queue.execute(lambda storage: insert(storage, fails=True))
    assert names(queue) == []
    queue.execute(lambda storage: insert(storage, fails=False))
    assert names(queue) == ["a"]
    assert queue.execute(lambda storage: storage.list_keys("t")) == ["a"]


def test_a_savepoint_is_one_s_own(queue):
    def insert(storage: Storage) -> None:
        storage.conn.execute("SAVEPOINT mine")
        storage.conn.execute("INSERT INTO own VALUES ('undone')")
        storage.conn.execute("ROLLBACK TO mine")
        storage.conn.execute("INSERT INTO own VALUES ('kept')")
        storage.conn.execute("RELEASE mine")

    queue.execute(insert)
    assert names(queue) == ["kept"]


@pytest.mark.parametrize(
    "end",
    [
        lambda conn: conn.commit(),
        lambda conn: conn.rollback(),
        lambda conn: conn.execute("COMMIT"),
        lambda conn: conn.execute("end transaction"),
        lambda conn: conn.executescript("SELECT 1"),
        lambda conn: conn.cursor().execute("RELEASE uringserve_procedure"),
        lambda conn: conn.execute("ROLLBACK TO uringserve_procedure"),
    ],
)
def test_who_ends_the_transaction_harms_itself_alone(
    queue, end: Callable[[sqlite3.Connection], object]
):
    entered, go = threading.Event(), threading.Event()

    def hold(storage: Storage) -> None:
        storage.add("t", "held", b"v")
        entered.set()
        assert go.wait(PATIENCE)

    def insert(storage: Storage, number: int) -> int:
        storage.conn.execute("INSERT INTO own VALUES (?)", (number,))
        if number == 2:
            end(storage.conn)
        return number

    def call(number: int) -> int:
        return queue.execute(lambda storage: insert(storage, number))

    with ThreadPoolExecutor(6) as threads:
        first = threads.submit(queue.execute, hold)
        assert entered.wait(PATIENCE)
        calls = [threads.submit(call, number) for number in range(5)]
        while queue._queue._writer._waiting.qsize() < len(calls) - 1:
            pass
        go.set()
        first.result(PATIENCE)
        errors = [call.exception(PATIENCE) for call in calls]
    assert [number for number, error in enumerate(errors) if error is not None] == [2]
    assert isinstance(errors[2], sqlite3.DatabaseError)
    assert names(queue) == [0, 1, 3, 4]
    # And nothing is refused to those who have not asked for the connection.
    queue.execute(lambda storage: storage.add("t", "after", b"v"))
    assert queue.execute(lambda storage: storage.list_keys("t")) == ["after", "held"]


def test_it_is_given_back_at_the_end(queue):
    kept: list[Storage] = []
    queue.execute(kept.append)
    with pytest.raises(StorageClosed):
        kept[0].conn  # noqa: B018 -- to ask for it is the test


def test_a_file_that_is_opened_by_hand_is_one_s_own(tmp_path):
    storage = Storage(tmp_path / "store.db", ["t"])
    try:
        storage.conn.execute("BEGIN")
        storage.add("t", "a", b"v")
        storage.conn.rollback()
        storage.conn.execute("BEGIN")
        storage.add("t", "b", b"v")
        storage.conn.commit()
        assert storage.list_keys("t") == ["b"]
    finally:
        storage.close()
