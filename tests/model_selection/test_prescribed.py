"""The prescribed split as a splitter."""

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
    """The sets are what a loop over the rows gives; rows of other parts are in neither."""
    parts = [*parts, "train", "val", "test"]
    splits = list(OfficialSplit(kind(parts), train=train, test=test).split(parts))
    wanted = [[train] if isinstance(train, str) else train, ["test"]]
    assert len(splits) == 1
    for rows, names in zip(splits[0], wanted, strict=True):
        assert rows.tolist() == [i for i, part in enumerate(parts) if part in names]
        assert rows.dtype == np.intp


def test_two_parts_are_a_predefined_split():
    """Where every row is in one of two sets, scikit-learn's splitter gives the same."""
    parts = np.array(["train", "test", "train", "test", "train"])
    mine = next(OfficialSplit(parts).split(parts))
    theirs = next(iter(PredefinedSplit(np.where(parts == "test", 0, -1)).split()))
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_serves_the_tools_of_scikit_learn(rng):
    """cross_validate and a grid search train and test on the prescribed rows."""
    X = rng.normal(size=(30, 2))
    y = (X[:, 0] > 0).astype(int)
    parts = np.repeat(["train", "val", "test"], 10)
    splitter = OfficialSplit(parts, train=["train", "val"])
    found = cross_validate(LogisticRegression(), X, y, cv=splitter)["test_score"]
    expected = LogisticRegression().fit(X[:20], y[:20]).score(X[20:], y[20:])
    assert found.tolist() == [expected]
    grid = GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=OfficialSplit(parts, test="val"))
    assert grid.fit(X, y).n_splits_ == 1
    assert grid.cv_results_["split0_test_score"][1] == LogisticRegression().fit(
        X[:10], y[:10]
    ).score(X[10:20], y[10:20])


def test_conventions():
    """Number of splits, representation, copies and routing are as for any splitter."""
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
        (["train", "test"], {}, 3, "split tells the parts of 2 rows, but X has 3"),
        (["train", "val"], {}, 2, r"test='test' must name parts of split, which are \['train', "),
        (["train", "test"], {"train": []}, 2, r"train=\[\] must name parts of split"),
        (["train", "test"], {"train": ["train", "vla"]}, 2, r"train=\['train', 'vla'\] must name"),
        ([0, 1], {"train": 0, "test": 2}, 2, r"test=2 must name parts of split, which are \[0, 1"),
        (["train", "test"], {"train": ["train", "test"]}, 2, "must have no part in common"),
        ([None, "train"], {"test": None}, 2, "test=None must name parts"),
    ],
)
def test_bad_input(parts, options, n, message):
    """Lengths that disagree, names that are not there and parts in both sets are refused."""
    with pytest.raises(ValueError, match=message):
        next(OfficialSplit(parts, **options).split(np.zeros(n)))


def test_a_split_of_two_columns():
    """The part of a row is one value."""
    with pytest.raises(ValueError, match=r"split must be one-dimensional, got the shape \(2, 1\)"):
        OfficialSplit([["train"], ["test"]])


def test_numbers_may_name_parts():
    """Parts need not be text."""
    train, test = next(OfficialSplit(np.array([0, 1, 2, 0]), train=0, test=[1, 2]).split("abcd"))
    assert (train.tolist(), test.tolist()) == ([0, 3], [1, 2])
