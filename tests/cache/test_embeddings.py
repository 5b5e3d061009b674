"""The store of features against a dictionary, and what images are known by."""

import contextlib
import multiprocessing
import os
import pickle
import sqlite3
import tempfile
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skattr._cache import sqlite as _sqlite_file
from skattr._cache.embeddings import FILE_NAME, EmbeddingStore, image_keys
from skattr._inputs.checks import check_image_paths
from skattr._inputs.rows import BOX_COLUMNS, ImageRows
from skattr.exceptions import ImageReadError

WIDTH = 3
FORK = multiprocessing.get_context("fork")


def key(number):
    """Return a key of 32 bytes."""
    return number.to_bytes(32)


def row(number):
    """Return the features that belong to a key."""
    return np.float32([number, number / 7, -number])


def rows_of(numbers, computed):
    """Return what computes the rows of some keys and notes them down."""

    def compute(places):
        computed.extend(numbers[place] for place in places)
        return np.stack([row(numbers[place]) for place in places])

    return compute


def fill(store, numbers):
    """Fill a store and return the numbers whose rows were computed."""
    computed = []
    store.fill([key(number) for number in numbers], rows_of(numbers, computed))
    return computed


@pytest.fixture
def store(tmp_path):
    """Return a new store."""
    return EmbeddingStore(tmp_path / "cache")


# --- the store -----------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 20), unique=True, max_size=8), max_size=6))
def test_it_is_a_dictionary_on_disk(batches):
    """It computes what a dictionary lacks, keeps it over openings, and gives it to the bit."""
    with tempfile.TemporaryDirectory() as folder:
        known = {}
        for batch in batches:
            store = EmbeddingStore(folder)
            assert store.missing(map(key, batch)) == {
                key(number) for number in set(batch) - {*known}
            }
            assert fill(store, batch) == [number for number in batch if number not in known]
            known |= {number: row(number) for number in batch}
            assert len(store) == len(known)
        wanted = [*known, *reversed(known)]
        result = EmbeddingStore(folder).read([key(number) for number in wanted], WIDTH)
        expected = np.array([known[number] for number in wanted], np.float32)
        np.testing.assert_array_equal(result, expected.reshape(-1, WIDTH))
        assert result.dtype == np.float32


def test_more_keys_than_a_query_takes(store):
    """Thousands of keys are looked up, kept and read in their order."""
    numbers = np.random.default_rng(0).permutation(2500).tolist()
    fill(store, numbers[:1100])
    assert fill(store, numbers) == numbers[1100:]
    assert not store.missing(map(key, numbers))
    np.testing.assert_array_equal(
        store.read([key(number) for number in numbers], WIDTH), [row(number) for number in numbers]
    )


def test_every_float_comes_back(store):
    """NaN, infinities, denormal numbers and minus zero are kept to the bit."""
    odd = np.float32([[np.nan, np.inf, -np.inf, 1e-45, -0.0]])
    store.fill([key(0)], lambda places: odd[places])
    assert store.read([key(0)], 5).tobytes() == odd.tobytes()


def test_networks_are_registered_once(store):
    """The length of a network's rows is known once registered; the first description stays."""
    assert store.n_features(b"one") is None
    store.register(b"one", "description", 7)
    store.register(b"one", "description", 7)
    assert store.n_features(b"one") == 7
    assert store.n_features(b"two") is None


def test_a_failed_batch_leaves_nothing(store):
    """An error in computing is raised as it is, keeps no row and no lock."""

    def fail(places):
        raise KeyboardInterrupt

    fill(store, [1, 2])
    with pytest.raises(KeyboardInterrupt):
        store.fill([key(2), key(3)], fail)
    assert len(store) == 2
    assert fill(store, [2, 3]) == [3]


def test_no_connection_outlives_a_call(store):
    """Nothing is open after a call, so a store pickles and forks."""
    fill(store, [1])
    with pytest.raises(ZeroDivisionError):
        store.fill([key(2)], lambda places: 1 / 0)
    files = Path("/proc/self/fd")
    if files.exists():
        opened = [os.readlink(link) for link in files.iterdir() if link.exists()]
        assert not any(FILE_NAME in name for name in opened)
    copy = pickle.loads(pickle.dumps(store))
    assert fill(copy, [1, 2]) == [2]
    assert set(vars(copy)) == {"file"}


def test_threads_compute_each_row_once(store):
    """Threads that fill the same keys in several orders compute each of them once."""
    computed = []

    def work(seed):
        order = np.random.default_rng(seed).permutation(40).tolist()
        for start in range(0, 40, 5):
            batch = order[start : start + 5]
            store.fill([key(number) for number in batch], rows_of(batch, computed))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(computed) == list(range(40))


def work_in_a_process(folder, log, seed):
    """Fill one of many stores that begin at once, noting each row computed in a file."""

    def noting(batch):
        def compute(places):
            with open(log, "a") as file:
                file.writelines(f"{batch[place]}\n" for place in places)
            return np.stack([row(batch[place]) for place in places])

        return compute

    store = EmbeddingStore(folder)
    order = np.random.default_rng(seed).permutation(60).tolist()
    for start in range(0, 60, 4):
        batch = order[start : start + 4]
        store.fill([key(number) for number in batch], noting(batch))


@pytest.mark.parametrize("attempt", range(3))
def test_processes_compute_each_row_once(tmp_path, attempt):
    """Processes that make the cache together and fill the same keys compute each row once."""
    log = tmp_path / "log"
    workers = [
        FORK.Process(target=work_in_a_process, args=(tmp_path / "cache", log, 10 * attempt + seed))
        for seed in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert sorted(map(int, log.read_text().split())) == list(range(60))


def die_in_a_batch(folder):
    """Keep one batch, and be killed in the middle of the next."""
    store = EmbeddingStore(folder)
    fill(store, [1, 2])

    def die(places):
        os.kill(os.getpid(), 9)

    store.fill([key(3), key(4)], die)


def test_a_killed_process_leaves_a_cache_that_goes_on(tmp_path):
    """After kill -9 inside a batch, the batches before are there and nothing is locked."""
    worker = FORK.Process(target=die_in_a_batch, args=(tmp_path,))
    worker.start()
    worker.join()
    assert worker.exitcode == -9
    store = EmbeddingStore(tmp_path)
    assert len(store) == 2
    assert fill(store, [1, 2, 3, 4]) == [3, 4]
    with contextlib.closing(sqlite3.connect(store.file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_lock_that_is_never_given_back(store, monkeypatch):
    """Waiting has an end, with a sentence."""
    monkeypatch.setattr(_sqlite_file, "_PATIENCE", 0.1)
    fill(store, [1])
    connection = sqlite3.connect(store.file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    assert not store.missing([key(1)])  # reading does not wait
    with pytest.raises(TimeoutError, match="locked by another process for 0 seconds"):
        fill(store, [2])
    connection.close()
    assert fill(store, [2]) == [2]


# --- what else may lie in the folder ---------------------------------------------------------


def test_a_file_for_a_folder(tmp_path):
    """A path that is, or lies below, a file is refused."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"cache='.*file.*' is no folder, nor can it be made one"):
            EmbeddingStore(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    """A folder without the permission to write is refused."""
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OSError, match=r"embeddings\.sqlite' cannot be used"):
            EmbeddingStore(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_no_database(tmp_path):
    """Bytes that are no database are named and left as they are."""
    path = tmp_path / FILE_NAME
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(OSError, match=r"cannot be used: file is not a database\. If it is dam"):
        EmbeddingStore(tmp_path)
    assert path.read_bytes() == b"not a database" * 1000


def test_a_folder_in_its_place(tmp_path):
    """A folder of the file's name is named."""
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(OSError, match="cannot be used: unable to open database file"):
        EmbeddingStore(tmp_path)


def test_a_database_of_others(tmp_path):
    """A database of another application is named and left as it is."""
    path = tmp_path / FILE_NAME
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE features (key, row)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(OSError, match="it is the file of another application"):
        EmbeddingStore(tmp_path)
    assert path.read_bytes() == before


def test_another_format(store):
    """A cache of another format is named with both versions."""
    connection = sqlite3.connect(store.file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(OSError, match="its format is 99, that of this version 1"):
        len(store)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_file(store, kept):
    """A file that lost its end is found out, by SQLite or by the rows it lacks."""
    numbers = list(range(2000))
    fill(store, numbers)
    size = store.file.stat().st_size
    os.truncate(store.file, int(size * kept))
    with pytest.raises(OSError, match=r"cannot be used: .*delete it"):
        store.read([key(number) for number in numbers], WIDTH)


def test_rows_of_another_length(store):
    """Rows that are not as long as the network's are found out."""
    fill(store, [1])
    with pytest.raises(OSError, match="it has rows that are not 4 features long"):
        store.read([key(1)], 4)


def test_rows_that_are_gone(store):
    """Rows that were there a moment ago are missed."""
    fill(store, [1])
    store.file.unlink()
    with pytest.raises(OSError, match="rows were taken from it"):
        store.read([key(1)], WIDTH)


# --- what an image is known by --------------------------------------------------------------

PIXELS = st.lists(st.integers(0, 1), min_size=12, max_size=12)
SHAPES = st.sampled_from([(2, 2, 3), (1, 4, 3), (4, 1, 3), (3, 4), (4, 3), (12, 1), (2, 6)])


@given(PIXELS, SHAPES, PIXELS, SHAPES)
def test_images_in_memory_are_known_by_their_pixels(pixels, shape, others, another):
    """Keys are equal if, and only if, pixels and shape are."""
    first, second = (
        np.array(values, np.uint8).reshape(form)
        for values, form in ((pixels, shape), (others, another))
    )
    keys = [
        image_keys(ImageRows(one[np.newaxis], (2, 2)), b"", "content", [0])[0]
        for one in (first, second)
    ]
    assert (keys[0] == keys[1]) == np.array_equal(first, second)


def test_memory_order_does_not_matter(rng):
    """A view of any strides has the key of its copy."""
    array = rng.integers(0, 255, (4, 6, 5, 3)).astype(np.uint8)
    for view in (array[:, ::-1], array.transpose(0, 2, 1, 3), np.asfortranarray(array)):
        keys = [
            image_keys(ImageRows(one, (6, 5)), b"n", "stat", range(4))
            for one in (view, view.copy())
        ]
        assert keys[0] == keys[1]


def keys_of(X, by, network=b"network"):
    """Return the keys of files."""
    rows = check_image_paths(X, (4, 4))
    return image_keys(rows, network, by, range(len(rows)))


@pytest.fixture
def paths(tmp_path):
    """Two files of equal bytes, and one of others as long, all of one time."""
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for path, content in zip(paths, (b"same", b"same", b"else"), strict=True):
        path.write_bytes(content)
        os.utime(path, ns=(10**18, 10**18))
    return [str(path) for path in paths]


def test_files_are_known_by_their_bytes(paths):
    """Equal bytes under another name or time have one key; a changed byte makes another."""
    keys = keys_of(paths, "content")
    assert keys[0] == keys[1] != keys[2]
    os.utime(paths[0])
    assert keys_of(paths, "content") == keys
    Path(paths[0]).write_bytes(b"sama")
    assert keys_of(paths, "content")[0] not in keys


def test_files_are_known_by_path_size_and_time(paths, monkeypatch):
    """Path, size, or a nanosecond make another key; the way the path is written does not."""
    keys = keys_of(paths, "stat")
    assert len(set(keys)) == 3
    monkeypatch.chdir(Path(paths[0]).parent)
    assert keys_of(["./a.png", Path("b.png"), "c.png"], "stat") == keys
    os.utime(paths[0], ns=(10**18, 10**18 + 1))
    assert keys_of(paths, "stat")[0] not in keys
    Path(paths[1]).write_bytes(b"longer")
    os.utime(paths[1], ns=(10**18, 10**18))
    assert keys_of(paths, "stat")[1] not in keys


@pytest.mark.parametrize("by", ["content", "stat"])
def test_boxes_and_networks_make_other_keys(paths, by):
    """One photograph has a key for each box and each network; a box of NaN is no box."""
    boxes = [[0, 0, 2, 2], [0, 0, 2, 3], [np.nan] * 4, [0, 0, 2, 2]]
    table = pd.DataFrame(boxes, columns=BOX_COLUMNS).assign(path=paths[0])
    keys = keys_of(table, by)
    assert len(set(keys)) == 3
    assert keys[0] == keys[3]
    assert keys[2] == keys_of(paths[:1], by)[0]
    assert not set(keys) & set(keys_of(table, by, b"another"))


def test_the_two_kinds_of_keys_do_not_meet(paths):
    """A cache may be used with both."""
    assert not set(keys_of(paths, "content")) & set(keys_of(paths, "stat"))


@pytest.mark.parametrize("by", ["content", "stat"])
def test_a_file_that_is_gone(paths, by):
    """A file that went away is named with its row."""
    rows = check_image_paths(paths, (4, 4))
    os.remove(paths[2])
    with pytest.raises(ImageReadError, match=r"^row 2 of X: cannot read the image '.*c\.png'"):
        image_keys(rows, b"", by, range(3))
