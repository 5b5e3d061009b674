"""Rows with a cache against rows without, whatever happens to files, folder and processes."""

import contextlib
import errno
import functools
import itertools
import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skattr._cache import sqlite as _sqlite_file
from skattr._cache.decoded_images import CachedFileRows, MemoryImageCache
from skattr._cache.image_store import FILE_NAME
from skattr._inputs.checks import check_image_paths
from skattr._inputs.rows import FileRows
from skattr._inputs.unreadable import readable
from skattr.exceptions import ImageReadError, InvalidBoxError
from tests.image_fixtures import make_hostile_folder

FORK = multiprocessing.get_context("fork")
SPAWN = multiprocessing.get_context("spawn")
SIZE = (12, 10)


@pytest.fixture(params=["memory", "folder"])
def where(request, tmp_path):
    """Return each kind of cache."""
    return "memory" if request.param == "memory" else tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch):
    """Return a list to which the rows that are decoded are added."""
    noted = []
    for name in ("take", "take_readable"):
        original = getattr(FileRows, name)

        @functools.wraps(original)
        def noting(self, indices, original=original):
            noted.extend(indices.tolist())
            return original(self, indices)

        monkeypatch.setattr(FileRows, name, noting)
    return noted


def keep(rows, indices):
    """Read some rows and keep them."""
    indices = np.asarray(indices, dtype=np.intp)
    if rows.unreadable is None:
        images = rows.take(indices)
    else:
        images, indices, reasons = rows.take_readable(indices)
        rows.unreadable.update(reasons)
    rows.keep(indices, images)


def all_of(rows):
    """Return the numbers of all rows."""
    return np.arange(len(rows))


def fresh(X, size=SIZE, **options):
    """Return what rows without a cache read, and the rows."""
    rows = check_image_paths(X, size, **options)
    return rows, rows.take(all_of(rows))


def replace(path, content, *, ns=None):
    """Write a file with the time of modification of the one before."""
    before = os.stat(path)
    Path(path).write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns if ns is None else ns))


def spoil(paths):
    """Replace files by zeros that a folder cannot tell from them."""
    for path in paths:
        replace(path, bytes(os.path.getsize(path)))


# --- equality ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [SIZE, (7, 9)])
def test_images_are_those_of_the_files(files, where, size):
    """Whichever rows are kept, and in any order, a batch is that of the files, to the bit."""
    rows, expected = fresh(files, size)
    cached = CachedFileRows.over(rows, where)
    rng = np.random.default_rng(0)
    for n_kept in (0, 1, 5, 24):
        keep(cached, rng.permutation(24)[:n_kept])
        for indices in (all_of(rows), rng.permutation(24)[:7], np.array([3, 3, 23, 3]), all_of([])):
            taken = cached.take(indices)
            np.testing.assert_array_equal(taken, expected[indices])
            assert (taken.dtype, taken.flags.writeable) == (np.uint8, True)
            taken[:] = 7  # is a copy
    spoil(files)
    np.testing.assert_array_equal(cached.take(all_of(rows)), expected)
    with pytest.raises(ImageReadError, match=r"^row 0 of X: "):
        rows.take(all_of(rows))


def test_what_decodes_and_what_holds(files, where, decoded):
    """Taking decodes what is not kept, once more each time, and keeps nothing itself."""
    cached = CachedFileRows.over(check_image_paths(files, SIZE), where)
    assert cached.holds(all_of([])) and not cached.holds(np.array([0]))
    cached.take(np.array([4, 2]))
    cached.take(np.array([4, 2]))
    assert decoded == [4, 2, 4, 2]
    keep(cached, [4, 2])
    del decoded[:]
    cached.take(np.array([4, 5, 2, 1]))
    assert decoded == [5, 1]
    assert cached.holds(np.array([2, 4])) and not cached.holds(np.array([2, 4, 5]))


def test_what_is_kept_stays(files, where):
    """Keeping a row again leaves the first image, also where one batch has it twice."""
    cached = CachedFileRows.over(check_image_paths(files, SIZE), where)
    numbers = np.arange(3, dtype=np.uint8)[:, None, None, None]
    first = np.broadcast_to(numbers, (3, *SIZE, 3))
    cached.keep(np.array([1, 1, 2]), first)
    cached.keep(np.array([1, 2]), first[:2] + 90)
    np.testing.assert_array_equal(cached.take(np.array([2, 1]))[:, 0, 0, 0], [2, 0])


def test_boxes_and_kinds_of_files(tmp_path, where):
    """Crops, gray, turned, transparent and 16-bit images are kept like any other."""
    folder = make_hostile_folder(tmp_path)
    paths = [path for name, path in folder.good.items() if name != "one pixel.png"]
    table = pd.DataFrame({"path": paths * 2})
    boxes = [[np.nan] * 4] * len(paths) + [[1, 2, 9, 12]] * len(paths)
    table[["xmin", "ymin", "xmax", "ymax"]] = boxes
    rows, expected = fresh(table)
    cached = CachedFileRows.over(rows, where)
    keep(cached, all_of(rows)[::2])
    np.testing.assert_array_equal(cached.take(all_of(rows)), expected)
    keep(cached, all_of(rows))
    np.testing.assert_array_equal(cached.take(all_of(rows)), expected)


@pytest.mark.parametrize("kept", ["none", "some", "all"])
def test_bad_files_that_are_put_up_with(tmp_path, where, kept):
    """What cannot be read is left out, with the reasons, as without a cache; and never kept."""
    folder = make_hostile_folder(tmp_path)
    paths = folder.paths
    plain = check_image_paths(paths, SIZE, "warn")
    known = dict(plain.unreadable)
    cached = CachedFileRows.over(check_image_paths(paths, SIZE, "warn"), where)
    assert cached.unreadable == known
    usable = readable(plain)  # nobody opens a pipe
    assert folder.is_bad[usable].sum() >= 4
    keep(cached, {"none": [], "some": usable[::2], "all": usable}[kept])
    order = np.random.default_rng(0).permutation(usable)
    for expected, found in zip(
        plain.take_readable(order), cached.take_readable(order), strict=True
    ):
        if isinstance(expected, dict):
            assert found == expected
            assert list(found) == list(expected)
        else:
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype
    assert not any(cached.holds(np.array([row])) for row in np.flatnonzero(folder.is_bad))


def test_rows_known_to_be_bad_are_not_kept(files, where):
    """A row that is in `unreadable` gets no slot, whoever offers an image."""
    cached = CachedFileRows.over(check_image_paths(files, SIZE, "warn"), where)
    cached.unreadable[1] = "for a reason"
    cached.keep(np.array([0, 1]), np.zeros((2, *SIZE, 3), np.uint8))
    assert cached.holds(np.array([0])) and not cached.holds(np.array([1]))


def test_bad_files_that_are_errors(files, where):
    """The first row, in the order asked for, that cannot be read is named; kept ones are not."""
    table = pd.DataFrame({"path": files, "xmin": 0, "ymin": 0, "xmax": 5, "ymax": 5})
    table.loc[9, "xmax"] = 99
    cached = CachedFileRows.over(check_image_paths(table, SIZE), where)
    keep(cached, [0, 1, 2])
    spoil(files[1:3] + files[5:7])
    with pytest.raises(ImageReadError, match=r"^row 6 of X: cannot read the image"):
        cached.take(np.array([1, 2, 6, 9, 5]))
    with pytest.raises(InvalidBoxError, match=r"^row 9 of X: the box"):
        cached.take(np.array([1, 2, 9, 5]))


def test_keep_takes_what_take_gives(files, where):
    """Images of another shape or dtype are refused before anything is written."""
    cached = CachedFileRows.over(check_image_paths(files, SIZE), where)
    for wrong in (np.zeros((2, 12, 10, 3)), np.zeros((1, 12, 10, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"must be uint8 of shape \(2, 12, 10, 3\), got "):
            cached.keep(np.array([0, 1]), wrong)
    assert not cached.holds(np.array([0]))


def test_rows_are_of_files(files, where):
    """The rows are FileRows of all the same attributes, and not taken for images in memory."""
    rows = check_image_paths(files, SIZE, "warn", decoding="scaled")
    cached = CachedFileRows.over(rows, where)
    assert isinstance(cached, FileRows) and not hasattr(cached, "array")
    assert all(getattr(cached, name) is value for name, value in vars(rows).items())
    assert len(cached) == len(rows) and cached.unreadable is rows.unreadable


# --- memory --------------------------------------------------------------------------------------


def test_memory_that_is_not_there():
    """The sentence says how much it would take, and nothing is kept."""
    side = 2**25  # of images beyond any address space
    kept = MemoryImageCache(2, (side, side))
    images = np.broadcast_to(np.uint8(0), (1, side, side, 3))
    with pytest.raises(
        MemoryError, match=r"^decoded_cache='memory' would take 6291456\.0 GiB for 2"
    ):
        kept.keep(np.array([0]), images)
    assert (kept.slots < 0).all()


def test_a_folder_called_memory(files, tmp_path, monkeypatch):
    """The string "memory" alone is no folder."""
    monkeypatch.chdir(tmp_path)
    for number, where in enumerate(("memory", "./memory", Path("memory"))):
        cached = CachedFileRows.over(check_image_paths(files, SIZE), where)
        keep(cached, [number])
        assert Path("memory").exists() == (number > 0)
    assert cached.holds(np.array([1, 2])) and not cached.holds(np.array([0]))
    monkeypatch.chdir("/")
    assert cached.take(np.array([1])).shape == (1, *SIZE, 3)  # the folder does not move along


def test_the_empty_string(files):
    """It is not taken for the working directory."""
    with pytest.raises(ValueError, match="decoded_cache='' is no folder; valid are None, 'memory'"):
        CachedFileRows.over(check_image_paths(files, SIZE), "")


# --- pickles and workers -------------------------------------------------------------------------


def test_pickles_leave_the_images_out(files, where, decoded):
    """A pickle is small; one of memory decodes, one of a folder reads it, and both keep on."""
    rows, expected = fresh(files, (64, 64))
    cached = CachedFileRows.over(rows, where)
    keep(cached, all_of(rows))
    cached.take(all_of(rows))
    dumped = pickle.dumps(cached)
    assert len(dumped) < expected.nbytes / 10
    copy = pickle.loads(dumped)
    assert copy.holds(all_of(rows)) == (where != "memory")
    del decoded[:]
    np.testing.assert_array_equal(copy.take(all_of(rows)), expected)
    assert decoded == ([*range(24)] if where == "memory" else [])
    keep(copy, all_of(rows))
    assert copy.holds(all_of(rows)) and cached.holds(all_of(rows))
    np.testing.assert_array_equal(copy.take(all_of(rows)), expected)


def take_in_a_process(rows, queue):
    """Send what a process reads."""
    queue.put(rows.take(all_of(rows)))


@pytest.mark.parametrize("context", [FORK, SPAWN], ids=["fork", "spawn"])
def test_workers_read_the_same(files, where, context):
    """A worker, forked or spawned, returns what the main process does."""
    rows, expected = fresh(files)
    cached = CachedFileRows.over(rows, where)
    keep(cached, all_of(rows)[::2])
    queue = context.SimpleQueue()
    worker = context.Process(target=take_in_a_process, args=(cached, queue))
    worker.start()
    np.testing.assert_array_equal(queue.get(), expected)
    worker.join()


# --- a folder that is used again -----------------------------------------------------------------


def test_a_second_object_decodes_nothing(files, tmp_path, decoded):
    """Rows that were kept before are found in another order, in part, and written otherwise."""
    rows, expected = fresh(files)
    keep(CachedFileRows.over(rows, tmp_path / "cache"), all_of(rows)[:20])
    spoil(files[:20])
    del decoded[:]
    order = np.random.default_rng(0).permutation(24)
    again = [Path(os.path.relpath(files[row])) for row in order]
    second = CachedFileRows.over(check_image_paths(again, SIZE), tmp_path / "cache")
    assert second.holds(np.flatnonzero(order < 20))
    np.testing.assert_array_equal(second.take(np.arange(24)), expected[order])
    assert sorted(order[decoded].tolist()) == [20, 21, 22, 23]


def test_two_objects_over_one_folder(files, tmp_path, decoded):
    """Of what another has kept since, nothing is written twice; the map grows with the file."""
    rows, expected = fresh(files)
    one, two = (CachedFileRows.over(rows, tmp_path) for _ in range(2))
    for start in range(0, 24, 6):
        keep(one, range(start, start + 6))
        np.testing.assert_array_equal(one.take(np.arange(start + 6)), expected[: start + 6])
        keep(two, range(start + 3, start + 6))
        keep(two, range(start, start + 6))
    np.testing.assert_array_equal(two.take(all_of(rows)), expected)
    (pixels,) = tmp_path.glob("*.pixels")
    assert pixels.stat().st_size == expected.nbytes


def test_equal_rows_share_a_slot(files, tmp_path):
    """An image that X holds twice is in the folder once."""
    rows, expected = fresh([files[0], files[1], files[0]])
    cached = CachedFileRows.over(rows, tmp_path)
    keep(cached, all_of(rows))
    np.testing.assert_array_equal(cached.take(all_of(rows)), expected)
    (pixels,) = tmp_path.glob("*.pixels")
    assert pixels.stat().st_size == 2 * expected[0].nbytes


def test_a_changed_file_is_another_row(files, tmp_path):
    """Another size or time of modification is decoded anew, and both are then kept."""
    rows, _ = fresh(files)
    keep(CachedFileRows.over(rows, tmp_path / "cache"), all_of(rows))
    replace(files[0], Path(files[7]).read_bytes(), ns=1)
    Image.new("RGB", (99, 3), "red").save(files[1])
    rows, expected = fresh(files)
    second = CachedFileRows.over(rows, tmp_path / "cache")
    held = [second.holds(np.array([row])) for row in range(4)]
    assert held == [False, False, True, True]
    np.testing.assert_array_equal(second.take(all_of(rows)), expected)
    keep(second, all_of(rows))
    assert CachedFileRows.over(rows, tmp_path / "cache").holds(all_of(rows))


def test_a_file_that_changes_while_it_is_read(files, tmp_path):
    """Its image is not kept under what the file was before, nor asked about again."""
    rows, _ = fresh(files)
    cached = CachedFileRows.over(rows, tmp_path / "cache")
    old = os.stat(files[0])
    before = Path(files[0]).read_bytes()
    replace(files[0], Path(files[1]).read_bytes(), ns=1)
    os.remove(files[2])
    cached.keep(np.arange(3), np.zeros((3, *SIZE, 3), np.uint8))
    assert [cached.holds(np.array([row])) for row in range(3)] == [False, True, False]
    replace(files[0], before, ns=old.st_mtime_ns)
    assert not CachedFileRows.over(rows, tmp_path / "cache").holds(np.array([0]))
    keep(cached, [0])
    assert not cached.holds(np.array([0]))


def test_other_sizes_boxes_and_modes_are_other_rows(files, tmp_path):
    """Each combination is decoded, kept and found apart from the others."""
    box = dict(zip(("xmin", "ymin", "xmax", "ymax"), (0, 0, 5, 5), strict=True))
    tables = [pd.DataFrame({"path": files}), pd.DataFrame({"path": files, **box})]
    tables.append(pd.DataFrame({"path": files, **box, "xmin": 1}))
    variants = [
        fresh(table, size, decoding=decoding)
        for table, size, decoding in itertools.product(
            tables, [(8, 8), (16, 4)], ["exact", "scaled"]
        )
    ]
    for rows, _ in variants:
        cached = CachedFileRows.over(rows, tmp_path / "cache")
        assert not any(cached.holds(np.array([row])) for row in range(24))
        keep(cached, all_of(rows))
    spoil(files)
    for rows, expected in variants:
        cached = CachedFileRows.over(rows, tmp_path / "cache")
        np.testing.assert_array_equal(cached.take(all_of(rows)), expected)
    assert len(list((tmp_path / "cache").glob("*.pixels"))) == 2  # one a size


ROWS = st.lists(st.integers(0, 7), max_size=8)
ACTIONS = st.one_of(
    st.tuples(st.just("keep"), st.integers(0, 1), ROWS),
    st.tuples(st.just("change"), st.integers(0, 7)),
    st.tuples(st.just("reopen"), st.integers(0, 1)),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(ACTIONS, max_size=12))
def test_slots_are_a_dictionary(actions):
    """Two objects over one folder that keep, reopen and see files change act like a dict."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{number}" for number in range(8)]
        versions = [0] * 8
        for path in paths:
            Path(path).write_bytes(b"")
            os.utime(path, ns=(0, 0))
        disk = {}  # (row, version) -> image
        numbers = itertools.count(1)

        def opened():
            rows = CachedFileRows.over(check_image_paths(paths, (2, 3)), f"{folder}/cache")
            return rows, list(versions), {row: disk.get((row, versions[row])) for row in range(8)}

        objects = [opened(), opened()]
        for action, which, *more in actions:
            if action == "change":
                versions[which] += 1
                os.utime(paths[which], ns=(0, versions[which]))
            elif action == "reopen":
                objects[which] = opened()
            else:
                rows, seen, known = objects[which]
                indices = np.array(more[0], dtype=np.intp)
                images = np.array([next(numbers) % 256 for _ in indices], dtype=np.uint8)
                shaped = np.broadcast_to(images[:, None, None, None], (len(indices), 2, 3, 3))
                rows.keep(indices, shaped)
                for row, image in zip(more[0], images.tolist(), strict=True):
                    if known[row] is None and seen[row] != versions[row]:
                        known[row] = "never"
                    elif known[row] is None:
                        known[row] = disk.setdefault((row, seen[row]), image)
            for rows, _, known in objects:
                held = [row for row in range(8) if isinstance(known[row], int)]
                assert [row for row in range(8) if rows.holds(np.array([row]))] == held
                taken = rows.take(np.array(held, dtype=np.intp))
                assert taken[:, 1, 2, 2].tolist() == [known[row] for row in held]


# --- several processes ---------------------------------------------------------------------------


def fill_in_a_process(paths, folder, seed):
    """Read shuffled batches of a part of the rows, keeping them, twice over."""
    rows = CachedFileRows.over(check_image_paths(paths, SIZE), folder)
    for _ in range(2):
        order = np.random.default_rng(seed).permutation(len(paths))[: 3 * len(paths) // 4]
        for start in range(0, len(order), 5):
            keep(rows, order[start : start + 5])
    plain = check_image_paths(paths, SIZE)
    assert rows.holds(order)
    assert np.array_equal(rows.take(order), plain.take(order))


@pytest.mark.parametrize("n_processes", [2, 4])
def test_processes_at_once(files, tmp_path, n_processes):
    """Processes that make a cache together and overlap each read what is in the files."""
    workers = [
        FORK.Process(target=fill_in_a_process, args=(files, tmp_path / "cache", seed))
        for seed in range(n_processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * n_processes
    rows, expected = fresh(files)
    cached = CachedFileRows.over(rows, tmp_path / "cache")
    np.testing.assert_array_equal(cached.take(all_of(rows)), expected)
    keep(cached, all_of(rows))
    (pixels,) = (tmp_path / "cache").glob("*.pixels")
    assert pixels.stat().st_size == expected.nbytes


def die_in_a_batch(paths, folder, moment):
    """Keep one batch, and be killed within the next."""
    rows = CachedFileRows.over(check_image_paths(paths, SIZE), folder)
    keep(rows, range(6))
    original = os.fsync

    def die(descriptor):
        if moment == "half written":
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - 500)
        if moment == "written":
            original(descriptor)
        os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = die
    keep(rows, range(4, 12))


@pytest.mark.parametrize("moment", ["half written", "written"])
def test_a_process_killed_while_it_writes(files, tmp_path, moment):
    """What it had not committed is not there, and others take its slots."""
    worker = FORK.Process(target=die_in_a_batch, args=(files, tmp_path / "cache", moment))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    rows, expected = fresh(files)
    cached = CachedFileRows.over(rows, tmp_path / "cache")
    assert cached.holds(np.arange(6))
    assert not any(cached.holds(np.array([row])) for row in range(6, 24))
    order = np.random.default_rng(0).permutation(24)
    keep(cached, order)
    np.testing.assert_array_equal(cached.take(all_of(rows)), expected)
    (pixels,) = (tmp_path / "cache").glob("*.pixels")
    assert pixels.stat().st_size == expected.nbytes
    with contextlib.closing(sqlite3.connect(tmp_path / "cache" / FILE_NAME)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("seconds", [0.01, 0.03, 0.1])
def test_a_process_killed_at_any_time(files, tmp_path, seconds):
    """Whenever it is killed, what is in the cache is right, and the rest can be added."""
    worker = FORK.Process(target=fill_in_a_process, args=(files, tmp_path / "cache", 0))
    worker.start()
    time.sleep(seconds)
    worker.kill()
    worker.join()
    rows, expected = fresh(files)
    cached = CachedFileRows.over(rows, tmp_path / "cache")
    np.testing.assert_array_equal(cached.take(all_of(rows)), expected)
    keep(cached, all_of(rows))
    np.testing.assert_array_equal(cached.take(all_of(rows)), expected)
    assert cached.holds(all_of(rows))


def test_a_lock_that_is_never_given_back(files, tmp_path, monkeypatch):
    """Waiting has an end, with a sentence; reading does not wait."""
    rows, expected = fresh(files)
    cached = CachedFileRows.over(rows, tmp_path)
    keep(cached, [0])
    monkeypatch.setattr(_sqlite_file, "_PATIENCE", 0.1)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TimeoutError, match="locked by another process for 0 seconds"):
            keep(cached, [1])
        np.testing.assert_array_equal(cached.take(np.array([0, 1])), expected[:2])
    keep(cached, [1])
    assert cached.holds(np.arange(2))


# --- what else may lie in the folder -------------------------------------------------------------


def test_a_file_for_a_folder(files, tmp_path):
    """A path that is, or lies below, a file is refused."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"decoded_cache='.*file.*' is no folder, nor can it be"):
            CachedFileRows.over(check_image_paths(files, SIZE), folder)


def write_without_rights(paths, folder, queue):
    """Send the error of opening a cache as somebody who may only read."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        CachedFileRows.over(check_image_paths(paths, SIZE), folder)
    except Exception as error:
        queue.put(repr(error))
    else:
        queue.put("no error")


@pytest.mark.parametrize("is_new", [True, False], ids=["empty", "filled"])
def test_a_folder_that_cannot_be_written_to(is_new):
    """A folder without the permission to write is refused, filled or not."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        folder = Path(name) / "cache"
        folder.mkdir()
        path = f"{name}/image.png"
        Image.new("RGB", (3, 3)).save(path)
        if not is_new:
            keep(CachedFileRows.over(check_image_paths([path], SIZE), folder), [0])
        folder.chmod(0o555)
        queue = FORK.SimpleQueue()
        worker = FORK.Process(target=write_without_rights, args=([path], folder, queue))
        worker.start()
        said = queue.get()
        worker.join()
        folder.chmod(0o755)
    assert said.startswith("OSError")
    assert "decoded.sqlite' cannot be used" in said
    assert "give another folder as `decoded_cache`" in said


def test_no_database(files, tmp_path):
    """Bytes that are no database are named and left as they are."""
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)
    with pytest.raises(OSError, match=r"cannot be used: file is not a database\. If it is damaged"):
        CachedFileRows.over(check_image_paths(files, SIZE), tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == b"not a database" * 1000


def test_a_folder_in_its_place(files, tmp_path):
    """A folder of the index's name is named."""
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(OSError, match="cannot be used: unable to open database file"):
        CachedFileRows.over(check_image_paths(files, SIZE), tmp_path)


@pytest.mark.parametrize("application", [0, int.from_bytes(b"skat")])
def test_a_database_of_others(files, tmp_path, application):
    """A database of another application, the cache of features too, is named and left."""
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("CREATE TABLE images (key, slot)")
        connection.execute(f"PRAGMA application_id = {application}")
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(OSError, match="it is the file of another application"):
        CachedFileRows.over(check_image_paths(files, SIZE), tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_another_format(files, tmp_path):
    """A cache of another format is named with both versions."""
    CachedFileRows.over(check_image_paths(files, SIZE), tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(OSError, match="its format is 99, that of this version 1"):
        CachedFileRows.over(check_image_paths(files, SIZE), tmp_path)


@pytest.mark.parametrize("n_bytes", [None, 0, 24 * 360 - 1])
def test_slots_that_are_gone(files, tmp_path, n_bytes):
    """A file of slots that was deleted or cut off is missed when the rows are opened."""
    rows, _ = fresh(files)
    keep(CachedFileRows.over(rows, tmp_path / "cache"), all_of(rows))
    (pixels,) = (tmp_path / "cache").glob("*.pixels")
    assert pixels.stat().st_size == 24 * 360
    if n_bytes is None:
        pixels.unlink()
    else:
        os.truncate(pixels, n_bytes)
    with pytest.raises(OSError, match=r"images were taken from '.*\.pixels'\. If it is damaged"):
        CachedFileRows.over(rows, tmp_path / "cache")


def test_a_file_of_slots_that_goes_away_in_between(files, tmp_path):
    """It is missed when it is mapped, and when it is written to."""
    rows, _ = fresh(files)
    cached = CachedFileRows.over(rows, tmp_path / "cache")
    keep(cached, [0])
    (pixels,) = (tmp_path / "cache").glob("*.pixels")
    pixels.unlink()
    with pytest.raises(OSError, match="images were taken from"):
        cached.take(np.array([0]))
    with pytest.raises(OSError, match="cannot be used: .*No such file"):
        keep(cached, [1])


def test_a_folder_that_is_made_anew_in_between(files, tmp_path):
    """An object over the old folder keeps nothing in the new one, whose slots are others."""
    rows, expected = fresh(files)
    old = CachedFileRows.over(rows, tmp_path / "cache")
    keep(old, [0, 1])
    old.take(np.arange(2))
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(OSError, match="unable to open database file"):
        keep(old, [2])
    new = CachedFileRows.over(rows, tmp_path / "cache")
    keep(new, [5, 6, 7])
    with pytest.raises(OSError, match="it was made anew while it was in use"):
        keep(old, [2])
    np.testing.assert_array_equal(old.take(np.arange(3)), expected[:3])
    np.testing.assert_array_equal(new.take(all_of(rows)), expected)


def test_other_files_and_both_caches_in_one_folder(files, tmp_path):
    """Images may lie in the folder of the cache, and so may a cache of features."""
    from skattr._cache.embeddings import EmbeddingStore

    rows, expected = fresh(files)
    EmbeddingStore(tmp_path)
    cached = CachedFileRows.over(rows, tmp_path)
    keep(cached, all_of(rows))
    assert len(EmbeddingStore(tmp_path)) == 0
    np.testing.assert_array_equal(cached.take(all_of(rows)), expected)


# --- a disk that is full -------------------------------------------------------------------------


def test_a_full_disk(files, tmp_path, monkeypatch):
    """Neither a sync nor the index that finds no room leaves anything half kept."""
    rows, expected = fresh(files)
    cached = CachedFileRows.over(rows, tmp_path / "cache")
    keep(cached, [0])

    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match=r"the disk of decoded_cache='.*' is full; free") as info:
            keep(cached, [1, 2])
    assert info.value.errno == errno.ENOSPC
    keep(cached, [3, 1])
    assert cached.holds(np.array([0, 1, 3])) and not cached.holds(np.array([2]))
    np.testing.assert_array_equal(cached.take(all_of(rows)), expected)


def fill_to_the_limit(paths, folder, queue):
    """Keep rows until no file may grow any more; send the error and the rows held then."""
    rows = CachedFileRows.over(check_image_paths(paths, (64, 64)), folder)
    keep(rows, range(8))
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
    try:
        keep(rows, range(8, 24))  # the first few of these fit
    except OSError as error:
        queue.put((str(error), [rows.holds(np.array([row])) for row in range(24)]))
    else:
        queue.put(("no error", []))


def test_a_file_that_may_not_grow(files, tmp_path):
    """A batch that is written in part is not kept; the batches before are, and others follow."""
    queue = FORK.SimpleQueue()
    worker = FORK.Process(target=fill_to_the_limit, args=(files, tmp_path / "cache", queue))
    worker.start()
    said, held = queue.get()
    worker.join()
    assert "cannot be used: [Errno 27] File too large" in said
    assert held == [True] * 8 + [False] * 16
    rows, expected = fresh(files, (64, 64))
    cached = CachedFileRows.over(rows, tmp_path / "cache")
    keep(cached, [20, 9])
    np.testing.assert_array_equal(cached.take(all_of(rows)), expected)


def test_an_index_without_room(files, tmp_path):
    """SQLite's own word for it becomes the same sentence."""
    cached = CachedFileRows.over(check_image_paths(files, SIZE), tmp_path / "cache")
    store = cached._kept._store
    with pytest.raises(OSError, match="the disk of decoded_cache=") as info, store.connected() as c:
        c.execute("PRAGMA max_page_count = 5")
        c.execute("CREATE TABLE large AS SELECT randomblob(1000000)")
    assert info.value.errno == errno.ENOSPC
