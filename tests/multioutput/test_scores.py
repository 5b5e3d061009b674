"""Every shape of a classifier's answer, in one form."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skattr import AttributeClassifier, AttributeEncoder, ImageReading, TunedThresholdMultiOutputCV
from skattr._multioutput.classes import classes_per_output, encoder_for, missing_label_of
from skattr._multioutput.scores import (
    align_scores,
    apply_thresholds,
    as_predict_proba,
    exact_match,
    is_binary,
)
from skattr._multioutput.unreadable import unpredicted_rows
from skattr.exceptions import UnseenLabelError

Y = pd.DataFrame({"hat": [True, False, True], "color": ["r", "g", "b"], "beard": [0, 1, 0]})
PARTS = [
    np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]),
    np.array([[0.2, 0.3, 0.5], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]]),
    np.array([[0.3, 0.7], [0.5, 0.5], [1.0, 0.0]]),
]


class Fitted:
    """A classifier of which only classes_ matter."""

    def __init__(self, classes):
        self.classes_ = classes


@pytest.fixture
def encoder():
    """Return the encoder of the table."""
    return AttributeEncoder().fit(Y)


def test_a_list_of_probabilities(encoder):
    """Positive columns of binary outputs in a matrix, the others whole; and back again."""
    scores = align_scores(PARTS, True, encoder)
    np.testing.assert_array_equal(scores.binary, np.stack([PARTS[0][:, 1], PARTS[2][:, 1]], 1))
    np.testing.assert_array_equal(scores.others[0], PARTS[1])
    for ours, part in zip(as_predict_proba(scores, encoder), PARTS, strict=True):
        np.testing.assert_allclose(ours, part)
    assert is_binary(encoder).tolist() == [True, False, True]


def test_columns_of_other_orders_and_missing_classes(encoder):
    """Columns go where their class belongs; a class without a column is never predicted."""
    classes = [np.array([True, False]), np.array(["g", "r"]), np.array([0])]
    parts = [PARTS[0][:, ::-1], PARTS[1][:, :2], np.ones((3, 1))]
    scores = align_scores(parts, True, encoder, classes)
    np.testing.assert_array_equal(scores.binary[:, 0], PARTS[0][:, 1])
    np.testing.assert_array_equal(scores.binary[:, 1], [0, 0, 0])
    expected = np.column_stack([np.zeros(3), PARTS[1][:, 0], PARTS[1][:, 1]])
    np.testing.assert_array_equal(scores.others[0], expected)


def test_rows_without_answer(encoder):
    """They stay so where a class has no column, and are told from rows that lack some scores."""
    classes = [np.array([False]), np.array(["g", "r"]), np.array([0, 1])]
    parts = [np.ones((3, 1)), PARTS[1][:, :2].copy(), PARTS[2].copy()]
    parts[0][1], parts[1][1], parts[2][[1, 2]] = np.nan, np.nan, np.nan
    scores = align_scores(parts, True, encoder, classes)
    assert np.isnan(scores.binary).tolist() == [[False, False], [True, True], [False, True]]
    warns, raises = (
        AttributeClassifier(images=ImageReading(on_bad_image=policy))
        for policy in ("warn", "raise")
    )
    for one, other in ((warns, raises), map(TunedThresholdMultiOutputCV, (warns, raises))):
        assert unpredicted_rows(one, scores).tolist() == [False, True, False]
        assert not unpredicted_rows(other, scores).any()
    before = make_pipeline(warns, StandardScaler(), Fitted([0, 1]))
    assert unpredicted_rows(before, [[1, None], [None, None]]).tolist() == [False, True]
    assert unpredicted_rows(before, np.array([np.nan, 1])).tolist() == [True, False]


def test_a_matrix_of_positives():
    """One column per output; decisions too, of which two columns are a difference."""
    encoder = AttributeEncoder().fit(np.array([[0, 1], [1, 0]]))
    matrix = np.array([[0.1, 0.9], [0.6, 0.3]])
    np.testing.assert_array_equal(align_scores(matrix, True, encoder).binary, matrix)
    decisions = align_scores(
        [np.array([1.0, -2.0]), np.array([[1.0, 3.0], [0.0, -1.0]])], False, encoder
    )
    np.testing.assert_array_equal(decisions.binary, [[1.0, 2.0], [-2.0, -1.0]])


def test_codes_from_thresholds(encoder):
    """Score at least the threshold, or the highest score."""
    codes = apply_thresholds(
        align_scores(PARTS, True, encoder), np.array([0.6, np.nan, 0.5]), encoder
    )
    np.testing.assert_array_equal(codes, [[0, 2, 1], [1, 1, 1], [1, 0, 0]])


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (PARTS[:2], "of 2 outputs, but y has 3"),
        ([PARTS[0], PARTS[0], PARTS[2]], "output 'color' have the shape"),
        (np.zeros((3, 2)), "for 3 outputs they must be a list of 3 arrays"),
        (np.zeros((3, 2, 3)), "for 3 outputs they must be a list of 3 arrays"),
    ],
)
def test_shapes_that_do_not_fit(encoder, response, message):
    """They are named with what is valid."""
    with pytest.raises(ValueError, match=message):
        align_scores(response, True, encoder)


def test_classes_of_a_classifier(encoder):
    """A list, an array for one output, or the numbers of the columns of a 0/1 matrix."""
    binary = AttributeEncoder().fit(np.array([[0, 1], [1, 0]]))
    found = classes_per_output(Fitted(np.array([0, 1])), binary)
    assert [labels.tolist() for labels in found] == [[0, 1], [0, 1]]
    with pytest.raises(ValueError, match="has no classes_"):
        classes_per_output(object(), encoder)
    with pytest.raises(ValueError, match=r"y has 3 output\(s\), but Fitted was fitted on 2"):
        classes_per_output(Fitted([np.array([0, 1])] * 2), encoder)
    with pytest.raises(ValueError, match="y has 2 outputs, but Fitted was fitted on 3"):
        classes_per_output(Fitted(np.arange(3)), binary)


def test_an_encoder_with_a_classifiers_classes():
    """More classes than y has, in the classifier's order; unseen ones are refused if asked."""
    y = pd.DataFrame({"size": ["s", "l", "s"], "hat": [0, 0, 0]})
    fitted = Fitted([np.array(["s", "m", "l"]), np.array([0])])
    encoder = encoder_for(fitted, y)
    assert encoder.classes_[0].tolist() == ["s", "m", "l"]
    assert encoder.classes_[1].tolist() == [0, 1]
    fitted = Fitted([np.array(["m", "s"]), np.array([0, 1])])
    assert encoder_for(fitted, y).classes_[0].tolist() == ["m", "s", "l"]
    with pytest.raises(UnseenLabelError, match="'l'"):
        encoder_for(fitted, y, strict=True)


def test_missing_label_through_wrappers():
    """That of the classifier inside a pipeline inside a meta-estimator."""
    classifier = AttributeClassifier(missing_label=-1)
    wrapped = TunedThresholdMultiOutputCV(make_pipeline(StandardScaler(), classifier))
    assert missing_label_of(make_pipeline(StandardScaler(), wrapped)) == -1
    assert missing_label_of(StandardScaler()) is None


def test_exact_match():
    """Rows count if a label is known; weights weigh them."""
    codes = np.array([[0, 1], [1, -1], [-1, -1], [1, 1]])
    predicted = np.array([[0, 1], [1, 0], [0, 0], [1, 0]])
    assert exact_match(codes, predicted) == pytest.approx(2 / 3)
    assert exact_match(codes, predicted, [1, 1, 9, 2]) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="None of its labels is known"):
        exact_match(codes[2:3], predicted[2:3])
