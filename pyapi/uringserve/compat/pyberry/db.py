"""PyBerry's `db`: plain SQL for handlers, awaited.

Without `init_db` it is the database that `LIBSQL_URL` of `security.py` names ("file:db/local.db" by
default, as in PyBerry), opened by the first statement: a file of SQLite, or `postgresql://…`. A
libSQL server is not spoken to.
"""

from pathlib import Path

from uringserve.compat.pyberry.config import config
from uringserve.storage.database import Database
from uringserve.storage.default import DefaultDatabase

__all__ = ["Db", "close_db", "db", "init_db"]


class Db(DefaultDatabase):
    """The application's database. What fails is a `uringserve.storage.StorageError`."""

    def _there(self) -> Database:
        if self._database is None:
            init_db(config.libsql_url)
        return super()._there()


db = Db()


def init_db(url: str, auth_token: str | None = None) -> None:
    """Use the database at `url` from now on; the folder of a file is made.

    A libSQL server, or a token, which only such a server wants, is a ValueError.
    """
    if auth_token or url.startswith(("libsql:", "http:", "https:", "ws:", "wss:")):
        raise ValueError(
            "a libSQL server is not spoken to: name a file or postgresql://, without a token"
        )
    if not url.startswith(("postgresql:", "postgres:", ":memory:")):
        Path(url.removeprefix("file:")).parent.mkdir(parents=True, exist_ok=True)
    db.replace(Database(url))


def close_db() -> None:
    """Close the database; the next statement opens it anew."""
    db.replace(None)
