"""Tests of the splitter for official splits."""

import copy

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit, cross_validate

from skattr.model_selection import OfficialSplit

PARTS = ["train", "val", "test", None]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(PARTS), max_size=12),
    st.sampled_from(["train", ["train"], ["train", "val"], ("val",)]),
    st.sampled_from(["test", {"test"}]),
    st.sampled_from([list, pd.Series, np.array, lambda x: pd.Series(x, dtype="category")]),
)
def test_rows_are_those_of_the_parts(parts, train, test, kind):
    """The sets equal those of a loop over the rows; rows of other parts are in neither."""
    parts = [*parts, "train", "val", "test"]
    splits = list(OfficialSplit(kind(parts), train=train, test=test).split(parts))
    wanted = [[train] if isinstance(train, str) else train, ["test"]]
    assert len(splits) == 1
    for rows, names in zip(splits[0], wanted, strict=True):
        assert rows.tolist() == [i for i, part in enumerate(parts) if part in names]
        assert rows.dtype == np.intp


def test_two_parts_equal_predefined_split():
    """If every row is in one of two sets, scikit-learn's PredefinedSplit gives the same rows."""
    parts = np.array(["train", "test", "train", "test", "train"])
    split = next(OfficialSplit(parts).split(parts))
    expected = next(iter(PredefinedSplit(np.where(parts == "test", 0, -1)).split()))
    for rows, expected_rows in zip(split, expected, strict=True):
        np.testing.assert_array_equal(rows, expected_rows)


def test_works_in_cross_validate_and_grid_search(rng):
    """cross_validate and GridSearchCV train and test on the official rows."""
    X = rng.normal(size=(30, 2))
    y = (X[:, 0] > 0).astype(int)
    parts = np.repeat(["train", "val", "test"], 10)
    splitter = OfficialSplit(parts, train=["train", "val"])
    scores = cross_validate(LogisticRegression(), X, y, cv=splitter)["test_score"]
    expected = LogisticRegression().fit(X[:20], y[:20]).score(X[20:], y[20:])
    assert scores.tolist() == [expected]
    grid = GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=OfficialSplit(parts, test="val"))
    assert grid.fit(X, y).n_splits_ == 1
    assert grid.cv_results_["split0_test_score"][1] == LogisticRegression().fit(
        X[:10], y[:10]
    ).score(X[10:20], y[10:20])


def test_conventions():
    """Number of splits, repr, copies and metadata routing follow scikit-learn."""
    splitter = OfficialSplit(["train", "test"], test=["test"])
    assert splitter.get_n_splits() == splitter.get_n_splits(None, None, None) == 1
    assert repr(splitter) == (
        "OfficialSplit(split=array(['train', 'test'], dtype=object), train='train', test=['test'])"
    )
    assert repr(copy.deepcopy(splitter)) == repr(splitter)
    with sklearn.config_context(enable_metadata_routing=True):
        assert splitter.get_metadata_routing().split.requests.get("groups", False) is False
    with pytest.warns(UserWarning, match="groups parameter is ignored by OfficialSplit"):
        next(splitter.split([0, 1], groups=[0, 1]))


@pytest.mark.parametrize(
    ("parts", "options", "n", "message"),
    [
        (["train", "test"], {}, 3, "split has the parts of 2 rows, but X has 3 rows"),
        (["train", "val"], {}, 2, r"test='test' must name parts of split; valid are \['train', "),
        (["train", "test"], {"train": []}, 2, r"train=\[\] must name parts of split"),
        (["train", "test"], {"train": ["train", "vla"]}, 2, r"train=\['train', 'vla'\] must name"),
        ([0, 1], {"train": 0, "test": 2}, 2, r"test=2 must name parts of split; valid are \[0, 1"),
        (["train", "test"], {"train": ["train", "test"]}, 2, "must not share a part"),
        ([None, "train"], {"test": None}, 2, "test=None must name parts"),
    ],
)
def test_rejects_invalid_input(parts, options, n, message):
    """Differing lengths, unknown parts and parts in both sets are rejected."""
    with pytest.raises(ValueError, match=message):
        next(OfficialSplit(parts, **options).split(np.zeros(n)))


def test_rejects_two_columns():
    """Each row has exactly one part."""
    with pytest.raises(ValueError, match=r"split must be one-dimensional; got shape \(2, 1\)"):
        OfficialSplit([["train"], ["test"]])


def test_parts_can_be_numbers():
    """Parts need not be strings."""
    train, test = next(OfficialSplit(np.array([0, 1, 2, 0]), train=0, test=[1, 2]).split("abcd"))
    assert (train.tolist(), test.tolist()) == ([0, 3], [1, 2])
