"""Batches of rows: features, images in memory and image files."""

import pathlib
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skattr._inputs.boxes import BOX_COLUMNS
from skattr._inputs.checks import check_image_array, check_image_paths
from skattr._inputs.decoding import read_image
from skattr._inputs.rows import FeatureRows
from skattr.exceptions import ImageReadError, InvalidBoxError
from tests.inputs.sample_images import (
    HEIGHT,
    LEVELS,
    SIZE,
    WIDTH,
    assert_resized,
    make_boxed,
    repeat_channels,
    save,
)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_box_is_a_slice(one_file, data):
    """A box cuts the same pixels as slicing the array does, before the resize."""
    xmin = data.draw(st.integers(0, WIDTH - 1))
    ymin = data.draw(st.integers(0, HEIGHT - 1))
    xmax = data.draw(st.integers(xmin + 1, WIDTH))
    ymax = data.draw(st.integers(ymin + 1, HEIGHT))
    frame = make_boxed(one_file, xmin, ymin, xmax, ymax)
    cut = LEVELS[ymin:ymax, xmin:xmax, :3]
    whole = check_image_paths(frame, cut.shape[:2]).take(np.array([0]))
    np.testing.assert_array_equal(whole[0], cut)
    assert_resized(check_image_paths(frame, (5, 7)).take(np.array([0]))[0], cut, (5, 7))


@pytest.mark.parametrize(
    ("dtype", "missing"), [(float, np.nan), ("Float64", pd.NA), ("Int64", pd.NA), (object, None)]
)
def test_a_missing_box_means_the_whole_image(one_file, dtype, missing):
    """A row of four missing edges means the whole image, in any dtype."""
    frame = pd.DataFrame({"path": [one_file] * 2})
    for name, edge in zip(BOX_COLUMNS, (1, 0, 5, 2), strict=True):
        frame[name] = pd.Series([missing, edge], dtype=dtype)
    rows = check_image_paths(frame, SIZE)
    whole, cut = rows.take(np.array([0, 1]))
    np.testing.assert_array_equal(whole, LEVELS[..., :3])
    assert_resized(cut, LEVELS[0:2, 1:5, :3], SIZE)


@pytest.mark.parametrize("edges", [(0, 0, 9, 6), (0, 0, 8, 7), (8, 0, 9, 3), (0, 100, 3, 103)])
def test_rejects_a_box_outside_its_image(one_file, edges):
    """The error names row, path, box and the size of the image."""
    frame = pd.concat(
        [make_boxed(one_file, 0, 0, 8, 6), make_boxed(one_file, *edges)], ignore_index=True
    )
    rows = check_image_paths(frame, SIZE)
    message = r"row 1 of X: the box .* exceeds the bounds of the image .*one.png' \(8 x 6 pixels\)"
    with pytest.raises(InvalidBoxError, match=message):
        rows.take(np.array([0, 1]))


@pytest.mark.parametrize("size", [(12, 10), (3, 5), (24, 20), (1, 1)])
def test_files_and_arrays_give_equal_batches_of_any_size(images, files, size):
    """Both are bit-identical, and within a level of Pillow's bilinear filter."""
    indices = np.array([3, 0, 3, 23])
    from_files = check_image_paths(files, size).take(indices)
    from_arrays = check_image_array(images, size).take(indices)
    np.testing.assert_array_equal(from_files, from_arrays)
    for place, row in enumerate(indices):
        assert_resized(from_files[place], images[row], size)
    assert from_files.dtype == from_arrays.dtype == np.uint8
    assert from_files.flags.writeable
    assert from_arrays.flags.writeable  # torch warns of tensors that share read-only memory


@pytest.mark.parametrize("size", [(12, 10), (5, 7)])
def test_gray_arrays_equal_their_rgb_repetition(images, size):
    """(n, H, W) gives the batch of the same images repeated over three channels."""
    gray = images[..., 0]
    indices = np.arange(0, 24, 5)
    np.testing.assert_array_equal(
        check_image_array(gray, size).take(indices),
        check_image_array(repeat_channels(gray), size).take(indices),
    )


def test_read_only_arrays_and_memmaps(images, tmp_path):
    """Read-only arrays and memory maps are read and not changed."""
    np.save(tmp_path / "x.npy", images)
    frozen = images.copy()
    frozen.setflags(write=False)
    for array in (frozen, np.load(tmp_path / "x.npy", mmap_mode="r")):
        batch = check_image_array(array, (12, 10)).take(np.array([2, 5]))
        np.testing.assert_array_equal(batch, images[[2, 5]])
        assert type(batch) is np.ndarray
        batch[:] = 0
        np.testing.assert_array_equal(array, images)


def test_arrays_are_not_copied(images):
    """The rows of an array have a view of it."""
    assert np.shares_memory(check_image_array(images, (12, 10)).array, images)


def test_batches_of_features_are_copies(rng):
    """Features come in the order of the indices, as a copy."""
    array = rng.normal(size=(5, 2))
    rows = FeatureRows(array)
    batch = rows.take(np.array([4, 0, 4]))
    np.testing.assert_array_equal(batch, array[[4, 0, 4]])
    assert not np.shares_memory(batch, array)
    assert len(rows) == 5


def test_only_take_opens_files(files, tmp_path):
    """For a file deleted after X was checked, `take` raises an error with row and path."""
    rows = check_image_paths(files, (12, 10))
    (tmp_path / "image 5.png").unlink()
    assert rows.take(np.array([4, 6])).shape == (2, 12, 10, 3)
    with pytest.raises(ImageReadError, match=r"row 5 of X: there is no file '.*image 5.png'"):
        rows.take(np.array([4, 5]))


@pytest.mark.parametrize(
    "container", [list, np.array, pd.Series, lambda p: pd.DataFrame({"path": p})]
)
def test_memory_of_checked_paths_is_small(tmp_path, container):
    """Rows of files need at most 200 bytes each, however large the images are."""
    path = str(save(Image.new("RGB", (400, 400)), tmp_path / "large.bmp"))
    n_rows = 5000
    X = container([path] * n_rows)
    tracemalloc.start()
    rows = check_image_paths(X, (8, 8))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(rows) == n_rows
    assert peak < 200 * n_rows + 100_000


def test_a_batch_keeps_one_decoded_image_at_a_time(tmp_path):
    """Decoding many large files needs no more Python memory than decoding a few."""
    path = str(save(Image.new("RGB", (600, 600)), tmp_path / "large.png"))
    rows = check_image_paths([path] * 24, (4, 4))

    def peak(n_rows):
        tracemalloc.start()
        rows.take(np.arange(n_rows))
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    peak(1)
    assert peak(24) < peak(2) + 50_000


@pytest.mark.parametrize(
    "name",
    ["truncated.jpg", "text.jpg", "empty.png", "header.png", "bomb.png", "short.png", "zeros.bmp"],
)
def test_rejects_files_that_are_not_images(files, broken, tmp_path, name):
    """The error for truncated, empty and oversized files has path, row and Pillow's error."""
    (tmp_path / name).write_bytes(broken[name])
    rows = check_image_paths([files[0], str(tmp_path / name)], (12, 10))
    message = rf"row 1 of X: cannot read the image '.*{name}': \w+: "
    with pytest.raises(ImageReadError, match=message) as caught:
        rows.take(np.array([0, 1]))
    assert isinstance(caught.value, OSError)
    assert caught.value.__cause__ is not None


def test_unreadable_rows_are_recorded(files, broken, tmp_path):
    """With "warn" nothing is raised: readable rows are decoded, others have a reason."""
    (tmp_path / "text.jpg").write_bytes(broken["text.jpg"])
    paths = [files[0], None, str(tmp_path / "text.jpg"), "missing.png", files[1], files[2]]
    edges = [(0, 0, 10, 12), (0, 0, 1, 1), (0, 0, 1, 1), (0, 0, 1, 1), (3, 3, 3, 3), (0, 0, 11, 9)]
    frame = pd.DataFrame(edges, columns=BOX_COLUMNS).assign(path=paths)
    rows = check_image_paths(frame, (12, 10), "warn")
    assert sorted(rows.unreadable) == [1, 3, 4]
    assert "is not a path" in rows.unreadable[1]
    assert "holds no pixel" in rows.unreadable[4]
    batch, found, reasons = rows.take_readable(np.array([5, 0, 2, 0]))
    assert found.tolist() == [0, 0]
    np.testing.assert_array_equal(batch, check_image_paths(files, (12, 10)).take(np.array([0, 0])))
    assert sorted(reasons) == [2, 5]
    assert "UnidentifiedImageError" in reasons[2]
    assert "exceeds the bounds" in reasons[5]
    assert check_image_paths(files, (12, 10)).unreadable is None


def test_files_are_closed(one_file, broken, tmp_path):
    """No file stays open after an image or an error."""
    (tmp_path / "truncated.jpg").write_bytes(broken["truncated.jpg"])
    descriptors = pathlib.Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs /proc")
    before = len(list(descriptors.iterdir()))
    for _ in range(5):
        read_image(one_file, SIZE)
        with pytest.raises(ImageReadError):
            read_image(tmp_path / "truncated.jpg", SIZE)
    assert len(list(descriptors.iterdir())) <= before
