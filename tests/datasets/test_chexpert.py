"""Loader of CheXpert, on written files."""

import os

import numpy as np
import pandas as pd
import pytest

from skattr.datasets import load_chexpert
from skattr.exceptions import DatasetFormatError
from tests.datasets.formats import CHEXPERT_HEADER, table_of, write_chexpert

NAMES = CHEXPERT_HEADER.split(",")[5:]


@pytest.mark.parametrize(("uncertain", "code"), [("unknown", -1), ("positive", 1), ("negative", 0)])
def test_policies_for_uncertain_labels(tmp_path, rng, uncertain, code):
    """-1.0 follows the policy; a blank is missing under all of them."""
    cells = write_chexpert(tmp_path, rng)
    chests = load_chexpert(tmp_path, uncertain=uncertain)
    coding = {"1.0": 1, "0.0": 0, "-1.0": code, "": -1}
    text = np.concatenate([cells["train"], cells["valid"]])
    codes = np.vectorize(coding.get)(text)
    pd.testing.assert_frame_equal(chests.target, table_of(codes, NAMES))


def test_uncertain_labels_are_missing_by_default(tmp_path, rng):
    """Under "unknown" the labels are those of pandas' reader with -1 masked."""
    write_chexpert(tmp_path, rng)
    frame = pd.read_csv(tmp_path / "train.csv")[NAMES].astype("Float64")
    theirs = frame.mask(frame == -1).astype("boolean")
    pd.testing.assert_frame_equal(load_chexpert(tmp_path, "train").target, theirs)


def test_other_columns_are_in_data(tmp_path, rng):
    """Sex, age and view are columns of data, and not attributes."""
    write_chexpert(tmp_path, rng)
    chests = load_chexpert(tmp_path)
    row = chests.data.loc[9].to_dict()
    assert row == {
        "path": os.path.join(str(tmp_path), "valid/patient00000/study1/view2_frontal.jpg"),
        "group": "patient00000",
        "split": "val",
        "Sex": "Female",
        "Age": 68,
        "Frontal/Lateral": "Frontal",
        "AP/PA": "AP",
    }
    assert pd.isna(chests.data.loc[0, "AP/PA"])
    assert list(chests.target) == NAMES
    assert len(load_chexpert(tmp_path, "val").data) == 3


def test_the_folder_may_bear_any_name(tmp_path, rng):
    """The archive's name at the beginning of Path may be missing or another."""
    write_chexpert(tmp_path, rng)
    whole = load_chexpert(tmp_path, "train").data
    path = tmp_path / "train.csv"
    text = path.read_text()
    for name in ("", "CheXpert-v1.0/"):
        path.write_text(text.replace("CheXpert-v1.0-small/", name))
        pd.testing.assert_frame_equal(load_chexpert(tmp_path, "train").data, whole)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Edema,Consolidation", "Consolidation,Edema", "line 1: expected the columns .* in this"),
        ("Path,", "", "line 1: expected the columns"),
        ("patient00000/study1/view2", "person/view2", "line 3: Path is .* but must be like"),
        ("train/patient00000/study1/view2", "valid/patient00000/study1/view2", "line 3: Path is"),
        ("view2_frontal.jpg,Female", "view1_frontal.jpg,Female", "line 3: the image .*line 2"),
        (",68,Frontal", ",old,Frontal", "line 3: Age is 'old', but must be a whole number"),
        (",Frontal,AP,", ",Frontal,AP,2.0", "line 3: attribute 'No Finding' is '2.0"),
        (",Frontal,AP,", ",Frontal,AP,,", "line 3: expected 19 fields, got 20"),
        ("Devices\n", "Devices,\n", "line 1: expected the columns .*, got .*Devices,'"),
        ("Path,Sex,Age", "Path;Sex;Age", "line 1: expected the columns .*, got 'Path;Sex;Age"),
    ],
)
def test_faults_are_named(tmp_path, rng, old, new, message):
    """The error for each fault names file and line, and says what was expected."""
    write_chexpert(tmp_path, rng)
    path = tmp_path / "train.csv"
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    with pytest.raises(DatasetFormatError, match=f"train.csv, {message}"):
        load_chexpert(tmp_path, "train")


def test_bad_policy(tmp_path):
    """An invalid policy is an error before a file is opened."""
    with pytest.raises(ValueError, match=r"uncertain must be one of \['unknown', 'positive'"):
        load_chexpert(tmp_path, uncertain="zeros")
