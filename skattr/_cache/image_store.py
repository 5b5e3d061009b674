"""Decoded images in a folder that any number of processes share.

A SQLite index holds what an image is known by and its slot, one flat file per size of images
the slots. The index is the lock: a batch is one transaction, in which slots at the end of the
file are filled and brought to the disk before the index that names them is committed. What a
killed process had not committed is not there, and the next batch takes its slots. A slot that is
in the index is never written again.
"""

import errno
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from skattr._cache.sqlite import SQLiteFile, run, selected

FILE_NAME = "decoded.sqlite"


class ImageStore(SQLiteFile):
    """Images of one size in a folder, each in a slot that its key leads to.

    Parameters
    ----------
    folder : str or path-like
        Made where needed.
    size : (height, width)

    Raises
    ------
    OSError
        If the folder cannot be made or written to, or its index is corrupt or of others.
    """

    file_name = FILE_NAME
    parameter = "decoded_cache"
    application = int.from_bytes(b"skad")
    version = 1
    tables = (
        "CREATE TABLE files (height INTEGER, width INTEGER, name TEXT NOT NULL, "
        "n_slots INTEGER NOT NULL, PRIMARY KEY (height, width))",
        "CREATE TABLE images (key BLOB PRIMARY KEY, slot INTEGER NOT NULL) WITHOUT ROWID",
    )
    if_deleted = "with all 'decoded-*.pixels' beside it (images are decoded anew)"

    def __init__(self, folder: str | os.PathLike[str], size: tuple[int, int]) -> None:
        super().__init__(os.path.abspath(folder))
        self.size = size
        self.pixel_file = self._registered()
        self._pixels = np.empty((0, *size, 3), dtype=np.uint8)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the map out; it is made anew where it is read."""
        return {**vars(self), "_pixels": np.empty((0, *self.size, 3), dtype=np.uint8)}

    def find(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """Return the slots of those keys that have one.

        Raises
        ------
        OSError
            If the file of slots has lost some of them.
        """
        with self.connected() as connection:
            found = dict(selected(connection, "key, slot", "images", keys))
        if found and self._n_written() <= max(found.values()):
            raise self._lost()
        return found

    def add(self, keys: Sequence[bytes], images: NDArray[np.uint8]) -> list[int]:
        """Keep the images of keys without a slot, and return the slots of all.

        Parameters
        ----------
        keys : sequence of bytes
        images : ndarray of shape (len(keys), height, width, 3), uint8

        Raises
        ------
        OSError
            If they cannot be written, or the folder was deleted meanwhile.
        """
        with self.connected() as connection:
            run(connection, "BEGIN IMMEDIATE")
            name, n_slots = self._named(connection)
            if name != self.pixel_file.name:
                raise self.unusable("it was made anew while it was in use")
            slots = dict(selected(connection, "key, slot", "images", set(keys)))
            absent = {key: place for place, key in enumerate(keys) if key not in slots}
            if absent:
                self._write(n_slots, images[list(absent.values())])
                new = {key: n_slots + number for number, key in enumerate(absent)}
                connection.executemany("INSERT INTO images VALUES (?, ?)", new.items())
                sql = "UPDATE files SET n_slots = ? WHERE height = ? AND width = ?"
                run(connection, sql, (n_slots + len(new), *self.size))
                slots |= new
            run(connection, "COMMIT")
        return [slots[key] for key in keys]

    def read(self, slots: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return a copy of the images in some slots: uint8 (len(slots), height, width, 3)."""
        if slots.max(initial=-1) >= len(self._pixels):
            self._map(int(slots.max()))
        return np.take(self._pixels, slots, axis=0)

    def _registered(self) -> Path:
        """Return the file of slots of this size; its name is of this index alone."""
        with self.connected() as connection:
            run(connection, "BEGIN IMMEDIATE")
            name, _ = self._named(connection)
            if not name:
                name = f"decoded-{self.size[0]}x{self.size[1]}-{uuid4().hex[:8]}.pixels"
                try:
                    (self.file.parent / name).touch()
                except OSError as error:
                    raise self.unusable(str(error)) from error
                run(connection, "INSERT INTO files VALUES (?, ?, ?, 0)", (*self.size, name))
            run(connection, "COMMIT")
        return self.file.parent / name

    def _named(self, connection: sqlite3.Connection) -> tuple[str, int]:
        """Return the name of the file of slots and how many it has, of this size."""
        sql = "SELECT name, n_slots FROM files WHERE height = ? AND width = ?"
        found = run(connection, sql, self.size).fetchone()
        return ("", 0) if found is None else (str(found[0]), int(found[1]))

    def _write(self, slot: int, images: NDArray[np.uint8]) -> None:
        """Write images from a slot on, and bring them to the disk."""
        try:
            with open(self.pixel_file, "r+b", buffering=0) as file:
                file.seek(slot * self._slot_bytes)
                left = np.ascontiguousarray(images).data.cast("B")
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self.disk_full() from error
            raise self.unusable(str(error)) from error

    def _map(self, slot: int) -> None:
        """Map all slots of the file, which has grown since."""
        n_slots = self._n_written()
        if slot >= n_slots:
            raise self._lost()
        shape = (n_slots, *self.size, 3)
        self._pixels = np.asarray(np.memmap(self.pixel_file, np.uint8, "r", shape=shape))

    def _n_written(self) -> int:
        try:
            return os.path.getsize(self.pixel_file) // self._slot_bytes
        except OSError:
            return 0

    def _lost(self) -> OSError:
        return self.unusable(f"images were taken from {os.fspath(self.pixel_file)!r}")

    @property
    def _slot_bytes(self) -> int:
        return 3 * self.size[0] * self.size[1]
