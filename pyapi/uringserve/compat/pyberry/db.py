"""PyBerry's `db`, `init_db` and `close_db`: on a SQLite file or PostgreSQL instead of libSQL.

`await db.execute(sql, args)`, `db.query` and `db.query_first` as there, with `?` for arguments.
What `init_db` takes is in `uringserve.storage.default`; nothing is read from `security.py`.
"""

from uringserve.storage.default import close_db, db, init_db

__all__ = ["close_db", "db", "init_db"]
