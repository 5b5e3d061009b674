"""Validation of constructor parameters."""

import inspect

import numpy as np
import pytest

from skattr import AttributeClassifier, ImageEmbedder
from skattr._estimators.parameters import check_image_size


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
def test_rejects_invalid_image_sizes(image_size):
    """Any other value is rejected, and shown."""
    with pytest.raises(ValueError, match="image_size must be a positive int or a pair"):
        check_image_size(image_size)


def test_every_parameter_has_a_constraint():
    """The constraints are in the order of the constructor, and the defaults satisfy them."""
    parameters = inspect.signature(AttributeClassifier).parameters
    assert list(AttributeClassifier._parameter_constraints) == list(parameters)
    AttributeClassifier()._validate_params()
    assert set(ImageEmbedder._parameter_constraints) == set(ImageEmbedder().get_params())
    ImageEmbedder()._validate_params()
