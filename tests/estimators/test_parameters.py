"""Sizes, weights and parameters are checked, each with a sentence."""

import inspect

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skattr import AttributeClassifier
from skattr._estimators.parameters import PARAMETER_CONSTRAINTS, check_image_size
from skattr._targets.weights import check_label_weights

CODES = np.array([[0, 1], [-1, 2], [1, -1]])


@pytest.mark.parametrize(
    ("image_size", "expected"),
    [
        (224, (224, 224)),
        (1, (1, 1)),
        ((12, 10), (12, 10)),
        ([12, 10], (12, 10)),
        (np.int64(7), (7, 7)),
        ((np.int32(12), 10), (12, 10)),
    ],
)
def test_image_sizes(image_size, expected):
    """An int is a square; a pair is (height, width); the result is made of Python ints."""
    result = check_image_size(image_size)
    assert result == expected
    assert [type(side) for side in result] == [int, int]


@pytest.mark.parametrize(
    "image_size",
    [0, -1, 2.5, None, "12", (12,), (1, 2, 3), (0, 3), (3, -1), (2.0, 3), ("1", "2"), ()],
)
def test_invalid_image_sizes(image_size):
    """All else is refused, and shown."""
    with pytest.raises(ValueError, match="image_size must be a positive int or a pair"):
        check_image_size(image_size)


@settings(max_examples=60, deadline=None)
@given(
    codes=arrays.arrays(
        np.int64,
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=5),
        elements=st.integers(-1, 3),
    ),
    data=st.data(),
)
def test_weights_are_multiplied_and_unknown_labels_weigh_nothing(codes, data):
    """Each weight is row weight times label weight, 0 where unknown: as a loop computes it."""
    finite = st.floats(0, 100, width=32)
    rows = data.draw(st.none() | arrays.arrays(np.float64, len(codes), elements=finite))
    if rows is not None:
        rows[0] = 1  # scikit-learn refuses row weights that are all 0
    labels = data.draw(st.none() | arrays.arrays(np.float64, codes.shape, elements=finite))
    expected = np.zeros(codes.shape)
    for i, j in np.ndindex(codes.shape):
        if codes[i, j] >= 0:
            row = 1 if rows is None else rows[i]
            expected[i, j] = row * (1 if labels is None else labels[i, j])
    result = check_label_weights(codes, codes, rows, labels)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.float64


def test_weights_are_array_likes_and_are_not_edited():
    """Lists, Series and DataFrames are weights, too; a column of weights fits one attribute."""
    expected = np.array([[2.0, 4.0], [0, 9.0], [20.0, 0]])
    labels = [[2, 4], [5, 3], [4, 6]]
    for rows in ([1, 3, 5], pd.Series([1, 3, 5], index=[4, 4, 4]), np.array([1, 3, 5])):
        for weights in (labels, pd.DataFrame(labels), np.array(labels)):
            np.testing.assert_array_equal(
                check_label_weights(CODES, CODES, rows, weights), expected
            )
    weights = np.array(labels, dtype=float)
    weights.setflags(write=False)
    check_label_weights(CODES, CODES, None, weights)
    one = check_label_weights(CODES, CODES[:, :1], None, [1, 2, 3])
    assert one.tolist() == [[1], [0], [3]]


@pytest.mark.parametrize("weight", [-1, np.nan, np.inf, -np.inf])
def test_an_invalid_label_weight_names_row_and_attribute(weight):
    """A negative or infinite weight of a known label is named."""
    weights = np.ones((3, 2))
    weights[1, 1] = weight
    with pytest.raises(ValueError, match=r"row 1, attribute 'color', is .*at least 0"):
        check_label_weights(CODES, CODES, None, weights, ["hat", "color"])
    with pytest.raises(ValueError, match="row 1, attribute 1,"):
        check_label_weights(CODES, CODES, None, weights)


@pytest.mark.parametrize("weight", [-1, np.nan, np.inf])
def test_the_weight_of_an_unknown_label_does_not_matter(weight):
    """Whatever stands there, it weighs 0."""
    weights = np.ones((3, 2))
    weights[1, 0] = weights[2, 1] = weight
    result = check_label_weights(CODES, CODES, None, weights)
    assert result.tolist() == [[1, 1], [0, 1], [1, 0]]


@pytest.mark.parametrize("shape", [(2,), (3,), (2, 2), (3, 1), (3, 3), (3, 2, 1), ()])
def test_label_weights_have_the_shape_of_y(shape):
    """Both shapes stand in the message."""
    with pytest.raises(ValueError, match=r"label_weight has the shape .*, y \(3, 2\)"):
        check_label_weights(CODES, CODES, None, np.ones(shape))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], r"sample_weight.shape == \(2,\), expected \(3,\)"),
        (np.ones((3, 2)), "Sample weights must be 1D"),
        ([1, -1, 1], "Negative values in data passed to `sample_weight`"),
        ([1, np.nan, 1], "sample_weight contains NaN"),
        ([1, np.inf, 1], "sample_weight contains infinity"),
    ],
)
def test_invalid_sample_weights(weights, message):
    """Row weights are held to scikit-learn's rules."""
    with pytest.raises(ValueError, match=message):
        check_label_weights(CODES, CODES, weights)


def test_x_and_y_of_different_lengths():
    """Both lengths stand in the message."""
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[4, 3\]"):
        check_label_weights(np.zeros(4), CODES)


def test_every_parameter_has_its_constraint():
    """The constraints are those of the classifier's parameters, and its defaults obey them."""
    parameters = inspect.signature(AttributeClassifier).parameters
    assert list(PARAMETER_CONSTRAINTS) == list(parameters)
    AttributeClassifier()._validate_params()
