"""Features of images on disk: the SQLite file that keeps them."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from skattr._cache.keys import image_keys as image_keys
from skattr._cache.sqlite import SQLiteFile, run, selected

VERSION = 1  # of the tables
FILE_NAME = "embeddings.sqlite"

Compute = Callable[[list[int]], NDArray[np.float32]]


class EmbeddingStore(SQLiteFile):
    """Rows of features in a folder, each under a key, shared by any number of processes.

    What a process writes, it writes in one transaction per batch, which holds SQLite's write
    lock from before the missing keys are looked up until their features are committed: no two
    processes compute the same row, and one that is killed leaves neither a lock nor half a batch.

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

    file_name = FILE_NAME
    parameter = "cache"
    application = int.from_bytes(b"skat")
    version = VERSION
    tables = (
        "CREATE TABLE networks (key BLOB PRIMARY KEY, description TEXT NOT NULL, "
        "n_features INTEGER NOT NULL)",
        "CREATE TABLE features (key BLOB PRIMARY KEY, row BLOB NOT NULL)",
    )
    if_deleted = "(features are computed anew)"

    def __len__(self) -> int:
        """Return the number of rows kept, of all networks."""
        with self.connected() as connection:
            return int(run(connection, "SELECT COUNT(*) FROM features").fetchone()[0])

    def n_features(self, network: bytes) -> int | None:
        """Return the length of the rows of a network, None if it is not known."""
        with self.connected() as connection:
            query = "SELECT n_features FROM networks WHERE key = ?"
            found = run(connection, query, (network,)).fetchone()
        return None if found is None else int(found[0])

    def register(self, network: bytes, description: str, n_features: int) -> None:
        """Keep what is behind the key of a network."""
        with self.connected() as connection:
            values = (network, description, n_features)
            run(connection, "INSERT OR IGNORE INTO networks VALUES (?, ?, ?)", values)

    def missing(self, keys: Iterable[bytes]) -> set[bytes]:
        """Return the keys that have no row."""
        wanted = set(keys)
        with self.connected() as connection:
            return wanted - _present(connection, wanted)

    def fill(self, keys: Sequence[bytes], compute: Compute) -> None:
        """Compute and keep the rows that are missing, while all other processes wait.

        Parameters
        ----------
        keys : sequence of bytes, distinct
        compute : callable
            Gets the positions of the missing keys, returns their rows.
        """
        with self.connected() as connection:
            run(connection, "BEGIN IMMEDIATE")
            present = _present(connection, keys)
            absent = [place for place, key in enumerate(keys) if key not in present]
            if absent:
                computed = compute(absent).astype("<f4", copy=False)
                found = (
                    (keys[place], row.tobytes())
                    for place, row in zip(absent, computed, strict=True)
                )
                connection.executemany("INSERT INTO features VALUES (?, ?)", found)
            run(connection, "COMMIT")

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
        with self.connected() as connection:
            for key, row in selected(connection, "key, row", "features", places):
                if len(row) != 4 * n_features:
                    raise self.unusable(f"it has rows that are not {n_features} features long")
                result[places[key]] = np.frombuffer(row, dtype="<f4")
                n_found += 1
        if n_found < len(places):
            raise self.unusable("rows were taken from it while it was read")
        return result


def _present(connection: sqlite3.Connection, keys: Iterable[bytes]) -> set[bytes]:
    return {key for (key,) in selected(connection, "key", "features", keys)}
