"""Weights of positives, classes and attributes against scikit-learn's and written-out formulas."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.utils.class_weight import compute_class_weight

from skattr import AttributeEncoder
from skattr._targets.weights import (
    attribute_weights,
    check_label_weights,
    class_weights,
    positive_weights,
)

TABLE = np.array([[0, "a", 1], [1, "b", None], [None, "c", None], [0, "a", None]], dtype=object)
ENCODER = AttributeEncoder().fit(TABLE)
CODES = ENCODER.transform(TABLE)
ONES = (CODES >= 0).astype(float)


@st.composite
def labels(draw):
    """Return an encoder of a binary and a categorical attribute, codes with gaps, and weights."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n = draw(st.integers(1, 30))
    codes = np.stack([rng.integers(-1, 2, n), rng.integers(-1, 4, n)], axis=1)
    codes[0] = 0
    table = pd.DataFrame({"hat": codes[:, 0] == 1, "age": codes[:, 1] * 10}).astype(object)
    encoder = AttributeEncoder({"age": ("categorical", [0, 10, 20, 30])}).fit(
        table.mask(codes < 0, None)
    )
    weights = rng.integers(0, 4, codes.shape) * (codes >= 0)
    return encoder, codes, weights.astype(float)


def test_positive_weights_in_every_form():
    """A number, one per output or binary attribute, by name, and balanced over known labels."""

    def read(pos_weight):
        return positive_weights(pos_weight, ENCODER, CODES).tolist()

    assert read(3) == [3, 1, 3]
    assert read([2, 5]) == [2, 1, 5]
    assert read([2, np.nan, 5]) == [2, 1, 5]
    assert read({"y2": 5}) == [1, 1, 5]
    assert read({2: 5}) == [1, 1, 5]
    assert read({"y0": "balanced:1.5", "y2": 4}) == [1.5, 1, 4]
    assert read(["balanced", 4]) == [2, 1, 4]
    assert read(pd.Series({"y2": 5, "y0": 2})) == [2, 1, 5]
    assert read(pd.Series({"y2": 5, "y1": np.nan, "y0": 2})) == [2, 1, 5]
    np.testing.assert_array_equal(read("balanced"), [2, 1, np.nan])  # y2 has no negative
    for bad, sentence in [
        ([1, 2, 3, 4], r"shape \(4,\); it must have one number for each of the 2 binary"),
        ({"y1": 3}, r"names 'y1', which is no binary attribute; those are \['y0', 'y2'\]"),
        ({1: 3}, r"names 'y1', which is no binary attribute"),
        ({"zz": 3}, "`pos_weight` names 'zz', which is no attribute"),
        ({"y0": 3, 0: 3}, "`pos_weight` names 'y0' twice"),
        ([2, -1], "pos_weight of 'y2' is -1; weights must be finite and above 0"),
        (0, "pos_weight of 'y0' is 0; weights must be finite and above 0"),
        ({"y2": 0.0}, "pos_weight of 'y2' is 0"),
        (np.inf, "pos_weight of 'y0' is inf"),
        ({"y0": None}, "pos_weight of 'y0' is None"),
        ("balance", "pos_weight is 'balance'; valid are a number above 0, 'balanced'"),
        ("balanced:-1", "'balanced:-1'; valid are"),
        ("balanced:many", "'balanced:many'; valid are"),
        (["even", 2], "pos_weight of 'y0' is 'even'"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            read(bad)


@settings(max_examples=50, deadline=None)
@given(labels(), st.sampled_from([None, 0.5, 3]))
def test_balanced_positives_are_ratios_of_weights(problem, cap):
    """Negatives over positives among the known labels, by weight, at most the cap."""
    encoder, codes, weights = problem
    name = "balanced" if cap is None else f"balanced:{cap}"
    found = positive_weights(name, encoder, codes, weights)
    negative, positive = (weights[codes[:, 0] == code, 0].sum() for code in (0, 1))
    if negative == 0 or positive == 0:
        assert np.isnan(found[0])
    else:
        assert found[0] == min(negative / positive, 1000 if cap is None else cap)
    assert found[1] == 1


def test_balanced_positives_are_capped():
    """One positive among ten thousand weighs 1000 unless another cap is given."""
    y = np.arange(10_000) == 0
    encoder = AttributeEncoder().fit(y)
    codes = encoder.transform(y)
    for name, expected in [("balanced", 1000), ("balanced:20", 20), ("balanced:1e9", 9999)]:
        assert positive_weights(name, encoder, codes) == [expected]


@settings(max_examples=50, deadline=None)
@given(labels())
def test_balanced_classes_are_those_of_scikit_learn(problem):
    """It is n / (K n_k) over the known labels, repeated as they weigh; absent classes weigh 1."""
    encoder, codes, weights = problem
    found = class_weights("balanced", encoder, codes, weights)
    for j, (mine, n_classes) in enumerate(zip(found, [2, 4], strict=True)):
        seen = np.repeat(codes[:, j], weights[:, j].astype(int))
        expected = np.ones(n_classes)
        if len(seen):
            classes = np.unique(seen)
            expected[classes] = compute_class_weight("balanced", classes=classes, y=seen)
        np.testing.assert_allclose(mine, expected)


def test_class_weights_in_every_form():
    """By attribute and label, in a list, or by label alone for a single attribute."""

    def read(class_weight, encoder=ENCODER, codes=CODES):
        found = class_weights(class_weight, encoder, codes, (codes >= 0).astype(float))
        return [part.tolist() for part in found]

    assert read(None) == read({}) == [[1, 1], [1, 1, 1], [1, 1]]
    by_label = [[1, 1], [1, 5, 1], [1, 1]]
    assert read({"y1": {"b": 5}}) == read({1: {"b": 5}}) == read([None, {"b": 5}, None]) == by_label
    assert read({"y1": "balanced"})[1] == [3 * 4 / 3 / 6, 4 / 3, 4 / 3]
    single = AttributeEncoder().fit(["a", "b"])
    codes = single.transform(["a", "b"])
    assert read({"a": 0, "b": 2}, single, codes) == [[0, 2]]
    assert read({"y0": {"a": 3}}, single, codes) == read({0: {"a": 3}}, single, codes) == [[3, 1]]
    for bad, sentence in [
        ({"a": 2}, "`class_weight` names 'a', which is no attribute"),
        ({"y1": {"z": 2}}, r"'y1' names the label 'z', .* classes \['a', 'b', 'c'\]"),
        ({"y1": {"b": -2}}, "'y1', label 'b', is -2; weights must be finite numbers of at least 0"),
        ({"y1": {"b": "much"}}, "label 'b', is 'much'"),
        (
            {"y1": 3, "y0": None},
            r"\['y1'\] must be None, 'balanced' or a dict.*; got 3",
        ),
        ("even", r"class_weight\['y0'\] must be None, .* got 'even'"),
        (["balanced"], r"class_weight lists 1 attribute\(s\), y has 3"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            read(bad)


@settings(max_examples=50, deadline=None)
@given(labels())
def test_balanced_attributes_are_inverse_to_their_labels(problem):
    """The same for what each attribute adds in all; the mean over all known labels is 1."""
    encoder, codes, weights = problem
    found = attribute_weights("balanced", encoder, codes, weights)
    known = weights.sum(axis=0)
    shares = (found * known)[known > 0]
    np.testing.assert_allclose(shares, shares.mean() if len(shares) else 0)
    if known.any():
        assert np.average(found, weights=known) == pytest.approx(1)
    assert (found[known == 0] == 1).all()


def test_attribute_weights_in_every_form():
    """By name, in the order of y, or left to the loss."""

    def read(attribute_weight):
        found = attribute_weights(attribute_weight, ENCODER, CODES, ONES)
        return found.tolist() if isinstance(found, np.ndarray) else found

    assert read(None) is None
    assert read("uncertainty") == "uncertainty"
    assert read({"y1": 3}) == read({1: 3}) == [1, 3, 1]
    assert read([1, 0, 2]) == read(np.array([1, 0, 2])) == [1, 0, 2]
    assert read(pd.Series({"y2": 2, "y0": 1, "y1": 0})) == [1, 0, 2]
    for bad, sentence in [
        ({"zz": 3}, "`attribute_weight` names 'zz', which is no attribute"),
        ({"y1": -3}, "attribute_weight of 'y1' is -3; weights must be finite numbers of at least"),
        ([1, np.nan, 1], "attribute_weight of 'y1' is nan"),
        ([1, 2], r"attribute_weight has 2 number\(s\), y 3 attribute\(s\)"),
        ([0, 0, 0], "attribute_weight is 0 for every attribute; one must be above 0"),
        ("equal", "attribute_weight='equal' is unknown; valid are None, 'balanced', 'uncertainty'"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            read(bad)


def test_a_series_goes_by_its_index():
    """One that is not just numbered names attributes, and an invalid name is rejected."""
    table = pd.DataFrame({"a": [0, 1, 1], "b": [1, 0, 1]})
    encoder = AttributeEncoder().fit(table)
    codes, weights = encoder.transform(table), np.ones((3, 2))
    assert positive_weights(pd.Series({"b": 5.0}), encoder, codes).tolist() == [1, 5]
    assert positive_weights(pd.Series([2.0, 3.0]), encoder, codes).tolist() == [2, 3]
    with pytest.raises(ValueError, match="'zz', which is no attribute"):
        positive_weights(pd.Series({"b": 50.0, "zz": 1.0}), encoder, codes)
    with pytest.raises(ValueError, match="'zz', which is no attribute"):
        attribute_weights(pd.Series({"b": 50.0, "zz": 1.0}), encoder, codes, weights)


@pytest.mark.parametrize("value", ["balance", "balanced:", "balanced:0"])
def test_a_misspelt_word_without_a_binary_attribute(value):
    """An invalid string is rejected even without binary attributes; a valid one is not."""
    y = pd.DataFrame({"a": ["x", "y", "z"]})
    encoder = AttributeEncoder().fit(y)
    codes = encoder.transform(y)
    with pytest.raises(ValueError, match=f"pos_weight is '{value}'; valid are .*'balanced:CAP'"):
        positive_weights(value, encoder, codes)
    assert positive_weights("balanced", encoder, codes).tolist() == [1]
    assert positive_weights("balanced:20", encoder, codes).tolist() == [1]


@pytest.mark.parametrize("value", [True, "balanced:"])
def test_no_weight_by_accident(value):
    """A bool is no number here, and a cap that was forgotten no cap."""
    table = pd.DataFrame({"a": [0, 1, 1]})
    encoder = AttributeEncoder().fit(table)
    with pytest.raises(ValueError, match="'balanced:CAP'"):
        positive_weights(value, encoder, encoder.transform(table))


LABEL_CODES = np.array([[0, 1], [-1, 2], [1, -1]])


@settings(max_examples=60, deadline=None)
@given(
    codes=arrays.arrays(
        np.int64,
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=5),
        elements=st.integers(-1, 3),
    ),
    data=st.data(),
)
def test_weights_are_multiplied_and_missing_labels_weigh_nothing(codes, data):
    """Each weight is row weight times label weight, 0 if missing, as a loop computes it."""
    finite = st.floats(0, 100, width=32)
    rows = data.draw(st.none() | arrays.arrays(np.float64, len(codes), elements=finite))
    if rows is not None:
        rows[0] = 1  # scikit-learn rejects row weights that are all 0
    labels = data.draw(st.none() | arrays.arrays(np.float64, codes.shape, elements=finite))
    expected = np.zeros(codes.shape)
    for i, j in np.ndindex(codes.shape):
        if codes[i, j] >= 0:
            row = 1 if rows is None else rows[i]
            expected[i, j] = row * (1 if labels is None else labels[i, j])
    result = check_label_weights(codes, codes, rows, labels)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.float64


def test_label_weights_are_array_likes_and_are_not_edited():
    """Lists, Series and DataFrames are valid; one attribute takes a column of weights."""
    expected = np.array([[2.0, 4.0], [0, 9.0], [20.0, 0]])
    labels = [[2, 4], [5, 3], [4, 6]]
    for rows in ([1, 3, 5], pd.Series([1, 3, 5], index=[4, 4, 4]), np.array([1, 3, 5])):
        for weights in (labels, pd.DataFrame(labels), np.array(labels)):
            np.testing.assert_array_equal(
                check_label_weights(LABEL_CODES, LABEL_CODES, rows, weights), expected
            )
    weights = np.array(labels, dtype=float)
    weights.setflags(write=False)
    check_label_weights(LABEL_CODES, LABEL_CODES, None, weights)
    one = check_label_weights(LABEL_CODES, LABEL_CODES[:, :1], None, [1, 2, 3])
    assert one.tolist() == [[1], [0], [3]]


@pytest.mark.parametrize("weight", [-1, np.nan, np.inf, -np.inf])
def test_rejects_invalid_label_weights_by_row_and_attribute(weight):
    """The error names a negative or infinite weight of a known label."""
    weights = np.ones((3, 2))
    weights[1, 1] = weight
    with pytest.raises(ValueError, match=r"row 1, attribute 'color', is .*at least 0"):
        check_label_weights(LABEL_CODES, LABEL_CODES, None, weights, ["hat", "color"])
    with pytest.raises(ValueError, match="row 1, attribute 1,"):
        check_label_weights(LABEL_CODES, LABEL_CODES, None, weights)


@pytest.mark.parametrize("weight", [-1, np.nan, np.inf])
def test_the_weight_of_a_missing_label_is_ignored(weight):
    """It counts as 0 and need not be valid."""
    weights = np.ones((3, 2))
    weights[1, 0] = weights[2, 1] = weight
    result = check_label_weights(LABEL_CODES, LABEL_CODES, None, weights)
    assert result.tolist() == [[1, 1], [0, 1], [1, 0]]


@pytest.mark.parametrize("shape", [(2,), (3,), (2, 2), (3, 1), (3, 3), (3, 2, 1), ()])
def test_label_weights_have_the_shape_of_y(shape):
    """The error names both shapes."""
    with pytest.raises(ValueError, match=r"label_weight has shape .*, but y has shape \(3, 2\)"):
        check_label_weights(LABEL_CODES, LABEL_CODES, None, np.ones(shape))


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
def test_rejects_invalid_sample_weights(weights, message):
    """Row weights are checked by scikit-learn."""
    with pytest.raises(ValueError, match=message):
        check_label_weights(LABEL_CODES, LABEL_CODES, weights)


def test_x_and_y_of_different_lengths():
    """The error names both lengths."""
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[4, 3\]"):
        check_label_weights(np.zeros(4), LABEL_CODES)
