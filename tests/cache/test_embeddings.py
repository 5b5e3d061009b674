"""The embedding store against a dictionary, with several threads and processes."""

import contextlib
import multiprocessing
import os
import pickle
import sqlite3
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skattr._cache.embeddings import FILE_NAME, EmbeddingStore

N_FEATURES = 3
FORK = multiprocessing.get_context("fork")


def make_key(number):
    """Return a key of 32 bytes."""
    return number.to_bytes(32)


def make_row(number):
    """Return the features of a key."""
    return np.float32([number, number / 7, -number])


def fill(store, numbers, *, claim=True):
    """Compute and store rows as ImageEmbedder does; return the numbers that were computed."""
    keys = [make_key(number) for number in numbers]
    absent = store.claim(keys) if claim else store.missing(keys)
    computed = [number for number, key in zip(numbers, keys, strict=True) if key in absent]
    if computed:
        rows = np.stack([make_row(number) for number in computed])
        store.store([make_key(number) for number in computed], rows)
    return computed


@pytest.fixture
def store(tmp_path):
    """Return a new store."""
    return EmbeddingStore(tmp_path / "cache")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 20), unique=True, max_size=8), max_size=6))
def test_a_store_is_a_dictionary_on_disk(batches):
    """Missing rows are computed, and the bit-identical rows are read by later processes."""
    with tempfile.TemporaryDirectory() as folder:
        expected = {}
        for batch in batches:
            store = EmbeddingStore(folder)
            absent = [number for number in batch if number not in expected]
            assert store.missing(map(make_key, batch)) == {make_key(number) for number in absent}
            assert fill(store, batch) == absent
            expected |= {number: make_row(number) for number in batch}
            assert len(store) == len(expected)
        numbers = [*expected, *reversed(expected)]
        result = EmbeddingStore(folder).read([make_key(n) for n in numbers], N_FEATURES)
        rows = np.array([expected[number] for number in numbers], np.float32)
        np.testing.assert_array_equal(result, rows.reshape(-1, N_FEATURES))
        assert result.dtype == np.float32


def test_more_keys_than_a_query_takes(store):
    """Thousands of keys are looked up, stored and read in their order."""
    numbers = np.random.default_rng(0).permutation(2500).tolist()
    fill(store, numbers[:1100])
    assert fill(store, numbers) == numbers[1100:]
    assert not store.missing(map(make_key, numbers))
    np.testing.assert_array_equal(
        store.read([make_key(number) for number in numbers], N_FEATURES),
        [make_row(number) for number in numbers],
    )


def test_every_float_is_bit_identical(store):
    """NaN, infinities, denormal numbers and minus zero are stored bit-identically."""
    odd = np.float32([[np.nan, np.inf, -np.inf, 1e-45, -0.0]])
    store.store([make_key(0)], odd)
    assert store.read([make_key(0)], 5).tobytes() == odd.tobytes()


def test_networks_are_registered_once(store):
    """The number of features of a network is known after it is registered."""
    assert store.n_features(b"one") is None
    store.register(b"one", "description", 7)
    store.register(b"one", "description", 7)
    assert store.n_features(b"one") == 7
    assert store.n_features(b"two") is None


def test_claimed_rows_are_missing_but_not_claimed_again(store):
    """Another process skips claimed keys at first, and may compute and store them anyway."""
    keys = {make_key(number) for number in range(4)}
    assert store.claim({make_key(0), make_key(1)}) == {make_key(0), make_key(1)}
    assert store.claim(keys) == {make_key(2), make_key(3)}
    assert store.missing(keys) == keys
    assert len(store) == 0
    assert fill(store, [0, 1], claim=False) == [0, 1]
    assert store.missing(keys) == {make_key(2), make_key(3)}
    with pytest.raises(OSError, match="rows were deleted while it was read"):
        store.read([make_key(2)], N_FEATURES)


def test_rows_stored_first_stay(store):
    """Of two processes that compute the same row, both then read the row stored first."""
    key = make_key(5)
    store.store([key], make_row(5)[np.newaxis])
    store.store([key], make_row(6)[np.newaxis])
    np.testing.assert_array_equal(store.read([key], N_FEATURES)[0], make_row(5))
    assert len(store) == 1


def test_nothing_is_locked_while_rows_are_computed(store):
    """Between claim and store another process can claim and store without waiting."""
    store.claim([make_key(1)])
    with contextlib.closing(sqlite3.connect(store.file, timeout=0)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    assert fill(store, [2]) == [2]


def test_an_error_in_a_transaction_stores_nothing(store):
    """Rows before the error in a batch are rolled back, and no lock remains."""
    fill(store, [1, 2])
    with pytest.raises(ValueError, match="shorter"):
        store.store([make_key(3), make_key(4)], make_row(3)[np.newaxis])
    assert len(store) == 2
    assert fill(store, [2, 3]) == [3]


def test_no_connection_outlives_a_call(store):
    """No file is open after a call, so that a store can be pickled and forked."""
    fill(store, [1])
    with pytest.raises(OSError, match="4 features"):
        store.read([make_key(1)], 4)
    descriptors = Path("/proc/self/fd")
    if descriptors.exists():
        names = [os.readlink(link) for link in descriptors.iterdir() if link.exists()]
        assert not any(FILE_NAME in name for name in names)
    copy = pickle.loads(pickle.dumps(store))
    assert fill(copy, [1, 2]) == [2]
    assert set(vars(copy)) == {"file"}


def test_threads_claim_each_row_once(store):
    """Threads that fill the same keys in several orders compute each of them once."""
    computed = []

    def work(seed):
        order = np.random.default_rng(seed).permutation(40).tolist()
        for start in range(0, 40, 5):
            computed.extend(fill(store, order[start : start + 5]))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(computed) == list(range(40))


def fill_in_a_process(folder, log, seed):
    """Fill a store that other processes fill, too, and append the computed rows to a file."""
    store = EmbeddingStore(folder)
    order = np.random.default_rng(seed).permutation(60).tolist()
    for start in range(0, 60, 4):
        computed = fill(store, order[start : start + 4])
        with open(log, "a") as file:
            file.write("".join(f"{number}\n" for number in computed))


@pytest.mark.parametrize("attempt", range(3))
def test_processes_claim_each_row_once(tmp_path, attempt):
    """Processes that create a store together and fill the same keys compute each row once."""
    log = tmp_path / "log"
    workers = [
        FORK.Process(target=fill_in_a_process, args=(tmp_path / "cache", log, 10 * attempt + seed))
        for seed in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert sorted(map(int, log.read_text().split())) == list(range(60))
    keys = [make_key(number) for number in range(60)]
    expected = [make_row(number) for number in range(60)]
    result = EmbeddingStore(tmp_path / "cache").read(keys, N_FEATURES)
    np.testing.assert_array_equal(result, expected)


def die_before_storing(folder):
    """Store one batch, claim the next one and be killed."""
    store = EmbeddingStore(folder)
    fill(store, [1, 2])
    store.claim([make_key(3), make_key(4)])
    os.kill(os.getpid(), 9)


def die_in_a_transaction(folder):
    """Store one batch and be killed while the next one is written."""
    store = EmbeddingStore(folder)
    fill(store, [1, 2])
    with store.transaction() as connection:
        connection.execute("INSERT INTO features VALUES (?, ?)", (make_key(3), b"half a row"))
        os.kill(os.getpid(), 9)


@pytest.mark.parametrize("die", [die_before_storing, die_in_a_transaction])
def test_a_killed_process_leaves_a_valid_store(tmp_path, die):
    """After kill -9 the batches before are stored, nothing is locked and the rest can be added."""
    worker = FORK.Process(target=die, args=(tmp_path,))
    worker.start()
    worker.join()
    assert worker.exitcode == -9
    store = EmbeddingStore(tmp_path)
    assert len(store) == 2
    first = fill(store, [1, 2, 3, 4])
    second = fill(store, [1, 2, 3, 4], claim=False)
    assert sorted(first + second) == [3, 4]
    with contextlib.closing(sqlite3.connect(store.file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_an_error(store, share):
    """A file without its end is found out by SQLite or by the rows it lacks."""
    numbers = list(range(2000))
    fill(store, numbers)
    os.truncate(store.file, int(store.file.stat().st_size * share))
    with pytest.raises(OSError, match=r"cannot be used: .*Delete it"):
        store.read([make_key(number) for number in numbers], N_FEATURES)


def test_rows_of_another_length_are_an_error(store):
    """Rows must have as many features as the network."""
    fill(store, [1])
    with pytest.raises(OSError, match="it has rows that do not have 4 features"):
        store.read([make_key(1)], 4)


def test_deleted_rows_are_an_error(store):
    """Rows that were there a moment ago are missed."""
    fill(store, [1])
    store.file.unlink()
    with pytest.raises(OSError, match="rows were deleted"):
        store.read([make_key(1)], N_FEATURES)
