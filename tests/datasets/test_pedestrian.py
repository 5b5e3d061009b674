"""Loader of PETA, PA-100K and RAP, on written files.

The published readers of these files index what scipy's loadmat returns; the tests do it their way.
"""

import os

import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat, savemat

from skattr.datasets import load_pedestrian
from skattr.exceptions import DatasetFormatError
from tests.datasets import formats
from tests.datasets.formats import table_of

WRITERS = {
    "peta": formats.write_peta,
    "pa100k": formats.write_pa100k,
    "rap": formats.write_rap,
    "rap2": formats.write_rap2,
}
FILES = {
    "peta": "PETA.mat",
    "pa100k": "annotation.mat",
    "rap": "RAP_annotation/RAP_annotation.mat",
    "rap2": "RAP_annotation/RAP_annotation.mat",
}


def change(folder, dataset, **changes):
    """Replace variables of a file, or fields of its structure; None takes them away."""
    path = folder / FILES[dataset]
    mat = {name: value for name, value in loadmat(path).items() if name[0] != "_"}
    inner = mat
    if dataset != "pa100k":
        (name,) = mat
        inner = {field: mat[name][0, 0][field] for field in mat[name].dtype.names}
        mat = {name: inner}
    for field, value in changes.items():
        if value is None:
            del inner[field]
        else:
            inner[field] = value
    savemat(path, mat)


@pytest.mark.parametrize("dataset", WRITERS)
def test_labels_are_those_of_the_file(tmp_path, rng, dataset):
    """The evaluated attributes have the labels that were written; 2 is missing."""
    written = WRITERS[dataset](tmp_path, rng)
    people = load_pedestrian(tmp_path, dataset)
    names = {
        "peta": [f"attribute{k}" for k in range(35)],
        "pa100k": ["Female", "AgeOver60", "Skirt&Dress"],
        "rap": ["Female", "AgeLess16", "Hat"],
        "rap2": ["a1", "a4", "a0"],
    }[dataset]
    codes = written[0] if isinstance(written, tuple) else written
    codes = np.choose(np.asarray(codes, dtype=int)[:, : len(names)], [0, 1, -1])
    pd.testing.assert_frame_equal(people.target, table_of(codes, names))


@pytest.mark.parametrize("partition", range(5))
def test_peta_as_its_readers_have_it(tmp_path, rng, partition):
    """Names, labels, images and parts are those of format_peta.py's indexing."""
    formats.write_peta(tmp_path, rng)
    people = load_pedestrian(tmp_path, "peta", partition=partition)
    peta = loadmat(tmp_path / "PETA.mat")["peta"]
    assert list(people.target) == [row[0][0] for row in peta[0][0][1]][:35]
    np.testing.assert_array_equal(people.target.astype(float), peta[0][0][0][:, 4:][:, :35])
    assert people.data["path"][8] == os.path.join(str(tmp_path), "images", "00009.png")
    for place, part in enumerate(("train", "val", "test")):
        rows = peta[0][0][3][partition][0][0][0][place][:, 0] - 1
        np.testing.assert_array_equal(
            np.flatnonzero(people.data["split"] == part), np.sort(rows), strict=True
        )


@pytest.mark.parametrize("partition", range(5))
def test_rap_as_its_readers_have_it(tmp_path, rng, partition):
    """Names, images and parts are those of format_rap.py's indexing; tracks are groups."""
    formats.write_rap(tmp_path, rng)
    people = load_pedestrian(tmp_path, "rap", partition=partition)
    rap = loadmat(tmp_path / FILES["rap"])["RAP_annotation"]
    images = [rap[0][0][5][i][0][0] for i in range(10)]
    assert people.data["path"].tolist() == [
        os.path.join(str(tmp_path), "RAP_dataset", image) for image in images
    ]
    assert list(people.target) == [rap[0][0][6][i][0][0] for i in range(3)]
    for place, part in enumerate(("train", "test")):
        rows = rap[0][0][0][partition][0][0][0][place][0, :] - 1
        np.testing.assert_array_equal(np.flatnonzero(people.data["split"] == part), np.sort(rows))
    assert people.data.groupby("group").size().tolist() == [2] * 5
    assert people.data["group"][3].endswith("-20140215162620_tarid1")


@pytest.mark.parametrize("partition", range(5))
def test_rap2_as_its_readers_have_it(tmp_path, rng, partition):
    """Names, images and parts are those of format_rap2.py's indexing."""
    formats.write_rap2(tmp_path, rng)
    people = load_pedestrian(tmp_path, "rap2", partition=partition, images="crops")
    data = loadmat(tmp_path / FILES["rap2"])["RAP_annotation"]
    image = data["name"][0][0][4][0][0]
    assert people.data["path"][4] == os.path.join(str(tmp_path), "crops", image)
    chosen = data["selected_attribute"][0][0][0] - 1
    assert list(people.target) == [data["attribute"][0][0][k][0][0] for k in chosen]
    for part in ("train", "val", "test"):
        cells = data["partition_attribute"][0][0][0]
        rows = cells[partition][f"{part}_index"][0][0][0] - 1
        np.testing.assert_array_equal(np.flatnonzero(people.data["split"] == part), np.sort(rows))


def test_pa100k_as_its_readers_have_it(tmp_path, rng):
    """Names, images, labels and parts are those of format_pa100k.py's indexing."""
    formats.write_pa100k(tmp_path, rng)
    people = load_pedestrian(tmp_path, "pa100k")
    mat = loadmat(tmp_path / "annotation.mat")
    assert list(people.target) == [mat["attributes"][i][0][0] for i in range(3)]
    rows = 0
    for part in ("train", "val", "test"):
        some = load_pedestrian(tmp_path, "pa100k", part)
        for i in range(len(some.data)):
            image = mat[f"{part}_images_name"][i][0][0]
            assert some.data["path"][i] == os.path.join(str(tmp_path), "data", image)
        np.testing.assert_array_equal(some.target.astype(int), mat[f"{part}_label"])
        rows += len(some.data)
    assert rows == len(people.data)


def test_names_without_a_track_are_groups_of_their_own(tmp_path, rng):
    """An image of RAP without a frame number has a group of its own."""
    formats.write_rap(tmp_path, rng)
    names = formats.rap_names(10)
    names[0] = "odd.png"
    change(tmp_path, "rap", imagesname=formats.cell(names))
    assert load_pedestrian(tmp_path, "rap").data["group"][0] == "odd.png"


@pytest.mark.parametrize(
    ("dataset", "changes", "message"),
    [
        ("pa100k", {"attributes": None}, "expected 'attributes', but there are only"),
        (
            "pa100k",
            {"val_label": np.zeros((4, 3))},
            r"val_label has shape \(4, 3\); expected \(3, 3\)",
        ),
        ("pa100k", {"val_label": np.zeros((3, 2))}, r"val_label has shape \(3, 2\)"),
        ("pa100k", {"val_label": np.full((3, 3), 2)}, "row 7: attribute 'Female' is 2"),
        (
            "pa100k",
            {"test_images_name": formats.cell(["1.jpg"] * 2)},
            "row 11: the image '1.jpg'",
        ),
        (
            "pa100k",
            {"attributes": formats.cell(["a", "b", "a"])},
            "names of attributes are not distinct",
        ),
        ("peta", {"data": np.zeros((12, 44)) + 0.5}, "must be a matrix of whole numbers"),
        (
            "peta",
            {"data": np.zeros((12, 43))},
            r"has shape \(12, 43\); expected \(12, 44\)",
        ),
        ("peta", {"data": np.full((12, 44), 2)}, "row 1: attribute 'attribute0' is 2"),
        ("rap2", {"selected_attribute": np.array([[0, 1]])}, "must be numbers from 1 to 8"),
        ("rap2", {"selected_attribute": np.array([[1, 9]])}, "must be numbers from 1 to 8"),
        ("rap2", {"selected_attribute": np.array([[1, 7]])}, "row 1: attribute 'a6' is [0-9]{3}"),
        ("rap2", {"name": None}, "expected 'name', but there are only"),
    ],
)
def test_faults_are_named(tmp_path, rng, dataset, changes, message):
    """The error for each fault names the file and says what was expected."""
    WRITERS[dataset](tmp_path, rng)
    change(tmp_path, dataset, **changes)
    with pytest.raises(DatasetFormatError, match=rf"\.mat.*{message}"):
        load_pedestrian(tmp_path, dataset)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([1, 2], [2, 3], "a row is in two parts of partition 0, or twice in one"),
        ([1, 1], [2, 3], "or twice in one"),
        ([1, 2], [4], "test of partition 0 must be row numbers from 1 to 3"),
        ([0, 2], [3], "train of partition 0 must be row numbers from 1 to 3"),
        ([1], [3], "row 2: the image is in no part of partition 0"),
    ],
)
def test_a_partition_must_be_one(tmp_path, rng, train, test, message):
    """Each row must be in exactly one part."""
    formats.write_rap(tmp_path, rng, n=3)
    parts = {"train": np.array([train]), "test": np.array([test])}
    change(tmp_path, "rap", partion=formats.cell([parts] * 5))
    with pytest.raises(DatasetFormatError, match=message):
        load_pedestrian(tmp_path, "rap")


def test_rejects_the_other_version_of_rap(tmp_path, rng):
    """The error for the file of the other version names that version."""
    formats.write_rap2(tmp_path / "new", rng)
    formats.write_rap(tmp_path / "old", rng)
    with pytest.raises(DatasetFormatError, match="second version of RAP; use dataset='rap2'"):
        load_pedestrian(tmp_path / "new", "rap")
    with pytest.raises(DatasetFormatError, match="expected 'name', but there are only"):
        load_pedestrian(tmp_path / "old", "rap2")


@pytest.mark.parametrize("dataset", WRITERS)
def test_rejects_truncated_files(tmp_path, rng, dataset):
    """A file that is cut short is rejected."""
    WRITERS[dataset](tmp_path, rng)
    path = tmp_path / FILES[dataset]
    whole = path.read_bytes()
    for cut in np.linspace(0, len(whole) - 1, 25).astype(int):
        path.write_bytes(whole[:cut])
        with pytest.raises(DatasetFormatError, match=r"\.mat"):
            load_pedestrian(tmp_path, dataset)


def test_bad_parameters(tmp_path, rng):
    """The error for an invalid parameter names the valid values."""
    formats.write_rap(tmp_path, rng)
    for kwargs, message in [
        ({"dataset": "market"}, r"dataset must be one of \['peta', 'pa100k', 'rap', 'rap2'\]"),
        ({"dataset": "rap", "subset": "valid"}, r"subset must be one of \[None, 'train', 'val'"),
        ({"dataset": "rap", "subset": "val"}, r"has only \['test', 'train'\]"),
        ({"dataset": "rap", "partition": 5}, "partition must be an int from 0 to 4 for 'rap'"),
        ({"dataset": "pa100k", "partition": 1}, "from 0 to 0 for 'pa100k'"),
        ({"dataset": "rap", "partition": True}, "partition must be an int"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_pedestrian(tmp_path, **kwargs)
