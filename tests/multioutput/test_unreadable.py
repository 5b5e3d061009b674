"""Masks of rows that a classifier could not read."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skattr import AttributeClassifier, ImageReading
from skattr._multioutput.scores import align_scores
from skattr._multioutput.unreadable import (
    check_predicted_rows,
    rows_of_nan,
    select_response,
    unpredicted_rows,
)
from skattr._targets.encoder import AttributeEncoder
from skattr.exceptions import ImageReadError
from skattr.thresholds import TunedThresholdMultiOutputCV

Y = pd.DataFrame({"hat": [True, False, True], "color": ["r", "g", "b"], "beard": [0, 1, 0]})
WARNS, RAISES = (
    AttributeClassifier(images=ImageReading(on_bad_image=policy)) for policy in ("warn", "raise")
)


@pytest.fixture
def scores():
    """Return scores of three rows: complete, all NaN, and partly NaN."""
    encoder = AttributeEncoder().fit(Y)
    classes = [np.array([False]), np.array(["g", "r"]), np.array([0, 1])]
    parts = [np.ones((3, 1)), np.full((3, 2), 0.5), np.full((3, 2), 0.5)]
    parts[0][1] = parts[1][1] = np.nan
    parts[2][[1, 2]] = np.nan
    return align_scores(parts, True, encoder, classes)


def test_unreadable_rows_have_no_score(scores):
    """NaN stays NaN where a class has no column; a row with some scores is readable."""
    assert np.isnan(scores.binary).tolist() == [[False, False], [True, True], [False, True]]
    assert rows_of_nan(scores).tolist() == [False, True, False]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda classifier: classifier,
        TunedThresholdMultiOutputCV,
        lambda classifier: make_pipeline(StandardScaler(), classifier),
        lambda classifier: make_pipeline(classifier, StandardScaler()),
    ],
)
def test_only_classifiers_that_warn_have_unreadable_rows(scores, wrap):
    """`on_bad_image` is found in a meta-estimator and in any step of a pipeline."""
    assert unpredicted_rows(wrap(WARNS), scores).tolist() == [False, True, False]
    assert not unpredicted_rows(wrap(RAISES), scores).any()
    assert not unpredicted_rows(StandardScaler(), scores).any()


def test_unreadable_rows_have_no_label():
    """Labels of one or several outputs are all None or NaN in an unreadable row."""
    assert unpredicted_rows(WARNS, [[1, None], [None, None]]).tolist() == [False, True]
    assert unpredicted_rows(WARNS, np.array([np.nan, 1])).tolist() == [True, False]


def test_rejects_a_response_without_a_readable_row():
    """One readable row is enough, and so is an empty response."""
    assert check_predicted_rows(WARNS, [None, 1]).tolist() == [True, False]
    assert len(check_predicted_rows(RAISES, [])) == 0
    with pytest.raises(ImageReadError, match="All 2 rows of X are unreadable"):
        check_predicted_rows(WARNS, [None, None])


def test_select_response_takes_rows_of_every_container():
    """Arrays, tables and lists of arrays are accepted."""
    rows = np.array([2, 0])
    array = np.arange(6).reshape(3, 2)
    assert_array_equal(select_response(array, rows), array[rows])
    assert select_response(pd.DataFrame(array), rows).index.tolist() == [2, 0]
    for part in select_response([array, array], rows):
        assert_array_equal(part, array[rows])
