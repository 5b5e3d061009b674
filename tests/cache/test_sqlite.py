"""Errors of the SQLite file of a cache: locks, other files in its place, missing rights, space."""

import contextlib
import errno
import multiprocessing
import os
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest

from skattr._cache import sqlite
from skattr._cache.embeddings import FILE_NAME, EmbeddingStore

FORK = multiprocessing.get_context("fork")
KEY = bytes(32)
ROW = np.zeros((1, 3), np.float32)


def run_sql(path, *statements):
    """Execute statements on a database."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_waiting_for_a_lock_has_an_end(tmp_path, monkeypatch):
    """A lock that is not released is a TimeoutError; reading does not wait for it."""
    monkeypatch.setattr(sqlite, "_LOCK_TIMEOUT", 0.1)
    store = EmbeddingStore(tmp_path)
    store.store([KEY], ROW)
    with contextlib.closing(sqlite3.connect(store.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert not store.missing([KEY])
        with pytest.raises(TimeoutError, match="locked by another process for 0 seconds"):
            store.store([KEY], ROW)
    store.store([KEY], ROW)


def test_rejects_a_file_in_place_of_the_folder(tmp_path):
    """A path that is a file, or below one, is rejected."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"cache='.*file.*' is not a folder and cannot be cre"):
            EmbeddingStore(folder)


def open_without_rights(folder, queue):
    """Send the error of opening a store as a user who may only read."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        EmbeddingStore(folder)
    except Exception as error:
        queue.put(repr(error))
    else:
        queue.put("no error")


@pytest.mark.parametrize("is_new", [True, False], ids=["empty", "filled"])
def test_rejects_a_read_only_folder(is_new):
    """A folder without write permission is rejected, whether it contains a store or not."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        folder = Path(name) / "cache"
        folder.mkdir()
        if not is_new:
            EmbeddingStore(folder).store([KEY], ROW)
        folder.chmod(0o555)
        queue = FORK.SimpleQueue()
        worker = FORK.Process(target=open_without_rights, args=(folder, queue))
        worker.start()
        message = queue.get()
        worker.join()
        folder.chmod(0o755)
    assert message.startswith("OSError")
    assert "embeddings.sqlite' cannot be used" in message
    assert "set `cache` to another folder" in message


def test_rejects_a_file_that_is_not_a_database(tmp_path):
    """Other bytes are an error, and stay as they are."""
    path = tmp_path / FILE_NAME
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(OSError, match=r"cannot be used: file is not a database\. Delete it if it"):
        EmbeddingStore(tmp_path)
    assert path.read_bytes() == b"not a database" * 1000


def test_rejects_a_folder_in_place_of_the_file(tmp_path):
    """A folder with the name of the file is an error."""
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(OSError, match="cannot be used: unable to open database file"):
        EmbeddingStore(tmp_path)


@pytest.mark.parametrize("application", [0, int.from_bytes(b"SKAT")])
def test_rejects_the_database_of_another_application(tmp_path, application):
    """A database with another application id is an error, and stays as it is."""
    path = tmp_path / FILE_NAME
    run_sql(path, "CREATE TABLE t (key, row)", f"PRAGMA application_id = {application}")
    before = path.read_bytes()
    with pytest.raises(OSError, match="it is the file of another application"):
        EmbeddingStore(tmp_path)
    assert path.read_bytes() == before


def test_rejects_another_version_of_the_tables(tmp_path):
    """The error names both versions."""
    store = EmbeddingStore(tmp_path)
    run_sql(store.file, "PRAGMA user_version = 99")
    with pytest.raises(OSError, match="its format is 99, but this version of skattr reads 2"):
        len(store)


def test_a_full_disk(tmp_path):
    """SQLite's error becomes an OSError with ENOSPC that names the folder."""
    store = EmbeddingStore(tmp_path)
    with (
        pytest.raises(OSError, match="the disk of cache=.* is full; free some space") as caught,
        store.connect() as connection,
    ):
        connection.execute("PRAGMA max_page_count = 5")
        connection.execute("CREATE TABLE large AS SELECT randomblob(1000000)")
    assert caught.value.errno == errno.ENOSPC


def test_other_errors_are_not_waited_for():
    """Only a lock is; a missing table is an error at once."""
    with (
        contextlib.closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(sqlite3.OperationalError, match="no such table: none"),
    ):
        sqlite.execute(connection, "SELECT * FROM none")
