"""Store of image features in a SQLite file."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from skattr._cache.sqlite import SQLiteFile, execute, select_rows

FILE_NAME = "embeddings.sqlite"


class EmbeddingStore(SQLiteFile):
    """Rows of features under keys, shared by any number of processes.

    No transaction is open while features are computed: a process claims the keys of a batch,
    computes their features, and stores them. Each of the two steps is one short transaction, so a
    killed process leaves neither a lock nor half a batch.

    A claim is a hint, not a lock. It never expires, and :meth:`missing` does not see it: when a
    process has stored all that it could claim, it also computes what others claimed but have not
    stored. So nobody waits for a process that was killed, and a row is computed twice only if it
    was in work elsewhere at the end.

    Parameters
    ----------
    folder : str or path-like
        It is created where needed.

    Raises
    ------
    OSError
        If the folder cannot be created or written to, or if it contains a file of the same name
        that is corrupt or belongs to another application.
    """

    file_name = FILE_NAME
    application_id = int.from_bytes(b"skat")
    version = 2
    tables = (
        "CREATE TABLE networks (key BLOB PRIMARY KEY, description TEXT NOT NULL, "
        "n_features INTEGER NOT NULL)",
        # A row is NULL from when its key is claimed until its features are stored.
        "CREATE TABLE features (key BLOB PRIMARY KEY, row BLOB)",
    )

    def __len__(self) -> int:
        """Return the number of rows of all networks."""
        with self.connect() as connection:
            return int(execute(connection, "SELECT COUNT(row) FROM features").fetchone()[0])

    def n_features(self, network: bytes) -> int | None:
        """Return the number of features of a network, None if it is not registered."""
        with self.connect() as connection:
            query = "SELECT n_features FROM networks WHERE key = ?"
            found = execute(connection, query, (network,)).fetchone()
        return None if found is None else int(found[0])

    def register(self, network: bytes, description: str, n_features: int) -> None:
        """Record the description and the number of features of a network."""
        with self.connect() as connection:
            values = (network, description, n_features)
            execute(connection, "INSERT OR IGNORE INTO networks VALUES (?, ?, ?)", values)

    def missing(self, keys: Iterable[bytes]) -> set[bytes]:
        """Return the keys without features, whether they are claimed or not."""
        keys = set(keys)
        with self.connect() as connection:
            rows = select_rows(connection, "key, row IS NOT NULL", "features", keys)
            return keys - {key for key, is_stored in rows if is_stored}

    def claim(self, keys: Iterable[bytes]) -> set[bytes]:
        """Claim the keys that are neither stored nor claimed, and return them."""
        keys = set(keys)
        with self.transaction() as connection:
            claimed = keys - {key for (key,) in select_rows(connection, "key", "features", keys)}
            values = [(key,) for key in claimed]
            connection.executemany("INSERT INTO features VALUES (?, NULL)", values)
        return claimed

    def store(self, keys: Sequence[bytes], features: NDArray[np.float32]) -> None:
        """Store the features of some keys. Features that are stored already stay.

        Parameters
        ----------
        keys : sequence of bytes
            Distinct keys.
        features : ndarray of shape (len(keys), n_features), float32
        """
        rows = [row.tobytes() for row in features.astype("<f4", copy=False)]
        with self.transaction() as connection:
            connection.executemany(
                # Of two processes that computed a row the first wins, so that everybody reads
                # the same bits.
                "INSERT INTO features VALUES (?, ?) "
                "ON CONFLICT (key) DO UPDATE SET row = excluded.row WHERE row IS NULL",
                zip(keys, rows, strict=True),
            )

    def read(self, keys: Sequence[bytes], n_features: int) -> NDArray[np.float32]:
        """Return the features of some keys, which may repeat: float32 (len(keys), n_features).

        Raises
        ------
        OSError
            If a key has no features, or a different number of them.
        """
        positions: dict[bytes, list[int]] = {}
        for position, key in enumerate(keys):
            positions.setdefault(key, []).append(position)
        features = np.empty((len(keys), n_features), dtype=np.float32)
        n_found = 0
        with self.connect() as connection:
            for key, row in select_rows(connection, "key, row", "features", positions):
                if row is None:
                    continue
                if len(row) != 4 * n_features:
                    raise self.unusable_error(f"it has rows that do not have {n_features} features")
                features[positions[key]] = np.frombuffer(row, dtype="<f4")
                n_found += 1
        if n_found < len(positions):
            raise self.unusable_error("rows were deleted while it was read")
        return features
