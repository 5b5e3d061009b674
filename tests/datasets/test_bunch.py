"""Common behavior of all loaders of folders."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.utils import Bunch

from skattr import datasets
from skattr.datasets._bunch import boolean_table, describe_counts, find_empty_boxes
from tests.datasets import formats

LOADERS = {
    "load_apascal": (formats.write_apascal, ()),
    "load_celeba": (formats.write_celeba, ()),
    "load_maad_face": (formats.write_maad_face, ()),
    "load_chexpert": (formats.write_chexpert, ()),
    "load_vaw": (formats.write_vaw, ()),
    "load_pedestrian": (formats.write_pa100k, ("pa100k",)),
}
each_loader = pytest.mark.parametrize("name", LOADERS)


def written(name, folder, rng):
    """Write the format of a loader into a folder; return what loads it."""
    write, arguments = LOADERS[name]
    write(folder, rng)
    load = getattr(datasets, name)
    return lambda **options: load(folder, *arguments, **options)


def test_every_loader_is_here():
    """Every loader of a folder is in these tests."""
    loaders = {name for name in datasets.__all__ if name.startswith("load_")}
    assert loaders == {*LOADERS, "load_attribute_table", "load_image_folder"}


@each_loader
def test_the_bunch(tmp_path, rng, name):
    """Rows of data and target belong together and have the promised types."""
    found = written(name, tmp_path, rng)()
    assert isinstance(found, Bunch)
    assert len(found.data) == len(found.target) > 0
    pd.testing.assert_index_equal(found.data.index, pd.RangeIndex(len(found.data)))
    pd.testing.assert_index_equal(found.target.index, found.data.index)
    assert set(found.target.dtypes) == {pd.BooleanDtype()}
    assert found.attribute_kinds == dict.fromkeys(found.target, "binary")
    text = found.data[["path", *found.data.columns.intersection(["category", "group", "split"])]]
    assert all(isinstance(cell, str) for cell in text.to_numpy().ravel())
    for part in ("Source: ", "Citation: ", "License: ", "Layout: ", "Counts of this load"):
        assert f"\n{part}" in found.DESCR
    assert re.search(rf"\nrows +{len(found.data)}\n", found.DESCR)


@each_loader
def test_return_X_y(tmp_path, rng, name):
    """The pair is the Bunch's data and target."""
    load = written(name, tmp_path, rng)
    bunch, (data, target) = load(), load(return_X_y=True)
    pd.testing.assert_frame_equal(data, bunch.data)
    pd.testing.assert_frame_equal(target, bunch.target)


@each_loader
def test_existing_only(tmp_path, rng, name):
    """Rows whose image exists are kept in order; it is an error if none exists."""
    load = written(name, tmp_path, rng)
    whole = load()
    with pytest.raises(FileNotFoundError, match=r"existing_only=True leaves no row.*Layout: "):
        load(existing_only=True)
    for path in whole.data["path"][[1, 3]]:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    some = load(existing_only=True)
    keep = whole.data["path"].isin(whole.data["path"][[1, 3]])
    pd.testing.assert_frame_equal(some.data, whole.data[keep].reset_index(drop=True))
    pd.testing.assert_frame_equal(some.target, whole.target[keep].reset_index(drop=True))


@each_loader
def test_a_missing_folder(tmp_path, name):
    """The error names the missing file, the layout and the source."""
    load, arguments = getattr(datasets, name), LOADERS[name][1]
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere.* Layout: .* Source: http"):
        load(tmp_path / "nowhere", *arguments)
    with pytest.raises(FileNotFoundError, match=r"no file '[^']+' in "):
        load(tmp_path, *arguments)
    for folder in (5, None):
        with pytest.raises(TypeError, match="folder must be a str or a path-like object"):
            load(folder, *arguments)


@each_loader
def test_bad_options(tmp_path, rng, name):
    """The error for an option of a wrong type names the valid values."""
    load = written(name, tmp_path, rng)
    for option in ("existing_only", "return_X_y"):
        with pytest.raises(ValueError, match=rf"{option} must be one of \[True, False\], got 'no'"):
            load(**{option: "no"})
    if name not in ("load_apascal", "load_chexpert"):
        with pytest.raises(TypeError, match="images must be a str or a path-like object, got 5"):
            load(images=5)
    if name != "load_maad_face":
        with pytest.raises(ValueError, match=r"subset must be one of \[None, 'train', .*'tset'"):
            load(subset="tset")


@each_loader
def test_a_relative_folder_gives_relative_paths(tmp_path, rng, name, monkeypatch):
    """Paths are joined to the folder as it was given."""
    written(name, tmp_path / "here", rng)
    monkeypatch.chdir(tmp_path)
    data = getattr(datasets, name)("here", *LOADERS[name][1]).data
    assert data["path"].str.startswith("here").all()


@each_loader
def test_every_text_file_may_come_from_windows(tmp_path, rng, name):
    """Byte order marks and CRLF line ends in all files do not change the result."""
    load = written(name, tmp_path, rng)
    before = load()
    for file in tmp_path.rglob("*"):
        if file.suffix in (".txt", ".csv", ".json"):
            content = file.read_bytes().replace(b"\n", b"\r\n")
            file.write_bytes(b"\xef\xbb\xbf" + content)
    after = load()
    pd.testing.assert_frame_equal(after.data, before.data)
    pd.testing.assert_frame_equal(after.target, before.target)


@settings(deadline=None)
@given(
    st.integers(1, 6).flatmap(
        lambda k: st.lists(st.lists(st.sampled_from([-1, 0, 1]), min_size=k, max_size=k))
    )
)
def test_counts_and_table_by_hand(rows):
    """The table has the codes' labels, and the counts are those of a loop over all cells."""
    k = len(rows[0]) if rows else 2
    codes = np.array(rows, dtype=np.int8).reshape(len(rows), k)
    names = [f"a{j}" for j in range(k)]
    table = boolean_table(codes, names)
    if rows and k:
        pd.testing.assert_frame_equal(table, formats.table_of(codes, names))
    lines = dict(re.split(r"  +", line) for line in describe_counts(table).splitlines()[1:])
    cells = [cell for row in rows for cell in row]
    assert lines["known cells"] == str(sum(cell >= 0 for cell in cells))
    assert float(lines["missing share"]) == pytest.approx(
        sum(cell < 0 for cell in cells) / max(len(cells), 1) if cells else 0, abs=1e-4
    )
    if k:
        assert lines["positive cells"] == str(sum(cell == 1 for cell in cells))
        assert lines["rows without a positive"] == str(sum(1 not in row for row in rows))
        missing = sum(all(row[j] != 1 for row in rows) for j in range(k))
        assert lines["binary attributes without a positive"] == str(missing)


@given(st.lists(st.tuples(*[st.integers(-3, 3)] * 4), min_size=1, max_size=9))
def test_empty_boxes_by_hand(boxes):
    """A box is empty where its right edge is not above its left, or its bottom its top."""
    expected = [i for i, (a, b, c, d) in enumerate(boxes) if c <= a or d <= b]
    assert find_empty_boxes(np.array(boxes), lambda row: row) == expected
