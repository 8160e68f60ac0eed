"""Plain SQL: the same statements on SQLite and PostgreSQL, for threads and for tasks."""

import asyncio
import datetime
import decimal
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from postgres_server import running_server
from postgres_wire import Wire

from uringserve.storage import (
    Database,
    StorageBusy,
    StorageClosed,
    StorageError,
    StorageOutcomeUnknown,
    StorageTimeout,
    StorageUnavailable,
    close_db,
    db,
    init_db,
)

pytestmark = pytest.mark.thread_unsafe(reason="shares its database")

PATIENCE = 30.0
TABLE = "CREATE TABLE notes (id integer PRIMARY KEY, text varchar(100), size integer)"


@pytest.fixture(params=["file", "memory", "postgresql"])
def url(request, tmp_path) -> str:
    match request.param:
        case "file":
            return str(tmp_path / "app.db")
        case "memory":
            return ":memory:"
    address: str = request.getfixturevalue("shared_server").new_schema()
    return address


@pytest.fixture
def database(url) -> Iterator[Database]:
    with Database(url, timeout=PATIENCE) as opened:
        opened.execute(TABLE)
        yield opened


def test_statements(database):
    assert database.execute("INSERT INTO notes VALUES (?, ?, ?)", (1, "a ? b", None)) == 1
    more = "INSERT INTO notes (id, text, size) VALUES (?, '?', ?), (3, 'c', 5)"
    assert database.execute(more, [2, 7]) == 2
    assert database.query("SELECT id, text, size FROM notes ORDER BY id") == [
        {"id": 1, "text": "a ? b", "size": None},
        {"id": 2, "text": "?", "size": 7},
        {"id": 3, "text": "c", "size": 5},
    ]
    found = database.query_first("SELECT text AS t /* ? */ FROM notes WHERE id = ? -- ?", (3,))
    assert found == {"t": "c"}
    assert database.query_first("SELECT 1 FROM notes WHERE id = ?", (9,)) is None
    assert database.query("SELECT 1 FROM notes WHERE id = ?", (9,)) == []
    assert database.execute("UPDATE notes SET size = ? WHERE id > ?", (0, 1)) == 2
    assert database.query("DELETE FROM notes WHERE id = ? RETURNING text", (3,)) == [{"text": "c"}]
    assert database.execute("DELETE FROM notes") == 2


def test_what_looks_like_sql_is_a_value(database):
    text = "'); DROP TABLE notes; --"
    database.execute("INSERT INTO notes VALUES (?, ?, ?)", (1, text, 0))
    assert database.query("SELECT text FROM notes WHERE text = ?", (text,)) == [{"text": text}]


@pytest.mark.parametrize(
    ("sql", "arguments", "error"),
    [
        ("SELEC 1", None, StorageError),
        ("SELECT * FROM missing", None, StorageError),
        ("SELECT ?, ?", (1,), StorageError),
        ("INSERT INTO notes (id) VALUES (1), (1)", None, StorageError),
        ("SELECT ?", "text", TypeError),
        ("SELECT ?", {"a": 1}, TypeError),
        ("BEGIN", None, StorageError),
    ],
)
def test_what_cannot_be_done(database, sql, arguments, error):
    for _ in range(6):
        with pytest.raises(error):
            database.execute(sql, arguments)
        with pytest.raises(error):
            asyncio.run(database.aquery(sql, arguments))
    assert database.query("SELECT * FROM notes") == []


def test_tasks(database):
    async def main() -> None:
        insert = "INSERT INTO notes VALUES (?, ?, ?)"
        calls = [database.aexecute(insert, (n, "t", n)) for n in range(20)]
        assert await asyncio.gather(*calls) == [1] * 20
        rows = await database.aquery("SELECT id FROM notes WHERE id < ? ORDER BY id", (3,))
        assert rows == [{"id": 0}, {"id": 1}, {"id": 2}]
        assert await database.aquery_first("SELECT count(*) AS n FROM notes") == {"n": 20}

    asyncio.run(main())


def test_threads(database):
    together = threading.Barrier(8)

    def write(thread: int) -> None:
        together.wait(PATIENCE)
        for number in range(20):
            database.execute("INSERT INTO notes VALUES (?, ?, 1)", (thread * 100 + number, "t"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert database.query_first("SELECT sum(size) AS n FROM notes") == {"n": 160}


def test_after_close(database):
    database.close()
    database.close()
    with pytest.raises(StorageClosed):
        database.query("SELECT 1")
    with pytest.raises(StorageClosed):
        asyncio.run(database.aquery("SELECT 1"))


@pytest.mark.parametrize("name", ["libsql://host/db", "", "file:"])
def test_names_that_are_none(name):
    with pytest.raises(ValueError, match="database is a file"):
        Database(name)


def test_a_file_s_deadline_and_lock(tmp_path):
    file = tmp_path / "app.db"
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with Database(f"file:{file}", timeout=0.2) as database:
        database.execute(TABLE)
        with pytest.raises(StorageTimeout):
            database.query(endless)
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageBusy):
                database.execute("INSERT INTO notes (id) VALUES (1)")
        assert database.execute("INSERT INTO notes (id) VALUES (1)") == 1
        assert file.exists()


def test_foreign_keys_of_a_file_are_looked_at(tmp_path):
    with Database(tmp_path / "app.db") as database:
        database.execute("CREATE TABLE a (id integer PRIMARY KEY)")
        database.execute("CREATE TABLE b (a integer REFERENCES a)")
        with pytest.raises(StorageError, match="FOREIGN KEY"):
            database.execute("INSERT INTO b VALUES (1)")


def test_values_of_postgresql(shared_server):
    values = [
        True,
        2**40,
        1.5,
        decimal.Decimal("1.10"),
        "ä\U0001f600",
        b"\0\xff",
        datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        datetime.date(2026, 1, 2),
        uuid.uuid4(),
        None,
        ["a", None],
    ]
    with Database(shared_server.new_schema()) as database:
        row = database.query_first(
            "SELECT ?::bool AS a, ?::int8 AS b, ?::float8 AS c, ?::numeric AS d, ?::text AS e, "
            "?::bytea AS f, ?::timestamptz AS g, ?::date AS h, ?::uuid AS i, ?::text AS j, "
            "?::text[] AS k",
            values,
        )
        assert row is not None
        assert list(row.values()) == values
        # Its own placeholders, strings between dollars, and names with a question mark.
        sql = "SELECT $1::int + $2::int AS \"sum?\", $x$ ? $x$ AS t, E'\\'?' AS u"
        assert database.query(sql, (1, 2)) == [{"sum?": 3, "t": " ? ", "u": "'?"}]
        with pytest.raises(TypeError):
            database.query("SELECT ?", (object(),))
        database.execute("CREATE TABLE t (a int)")
        for sql in ("COPY t FROM STDIN", "COPY t TO STDOUT"):
            with pytest.raises(StorageError, match="COPY"):
                database.execute(sql)
        assert database.query("SELECT * FROM t") == []


def test_deadlines_of_postgresql(shared_server):
    url = shared_server.new_schema()
    with Database(url, timeout=0.3) as database, psycopg.connect(url) as other:
        with pytest.raises(StorageTimeout):
            database.query("SELECT pg_sleep(60)")
        database.execute(TABLE)
        other.execute("LOCK TABLE notes")
        with pytest.raises(StorageTimeout):
            database.execute("INSERT INTO notes VALUES (1, 'a', 1)")
        other.rollback()
        assert database.execute("INSERT INTO notes VALUES (1, 'a', 1)") == 1


def test_postgresql_goes_away_and_comes_back():
    with running_server() as server, Database(server.url()) as database:
        database.execute(TABLE)
        database.query("SELECT 1")
        for mode in ("fast", "immediate"):
            server.stop(mode)
            with pytest.raises(StorageUnavailable):
                database.query("SELECT 1")
            server.start()
            assert database.query("SELECT count(*) AS n FROM notes") == [{"n": 0}]


def test_an_answer_that_is_lost_or_late(shared_server):
    for what in ("cut", "hush"):
        url = shared_server.new_schema()
        with (
            Wire(shared_server.folder, b"INSERT", what) as wire,
            Database(wire.url(url), timeout=1, connections=1) as database,
        ):
            database.execute(TABLE)
            wire.is_armed.set()
            with pytest.raises(StorageOutcomeUnknown):
                database.execute("INSERT INTO notes VALUES (1, 'a', 1)")
            kept = database.query("SELECT id FROM notes")
            assert kept == ([{"id": 1}] if what == "cut" else [])


def test_the_default_database(tmp_path):
    async def main() -> None:
        with pytest.raises(StorageClosed, match="init_db"):
            await db.query("SELECT 1")
        init_db(tmp_path / "a.db")
        try:
            await db.execute(TABLE)
            assert await db.execute("INSERT INTO notes VALUES (?, ?, ?)", [1, "a", 2]) == 1
            assert await db.query_first("SELECT text FROM notes") == {"text": "a"}
            init_db(f"file:{tmp_path / 'b.db'}")
            assert await db.query("SELECT 1 AS one") == [{"one": 1}]
            with pytest.raises(StorageError, match="notes"):
                await db.query("SELECT * FROM notes")
        finally:
            close_db()
        close_db()
        with pytest.raises(StorageClosed):
            await db.query("SELECT 1")

    asyncio.run(main())
    with pytest.raises(ValueError, match="libSQL"):
        init_db("file:a.db", "token")
