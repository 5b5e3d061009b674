"""Loader of VAW, on written files."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skattr.datasets import load_vaw
from skattr.exceptions import DatasetFormatError, DatasetWarning
from skattr.metrics import vaw_metrics
from tests.datasets.formats import VAW_NAMES, table_of, vaw_object, write_vaw


@pytest.fixture
def folder(tmp_path, rng):
    """Return a folder of the format."""
    write_vaw(tmp_path, rng)
    return tmp_path


def test_unlisted_attributes_are_missing(tmp_path, rng):
    """Labels are those that were written, the columns in the order of their numbers."""
    labels = write_vaw(tmp_path, rng)
    objects = load_vaw(tmp_path)
    pd.testing.assert_frame_equal(objects.target, table_of(labels, VAW_NAMES))
    assert objects.data["split"].tolist() == ["train"] * 7 + ["val"] * 3 + ["test"] * 2


@pytest.mark.parametrize(("subset", "rows"), [("train", (0, 7)), ("val", (7, 10)), ("test", (10,))])
def test_a_subset_is_its_files(folder, subset, rows):
    """The training part is two files, the others are one."""
    whole, part = load_vaw(folder), load_vaw(folder, subset)
    for name in ("data", "target"):
        expected = whole[name].iloc[slice(*rows) if len(rows) > 1 else slice(10, None)]
        pd.testing.assert_frame_equal(part[name], expected.reset_index(drop=True))


def test_the_rows(folder):
    """Path and group are of the image, the category is the object's name."""
    objects = load_vaw(folder, images="VG")
    assert objects.data.loc[3].to_dict() == {
        "path": os.path.join(str(folder), "VG", "2373242.jpg"),
        "xmin": 10,
        "ymin": 0,
        "xmax": 30,
        "ymax": 30,
        "category": "cat",
        "group": "2373242",
        "split": "train",
    }
    assert objects.category_names == ["cat", "floor"]


def test_groups_serve_the_metric(folder):
    """attribute_groups is accepted by vaw_metrics; types need not have every attribute."""
    objects = load_vaw(folder)
    assert {name: len(group) for name, group in objects.attribute_groups.items()} == {
        "head": 1,
        "medium": 2,
        "tail": 2,
    }
    scores = objects.target.astype("float64").fillna(0.4)
    found = vaw_metrics(objects.target, scores, k=2, groups=objects.attribute_groups)
    assert found["mAP/tail"] == pytest.approx(1)
    assert objects.attribute_types == {"color": ["amber", "aqua", "gray"]}


def test_files_in_data_and_without_groups(folder):
    """Files may lie in the folder data, and those of groups and types may be missing."""
    flat = load_vaw(folder)
    (folder / "data").mkdir()
    for file in folder.glob("*.json"):
        file.rename(folder / "data" / file.name)
    (folder / "data" / "head_tail.json").unlink()
    (folder / "data" / "attribute_types.json").unlink()
    deep = load_vaw(folder)
    pd.testing.assert_frame_equal(deep.target, flat.target)
    assert deep.attribute_groups is deep.attribute_types is None


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(0, 500)] * 2, *[st.floats(0.01, 300)] * 2), min_size=1, max_size=5
    )
)
def test_edges_are_rounded_to_the_nearest_pixel(tmp_path_factory, values):
    """No edge moves by more than half a pixel, unless the box would vanish."""
    folder = tmp_path_factory.mktemp("vaw")
    write_vaw(folder, np.random.default_rng(0))
    objects = [vaw_object(90 + k, [], ["gray"], box) for k, box in enumerate(values)]
    (folder / "val.json").write_text(json.dumps(objects))
    found = load_vaw(folder, "val").data[["xmin", "ymin", "xmax", "ymax"]].to_numpy()
    exact = np.array([(x, y, x + width, y + height) for x, y, width, height in values])
    assert (found[:, 2:] > found[:, :2]).all()
    moved = np.abs(found - exact)
    assert (moved[:, :2] <= 0.5).all()
    assert ((moved[:, 2:] <= 0.5) | (found[:, 2:] == found[:, :2] + 1)).all()


def test_boxes_without_area_are_reported(folder):
    """A width of 0 stays 0, and one warning names the object."""
    (folder / "val.json").write_text(json.dumps([vaw_object(90, [], [], (3, 4, 0, 9))]))
    with pytest.warns(DatasetWarning, match=r"kept \(1\): .*val\.json, object 0 \(from 0\)"):
        data = load_vaw(folder, "val").data
    assert data.loc[0, ["xmin", "ymin", "xmax", "ymax"]].tolist() == [3, 4, 3, 13]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positive_attributes": ["gray"], "negative_attributes": ["gray"]}, "'gray' is both a"),
        ({"negative_attributes": ["blue"]}, "negative_attributes has 'blue', which is not in"),
        ({"positive_attributes": [["gray"]]}, r"positive_attributes has \['gray'\], which is not"),
        ({"positive_attributes": None}, "positive_attributes is missing or of a wrong type"),
        ({"positive_attributes": "gray"}, "positive_attributes is missing or of a wrong type"),
        ({"object_name": 3}, "object_name is missing or of a wrong type"),
        ({"instance_bbox": [1, 2, 3]}, r"instance_bbox is \[1, 2, 3\], but must be four numbers"),
        ({"instance_bbox": [1, 2, 3, None]}, ".* but must be four numbers"),
        (
            {"instance_bbox": [1, 2, 3, float("nan")]},
            ".* but must be four numbers .*, finite and below 1e9",
        ),
        (
            {"instance_bbox": [1, 2, 1e300, 1]},
            ".* but must be four numbers .*, finite and below 1e9",
        ),
        ({"instance_id": "2373241000"}, r"instance_id '2373241000' occurs twice, first in .*part1"),
    ],
)
def test_faults_of_an_object_are_named(folder, changes, message):
    """The error for each fault names file, object and field."""
    objects = [vaw_object(90, [], []), vaw_object(91, [], []) | changes]
    (folder / "train_part2.json").write_text(json.dumps(objects))
    with pytest.raises(DatasetFormatError, match=rf"part2\.json, object 1 \(from 0\): {message}"):
        load_vaw(folder)


def test_a_missing_field(folder):
    """The error names an object that lacks a field or is not a JSON object."""
    lacking = vaw_object(90, [], [])
    del lacking["image_id"]
    for content in ([lacking], ["object"]):
        (folder / "val.json").write_text(json.dumps(content))
        with pytest.raises(DatasetFormatError, match=r"object 0 .*: image_id is missing"):
            load_vaw(folder, "val")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("attribute_index.json", {"a": 0, "b": 2}, "numbers 0, 1, 2"),
        ("attribute_index.json", ["a"], "expected an object that maps attributes"),
        ("attribute_index.json", {}, "expected an object that maps attributes"),
        ("head_tail.json", {"head": ["gray", "blue"]}, "'blue' is not in attribute_index.json"),
        ("head_tail.json", {"head": ["gray"]}, "'amber' must be in exactly one group"),
        (
            "head_tail.json",
            {"head": VAW_NAMES, "tail": ["aqua"]},
            "'aqua' must be in exactly one group",
        ),
        ("attribute_types.json", ["color"], "expected an object of groups"),
        ("val.json", [], "expected a list of objects"),
        ("val.json", {}, "expected a list of objects"),
    ],
)
def test_faults_of_a_file_are_named(folder, file, content, message):
    """The error for each fault of the other files names the file."""
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(DatasetFormatError, match=f"{file}: .*{message}"):
        load_vaw(folder, "val")


def test_rejects_truncated_files(folder):
    """JSON that is cut short is rejected."""
    path = folder / "val.json"
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(DatasetFormatError, match=r"val\.json, line 1.*cut short"):
            load_vaw(folder, "val")
