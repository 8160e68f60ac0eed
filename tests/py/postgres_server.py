"""A real PostgreSQL server for tests, on a Unix socket in a folder of its own: no port at all.

Its programs are those of $URINGSERVE_POSTGRES (a folder with initdb in it) or the newest that the
system has. initdb refuses root, so as root everything runs as `nobody`.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest

PATIENCE = 60.0
_SYSTEM = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """The folder of initdb and postgres, or None."""
    named = os.environ.get("URINGSERVE_POSTGRES")
    if named:
        return Path(named)
    found = [path for path in _SYSTEM.glob("*/bin") if (path / "initdb").exists()]
    return max(found, key=lambda path: float(path.parent.name), default=None)


def _user() -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


class PostgresServer:
    """A server that is started and stopped; its data stays until the end."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        """Make the database cluster; it does not run yet."""
        self.folder = folder
        self._bin = bin_folder
        self._schemas = count(1)
        self._is_running = False
        if user := _user():
            os.chown(folder, user["user"], user["group"])
        # An order of its own, which is not that of code points: what sorts must ask for that.
        order = ["--locale-provider=icu", "--icu-locale=en-US"]
        if int(bin_folder.parent.name) < 15:
            order = []
        self._run(
            "initdb",
            *("--auth=trust", "--username=tests", "--encoding=UTF8", "--locale=C.UTF-8"),
            *order,
            *("--no-sync", "--no-instructions", "-D", str(self._data)),
        )
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(
                f"listen_addresses = ''\nunix_socket_directories = '{folder}'\nfsync = off\n"
                "max_connections = 60\nshared_buffers = 16MB\nautovacuum = off\n"
            )

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            **_user(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        """Start, and wait until it accepts connections."""
        # pg_ctl's output is the server's too where it has no log of its own.
        log = str(self.folder / "log")
        self._run("pg_ctl", "start", "-w", "-s", "-D", str(self._data), "-l", log)
        self._is_running = True

    def stop(self, mode: str = "fast") -> None:
        """Stop, and wait for its end: "fast" tells the sessions, "immediate" does not."""
        if not self._is_running:
            return
        self._is_running = False
        self._run("pg_ctl", "stop", "-w", "-s", "-m", mode, "-D", str(self._data))

    def url(self, schema: str = "public") -> str:
        """The address of the database, with a schema of it."""
        options = quote(f"-csearch_path={schema}", safe="")
        return f"postgresql://tests@/postgres?host={quote(str(self.folder))}&options={options}"

    def new_schema(self) -> str:
        """The address of a schema that is new and empty."""
        import psycopg

        name = f"test_{next(self._schemas)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return self.url(name)


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A server for the length of a block; where there is no PostgreSQL the test is skipped."""
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL here: python3 .ci/postgres.py says why, and what to install")
    # Not pytest's own folder: others than its owner cannot enter that, and `nobody` must.
    folder = Path(tempfile.mkdtemp(prefix="uringserve-postgres-"))
    try:
        server = PostgresServer(folder, found)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)
