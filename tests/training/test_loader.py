"""Batch loaders: order of rows, worker processes and unreadable images."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skattr._cache.decoded_images import CachedFileRows
from skattr._inputs.rows import FileRows, ImageRows
from skattr._training.dataset import AttributeDataset
from skattr._training.loader import BatchIndexSampler, BatchLoader, find_unreadable
from skattr.exceptions import ImageReadError, InvalidBoxError


def seeded(seed):
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 70), st.integers(1, 12), st.none() | st.integers(0, 3))
def test_every_row_is_yielded_once(n_rows, batch_size, seed):
    """A pass holds each position once, in order unless shuffled, in len() batches."""
    positions = BatchIndexSampler(n_rows, batch_size, None if seed is None else seeded(seed))
    batches = list(positions)
    assert len(batches) == len(positions)
    flat = [position for batch in batches for position in batch]
    assert sorted(flat) == list(range(n_rows))
    if seed is None:
        assert flat == list(range(n_rows))


@given(st.integers(1, 70), st.integers(1, 12))
def test_a_last_batch_of_one_row_is_merged(n_rows, batch_size):
    """All batches but the last are full, and none is a single row unless all are."""
    sizes = [len(batch) for batch in BatchIndexSampler(n_rows, batch_size)]
    assert all(size == batch_size for size in sizes[:-1])
    assert 1 <= sizes[-1] <= batch_size + 1
    if batch_size > 1 and n_rows > 1:
        assert min(sizes) > 1


def test_passes_are_shuffled():
    """Each pass has another order, which depends on the generator alone."""
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, same, other = (BatchIndexSampler(50, 8, seeded(seed)) for seed in (1, 1, 2))
    passes = [np.concatenate(list(sampler)).tolist() for sampler in (first, first)]
    assert passes[0] != passes[1]
    torch.manual_seed(2)
    assert [np.concatenate(list(sampler)).tolist() for sampler in (same, same)] == passes
    assert np.concatenate(list(other)).tolist() != passes[0]
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.fixture
def labels(rng):
    """Codes and weights of 24 rows and three attributes."""
    return rng.integers(-1, 3, (24, 3)), rng.random((24, 3))


def batches_of(loader):
    """Return all batches of two passes, as lists of arrays."""
    return [
        [part.numpy() for part in (inputs, *targets)]
        for _ in range(2)
        for inputs, targets in loader
    ]


@pytest.mark.parametrize("batch_size", [1, 4, 5, 100])
def test_batches_are_the_requested_rows_in_order(images, batch_size):
    """Every requested row is yielded once, in order, with its pixels."""
    wanted = np.array([7, 3, 20, 21, 0])
    dataset = AttributeDataset(ImageRows(images, (12, 10)), wanted)
    parts = list(BatchLoader(dataset, batch_size).read())
    np.testing.assert_array_equal(np.concatenate([part.indices for part in parts]), wanted)
    for part in parts:
        np.testing.assert_array_equal(part.batch.numpy(), images[part.indices])


def test_workers_yield_the_same_batches(files, labels):
    """Two worker processes yield the batches of one process, in both of two passes."""
    state = torch.get_rng_state()
    rows = FileRows(files, None, (12, 10))
    dataset = AttributeDataset(rows, np.arange(24), *labels)
    alone = batches_of(BatchLoader(dataset, 7, seeded(0)))
    shared = batches_of(BatchLoader(dataset, 7, seeded(0), num_workers=2))
    assert len(alone) == len(shared) == 8
    for one, other in zip(alone, shared, strict=True):
        for part, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, same)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_workers_for_rows_in_memory(images):
    """Rows in memory never start worker processes."""
    loader = BatchLoader(
        AttributeDataset(ImageRows(images, (12, 10)), np.arange(24)), 8, num_workers=2
    )
    before = set(multiprocessing.active_children())  # other tests may leave joblib's workers
    first = next(iter(loader))
    assert set(multiprocessing.active_children()) <= before
    batches = list(loader)
    np.testing.assert_array_equal(first, batches[0])
    assert len(batches) == 3
    np.testing.assert_array_equal(np.concatenate(batches), images)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_unreadable_file(files, num_workers):
    """The error names row and path, without a worker's traceback."""
    Path(files[13]).write_bytes(b"no image")
    rows = FileRows(files, None, (12, 10))
    loader = BatchLoader(AttributeDataset(rows, np.arange(24)), 5, num_workers=num_workers)
    with pytest.raises(ImageReadError, match=r"^row 13 of X: cannot read the image") as error:
        list(loader)
    assert repr(files[13]) in str(error.value)
    assert "Traceback" not in str(error.value)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_box_outside_its_image(files, num_workers):
    """The error of a box that exceeds its image, found when the file is read, names the row."""
    boxes = np.full((24, 4), np.nan)
    boxes[2] = [0, 0, 11, 12]
    rows = FileRows(files, boxes, (12, 10))
    loader = BatchLoader(AttributeDataset(rows, np.arange(24)), 5, num_workers=num_workers)
    with pytest.raises(InvalidBoxError, match=r"^row 2 of X: the box .* exceeds the bounds"):
        list(loader)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("is_shuffled", [False, True])
def test_unreadable_files_are_skipped(files, images, labels, num_workers, is_shuffled):
    """Batches hold the readable rows with their labels; in training none is a single row."""
    bad = [0, 1, 5, 8, 9, 10]  # in order, batches of four have 2, 3, 1, 4, ... rows left
    for row in bad:
        Path(files[row]).write_bytes(b"no image")
    rows = FileRows(files, None, (12, 10), {})
    dataset = AttributeDataset(rows, np.arange(24), *labels)
    generators = (seeded(4), seeded(4)) if is_shuffled else (None, None)
    parts = list(BatchLoader(dataset, 4, generators[0], num_workers=num_workers).read())
    for (inputs, (codes, weights)), indices, *_ in parts:
        np.testing.assert_array_equal(inputs, images[indices])
        np.testing.assert_array_equal(codes, labels[0][indices])
        np.testing.assert_array_equal(weights, labels[1][indices])
    requested = BatchIndexSampler(24, 4, generators[1])
    left = [[row for row in batch.tolist() if row not in bad] for batch in requested]
    assert min(map(len, left)) == 1
    least = 2 if is_shuffled else 1
    assert [part.indices.tolist() for part in parts] == [b for b in left if len(b) >= least]
    assert sorted(rows.unreadable) == bad
    assert all(repr(files[row]) in rows.unreadable[row] for row in bad)


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("is_reported", [False, True])
def test_doubtful_files_are_recorded(files, num_workers, is_reported):
    """What is doubtful about a row is known to the main process, unless it was reported."""
    Image.fromarray(np.full((12, 10), 9, np.uint16)).save(files[7])
    rows = FileRows(files, None, (12, 10))
    if is_reported:
        rows.doubtful = None
    list(BatchLoader(AttributeDataset(rows, np.arange(24)), 5, num_workers=num_workers))
    if is_reported:
        assert rows.doubtful is None
    else:
        assert list(rows.doubtful) == [7]
        assert "values up to 9" in rows.doubtful[7]


@pytest.mark.parametrize("is_cached", [False, True])
def test_workers_stay_until_all_rows_are_in_memory(files, images, is_cached):
    """The same process decodes in each pass; it ends once the cache holds all rows."""
    rows = FileRows(files, None, (12, 10))
    rows = CachedFileRows(rows) if is_cached else rows
    loader = BatchLoader(AttributeDataset(rows, np.arange(24)), 8, num_workers=1)
    others = set(multiprocessing.active_children())
    passes = []
    for _ in range(3):
        np.testing.assert_array_equal(np.concatenate(list(loader)), images)
        passes.append({child.pid for child in set(multiprocessing.active_children()) - others})
    assert len(passes[0]) == 1
    assert passes[1:] == ([set()] * 2 if is_cached else [passes[0]] * 2)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_unreadable_files_are_found(files, images, num_workers):
    """All files are read except known unreadable ones; rows in memory are not."""
    for row in (3, 7):
        Path(files[row]).write_bytes(b"no image")
    rows = FileRows(files, None, (12, 10), {3: "known"})
    find_unreadable(rows, batch_size=5, num_workers=num_workers)
    assert sorted(rows.unreadable) == [3, 7]
    assert rows.unreadable[3] == "known"
    strict = FileRows(files, None, (12, 10))
    for others in (strict, ImageRows(images, (12, 10))):
        find_unreadable(others, batch_size=5, num_workers=num_workers)
        assert others.unreadable is None
