"""A SQLite file in a folder that any number of processes share."""

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

_PATIENCE = 3600.0  # seconds to wait for the batch of another process
_AT_ONCE = 500  # keys in one query; SQLite takes 999 anywhere


class SQLiteFile:
    """A SQLite file with a write-ahead log, made where needed.

    Connections are opened for a single call, so none is pickled or lives on in a fork. Subclasses
    say whose file it is and what is in it.

    Parameters
    ----------
    folder : str or path-like
        Made where needed.

    Raises
    ------
    OSError
        If the folder cannot be made or written to, or holds a file of the same name that is
        corrupt or not of this package.
    """

    file_name: ClassVar[str]
    parameter: ClassVar[str]  # of the user, that named the folder
    application: ClassVar[int]  # SQLite's application_id: whose file this is
    version: ClassVar[int]  # of the tables
    tables: ClassVar[tuple[str, ...]]  # the statements that make them
    if_deleted: ClassVar[str]  # the end of a sentence that tells to delete the file

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.file = Path(folder) / self.file_name
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"{self.parameter}={os.fspath(folder)!r} is no folder, nor can it be made one: "
                f"{error}."
            ) from error
        with self.connected():
            pass

    @contextlib.contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one call; what is not committed by then is rolled back."""
        try:
            with contextlib.closing(
                sqlite3.connect(self.file, timeout=1.0, isolation_level=None)
            ) as connection:
                self._check_or_make_tables(connection)
                yield connection
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
                raise self.disk_full() from error
            raise self.unusable(str(error)) from error

    def _check_or_make_tables(self, connection: sqlite3.Connection) -> None:
        owner = _owner(connection)
        if owner[:2] != (self.application, self.version):
            run(connection, "BEGIN IMMEDIATE")  # another process may be making the tables
            owner = _owner(connection)
            if owner == (0, 0, 0):
                for statement in self.tables:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {self.application}")
                connection.execute(f"PRAGMA user_version = {self.version}")
                owner = _owner(connection)
            run(connection, "COMMIT")
        if owner[0] != self.application:
            raise self.unusable("it is the file of another application")
        if owner[1] != self.version:
            raise self.unusable(f"its format is {owner[1]}, that of this version {self.version}")
        run(connection, "PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # safe with a write-ahead log

    def unusable(self, reason: str) -> OSError:
        """Return the error that says why the file cannot be used, and what to do."""
        return OSError(
            f"The cache file {os.fspath(self.file)!r} cannot be used: {reason}. If it is damaged "
            f"or not needed, delete it {self.if_deleted}; or give another folder as "
            f"`{self.parameter}`."
        )

    def disk_full(self) -> OSError:
        """Return the error that says that the disk is full, and what to do."""
        return OSError(
            errno.ENOSPC,
            f"the disk of {self.parameter}={os.fspath(self.file.parent)!r} is full; free some "
            "space, or give a folder on another disk. What was kept before stays",
        )


def _owner(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Return application, version and number of tables of a file."""
    queries = ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
    return tuple(run(connection, query).fetchone()[0] for query in queries)


def selected(
    connection: sqlite3.Connection, columns: str, table: str, keys: Iterable[bytes]
) -> Iterator[tuple[Any, ...]]:
    """Yield columns of those rows of a table whose `key` is wanted, in any order."""
    wanted = list(keys)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        yield from run(connection, f"SELECT {columns} FROM {table} WHERE key IN ({marks})", some)


def run(connection: sqlite3.Connection, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
    """Execute a statement, waiting while another process has the lock.

    SQLite waits for a second at a time only, so that Ctrl-C is heard.

    Raises
    ------
    TimeoutError
        If the lock is never given back.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return connection.execute(sql, values)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"The file of a cache was locked by another process for {_PATIENCE:.0f} "
                    "seconds; end that process, or make its batches smaller."
                ) from error
