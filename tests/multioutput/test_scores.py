"""Responses of classifiers, of every shape, in the common format."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeClassifier

from skattr import AttributeEncoder, TunedThresholdMultiOutputCV
from skattr._multioutput.scores import (
    align_scores,
    apply_thresholds,
    as_predict_proba,
    check_no_nan,
    exact_match,
    get_response,
    is_binary,
    looks_like_proba,
    read_response,
    read_scores,
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_one_column_for_two_classes(dtype):
    """The column is that of the second class, which may be the negative one of the encoder."""
    levels = {"size": ("ordinal", ["s", "l"])}
    y = pd.DataFrame({"hat": [0, 1], "size": ["s", "l"]})
    encoder = AttributeEncoder(levels).fit(y)
    column = np.array([0, 1, 1], dtype=dtype)
    for is_proba, other in ((True, 1 - column), (False, -column)):
        for order in (slice(None), slice(None, None, -1)):
            classes = [labels[order] for labels in encoder.classes_]
            scores = align_scores([column, column[:, np.newaxis]], is_proba, encoder, classes)
            is_swapped = order.step == -1
            np.testing.assert_array_equal(scores.binary[:, 0], other if is_swapped else column)
            both = [column, other] if is_swapped else [other, column]
            np.testing.assert_array_equal(scores.others[0], np.stack(both, axis=1))
            codes = apply_thresholds(scores, np.array([0.5, np.nan]), encoder)
            np.testing.assert_array_equal(codes[:, 1], scores.others[0][:, 1] > 0)
            wanted = np.float32 if dtype == np.float32 else np.float64
            assert scores.binary.dtype == scores.others[0].dtype == wanted
    binary = AttributeEncoder().fit(np.array([[0, 1], [1, 0]]))
    matrix = np.stack([column, column], axis=1)
    assert align_scores(matrix, True, binary).binary.dtype == wanted
    swapped = align_scores(matrix, True, binary, [np.array([0, 1]), np.array([1, 0])])
    np.testing.assert_array_equal(swapped.binary, np.stack([column, 1 - column], axis=1))


def test_decisions_of_absent_and_exchanged_classes(encoder):
    """A class without a column has no finite decision; a row of NaN stays one."""
    classes = [np.array([True, False]), np.array(["g", "r"]), np.array([1])]
    parts = [PARTS[0], PARTS[1][:, :2].copy(), np.ones((3, 1))]
    parts[1][1] = np.nan
    parts[1][2, 0] = np.nan
    scores = align_scores(parts, False, encoder, classes)
    np.testing.assert_array_equal(scores.binary[:, 0], PARTS[0][:, 0] - PARTS[0][:, 1])
    np.testing.assert_array_equal(scores.binary[:, 1], [1, 1, 1])
    expected = [[-np.inf, 0.2, 0.3], [np.nan] * 3, [-np.inf, np.nan, 0.2]]
    np.testing.assert_array_equal(scores.others[0], expected)


def test_decisions_of_two_ordinal_levels(rng):
    """The one column of decisions is that of the higher level."""
    X = rng.normal(size=(60, 2))
    size = np.where(X[:, 0] > 0, "big", "small")
    y = pd.Series(pd.Categorical(size, ["small", "big"], ordered=True))
    model = TunedThresholdMultiOutputCV(RidgeClassifier()).fit(X, y)
    assert np.mean(model.predict(X) == size) > 0.9


class Lacking:
    """A meta-estimator whose part has no probabilities."""

    def predict_proba(self, X):
        """Fail as a part without the method does."""
        raise AttributeError("the part has no predict_proba")

    def decision_function(self, X):
        """Return decisions."""
        return [2.0] * len(X)


def test_response_of_a_classifier():
    """Decisions stand in for probabilities that a part lacks, unless these are asked for."""
    assert get_response(Lacking(), [0]) == ([2.0], False)
    assert get_response(Lacking(), [0], "decision_function") == ([2.0], False)
    with pytest.raises(AttributeError, match="the part has no predict_proba"):
        get_response(Lacking(), [0], "predict_proba")
    with pytest.raises(AttributeError, match="none of .*: predict_proba, decision_function"):
        get_response(object(), [0])


def test_probabilities_are_recognized():
    """They lie in [0, 1] but for rounding; NaN has no effect."""
    for scores, expected in (
        ([0.0, 1.0], True),
        ([-5e-7, 1 + 5e-7], True),
        ([np.nan, 0.5], True),
        ([np.nan, 1.1], False),
        ([0.5, 1 + 2e-6], False),
        ([-2e-6, 0.5], False),
        ([], True),
    ):
        assert looks_like_proba(np.array(scores)) is expected


def test_scores_from_outside():
    """Numbers become floats, and missing ones NaN; float32 and float64 are not copied."""
    for dtype in (np.float32, np.float64):
        array = np.zeros((2, 2), dtype=dtype)
        assert read_scores(array) is array
    for values in ([[1, None]], [[1, pd.NA]], pd.DataFrame([[1, pd.NA]], dtype="Int64")):
        found = read_scores(values)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, [[1, np.nan]])
    for values in ([["a"]], np.array([["0.5", 1]], dtype=object), [1j]):
        with pytest.raises(ValueError, match="y_score must hold numbers"):
            read_scores(values)
    assert isinstance(read_response([[0.1, 0.2], [0.3, 0.4]]), np.ndarray)
    assert isinstance(read_response([np.zeros(2), np.zeros(2)]), list)
    assert isinstance(read_response(([[0.1], [0.2]], [[0.1], [0.2]])), list)
    assert isinstance(read_response([np.float64(1), np.float64(2)]), np.ndarray)


def test_first_row_with_a_nan(encoder):
    """It is named, unless it is among those that may have one."""
    scores = align_scores([part.copy() for part in PARTS], True, encoder)
    check_no_nan(scores, "The score")
    scores.others[0][2, 1] = np.nan
    scores.binary[1, 0] = np.nan
    with pytest.raises(ValueError, match=r"^The score of row 1 is NaN\.$"):
        check_no_nan(scores, "The score")
    with pytest.raises(ValueError, match="row 2 is NaN"):
        check_no_nan(scores, "The score", np.array([True, True, False]))
    check_no_nan(scores, "The score", np.array([False, True, True]))


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
    predicted[3] = -1  # an unreadable row
    assert exact_match(codes, predicted) == 1
    predicted[0] = -1, 1
    assert exact_match(codes, predicted, [3, 1, 9, 9]) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="None of its labels is known"):
        exact_match(codes[2:3], predicted[2:3])
