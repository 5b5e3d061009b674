"""Datasets: batches hold the requested rows, whatever the memory layout of X."""

import numpy as np
import pytest
import torch

from skattr._inputs.rows import FeatureRows, ImageRows
from skattr._training.dataset import AttributeDataset
from skattr._training.loader import BatchLoader


@pytest.fixture
def labels(rng):
    """Codes and weights of 24 rows and three attributes."""
    return rng.integers(-1, 3, (24, 3)), rng.random((24, 3))


def test_a_batch_holds_the_requested_rows(images, labels):
    """Inputs, codes and weights of a batch belong to the same rows of X and keep their types."""
    rows = ImageRows(images, (12, 10))
    dataset = AttributeDataset(rows, np.arange(1, 24, 2), *labels)
    assert len(dataset) == 12
    (inputs, (codes, weights)), indices, *_ = dataset[np.array([3, 0, 3])]
    expected = [7, 1, 7]
    assert indices.tolist() == expected
    np.testing.assert_array_equal(inputs, images[expected])
    np.testing.assert_array_equal(codes, labels[0][expected])
    np.testing.assert_array_equal(weights, labels[1][expected])
    assert (inputs.dtype, codes.dtype) == (torch.uint8, torch.int64)
    one, (code, _) = dataset[np.array([2])].batch
    np.testing.assert_array_equal(one, images[[5]])
    np.testing.assert_array_equal(code, labels[0][[5]])


def test_a_batch_is_a_copy(labels):
    """Changes of a batch do not change X, codes or weights."""
    X = np.zeros((24, 2))
    inputs, (codes, weights) = next(
        iter(BatchLoader(AttributeDataset(FeatureRows(X), np.arange(24), *labels), 24))
    )
    before = labels[0].copy(), labels[1].copy()
    for part in (inputs, codes, weights):
        part += 1
    assert (X == 0).all()
    np.testing.assert_array_equal(labels[0], before[0])
    np.testing.assert_array_equal(labels[1], before[1])


def test_the_category_is_an_input(images, labels):
    """With a category, the inputs are pairs of images and categories of the same rows."""
    category = np.arange(24) % 5
    dataset = AttributeDataset(ImageRows(images, (12, 10)), np.arange(24), *labels, category)
    (inputs, (codes, _)), indices, *_ = dataset[np.array([4, 20])]
    np.testing.assert_array_equal(inputs[0], images[indices])
    np.testing.assert_array_equal(inputs[1], category[indices])
    np.testing.assert_array_equal(codes, labels[0][indices])


def test_every_batch_has_its_own_memory(images, labels):
    """Batches that a callback keeps are not overwritten by later ones."""
    dataset = AttributeDataset(ImageRows(images, (12, 10)), np.arange(24), *labels)
    parts = list(BatchLoader(dataset, 5, torch.Generator().manual_seed(0)).read())
    assert len(parts) == 5
    for (inputs, (codes, weights)), indices, *_ in parts:
        np.testing.assert_array_equal(inputs, images[indices])
        np.testing.assert_array_equal(codes, labels[0][indices])
        np.testing.assert_array_equal(weights, labels[1][indices])


def layouts(X):
    """Return equal arrays of other memory layouts: read-only, odd, strided, mirrored, Fortran."""
    unaligned = np.empty(X.nbytes + 1, dtype=np.uint8)[1:].view(X.dtype).reshape(X.shape)
    unaligned[:] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    strided = np.repeat(X, 2, axis=0)[::2]
    mirrored = X[::-1].copy()[::-1]
    return [X, unaligned, read_only, strided, mirrored, np.asfortranarray(X)]


def test_images_of_any_memory_layout(rng):
    """Images are the same whatever the memory layout of the array."""
    X = rng.integers(256, size=(10, 9, 7, 3), dtype=np.uint8)
    for array in layouts(X):
        dataset = AttributeDataset(ImageRows(array, (9, 7)), np.arange(10))
        for part in BatchLoader(dataset, 4, torch.Generator().manual_seed(0)).read():
            np.testing.assert_array_equal(part.batch, X[part.indices])


@pytest.mark.parametrize("share", [False, True])
def test_features_of_any_memory_layout(rng, share):
    """Features are the same whatever the memory layout, without a warning of torch."""
    X = rng.normal(size=(24, 3)).astype(np.float32)
    for array in layouts(X):
        dataset = AttributeDataset(FeatureRows(array), np.arange(24), share_features=share)
        np.testing.assert_array_equal(torch.cat(list(BatchLoader(dataset, 7))), X)


def test_shared_features_are_a_view(rng):
    """Only consecutive rows are shared, and only if that was allowed."""
    X = rng.normal(size=(24, 3))
    dataset = AttributeDataset(FeatureRows(X), np.arange(24), share_features=True)
    assert all(np.shares_memory(batch.numpy(), X) for batch in BatchLoader(dataset, 7))
    np.testing.assert_array_equal(torch.cat(list(BatchLoader(dataset, 7))), X)
    order = np.array([3, 1, 2, 9])
    apart = AttributeDataset(FeatureRows(X), order, share_features=True)
    (batch,) = BatchLoader(apart, 7)
    assert not np.shares_memory(batch.numpy(), X)
    np.testing.assert_array_equal(batch, X[order])
    own = AttributeDataset(FeatureRows(X), np.arange(24))
    assert not any(np.shares_memory(batch.numpy(), X) for batch in BatchLoader(own, 7))
