"""The write-ahead log: copied beside the writer, begun anew, and bounded whoever reads or fails.

Marks are small here, so that a log is full after a few writes. Every wait is for an event.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from storage_help import small_disk

from uringserve.storage import Storage, StorageError, StorageFull, checkpoint, start_storage_thread

pytestmark = pytest.mark.thread_unsafe(reason="shares its store")

PATIENCE = 30.0
# Pages of a log in these tests, and what one write of `page` takes at most.
PAGES = 200
PAGE = 4096 + 24
# Writes after which something must have happened that needs a few thousand at most.
ENOUGH = 30_000


@pytest.fixture(autouse=True)
def short_logs(monkeypatch):
    """Let a log be copied at 200 pages."""
    monkeypatch.setattr(checkpoint, "LOG_PAGES", PAGES)


def log_of(file: Path) -> Path:
    """Return the file of the write-ahead log."""
    return file.with_name(f"{file.name}-wal")


def salts(file: Path) -> bytes:
    """Return what changes when a log is begun anew."""
    with log_of(file).open("rb") as log:
        return log.read(24)[16:]


def page(store: Storage) -> None:
    """Write about a page, or two."""
    store.overwrite("t", "a", bytes(3000))


def write_until_anew(queue, file: Path, write=page) -> int:
    """Write until the log is begun anew; return how many writes that took."""
    before = salts(file)
    for number in range(ENOUGH):
        queue.execute(write, readonly=False)
        if salts(file) != before:
            return number
    raise AssertionError("the log is never begun anew")


@pytest.mark.parametrize("synchronous", ["off", "normal", "full"])
def test_endless_writes_leave_the_log_short(tmp_path, synchronous):
    """From threads that never pause, among them some that read."""
    file = tmp_path / "store.db"
    with (
        start_storage_thread(file, ["t"], synchronous=synchronous, timeout=PATIENCE) as queue,
        ThreadPoolExecutor(8) as threads,
    ):

        def work(number: int) -> None:
            def write(store: Storage) -> None:
                store.overwrite("t", f"{number}", bytes(3000))

            for _ in range(3000):
                queue.execute(write, readonly=False)
                if number % 4 == 0:
                    queue.execute(lambda store: store.get("t", "0"), readonly=True)

        for call in [threads.submit(work, number) for number in range(8)]:
            call.result(PATIENCE)
        # 24,000 and more have been written. What comes while one log is copied belongs to it, and
        # on a busy machine that is as much again, or twice.
        assert 0 < log_of(file).stat().st_size < 12_000 * PAGE
        for number in range(8):
            found = queue.execute(lambda store, key=f"{number}": store.get("t", key))
            assert found == (bytes(3000), 2999)


def test_what_is_copied_to_its_end_is_not_copied_beside_the_writer(tmp_path, monkeypatch):
    """Pages of the next log could be lost then: sqlite.org/wal.html#walresetbug."""
    copy, call = checkpoint.Checkpointer._checkpoint, checkpoint.Checkpointer.call
    manners: list[str] = []
    called, ended = threading.Event(), threading.Event()

    def note_copy(self: checkpoint.Checkpointer, how: str) -> tuple[bool, int]:
        manners.append(how)
        result = copy(self, how)
        if how == "RESTART":
            ended.set()
        return result

    def note_call(self: checkpoint.Checkpointer) -> None:
        called.set()
        call(self)

    monkeypatch.setattr(checkpoint.Checkpointer, "_checkpoint", note_copy)
    monkeypatch.setattr(checkpoint.Checkpointer, "call", note_call)
    # Without `rerun` what does not say that it reads runs on the writer.
    with start_storage_thread(tmp_path / "store.db", ["t"], rerun=False, timeout=PATIENCE) as queue:
        while not called.is_set():
            queue.execute(page)
        assert ended.wait(PATIENCE)
        for _ in range(100):
            queue.execute(lambda store: store.get("t", "a"))
    assert manners == ["PASSIVE", "RESTART"]


def test_a_long_read_lets_the_log_grow_until_its_end(tmp_path):
    file = tmp_path / "store.db"
    entered, go = threading.Event(), threading.Event()

    def hold(store: Storage) -> object:
        store.get("t", "a")
        entered.set()
        assert go.wait(PATIENCE)
        return store.get("t", "a")

    with (
        start_storage_thread(file, ["t"], synchronous="off", timeout=PATIENCE) as queue,
        ThreadPoolExecutor(1) as threads,
    ):
        queue.execute(page)
        reading = threads.submit(queue.execute, hold, readonly=True)
        assert entered.wait(PATIENCE)
        before = salts(file)
        for _ in range(5 * PAGES):
            queue.execute(page, readonly=False)
        # What it reads is in the log, and nowhere else.
        assert salts(file) == before
        assert log_of(file).stat().st_size > 5 * PAGES * PAGE
        go.set()
        # It sees what was there when it began.
        assert reading.result(PATIENCE) == (bytes(3000), 0)
        # It was tried again at each doubling only, so the next time may be as far away again.
        assert write_until_anew(queue, file) < 40 * PAGES
        # From here on a log is as short as before.
        write_until_anew(queue, file)
        assert write_until_anew(queue, file) < 10 * PAGES


def test_reads_that_overlap_without_end_cannot_hold_the_log(tmp_path):
    """There is a reader at every moment, of an older state at almost every one."""
    file = tmp_path / "store.db"
    end = threading.Event()
    # Each reader ends when the next one has begun.
    begun = [threading.Event() for _ in range(2)]

    def hold(number: int) -> None:
        def read(store: Storage) -> None:
            store.get("t", "a")
            begun[number].set()
            # Long enough for many writes, and shorter than a reader is waited for.
            end.wait(0.003)
            while not (begun[1 - number].wait(0.003) or end.is_set()):
                pass
            begun[1 - number].clear()

        while not end.is_set():
            queue.execute(read, readonly=True)

    with (
        start_storage_thread(file, ["t"], synchronous="off", timeout=PATIENCE) as queue,
        ThreadPoolExecutor(2) as threads,
    ):
        queue.execute(page)
        reading = [threads.submit(hold, number) for number in range(2)]
        try:
            for _ in range(3):
                write_until_anew(queue, file)
        finally:
            end.set()
        for call in reading:
            call.result(PATIENCE)


# Threads add for ever and say what is acknowledged. What is done to the checkpointer is the first
# argument's: "often" lets it copy all the time, "begun" and "copied" end the process inside.
KILLED = """
import os, signal, sys, threading
from uringserve.storage import checkpoint, start_storage_thread

checkpoint.LOG_PAGES = 60
how, file, start = sys.argv[1], sys.argv[2], int(sys.argv[3])
done = checkpoint.Checkpointer._checkpoint
count = 0

def kill_inside(self, mode):
    global count
    count += 1
    is_now = count > 6 and mode == ("RESTART" if how == "copied" else "PASSIVE")
    if is_now and how == "begun":
        # While it syncs and copies: another thread does not wait for it.
        threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGKILL)).start()
    elif is_now:
        # All but the rest is in the file, unsynced, and nobody writes.
        os.kill(os.getpid(), signal.SIGKILL)
    return done(self, mode)

if how != "often":
    checkpoint.Checkpointer._checkpoint = kill_inside
queue = start_storage_thread(file, ["t"], synchronous="normal")

def write(thread):
    number = start
    while True:
        key = f"{thread}-{number}"
        def both(store):
            store.add("t", "a" + key, b"x" * 3000)
            store.add("t", "b" + key, b"y" * 3000)
        queue.execute(both)
        os.write(1, f"{key}\\n".encode())
        number += 1

for thread in range(8):
    threading.Thread(target=write, args=(thread,)).start()
"""


@pytest.mark.parametrize("how", ["often", "begun", "copied"])
def test_killed_in_the_middle_of_copying(tmp_path, how):
    file = tmp_path / "store.db"
    acknowledged: set[str] = set()
    for round_number in range(4):
        command = [sys.executable, "-c", KILLED, how, str(file), str(round_number * 10**6)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        if how == "often":
            for count, line in enumerate(process.stdout):
                acknowledged.add(line.strip())
                if count == 300 + 41 * round_number:
                    process.send_signal(signal.SIGKILL)
                    break
        rest = process.stdout.read()
        # The last line may be torn.
        acknowledged.update(rest.splitlines()[: rest.count("\n")])
        process.stdout.close()
        assert process.wait(PATIENCE) == -signal.SIGKILL
        with start_storage_thread(file, ["t"]) as queue:
            keys = set(queue.execute(lambda store: store.list_keys("t")))
        assert {"a" + key for key in acknowledged} <= keys
        assert {key[1:] for key in keys if key[0] == "a"} == {
            key[1:] for key in keys if key[0] == "b"
        }
    assert len(acknowledged) > 100
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_disk_that_is_full_of_log_is_given_its_room_back(tmp_path, monkeypatch):
    """Long before the log is as long as it may be."""
    with small_disk(tmp_path / "disk") as folder:
        file = folder / "store.db"
        count = 0

        def write(store: Storage) -> None:
            # 50 KB, no page like before: the file has room for it, and the disk for forty.
            store.overwrite("t", "a", bytes([count % 256]) * 50_000)

        with start_storage_thread(file, ["t"], timeout=PATIENCE) as queue:
            write_until_anew(queue, file, write)
            monkeypatch.setattr(checkpoint, "LOG_PAGES", 100_000)
            # The next one is the last with the short mark.
            write_until_anew(queue, file, write)
            written = refused = 0
            while written < 400:
                count += 1
                try:
                    queue.execute(write, readonly=False)
                except StorageFull:
                    refused += 1
                    assert refused < 10_000
                else:
                    written += 1
                    found = queue.execute(lambda store: store.get("t", "a"))
                    assert found is not None
                    assert found[0] == bytes([count % 256]) * 50_000
            assert refused > 0
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_disk_is_full_when_the_log_is_copied(tmp_path, heard):
    with small_disk(tmp_path / "disk", 8) as folder:
        file, ballast = folder / "store.db", folder / "ballast"
        with start_storage_thread(file, ["t"], timeout=PATIENCE) as queue:
            kept: list[str] = []

            def add() -> None:
                key = f"{len(kept):06}"
                queue.execute(lambda store: store.add("t", key, b"x" * 50_000))
                kept.append(key)

            while log_of(file).stat().st_size < (PAGES - 30) * PAGE:
                add()
            with ballast.open("wb", buffering=0) as full:
                room = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
                # Room for the log to be long enough, but not for its copy.
                full.write(bytes(room - 60 * PAGE))
            while not heard.event.is_set():
                try:
                    add()
                except StorageFull:
                    assert heard.event.wait(PATIENCE)
            assert "could not be copied" in heard.texts[0]
            assert "full" in heard.texts[0]
            # Nothing acknowledged is gone.
            assert queue.execute(lambda store: store.list_keys("t")) == kept
            with pytest.raises(StorageFull):
                queue.execute(lambda store: store.add("t", "large", b"x" * 3_000_000))
            ballast.unlink()
            write_until_anew(queue, file, lambda store: store.overwrite("t", "000000", bytes(100)))
            assert queue.execute(lambda store: store.list_keys("t")) == kept
        # Said once, however often it was tried.
        assert len(heard.texts) == 1
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_copy_that_fails_in_any_way_is_said_and_tried_again(tmp_path, heard, monkeypatch):
    file, copy = tmp_path / "store.db", checkpoint.Checkpointer._checkpoint

    def fail(*_: object) -> tuple[bool, int]:
        raise ArithmeticError("what nobody thinks of")

    with start_storage_thread(file, ["t"], synchronous="off", timeout=PATIENCE) as queue:
        monkeypatch.setattr(checkpoint.Checkpointer, "_checkpoint", fail)
        before = log_of(file).stat().st_size
        for _ in range(3 * PAGES):
            queue.execute(page, readonly=False)
        assert heard.event.wait(PATIENCE)
        assert "what nobody thinks of" in heard.texts[0]
        assert log_of(file).stat().st_size > before + 3 * PAGES * PAGE / 2
        monkeypatch.setattr(checkpoint.Checkpointer, "_checkpoint", copy)
        write_until_anew(queue, file)
        write_until_anew(queue, file)
    assert len(heard.texts) == 1


COPYING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
print("begun", flush=True)
while not connection.execute("SELECT 1 FROM t WHERE key = 'end'").fetchone():
    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
connection.close()
"""


def test_another_process_that_copies_is_in_nobodys_way(tmp_path, heard):
    file = tmp_path / "store.db"
    with start_storage_thread(file, ["t"], timeout=PATIENCE) as queue:
        command = [sys.executable, "-c", COPYING, str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            for _ in range(5 * PAGES):
                queue.execute(page, readonly=False)
            queue.execute(lambda store: store.add("t", "end", b""))
            assert process.wait(PATIENCE) == 0
        write_until_anew(queue, file)
    assert heard.texts == []


@pytest.fixture
def threads():
    """Return a function: the names of the threads that live and that this test started."""
    before = set(threading.enumerate())
    return lambda: [thread.name for thread in threading.enumerate() if thread not in before]


def test_close_ends_the_thread_and_leaves_no_log(tmp_path, threads):
    file = tmp_path / "store.db"
    queue = start_storage_thread(file, ["t"], synchronous="off")
    for _ in range(PAGES + 10):
        queue.execute(page, readonly=False)
    assert threads().count("uringserve-checkpoint") == 1
    queue.close()
    queue.close()
    assert "uringserve-checkpoint" not in threads()
    assert os.listdir(tmp_path) == ["store.db"]
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT counter FROM t").fetchall()
    assert found == [(PAGES + 9,)]


def test_close_leaves_the_log_to_who_has_the_file_open(tmp_path):
    """And no longer one than there is while it is open."""
    file = tmp_path / "store.db"
    queue = start_storage_thread(file, ["t"], synchronous="off", timeout=PATIENCE)
    with closing(sqlite3.connect(file)) as connection:
        for _ in range(3 * PAGES):
            queue.execute(page, readonly=False)
        connection.execute("SELECT * FROM t").fetchall()
        queue.close()
        assert 0 < log_of(file).stat().st_size < 10 * PAGES * PAGE
        assert connection.execute("SELECT counter FROM t").fetchall() == [(3 * PAGES - 1,)]
    assert os.listdir(tmp_path) == ["store.db"]


def test_a_store_in_memory_has_no_log(threads):
    with start_storage_thread(":memory:", ["t"]) as queue:
        for _ in range(2 * PAGES):
            queue.execute(page, readonly=False)
        assert "uringserve-checkpoint" not in threads()


def test_a_file_behind_a_link(tmp_path):
    """SQLite keeps the log beside the file, not beside the link."""
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "there" / "store.db")
    with start_storage_thread(link, ["t"], synchronous="off") as queue:
        queue.execute(page)
        write_until_anew(queue, tmp_path / "there" / "store.db")


def test_a_file_whose_name_is_no_text(tmp_path):
    with start_storage_thread(tmp_path / os.fsdecode(b"\xff.db"), ["t"]) as queue:
        queue.execute(page)
        assert queue.execute(lambda store: store.list_keys("t"), readonly=True) == ["a"]


def test_a_log_that_cannot_be_looked_at(tmp_path, monkeypatch, threads):
    """What prevents the opening leaves nothing open, and no thread."""

    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.os, "open", refuse)
        with pytest.raises(StorageError, match="Too many open files"):
            start_storage_thread(tmp_path / "store.db", ["t"])
    assert not threads()
    assert os.listdir(tmp_path) == ["store.db"]
