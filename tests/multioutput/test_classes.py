"""Classes and missing labels of multi-output classifiers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skattr import AttributeClassifier
from skattr._multioutput.classes import (
    classes_per_output,
    encoder_for,
    explain_missing_label_error,
    missing_label_of,
)
from skattr._targets.encoder import AttributeEncoder
from skattr.exceptions import UnseenLabelError
from skattr.thresholds import TunedThresholdMultiOutputCV

Y = pd.DataFrame({"hat": [True, False, True], "color": ["r", "g", "b"], "beard": [0, 1, 0]})


class Fitted:
    """A classifier with classes_ only."""

    def __init__(self, classes):
        self.classes_ = classes


@pytest.fixture
def encoder():
    """Return the encoder of the table."""
    return AttributeEncoder().fit(Y)


def test_classes_of_a_classifier(encoder):
    """Classes are a list, an array for one output, or the columns of a 0/1 matrix."""
    binary = AttributeEncoder().fit(np.array([[0, 1], [1, 0]]))
    found = classes_per_output(Fitted(np.array([0, 1])), binary)
    assert [labels.tolist() for labels in found] == [[0, 1], [0, 1]]
    # a matrix of zeros and ones as truth values, and with an unexpected third value
    table = pd.DataFrame({"hat": [True, False, True], "beard": [0, 1, 2]})
    found = classes_per_output(Fitted(np.array([0, 1])), AttributeEncoder().fit(table))
    assert [(labels.dtype.kind, labels.tolist()) for labels in found] == [
        ("b", [False, True]),
        ("i", [0, 1]),
    ]
    with pytest.raises(ValueError, match="has no classes_"):
        classes_per_output(object(), encoder)
    with pytest.raises(ValueError, match=r"y has 3 output\(s\), but Fitted was fitted on 2"):
        classes_per_output(Fitted([np.array([0, 1])] * 2), encoder)
    with pytest.raises(ValueError, match="y has 2 outputs, but Fitted was fitted on 3"):
        classes_per_output(Fitted(np.arange(3)), binary)


def test_encoder_has_the_classes_of_the_classifier():
    """Classes keep the order of the classifier; with `strict`, unseen ones are rejected."""
    y = pd.DataFrame({"size": ["s", "l", "s"], "hat": [0, 0, 0]})
    fitted = Fitted([np.array(["s", "m", "l"]), np.array([0])])
    encoder = encoder_for(fitted, y)
    assert encoder.classes_[0].tolist() == ["s", "m", "l"]
    assert encoder.classes_[1].tolist() == [0, 1]
    fitted = Fitted([np.array(["m", "s"]), np.array([0, 1])])
    assert encoder_for(fitted, y).classes_[0].tolist() == ["m", "s", "l"]
    with pytest.raises(UnseenLabelError, match="'l'"):
        encoder_for(fitted, y, strict=True)
    # a column of zeros and ones has both classes, even if the classifier has seen only one
    fitted = Fitted([np.array(["l", "s"]), np.array([0])])
    encoder = encoder_for(fitted, y.assign(hat=[0, 1, 0]), strict=True)
    assert encoder.classes_[1].tolist() == [0, 1]


def test_missing_label_of_inner_classifiers():
    """The parameter is found in a pipeline in a meta-estimator in a pipeline."""
    classifier = AttributeClassifier(missing_label=-1)
    wrapped = TunedThresholdMultiOutputCV(make_pipeline(StandardScaler(), classifier))
    assert missing_label_of(make_pipeline(StandardScaler(), wrapped)) == -1
    assert missing_label_of(StandardScaler()) is None


def test_explains_errors_about_missing_labels():
    """The error names the outputs with missing labels; other errors and classifiers pass."""
    codes = np.array([[0, 1], [-1, 0]])
    with (
        pytest.raises(ValueError, match=r"does not support missing .* output\(s\) \['a'\].*NaN$"),
        explain_missing_label_error(LogisticRegression(), codes, ["a", "b"]),
    ):
        raise ValueError("Input y contains NaN")
    for classifier, used, message in (
        (LogisticRegression(), codes, "another error"),
        (LogisticRegression(), codes[:1], "Input y contains NaN"),
        (AttributeClassifier(), codes, "Input y contains NaN"),
    ):
        with (
            pytest.raises(ValueError, match=f"^{message}$"),
            explain_missing_label_error(classifier, used, ["a", "b"]),
        ):
            raise ValueError(message)


def test_rejects_a_missing_label_that_was_learned_as_a_class():
    """A classifier that was trained on the mark of missing labels would predict it."""
    y = np.array([[0, 1], [-1, 0], [1, 1]])
    fitted = Fitted([np.array([-1, 0, 1]), np.array([0, 1])])
    with pytest.raises(ValueError, match="fitted with -1 as a class of .*marks missing labels"):
        encoder_for(fitted, y, missing_label=-1)
    for missing_label in (None, np.nan, pd.NA):
        encoder = encoder_for(fitted, y, missing_label=missing_label)
        assert encoder.classes_[0].tolist() == [-1, 0, 1]
    with pytest.raises(ValueError, match=r"y has 2 output\(s\), but Fitted was fitted on 1"):
        classes_per_output(Fitted([np.array([0, 1])]), AttributeEncoder().fit(y))
