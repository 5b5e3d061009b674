"""Responses of classifiers, of every shape, in the common format."""

import numpy as np
import pandas as pd
import pytest

from skattr import AttributeEncoder
from skattr._multioutput.scores import (
    align_scores,
    apply_thresholds,
    as_predict_proba,
    exact_match,
    is_binary,
)

Y = pd.DataFrame({"hat": [True, False, True], "color": ["r", "g", "b"], "beard": [0, 1, 0]})
PARTS = [
    np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]),
    np.array([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]]),
    np.array([[0.3, 0.7], [0.5, 0.5], [1.0, 0.0]]),
]


@pytest.fixture
def encoder():
    """Return the encoder of the table."""
    return AttributeEncoder().fit(Y)


def test_a_list_of_probabilities(encoder):
    """Positive columns are in a matrix, other outputs are unchanged; and back again."""
    scores = align_scores(PARTS, True, encoder)
    np.testing.assert_array_equal(scores.binary, np.stack([PARTS[0][:, 1], PARTS[2][:, 1]], 1))
    np.testing.assert_array_equal(scores.others[0], PARTS[1])
    for ours, part in zip(as_predict_proba(scores, encoder), PARTS, strict=True):
        np.testing.assert_allclose(ours, part)
    assert is_binary(encoder).tolist() == [True, False, True]


def test_columns_of_other_orders_and_absent_classes(encoder):
    """Columns are matched by class; a class without a column has probability 0."""
    classes = [np.array([True, False]), np.array(["g", "r"]), np.array([0])]
    parts = [PARTS[0][:, ::-1], PARTS[1][:, :2], np.ones((3, 1))]
    scores = align_scores(parts, True, encoder, classes)
    np.testing.assert_array_equal(scores.binary[:, 0], PARTS[0][:, 1])
    np.testing.assert_array_equal(scores.binary[:, 1], [0, 0, 0])
    expected = np.column_stack([np.zeros(3), PARTS[1][:, 0], PARTS[1][:, 1]])
    np.testing.assert_array_equal(scores.others[0], expected)


def test_a_matrix_of_positives():
    """A matrix has one column per output; two columns of decisions become their difference."""
    encoder = AttributeEncoder().fit(np.array([[0, 1], [1, 0]]))
    matrix = np.array([[0.1, 0.9], [0.6, 0.3]])
    np.testing.assert_array_equal(align_scores(matrix, True, encoder).binary, matrix)
    decisions = align_scores(
        [np.array([1.0, -2.0]), np.array([[1.0, 3.0], [0.0, -1.0]])], False, encoder
    )
    np.testing.assert_array_equal(decisions.binary, [[1.0, 2.0], [-2.0, -1.0]])


def test_codes_from_thresholds(encoder):
    """A label is positive at or above its threshold; a class has the highest score."""
    codes = apply_thresholds(
        align_scores(PARTS, True, encoder), np.array([0.6, np.nan, 0.5]), encoder
    )
    np.testing.assert_array_equal(codes, [[0, 2, 1], [1, 1, 1], [1, 0, 0]])


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (PARTS[:2], "have 2 outputs, but y has 3"),
        ([PARTS[0], PARTS[0], PARTS[2]], "output 'color' have shape"),
        (np.zeros((3, 2)), "for 3 outputs they must be a list of 3 arrays"),
        (np.zeros((3, 2, 3)), "for 3 outputs they must be a list of 3 arrays"),
    ],
)
def test_rejects_other_shapes(encoder, response, message):
    """The error names the shape and what is valid."""
    with pytest.raises(ValueError, match=message):
        align_scores(response, True, encoder)


def test_exact_match():
    """Rows without a known label are ignored; the others are weighted."""
    codes = np.array([[0, 1], [1, -1], [-1, -1], [1, 1]])
    predicted = np.array([[0, 1], [1, 0], [0, 0], [1, 0]])
    assert exact_match(codes, predicted) == pytest.approx(2 / 3)
    assert exact_match(codes, predicted, [1, 1, 9, 2]) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="None of its labels is known"):
        exact_match(codes[2:3], predicted[2:3])
