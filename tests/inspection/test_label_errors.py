"""Confident learning by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from skattr.inspection import suspected_label_errors
from skattr.model_selection import cross_val_predict_proba
from tests.inspection.conftest import make_table, poisoned


def by_hand(codes, proba):
    """Return {row: class} by the definition of Northcutt, Jiang and Chuang, with loops."""
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


def test_suspects_are_those_of_the_definition(mixed):
    """Thresholds are mean self-confidences over known rows, of binary and other attributes."""
    y, proba = mixed
    found = suspected_label_errors(y, proba)
    hat = y["hat"].astype(float).fillna(-1).astype(int).to_numpy()
    color = pd.Categorical(y["color"], categories=["blue", "green", "red"]).codes
    for name, codes, part, labels in (
        ("hat", hat, proba[0], [False, True]),
        ("color", color, proba[1], ["blue", "green", "red"]),
    ):
        rows = found[found["attribute"] == name]
        expected = by_hand(codes, part)
        assert dict(zip(rows["row"], rows["predicted"], strict=True)) == {
            row: labels[k] for row, k in expected.items()
        }
        assert expected
        for _, row in rows.iterrows():
            p = part[row["row"]]
            assert row["given"] == y[name][row["row"]]
            assert row["probability"] == p[labels.index(row["predicted"])]
            assert row["given_probability"] == p[labels.index(row["given"])]
    assert (np.diff(found["margin"]) <= 0).all()


def test_unknown_labels_are_no_suspects_and_do_not_count():
    """Scores of unknown entries may be anything."""
    y, scores = make_table(3)
    found = suspected_label_errors(y, scores)
    pd.testing.assert_frame_equal(found, suspected_label_errors(y, poisoned(y, scores)))
    for row, name in zip(found["row"], found["attribute"], strict=True):
        assert not np.isnan(y[name].iloc[row])


def test_flipped_labels_are_found():
    """Most of the labels that were flipped are found, and none that was not."""
    clean = np.arange(400) % 2
    X = clean[:, None] + 0.3 * np.random.default_rng(1).normal(size=(400, 3))
    flipped = np.random.default_rng(0).choice(400, 12, replace=False)
    noisy = clean.copy()
    noisy[flipped] = 1 - noisy[flipped]
    proba = cross_val_predict_proba(LogisticRegression(), X, noisy)
    found = suspected_label_errors(noisy, proba)
    assert set(found["row"]) <= set(flipped.tolist())
    assert len(found) >= 8


@pytest.mark.parametrize("sort_by", ["given_probability", "probability"])
def test_other_orders(sort_by):
    """The least probable label, or the most probable other one, comes first."""
    y, scores = make_table(2)
    found = suspected_label_errors(y, scores, sort_by=sort_by)
    sign = 1 if sort_by == "given_probability" else -1
    assert (np.diff(sign * found[sort_by]) >= 0).all()


def test_the_index_is_that_of_y():
    """Rows can be looked up in the table they come from; positions are beside them."""
    y, scores = make_table(2)
    y.index = [f"image {i}" for i in range(len(y))]
    found = suspected_label_errors(y, scores, select=["attribute_1"])
    assert set(found["attribute"]) == {"attribute_1"}
    assert list(found.index) == [f"image {row}" for row in found["row"]]


def test_no_suspects_and_absent_classes():
    """An empty table has its columns; a class nobody was given is never suspected."""
    found = suspected_label_errors([1, 0], [0.9, 0.1])
    assert len(found) == 0 and list(found)[:3] == ["row", "attribute", "given"]
    proba = [np.array([[0.1, 0.2, 0.7], [0.6, 0.1, 0.3], [0.3, 0.6, 0.1]])]
    y = pd.DataFrame({"color": ["a", "a", "b"]})
    found = suspected_label_errors(y, proba, attributes={"color": ("categorical", ["a", "b", "c"])})
    assert len(found) == 0


def test_bad_input_gets_a_sentence():
    """No probabilities, unknown names and orders."""
    with pytest.raises(ValueError, match="holds no probabilities"):
        suspected_label_errors([1, 0], [3.0, -1.0])
    with pytest.raises(ValueError, match="`sort_by` must be one of"):
        suspected_label_errors([1, 0], [0.9, 0.1], sort_by="row")
    with pytest.raises(ValueError, match="`select` names 'hut'"):
        suspected_label_errors([1, 0], [0.9, 0.1], select="hut")
