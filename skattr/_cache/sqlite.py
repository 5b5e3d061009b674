"""A SQLite file in a folder, shared by any number of processes."""

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

_LOCK_TIMEOUT = 3600.0  # seconds
# SQLite's limit of parameters in a query is 999 in builds before 3.32.
_KEYS_PER_QUERY = 500


class SQLiteFile:
    """A SQLite file with a write-ahead log, created where needed.

    A connection is opened for each call, because connections can be neither pickled nor used
    after a fork. Subclasses define the name of the file and its tables.

    Parameters
    ----------
    folder : str or path-like
        The folder of the file. It is created where needed.

    Raises
    ------
    OSError
        If the folder cannot be created or written to, or if it contains a file of the same name
        that is corrupt or belongs to another application.
    """

    file_name: ClassVar[str]
    application_id: ClassVar[int]  # SQLite stores it in the header to identify the application
    version: ClassVar[int]  # of the tables
    tables: ClassVar[tuple[str, ...]]  # CREATE TABLE statements

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.file = Path(folder) / self.file_name
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"cache={os.fspath(folder)!r} is not a folder and cannot be created: {error}."
            ) from error
        with self.connect():
            pass

    @contextlib.contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """Open a connection for one call. An open transaction is rolled back at the end."""
        try:
            with contextlib.closing(
                sqlite3.connect(self.file, timeout=1.0, isolation_level=None)
            ) as connection:
                self._check_or_create_tables(connection)
                yield connection
        except sqlite3.Error as error:
            # The low byte is the primary error code; the others only add detail.
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
                raise self.disk_full_error() from error
            raise self.unusable_error(str(error)) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a connection with the write lock and commit at the end, unless an error occurs."""
        with self.connect() as connection:
            execute(connection, "BEGIN IMMEDIATE")
            yield connection
            execute(connection, "COMMIT")

    def _check_or_create_tables(self, connection: sqlite3.Connection) -> None:
        header = _read_header(connection)
        if header[:2] != (self.application_id, self.version):
            # Another process may be creating the tables, so look again under the write lock.
            execute(connection, "BEGIN IMMEDIATE")
            header = _read_header(connection)
            if header == (0, 0, 0):
                for statement in self.tables:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {self.application_id}")
                connection.execute(f"PRAGMA user_version = {self.version}")
                header = _read_header(connection)
            execute(connection, "COMMIT")
        if header[0] != self.application_id:
            raise self.unusable_error("it is the file of another application")
        if header[1] != self.version:
            raise self.unusable_error(
                f"its format is {header[1]}, but this version of skattr reads {self.version}"
            )
        # With a write-ahead log readers do not wait for a writer, and synchronous = NORMAL cannot
        # corrupt the file: a power failure loses the last commits at most.
        execute(connection, "PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    def unusable_error(self, reason: str) -> OSError:
        """Return an error that says why the file cannot be used and what to do."""
        return OSError(
            f"The cache file {os.fspath(self.file)!r} cannot be used: {reason}. Delete it if it is "
            "damaged or no longer needed (its contents are then computed again), or set `cache` "
            "to another folder."
        )

    def disk_full_error(self) -> OSError:
        """Return an error that says that the disk is full and what to do."""
        return OSError(
            errno.ENOSPC,
            f"the disk of cache={os.fspath(self.file.parent)!r} is full; free some space, or set "
            "`cache` to a folder on another disk. What was cached before is intact",
        )


def _read_header(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Return application id, version and number of tables."""
    queries = ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
    return tuple(execute(connection, query).fetchone()[0] for query in queries)


def select_rows(
    connection: sqlite3.Connection, columns: str, table: str, keys: Iterable[bytes]
) -> Iterator[tuple[Any, ...]]:
    """Yield columns of the rows of a table whose `key` is among `keys`, in any order."""
    keys = list(keys)
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        chunk = keys[start : start + _KEYS_PER_QUERY]
        marks = ", ".join("?" * len(chunk))
        query = f"SELECT {columns} FROM {table} WHERE key IN ({marks})"
        yield from execute(connection, query, chunk)


def execute(connection: sqlite3.Connection, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
    """Execute a statement, waiting while another process holds the lock.

    SQLite's own wait is limited to one second (`timeout` of the connection) and repeated here,
    because Ctrl-C cannot interrupt it.

    Raises
    ------
    TimeoutError
        If the lock is not released.
    """
    deadline = time.monotonic() + _LOCK_TIMEOUT
    while True:
        try:
            return connection.execute(sql, values)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() > deadline:
                raise TimeoutError(
                    "The cache file was locked by another process for "
                    f"{_LOCK_TIMEOUT:.0f} seconds; end that process."
                ) from error
