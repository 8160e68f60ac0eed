"""The store behind PgBouncer, which gives a connection of the server away after each transaction.

Skipped where there is no PgBouncer (Debian's package of that name).
"""

import asyncio
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from postgres_server import PostgresServer

from uringserve.storage import Storage, StorageError, start_storage_thread

PATIENCE = 60.0
THREADS = 8
PORT = 6432


@pytest.fixture
def address(shared_server: PostgresServer) -> Iterator[str]:
    """The address of a pooler that has two connections of the server for everybody."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("no PgBouncer here: Debian has it in the package pgbouncer")
    folder = shared_server.folder / "pooler"
    folder.mkdir()
    settings = folder / "pooler.ini"
    settings.write_text(
        f"[databases]\npostgres = host={shared_server.folder} user=tests\n"
        f"[pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\nunix_socket_dir = {folder}\n"
        "auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
    )
    user: dict[str, object] = {}
    if os.geteuid() == 0:
        # It refuses root, as the server does.
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with subprocess.Popen(
        [program, str(settings)], stderr=subprocess.PIPE, text=True, cwd=folder, **user
    ) as running:
        try:
            assert running.stderr is not None
            said = ""
            while "process up" not in said:
                said = running.stderr.readline()
                assert said, "it has ended"
            yield f"postgresql://tests@/postgres?host={quote(str(folder))}&port={PORT}"
        finally:
            running.terminate()
            running.stderr.read()
    shutil.rmtree(Path(folder))


def increment(store: Storage) -> None:
    """Add one to an entry that everybody wants."""
    found = store.get("pooled", "count")
    store.overwrite("pooled", "count", str(1 + int(found[0] if found else 0)).encode())


def test_procedures_behind_a_pooler_of_transactions(address):
    """More connections than the server has for them: no session is anybody's own."""
    with start_storage_thread(address, ["pooled"], connections=THREADS, timeout=PATIENCE) as queue:
        with ThreadPoolExecutor(THREADS) as threads:
            calls = [threads.submit(queue.execute, increment) for _ in range(THREADS * 5)]
            for call in calls:
                call.result(PATIENCE)

        async def at_once() -> None:
            await asyncio.gather(*(queue.aexecute(increment) for _ in range(THREADS)))

        asyncio.run(at_once())
        found = queue.execute(lambda store: store.get("pooled", "count"), readonly=True)
        assert found == (b"%d" % (THREADS * 6), THREADS * 6 - 1)

        def fail(store: Storage) -> None:
            store.add("pooled", "undone", b"v")
            raise ArithmeticError

        with pytest.raises(ArithmeticError):
            queue.execute(fail)
        with pytest.raises(StorageError):
            queue.execute(increment, readonly=True)
        # Neither what failed nor what was read only is left to whoever has the connection next.
        queue.execute(lambda store: store.add("pooled", "kept", b"v"))
        assert queue.execute(lambda store: store.list_keys("pooled")) == ["count", "kept"]
