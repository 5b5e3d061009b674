"""Tests of suspected label errors against a loop that follows the definition."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from skattr.inspection import suspected_label_errors
from skattr.model_selection import cross_val_predict_proba
from tests.inspection.conftest import corrupt_missing, make_table


def suspects_by_loop(codes, proba):
    """Return {row: class} by the definition of Northcutt, Jiang and Chuang."""
    n_classes = proba.shape[1]
    thresholds = [
        np.mean([p[k] for c, p in zip(codes, proba, strict=True) if c == k] or [np.inf])
        for k in range(n_classes)
    ]
    suspects = {}
    for row, (code, p) in enumerate(zip(codes, proba, strict=True)):
        confident = [k for k in range(n_classes) if p[k] >= thresholds[k]]
        if code >= 0 and confident:
            best = max(confident, key=lambda k: p[k])
            if best != code:
                suspects[row] = best
    return suspects


def test_suspects_equal_the_definition(mixed):
    """Binary and categorical attributes have the suspects that the definition gives."""
    y, proba = mixed
    suspects = suspected_label_errors(y, proba)
    hat = y["hat"].astype(float).fillna(-1).astype(int).to_numpy()
    color = pd.Categorical(y["color"], categories=["blue", "green", "red"]).codes
    for name, codes, part, labels in (
        ("hat", hat, proba[0], [False, True]),
        ("color", color, proba[1], ["blue", "green", "red"]),
    ):
        rows = suspects[suspects["attribute"] == name]
        expected = suspects_by_loop(codes, part)
        assert dict(zip(rows["row"], rows["predicted"], strict=True)) == {
            row: labels[k] for row, k in expected.items()
        }
        assert expected
        for _, row in rows.iterrows():
            p = part[row["row"]]
            assert row["given"] == y[name][row["row"]]
            assert row["probability"] == p[labels.index(row["predicted"])]
            assert row["given_probability"] == p[labels.index(row["given"])]
    assert (np.diff(suspects["margin"]) <= 0).all()


def test_missing_labels_are_not_suspected_and_have_no_influence():
    """Scores of missing labels do not change the result."""
    y, scores = make_table(3)
    suspects = suspected_label_errors(y, scores)
    pd.testing.assert_frame_equal(suspects, suspected_label_errors(y, corrupt_missing(y, scores)))
    for row, name in zip(suspects["row"], suspects["attribute"], strict=True):
        assert not np.isnan(y[name].iloc[row])


def test_flipped_labels_are_found():
    """Most of the flipped labels are suspects, and no other label is suspected."""
    clean = np.arange(400) % 2
    X = clean[:, None] + 0.3 * np.random.default_rng(1).normal(size=(400, 3))
    flipped = np.random.default_rng(0).choice(400, 12, replace=False)
    noisy = clean.copy()
    noisy[flipped] = 1 - noisy[flipped]
    proba = cross_val_predict_proba(LogisticRegression(), X, noisy)
    suspects = suspected_label_errors(noisy, proba)
    assert set(suspects["row"]) <= set(flipped.tolist())
    assert len(suspects) >= 8


@pytest.mark.parametrize("sort_by", ["given_probability", "probability"])
def test_other_orders(sort_by):
    """The least probable label, or the most probable other class, comes first."""
    y, scores = make_table(2)
    suspects = suspected_label_errors(y, scores, sort_by=sort_by)
    sign = 1 if sort_by == "given_probability" else -1
    assert (np.diff(sign * suspects[sort_by]) >= 0).all()


def test_index_is_that_of_y():
    """The result has the index of y, and the positions as a column."""
    y, scores = make_table(2)
    y.index = [f"image {i}" for i in range(len(y))]
    suspects = suspected_label_errors(y, scores, select=["attribute_1"])
    assert set(suspects["attribute"]) == {"attribute_1"}
    assert list(suspects.index) == [f"image {row}" for row in suspects["row"]]


def test_no_suspects_and_absent_classes():
    """An empty result has all columns; a class without labeled rows is never predicted."""
    suspects = suspected_label_errors([1, 0], [0.9, 0.1])
    assert len(suspects) == 0 and list(suspects)[:3] == ["row", "attribute", "given"]
    proba = [np.array([[0.1, 0.2, 0.7], [0.6, 0.1, 0.3], [0.3, 0.6, 0.1]])]
    y = pd.DataFrame({"color": ["a", "a", "b"]})
    declared = {"color": ("categorical", ["a", "b", "c"])}
    suspects = suspected_label_errors(y, proba, attributes=declared)
    assert len(suspects) == 0


def test_rejects_invalid_input():
    """Decisions instead of probabilities, unknown orders and unknown names are rejected."""
    with pytest.raises(ValueError, match="does not contain probabilities"):
        suspected_label_errors([1, 0], [3.0, -1.0])
    with pytest.raises(ValueError, match="`sort_by` must be one of"):
        suspected_label_errors([1, 0], [0.9, 0.1], sort_by="row")
    with pytest.raises(ValueError, match="`select` names 'hut'"):
        suspected_label_errors([1, 0], [0.9, 0.1], select="hut")
