"""Cache keys of images in memory and of files."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skattr._cache.keys import image_keys
from skattr._inputs.boxes import BOX_COLUMNS
from skattr._inputs.checks import check_image_paths
from skattr._inputs.rows import ImageRows
from skattr.exceptions import ImageReadError

PIXELS = st.lists(st.integers(0, 1), min_size=12, max_size=12)
SHAPES = st.sampled_from([(2, 2, 3), (1, 4, 3), (4, 1, 3), (3, 4), (4, 3), (12, 1), (2, 6)])


@given(PIXELS, SHAPES, PIXELS, SHAPES)
def test_keys_of_images_in_memory_identify_the_pixels(pixels, shape, others, another):
    """Keys are equal if and only if pixels and shape are equal."""
    first, second = (
        np.array(values, np.uint8).reshape(form)
        for values, form in ((pixels, shape), (others, another))
    )
    keys = [
        image_keys(ImageRows(one[np.newaxis], (2, 2)), b"", "content", [0])[0]
        for one in (first, second)
    ]
    assert (keys[0] == keys[1]) == np.array_equal(first, second)


def test_keys_do_not_depend_on_the_memory_layout(rng):
    """A view of any strides has the key of its copy."""
    array = rng.integers(0, 255, (4, 6, 5, 3)).astype(np.uint8)
    for view in (array[:, ::-1], array.transpose(0, 2, 1, 3), np.asfortranarray(array)):
        keys = [
            image_keys(ImageRows(one, (6, 5)), b"n", "stat", range(4))
            for one in (view, view.copy())
        ]
        assert keys[0] == keys[1]


def file_keys(X, by, network=b"network"):
    """Return the keys of files."""
    rows = check_image_paths(X, (4, 4))
    return image_keys(rows, network, by, range(len(rows)))


@pytest.fixture
def paths(tmp_path):
    """Return paths of two files of equal bytes and one of other bytes, of equal size and time."""
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for path, content in zip(paths, (b"same", b"same", b"else"), strict=True):
        path.write_bytes(content)
        os.utime(path, ns=(10**18, 10**18))
    return [str(path) for path in paths]


def test_content_keys_identify_the_bytes(paths):
    """Files of equal bytes have equal keys, whatever name and time; a changed byte changes it."""
    keys = file_keys(paths, "content")
    assert keys[0] == keys[1] != keys[2]
    os.utime(paths[0])
    assert file_keys(paths, "content") == keys
    Path(paths[0]).write_bytes(b"sama")
    assert file_keys(paths, "content")[0] not in keys


def test_stat_keys_identify_path_size_and_time(paths, monkeypatch):
    """Another path, size or time in nanoseconds changes the key; a relative path does not."""
    keys = file_keys(paths, "stat")
    assert len(set(keys)) == 3
    monkeypatch.chdir(Path(paths[0]).parent)
    assert file_keys(["./a.png", Path("b.png"), "c.png"], "stat") == keys
    os.utime(paths[0], ns=(10**18, 10**18 + 1))
    assert file_keys(paths, "stat")[0] not in keys
    Path(paths[1]).write_bytes(b"longer")
    os.utime(paths[1], ns=(10**18, 10**18))
    assert file_keys(paths, "stat")[1] not in keys


@pytest.mark.parametrize("by", ["content", "stat"])
def test_keys_depend_on_box_and_network(paths, by):
    """A file has another key for each box and each network; a box of NaN means no box."""
    boxes = [[0, 0, 2, 2], [0, 0, 2, 3], [np.nan] * 4, [0, 0, 2, 2]]
    table = pd.DataFrame(boxes, columns=BOX_COLUMNS).assign(path=paths[0])
    keys = file_keys(table, by)
    assert len(set(keys)) == 3
    assert keys[0] == keys[3]
    assert keys[2] == file_keys(paths[:1], by)[0]
    assert not set(keys) & set(file_keys(table, by, b"another"))


@pytest.mark.parametrize("by", ["content", "stat"])
@pytest.mark.parametrize("n", [64, 65, 130])
def test_keys_of_many_files_are_in_order(tmp_path, by, n):
    """Each row has the key that it has alone; the requested rows are in any order."""
    paths = [str(tmp_path / f"{number}.png") for number in range(n)]
    for number, path in enumerate(paths):
        Path(path).write_bytes(str(number).encode())
    keys = file_keys(paths, by)
    assert len(set(keys)) == n
    assert [keys[row] for row in (0, 63, n - 1)] == [
        file_keys([paths[row]], by)[0] for row in (0, 63, n - 1)
    ]
    order = np.random.default_rng(0).permutation(n)[:-1]
    rows = check_image_paths(paths, (4, 4))
    assert image_keys(rows, b"network", by, order) == [keys[row] for row in order]


def test_content_and_stat_keys_differ(paths):
    """One cache may be used with both kinds of keys."""
    assert not set(file_keys(paths, "content")) & set(file_keys(paths, "stat"))


@pytest.mark.parametrize("by", ["content", "stat"])
def test_a_deleted_file_is_an_error(paths, by):
    """The error names the path and the row."""
    rows = check_image_paths(paths, (4, 4))
    os.remove(paths[2])
    with pytest.raises(ImageReadError, match=r"^row 2 of X: cannot read the image '.*c\.png'"):
        image_keys(rows, b"", by, range(3))
    rows = check_image_paths(paths[:2] + ["none.png"] + paths[:1], (4, 4), "warn")
    keys = image_keys(rows, b"", by, range(4))
    assert [bool(key) for key in keys] == [True, True, False, True] and keys[0] == keys[3]
