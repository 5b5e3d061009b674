"""Features of pictures on disk: what a picture is known by, and the SQLite file that keeps them."""

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skattr._images import FileRows, PixelRows
from skattr._unreadable import refuse_or_note
from skattr.exceptions import ImageReadError

CacheKey = Literal["content", "stat"]
VERSION = 1  # of the tables
FILE_NAME = "embeddings.sqlite"
_APPLICATION = int.from_bytes(b"skat")  # SQLite's application_id: whose file this is
_PATIENCE = 3600.0  # seconds to wait for the batch of another process
_AT_ONCE = 500  # keys in one query; SQLite takes 999 anywhere
_TABLES = (
    "CREATE TABLE networks (key BLOB PRIMARY KEY, description TEXT NOT NULL, "
    "n_features INTEGER NOT NULL)",
    "CREATE TABLE features (key BLOB PRIMARY KEY, row BLOB NOT NULL)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)

Compute = Callable[[list[int]], NDArray[np.float32]]


def picture_keys(
    rows: PixelRows | FileRows, network: bytes, by: CacheKey, indices: Iterable[int]
) -> list[bytes]:
    """Return what the features of pictures are kept under.

    Parameters
    ----------
    rows : PixelRows or FileRows
    network : bytes
        Tells the network and its preprocessing from any others.
    by : {"content", "stat"}
        A file is known by its bytes, or by its absolute path, size and time of modification in
        nanoseconds. Pictures in memory are known by their pixels.
    indices : iterable of int
        The rows to look at.

    Returns
    -------
    list of bytes
        SHA-256 digests. Equal ones stand for equal pictures, and boxes. Empty for a file that
        cannot be read, if `rows` puts up with it, which is noted there.

    Raises
    ------
    ImageReadError
        If a file cannot be read; its path and row are named.
    """
    if isinstance(rows, PixelRows):
        return [_key(network, "pixels", *_contents(rows.array[row])) for row in indices]
    known: dict[str, bytes] = {}  # of a photograph with many boxes
    keys = []
    for row in indices:
        path = rows.paths[row]
        try:
            if path not in known:
                known[path] = _stat(path) if by == "stat" else _digest(path)
        except OSError as error:
            unread = ImageReadError(f"cannot read the picture {path!r}: {error}")
            unread.__cause__ = error
            refuse_or_note(rows.unreadable, int(row), unread)
            keys.append(b"")
            continue
        box = None if rows.boxes is None or np.isnan(rows.boxes[row, 0]) else rows.boxes[row]
        keys.append(_key(network, by, known[path], b"" if box is None else box.astype("<i8")))
    return keys


def _key(network: bytes, kind: str, *parts: Any) -> bytes:
    """Digest parts, of which all but the last have a length that is the same for the kind."""
    digest = hashlib.sha256(network + kind.encode())
    for part in parts:
        digest.update(part)
    return digest.digest()


def _contents(picture: NDArray[np.uint8]) -> tuple[Any, Any]:
    shape = np.array([picture.ndim, *picture.shape, 0][:4], dtype="<i8")
    return shape, np.ascontiguousarray(picture)


def _digest(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _stat(path: str) -> bytes:
    found = os.stat(path)
    text = f"{found.st_size} {found.st_mtime_ns} ".encode() + os.fsencode(os.path.abspath(path))
    return hashlib.sha256(text).digest()


class EmbeddingStore:
    """Rows of features in a folder, each under a key, shared by any number of processes.

    A SQLite file with a write-ahead log. What a process writes, it writes in one transaction
    per batch, which holds SQLite's write lock from before the missing keys are looked up until
    their features are committed: no two processes compute the same row, and one that is killed
    leaves neither a lock nor half a batch. Connections are opened for a single call, so none is
    pickled or lives on in a fork.

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

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.file = Path(folder) / FILE_NAME
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"cache={os.fspath(folder)!r} is no folder, nor can it be made one: {error}."
            ) from error
        with self._connected():
            pass

    def __len__(self) -> int:
        """Return the number of rows kept, of all networks."""
        with self._connected() as connection:
            return int(_run(connection, "SELECT COUNT(*) FROM features").fetchone()[0])

    def n_features(self, network: bytes) -> int | None:
        """Return the length of the rows of a network, None if it is not known."""
        with self._connected() as connection:
            query = "SELECT n_features FROM networks WHERE key = ?"
            found = _run(connection, query, (network,)).fetchone()
        return None if found is None else int(found[0])

    def register(self, network: bytes, description: str, n_features: int) -> None:
        """Keep what is behind the key of a network."""
        with self._connected() as connection:
            values = (network, description, n_features)
            _run(connection, "INSERT OR IGNORE INTO networks VALUES (?, ?, ?)", values)

    def missing(self, keys: Iterable[bytes]) -> set[bytes]:
        """Return the keys that have no row."""
        wanted = set(keys)
        with self._connected() as connection:
            return wanted - _present(connection, wanted)

    def fill(self, keys: Sequence[bytes], compute: Compute) -> None:
        """Compute and keep the rows that are missing, while all other processes wait.

        Parameters
        ----------
        keys : sequence of bytes, distinct
        compute : callable
            Gets the positions of the missing keys, returns their rows.
        """
        with self._connected() as connection:
            _run(connection, "BEGIN IMMEDIATE")
            present = _present(connection, keys)
            absent = [place for place, key in enumerate(keys) if key not in present]
            if absent:
                computed = compute(absent).astype("<f4", copy=False)
                found = (
                    (keys[place], row.tobytes())
                    for place, row in zip(absent, computed, strict=True)
                )
                connection.executemany("INSERT INTO features VALUES (?, ?)", found)
            _run(connection, "COMMIT")

    def read(self, keys: Sequence[bytes], n_features: int) -> NDArray[np.float32]:
        """Return the rows of some keys, which may repeat: float32 (len(keys), n_features).

        Raises
        ------
        OSError
            If a key has no row, or one of another length.
        """
        places: dict[bytes, list[int]] = {}
        for place, key in enumerate(keys):
            places.setdefault(key, []).append(place)
        result = np.empty((len(keys), n_features), dtype=np.float32)
        n_found = 0
        with self._connected() as connection:
            for key, row in _selected(connection, "key, row", places):
                if len(row) != 4 * n_features:
                    raise self._unusable(f"it has rows that are not {n_features} features long")
                result[places[key]] = np.frombuffer(row, dtype="<f4")
                n_found += 1
        if n_found < len(places):
            raise self._unusable("rows were taken from it while it was read")
        return result

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one call; what is not committed by then is rolled back."""
        try:
            with contextlib.closing(
                sqlite3.connect(self.file, timeout=1.0, isolation_level=None)
            ) as connection:
                self._check_or_make_tables(connection)
                yield connection
        except sqlite3.Error as error:
            raise self._unusable(str(error)) from error

    def _check_or_make_tables(self, connection: sqlite3.Connection) -> None:
        owner = _owner(connection)
        if owner[:2] != (_APPLICATION, VERSION):
            _run(connection, "BEGIN IMMEDIATE")  # another process may be making the tables
            owner = _owner(connection)
            if owner == (0, 0, 0):
                for statement in _TABLES:
                    connection.execute(statement)
                owner = _owner(connection)
            _run(connection, "COMMIT")
        if owner[0] != _APPLICATION:
            raise self._unusable("it is the file of another application")
        if owner[1] != VERSION:
            raise self._unusable(f"its format is {owner[1]}, that of this version {VERSION}")
        _run(connection, "PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # safe with a write-ahead log

    def _unusable(self, reason: str) -> OSError:
        return OSError(
            f"The cache file {os.fspath(self.file)!r} cannot be used: {reason}. If it is damaged "
            "or not needed, delete it (features are computed anew); or give another folder as "
            "`cache`."
        )


def _owner(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Return application, version and number of tables of a file."""
    queries = ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
    return tuple(_run(connection, query).fetchone()[0] for query in queries)


def _present(connection: sqlite3.Connection, keys: Iterable[bytes]) -> set[bytes]:
    return {key for (key,) in _selected(connection, "key", keys)}


def _selected(
    connection: sqlite3.Connection, columns: str, keys: Iterable[bytes]
) -> Iterator[tuple[Any, ...]]:
    """Yield columns of the rows of some keys, in any order."""
    wanted = list(keys)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        yield from _run(connection, f"SELECT {columns} FROM features WHERE key IN ({marks})", some)


def _run(connection: sqlite3.Connection, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
    """Execute a statement, waiting while another process has the lock.

    SQLite waits for a second at a time only, so that Ctrl-C is heard.
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
                    f"The cache of embeddings was locked by another process for {_PATIENCE:.0f} "
                    "seconds; end that process, or make its batches smaller."
                ) from error
