"""Cached file rows against rows without a cache."""

import functools
import multiprocessing
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skattr._cache.decoded_images import CachedFileRows
from skattr._inputs.checks import check_image_paths
from skattr._inputs.rows import FileRows
from skattr._inputs.unreadable import readable_rows
from skattr.exceptions import ImageReadError, InvalidBoxError
from tests.image_fixtures import make_hostile_folder

SIZE = (12, 10)


@pytest.fixture
def decoded(monkeypatch):
    """Return a list to which the decoded rows are added."""
    decoded = []
    for name in ("take", "take_readable"):
        original = getattr(FileRows, name)

        @functools.wraps(original)
        def record(self, indices, original=original):
            decoded.extend(indices.tolist())
            return original(self, indices)

        monkeypatch.setattr(FileRows, name, record)
    return decoded


def open_cached(X, size=SIZE, **options):
    """Return rows with an empty cache."""
    return CachedFileRows(check_image_paths(X, size, **options))


def open_plain(X, size=SIZE):
    """Return rows without a cache and all their images."""
    rows = check_image_paths(X, size)
    return rows, rows.take(np.arange(len(rows)))


def fill(rows, indices):
    """Read some rows and store them in the cache, as the batch loader does."""
    indices = np.asarray(indices, dtype=np.intp)
    if rows.unreadable is None:
        images = rows.take(indices)
    else:
        images, indices, reasons = rows.take_readable(indices)
        rows.unreadable.update(reasons)
    rows.store(indices, images)


def overwrite(paths):
    """Replace the contents of files by zeros."""
    for path in paths:
        Path(path).write_bytes(bytes(os.path.getsize(path)))


@pytest.mark.parametrize("size", [SIZE, (7, 9)])
def test_images_equal_those_of_the_files(files, size):
    """Whichever rows are cached, and in any order, a batch is bit-identical to the files."""
    rows, expected = open_plain(files, size)
    cached = CachedFileRows(rows)
    rng = np.random.default_rng(0)
    empty = np.array([], dtype=np.intp)
    for n_stored in (0, 1, 5, 24):
        fill(cached, rng.permutation(24)[:n_stored])
        for indices in (np.arange(24), rng.permutation(24)[:7], np.array([3, 3, 23, 3]), empty):
            batch = cached.take(indices)
            np.testing.assert_array_equal(batch, expected[indices])
            assert (batch.dtype, batch.flags.writeable) == (np.uint8, True)
            batch[:] = 7  # a copy: the cache does not change
    overwrite(files)
    np.testing.assert_array_equal(cached.take(np.arange(24)), expected)
    with pytest.raises(ImageReadError, match=r"^row 0 of X: "):
        rows.take(np.arange(24))


def test_take_decodes_rows_that_are_not_cached(files, decoded):
    """`take` does not fill the cache, and decodes only rows that are not in it."""
    cached = open_cached(files)
    assert cached.is_cached(np.array([], dtype=np.intp))
    assert not cached.is_cached(np.array([0]))
    cached.take(np.array([4, 2]))
    cached.take(np.array([4, 2]))
    assert decoded == [4, 2, 4, 2]
    fill(cached, [4, 2])
    decoded.clear()
    cached.take(np.array([4, 5, 2, 1]))
    assert decoded == [5, 1]
    assert cached.is_cached(np.array([2, 4]))
    assert not cached.is_cached(np.array([2, 4, 5]))


def test_cached_images_are_not_replaced(files):
    """Storing a row again keeps its first image."""
    cached = open_cached(files)
    images = np.broadcast_to(np.arange(2, dtype=np.uint8)[:, None, None, None], (2, *SIZE, 3))
    cached.store(np.array([1, 2]), images)
    cached.store(np.array([1, 2, 3]), np.full((3, *SIZE, 3), 90, np.uint8))
    np.testing.assert_array_equal(cached.take(np.array([3, 2, 1]))[:, 0, 0, 0], [90, 1, 0])


def test_boxes_and_kinds_of_files(tmp_path):
    """Crops, gray, rotated, transparent and 16-bit images are cached like all others."""
    folder = make_hostile_folder(tmp_path)
    paths = [path for name, path in folder.good.items() if name != "one pixel.png"]
    table = pd.DataFrame({"path": paths * 2})
    boxes = [[np.nan] * 4] * len(paths) + [[1, 2, 9, 12]] * len(paths)
    table[["xmin", "ymin", "xmax", "ymax"]] = boxes
    rows, expected = open_plain(table)
    cached = CachedFileRows(rows)
    every_row = np.arange(len(rows))
    for indices in (every_row[::2], every_row):
        fill(cached, indices)
        np.testing.assert_array_equal(cached.take(every_row), expected)


@pytest.mark.parametrize("stored", ["none", "some", "all"])
def test_unreadable_files_are_skipped(tmp_path, stored):
    """Unreadable rows are skipped with the same reasons as without a cache, and never cached."""
    folder = make_hostile_folder(tmp_path)
    plain = check_image_paths(folder.paths, SIZE, "warn")
    cached = open_cached(folder.paths, on_bad_image="warn")
    assert cached.unreadable == plain.unreadable
    usable = readable_rows(plain)  # without the named pipe, which is found without opening it
    assert folder.is_bad[usable].sum() >= 4
    fill(cached, {"none": [], "some": usable[::2], "all": usable}[stored])
    order = np.random.default_rng(0).permutation(usable)
    expected, result = plain.take_readable(order), cached.take_readable(order)
    for name, wanted, found in zip(("images", "found"), expected, result, strict=False):
        np.testing.assert_array_equal(found, wanted, err_msg=name)
        assert found.dtype == wanted.dtype
    assert list(result[2].items()) == list(expected[2].items())
    assert not any(cached.is_cached(np.array([row])) for row in np.flatnonzero(folder.is_bad))


def test_rows_known_to_be_unreadable_are_not_stored(files):
    """A row in `unreadable` is not cached, even if an image is passed for it."""
    cached = open_cached(files, on_bad_image="warn")
    cached.unreadable[1] = "for a reason"
    cached.store(np.array([0, 1]), np.zeros((2, *SIZE, 3), np.uint8))
    assert cached.is_cached(np.array([0]))
    assert not cached.is_cached(np.array([1]))


def test_errors_name_the_first_unreadable_row(files):
    """The first unreadable row in the requested order is named; cached rows never fail."""
    table = pd.DataFrame({"path": files, "xmin": 0, "ymin": 0, "xmax": 5, "ymax": 5})
    table.loc[9, "xmax"] = 99
    cached = open_cached(table)
    fill(cached, [0, 1, 2])
    overwrite(files[1:3] + files[5:7])
    with pytest.raises(ImageReadError, match=r"^row 6 of X: cannot read the image"):
        cached.take(np.array([1, 2, 6, 9, 5]))
    with pytest.raises(InvalidBoxError, match=r"^row 9 of X: the box"):
        cached.take(np.array([1, 2, 9, 5]))


@pytest.mark.parametrize("wrong", [np.zeros((2, 12, 10, 3)), np.zeros((1, 12, 10, 3), np.uint8)])
def test_store_rejects_other_shapes_and_dtypes(files, wrong):
    """Images that `take` cannot have returned are rejected, and nothing is stored."""
    cached = open_cached(files)
    with pytest.raises(ValueError, match=r"must be uint8 of shape \(2, 12, 10, 3\); got "):
        cached.store(np.array([0, 1]), wrong)
    assert not cached.is_cached(np.array([0]))


def test_attributes_are_those_of_the_file_rows(files):
    """The rows are FileRows with the same attributes, and `unreadable` is shared."""
    rows = check_image_paths(files, SIZE, "warn", decoding="scaled")
    cached = CachedFileRows(rows)
    assert isinstance(cached, FileRows)
    assert not hasattr(cached, "array")
    shared = {name: value for name, value in vars(rows).items() if name != "doubtful"}
    assert all(getattr(cached, name) is value for name, value in shared.items())
    assert len(cached) == len(rows)


def test_too_many_images_for_the_memory():
    """The error says how much memory is needed, and nothing is stored."""
    side = 2**25  # more pixels than any address space holds
    cached = CachedFileRows(FileRows(["a", "b"], None, (side, side)))
    images = np.broadcast_to(np.uint8(0), (1, side, side, 3))
    with pytest.raises(MemoryError, match=r"needs 6291456\.0 GiB for 2 images of 33554432x"):
        cached.store(np.array([0]), images)
    assert not cached.is_cached(np.array([0]))


def test_pickles_do_not_contain_the_images(files, decoded):
    """A pickle is small; its copy starts with an empty cache and can be filled."""
    rows, expected = open_plain(files, (64, 64))
    cached = CachedFileRows(rows)
    fill(cached, np.arange(24))
    dumped = pickle.dumps(cached)
    assert len(dumped) < expected.nbytes / 10
    copy = pickle.loads(dumped)
    assert not copy.is_cached(np.array([0]))
    decoded.clear()
    np.testing.assert_array_equal(copy.take(np.arange(24)), expected)
    assert decoded == [*range(24)]
    fill(copy, np.arange(24))
    assert copy.is_cached(np.arange(24))
    assert cached.is_cached(np.arange(24))
    np.testing.assert_array_equal(copy.take(np.arange(24)), expected)


def send_images(rows, queue):
    """Send all images to the parent process."""
    queue.put(rows.take(np.arange(len(rows))))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_read_the_same_images(files, method):
    """A forked or spawned worker returns the images of the main process."""
    rows, expected = open_plain(files)
    cached = CachedFileRows(rows)
    fill(cached, np.arange(24)[::2])
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    worker = context.Process(target=send_images, args=(cached, queue))
    worker.start()
    np.testing.assert_array_equal(queue.get(), expected)
    worker.join()
