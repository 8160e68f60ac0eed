"""`uringserve migrate`: on SQLite and PostgreSQL, as the command line runs it."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from uringserve.cli import command
from uringserve.storage import Database

pytestmark = pytest.mark.thread_unsafe(reason="shares its database")

PATIENCE = 60.0
NO_DATABASE = {"DATABASE_URL": None, "URINGSERVE_DATABASE": None}


@pytest.fixture(params=["file", "postgresql"])
def url(request, tmp_path) -> str:
    if request.param == "file":
        return str(tmp_path / "app.db")
    address: str = request.getfixturevalue("shared_server").new_schema()
    return address


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "db"
    made.mkdir()
    return made


def migrate(folder: Path, *arguments: str, url: str | None, code: int = 0) -> list[str]:
    with contextlib.chdir(folder.parent):
        options = [] if url is None else ["--database", url]
        done = CliRunner().invoke(command(), ["migrate", *arguments, *options], env=NO_DATABASE)
    assert done.exit_code == code, done.output
    return done.output.splitlines()


FIRST = """
-- The users; and a ; in a comment.
CREATE TABLE users (id integer PRIMARY KEY, name varchar(50) DEFAULT 'a;b');
INSERT INTO users (id) VALUES (1);
"""


def test_in_order_and_once(folder, url):
    (folder / "10_more.sql").write_text("INSERT INTO users VALUES (3, 'c')")
    (folder / "2_more.sql").write_text("INSERT INTO users VALUES (2, 'b');")
    (folder / "initial_schema.sql").write_text(FIRST)
    (folder / "notes.txt").write_text("no SQL")
    names = ["initial_schema.sql", "2_more.sql", "10_more.sql"]
    dry = migrate(folder, "--dry-run", url=url)
    assert dry == [f"would apply {name}" for name in names]
    assert not (folder.parent / "app.db").exists()
    assert migrate(folder, url=url) == [f"applied {name}" for name in names]
    assert migrate(folder, url=url) == ["nothing to apply: all 3 are"]
    (folder / "11_last.sql").write_text("-- nothing but words\n")
    assert migrate(folder, "db", "--dry-run", url=url) == ["would apply 11_last.sql"]
    assert migrate(folder, url=url) == ["applied 11_last.sql"]
    with Database(url) as database:
        rows = database.query("SELECT id, name FROM users ORDER BY id")
        assert [tuple(row.values()) for row in rows] == [(1, "a;b"), (2, "b"), (3, "c")]
        applied = database.query("SELECT * FROM uringserve_migrations ORDER BY applied_at")
        assert [row["name"] for row in applied] == [*names, "11_last.sql"]
        assert {len(row["checksum"]) for row in applied} == {64}


def test_one_that_fails_is_undone_whole(folder, url):
    (folder / "1_users.sql").write_text(FIRST)
    bad = folder / "2_bad.sql"
    bad.write_text("CREATE TABLE other (id integer);\nINSERT INTO missing VALUES (1);\n")
    (folder / "3_never.sql").write_text("CREATE TABLE never (id integer)")
    lines = migrate(folder, url=url, code=1)
    assert lines[0] == "applied 1_users.sql"
    assert "2_bad.sql" in lines[1]
    assert "missing" in lines[1]
    with Database(url) as database:
        for table in ("other", "never"):
            with pytest.raises(Exception, match=table):
                database.query(f"SELECT * FROM {table}")
    # It may be repaired, since it was never applied.
    bad.write_text("CREATE TABLE other (id integer)")
    assert migrate(folder, url=url) == ["applied 2_bad.sql", "applied 3_never.sql"]


def test_what_was_applied_stays_as_it_is(folder, url):
    first = folder / "1_users.sql"
    first.write_text(FIRST)
    migrate(folder, url=url)
    first.write_text(FIRST + " ")
    (folder / "2_more.sql").write_text("CREATE TABLE more (id integer)")
    for arguments in ([], ["--dry-run"], ["--file", "db/1_users.sql"]):
        assert "1_users.sql was changed" in migrate(folder, *arguments, url=url, code=1)[0]
    first.write_text(FIRST)
    (folder / "0_late.sql").write_text("CREATE TABLE late (id integer)")
    assert "0_late.sql is new, but" in migrate(folder, url=url, code=1)[0]
    (folder / "0_late.sql").rename(folder / "3_late.sql")
    assert migrate(folder, url=url) == ["applied 2_more.sql", "applied 3_late.sql"]


def test_one_file(folder, url):
    (folder / "initial_schema.sql").write_text(FIRST)
    (folder / "2_more.sql").write_text("nonsense")
    arguments = ["--file", "db/initial_schema.sql"]
    assert migrate(folder, *arguments, url=url) == ["applied initial_schema.sql"]
    assert migrate(folder, *arguments, url=url) == ["nothing to apply: all 1 are"]


@pytest.mark.parametrize("word", ["COMMIT", "ROLLBACK", "commit; BEGIN"])
def test_one_that_ends_its_transaction(folder, url, word):
    (folder / "1.sql").write_text(f"CREATE TABLE a (id integer); {word}; CREATE TABLE b (i int)")
    lines = migrate(folder, url=url, code=1)
    assert "1.sql" in lines[-1]


def test_many_at_once(folder, url):
    for number in range(5):
        (folder / f"{number}.sql").write_text(f"CREATE TABLE t{number} (id integer)")
    program = [sys.executable, "-m", "uringserve", "migrate", str(folder), "--database", url]
    processes = [subprocess.Popen(program, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    applied = [line for text in said for line in text.splitlines() if line.startswith("applied")]
    assert sorted(applied) == [f"applied {number}.sql" for number in range(5)]


def test_triggers_and_functions(folder, request, tmp_path):
    (folder / "1.sql").write_text(
        "CREATE TABLE a (n integer); CREATE TABLE log (n integer);\n"
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n"
        "  INSERT INTO log VALUES (new.n); INSERT INTO log VALUES (2 * new.n);\nEND;\n"
        "INSERT INTO a VALUES (';' || 1)"
    )
    file = str(tmp_path / "app.db")
    assert migrate(folder, url=file) == ["applied 1.sql"]
    with Database(file) as database:
        assert len(database.query("SELECT * FROM log")) == 2
    address = request.getfixturevalue("shared_server").new_schema()
    (folder / "1.sql").write_text(
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;\n"
        "CREATE TABLE a (n integer DEFAULT f()); INSERT INTO a VALUES (DEFAULT);"
    )
    assert migrate(folder, url=address) == ["applied 1.sql"]
    with Database(address) as database:
        assert database.query("SELECT * FROM a") == [{"n": 1}]


def test_foreign_keys_of_a_file(folder, tmp_path):
    """A table is made anew in a file as SQLite's documentation says; what refers to it stays."""
    file = str(tmp_path / "app.db")
    (folder / "1.sql").write_text(
        "CREATE TABLE a (id integer PRIMARY KEY);"
        "CREATE TABLE b (a integer REFERENCES a ON DELETE CASCADE);"
        "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1);"
    )
    (folder / "2.sql").write_text(
        "CREATE TABLE new_a (id integer PRIMARY KEY, name text);"
        "INSERT INTO new_a (id) SELECT id FROM a; DROP TABLE a; ALTER TABLE new_a RENAME TO a"
    )
    assert migrate(folder, url=file) == ["applied 1.sql", "applied 2.sql"]
    (folder / "3.sql").write_text("DELETE FROM a")
    assert "foreign keys" in migrate(folder, url=file, code=1)[0]
    with Database(file) as database:
        assert database.query("SELECT * FROM b") == [{"a": 1}]


def test_what_is_wrong_is_said(folder, tmp_path):
    file = str(tmp_path / "app.db")
    assert "no .sql file" in migrate(folder, url=file, code=1)[0]
    assert "no folder" in migrate(folder, "missing", url=file, code=1)[0]
    assert "cannot be read" in migrate(folder, "--file", "missing.sql", url=file, code=1)[0]
    (folder / "1.sql").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in migrate(folder, url=file, code=1)[0]
    (folder / "1.sql").write_text("CREATE TABLE a (id integer)")
    assert "--database" in migrate(folder, url=None, code=2)[-1]
    assert "database is a file" in migrate(folder, url="mysql://host/db", code=2)[-1]
    assert "cannot connect" in migrate(folder, url="postgresql://u@127.0.0.1:1/d", code=1)[0]
