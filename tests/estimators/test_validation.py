"""Rows that are held out of training: stratified, rare labels, groups."""

import warnings

import numpy as np
import pandas as pd
import pytest
from skorch.callbacks import Callback

from skattr import AttributeClassifier
from skattr._estimators.validation import _warn_lost, hold_out
from skattr._targets.encoder import AttributeEncoder
from skattr.exceptions import MissingLabelWarning


class KeepRows(Callback):
    """Stores the rows of both parts."""

    def on_epoch_begin(self, net, dataset_train, dataset_valid, **_):
        """Store them."""
        self.train, self.valid = dataset_train.indices, dataset_valid.indices


def parts(y, groups=None, share=0.2, seed=0, **params):
    """Return the rows that a fit trains on, and those it validates on."""
    X = np.random.default_rng(1).normal(size=(len(y), 2))
    keep = KeepRows()
    AttributeClassifier(
        max_epochs=1, validation_fraction=share, random_state=seed,
        net_params={"callbacks": [keep]}, **params,
    ).fit(X, y, groups=groups)  # fmt: skip
    assert sorted([*keep.train, *keep.valid]) == list(range(len(y)))
    return keep.train, keep.valid


def sparse_labels(rng, n=400, shares=(0.5, 0.2, 0.05, 0.02)):
    """Return binary labels of some prevalences, a third of them missing."""
    y = (rng.random((n, len(shares))) < shares).astype(float)
    y[rng.random(y.shape) < 1 / 3] = np.nan
    return y


@pytest.mark.parametrize("seed", range(5))
def test_both_parts_have_about_the_same_labels(rng, seed):
    """The share of each class among the held-out rows is that of all rows, to one row."""
    y = sparse_labels(rng)
    _, valid = parts(y, seed=seed)
    assert len(valid) == round(0.2 * (~np.isnan(y)).any(1).sum()) + round(
        0.2 * np.isnan(y).all(1).sum()
    )
    for column in y.T:
        for value in (0, 1):
            assert abs((column[valid] == value).sum() - 0.2 * (column == value).sum()) <= 1.5


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("n_known", [1, 2, 3])
@pytest.mark.parametrize("method", ["validation", "cross_fit"])
def test_rare_labels_stay_in_training(rng, seed, n_known, method):
    """A column with very few known labels is trained on; none is predicted as .5."""
    y = pd.DataFrame({"often": rng.integers(0, 2, 40), "rare": np.nan, "color": "red"})
    y.loc[rng.choice(40, n_known, replace=False), "rare"] = np.arange(n_known) % 2
    y.loc[7, "color"] = "blue"
    X = rng.normal(size=(40, 2))
    if method == "validation":
        train, _ = parts(y, share=0.5, seed=seed)
    else:
        classifier = AttributeClassifier(max_epochs=1, cross_fit=0.5, random_state=seed)
        train = np.flatnonzero(np.isnan(classifier.fit_transform(X, y)).all(1))
    trained = y.iloc[train]
    assert trained["rare"].nunique() == y["rare"].nunique()
    assert set(trained["color"]) == {"red", "blue"}


def test_labels_that_cannot_stay_are_named(rng):
    """Where every row has a label of its own, one warning names those that are lost."""
    y = pd.DataFrame(np.where(np.eye(4), 1.0, np.nan), columns=list("abcd"))
    with pytest.warns(MissingLabelWarning, match=r"held out of training have .* '[abcd]': 1") as w:
        train, valid = parts(y, share=0.25)
    assert len([one for one in w if "held out" in str(one.message)]) == 1
    [lost] = y.columns[y.iloc[valid].notna().any()]
    assert f"'{lost}': 1" in str(w[0].message)


@pytest.mark.parametrize("n_lost", [1, 5, 7])
def test_up_to_five_lost_labels_are_named(n_lost):
    """Those of further columns are counted."""
    codes = np.zeros((4, n_lost + 1), dtype=int)
    codes[[0, 2], :n_lost] = [[1] * n_lost, [-1] * n_lost]
    encoder = AttributeEncoder().fit(pd.DataFrame({f"a{j}": [0, 1] for j in range(n_lost + 1)}))
    with pytest.warns(MissingLabelWarning) as caught:
        _warn_lost(encoder, codes, np.array([True, False, False, True]))
    listed = ", ".join(f"'a{j}': 1" for j in range(min(n_lost, 5)))
    more = " and 2 more" if n_lost == 7 else ""
    assert f"the label(s) {listed}{more}, which are" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _warn_lost(encoder, codes, np.array([False, False, True, True]))


@pytest.mark.parametrize(("n", "share", "n_held"), [
    (1, 0.1, None), (2, 0.1, 1), (2, 0.7, 1), (2, 0.8, None), (3, 0.5, 2), (10, 0.04, 1),
    (10, 0.94, 9), (10, 0.96, None),
])  # fmt: skip
@pytest.mark.parametrize("is_grouped", [False, True])
def test_one_row_or_more_are_in_each_part(rng, n, share, n_held, is_grouped):
    """The rounded share, at least one; it is an error if none is left."""
    codes = np.array([1] * n + [-1] * 5)[:, np.newaxis]
    groups = np.arange(n + 5)[::-1] if is_grouped else None
    encoder = AttributeEncoder().fit([0, 1])
    if n_held is None:
        what = "group" if is_grouped else "row"
        with pytest.raises(ValueError, match=rf"{share} of {n} {what}\(s\) .* leaves none"):
            hold_out(codes, groups, share, rng, encoder)
    else:
        mask = hold_out(codes, groups, share, rng, encoder)
        assert mask[:n].sum() == n_held
        assert mask[n:].sum() == round(share * 5)


@pytest.mark.parametrize("share", [0.1, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_groups_are_kept_together(rng, share, seed):
    """No group is in both parts, the labels are balanced, and rare labels stay in training."""
    y = sparse_labels(rng, 600)
    groups = np.array([f"person {number}" for number in rng.integers(0, 80, 600)])
    y = np.column_stack([y, np.where(groups == "person 7", 1, np.nan)])
    train, valid = parts(y, groups, share, seed)
    assert not set(groups[train]) & set(groups[valid])
    assert "person 7" in groups[train]
    assert 0.5 * share < len(valid) / 600 < 1.7 * share
    for column in y.T[:3]:
        positives = (column == 1).sum()
        assert abs((column[valid] == 1).sum() - share * positives) <= 2 + 0.15 * positives


@pytest.mark.parametrize("cross_fit", [3, 0.3])
def test_cross_fit_keeps_groups_together(rng, cross_fit):
    """The rows of a group get their outputs from networks that have seen none of it."""
    X, y = rng.normal(size=(90, 2)), rng.integers(0, 2, (90, 2))
    groups = np.repeat(np.arange(30), 3)
    seen = []

    class Watch(Callback):
        def on_train_begin(self, net, X, **_):
            seen.append(np.unique(X.rows.array[X.indices][:, 0]))

    classifier = AttributeClassifier(
        max_epochs=1, cross_fit=cross_fit, random_state=0, net_params={"callbacks": [Watch]}
    )
    values = classifier.fit_transform(X, y, groups=groups)
    for rows in seen[: 3 if cross_fit == 3 else 1]:
        trained = np.isin(X[:, 0], rows)
        assert not set(groups[trained]) & set(groups[~trained])
        assert 0 < trained.sum() < 90
    assert np.isnan(values).any() == (cross_fit == 0.3)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a"] * 20, r"0.2 of 1 group\(s\) with a label leaves none"),
        ([0] * 19, r"groups has shape \(19,\); expected one value for each of the 20 row"),
        (["a", None] * 10, "groups is missing in row 1"),
    ],
)
def test_rejects_groups(groups, message):
    """The error says what is wrong with the groups."""
    with pytest.raises(ValueError, match=message):
        parts(np.arange(20) % 2, groups)


def test_rows_without_labels_go_with_their_group(rng):
    """They are divided too, and never apart from a labelled row of their group."""
    codes = np.where(rng.random((200, 1)) < 0.5, rng.integers(0, 2, (200, 1)), -1)
    groups = rng.integers(0, 100, 200)
    encoder = AttributeEncoder().fit([0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mask = hold_out(codes, groups, 0.25, rng, encoder)
    assert not set(groups[mask]) & set(groups[~mask])
    unlabelled = [group for group in set(groups) if (codes[groups == group] < 0).all()]
    assert np.isin(groups[mask], unlabelled).sum() > 0
