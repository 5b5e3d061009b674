"""Logits become probabilities and named columns as SciPy and torch compute them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn import config_context

from skattr._estimators.prediction import _check_outputs
from skattr._estimators.probabilities import (
    binary_log_odds,
    predicted_codes,
    probabilities,
    transform_columns,
)
from skattr._multioutput.scores import column_names
from skattr.exceptions import DivergedError
from skattr.nn import BranchLayout

heads = pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@st.composite
def problems(draw):
    """Logits, layout and kinds of some random attributes."""
    n_classes = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=5)))
    kinds = [
        draw(st.sampled_from(["binary", "categorical", "ordinal"][0 if count <= 2 else 1 :]))
        for count in n_classes
    ]
    layout = BranchLayout(n_classes, draw(st.sampled_from(["sigmoid", "softmax"])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows = draw(st.integers(1, 4))
    return rng.normal(scale=3, size=(n_rows, layout.n_logits)), layout, kinds


def reference(logits, layout):
    """Compute the probabilities of each attribute with torch, one attribute at a time."""
    result = []
    for columns, count in zip(layout.slices, layout.n_classes, strict=True):
        part = torch.from_numpy(logits)[:, columns]
        if count == 1:
            result.append(np.ones((len(logits), 1)))
        elif part.shape[1] == 1:
            positive = torch.sigmoid(part)
            result.append(torch.cat([1 - positive, positive], dim=1).numpy())
        else:
            result.append(torch.softmax(part, dim=1).numpy())
    return result


@settings(max_examples=60, deadline=None)
@given(problems())
def test_probabilities_are_those_of_torch(problem):
    """Sigmoid for one logit, softmax for several, in the user's order of attributes."""
    logits, layout, _ = problem
    results = probabilities(logits, layout)
    for result, expected, count in zip(
        results, reference(logits, layout), layout.n_classes, strict=True
    ):
        assert result.shape == (len(logits), count)
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(result.sum(axis=1), 1)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_columns_and_their_names_agree(problem):
    """There is one name per column for all kinds, classes and heads."""
    logits, layout, kinds = problem
    names = [f"a{j}" for j in range(len(kinds))]
    classes = [np.arange(count) for count in layout.n_classes]
    labels = column_names(names, classes, kinds)
    assert labels.dtype == object
    assert len(set(labels)) == len(labels)
    for output in ("proba", "logit"):
        assert transform_columns(logits, layout, kinds, output).shape == (len(logits), len(labels))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_columns_of_probabilities_are_the_probabilities(problem):
    """A binary attribute gives its positive class, the others all of theirs."""
    logits, layout, kinds = problem
    expected = [
        proba[:, 1:] if kind == "binary" and count == 2 else proba
        for proba, kind, count in zip(
            probabilities(logits, layout), kinds, layout.n_classes, strict=True
        )
    ]
    np.testing.assert_array_equal(transform_columns(logits, layout, kinds), np.hstack(expected))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_logit_columns_invert_to_probabilities(problem):
    """Log odds through the sigmoid, log probabilities through exp, give the probabilities."""
    logits, layout, kinds = problem
    odds = transform_columns(logits, layout, kinds, "logit")
    is_odds = [
        is_pair
        for kind, count in zip(kinds, layout.n_classes, strict=True)
        for is_pair in [kind == "binary" and count == 2]
        for _ in range(1 if is_pair else count)
    ]
    inverted = np.where(is_odds, expit(odds), np.exp(odds))
    np.testing.assert_allclose(
        inverted, transform_columns(logits, layout, kinds), rtol=1e-9, atol=1e-15
    )


@heads
@dtypes
def test_huge_logits_neither_overflow_nor_warn(binary_head, dtype):
    """At +-1000 probabilities are 0 and 1, log probabilities finite and right."""
    layout = BranchLayout((2, 3), binary_head)
    logits = np.zeros((2, layout.n_logits), dtype=dtype)
    logits[0, layout.slices[0].stop - 1] = 1000
    logits[1, layout.slices[1]] = [-1000, 0, 1000]
    binary, categorical = probabilities(logits, layout)
    assert binary.dtype == categorical.dtype == dtype
    assert binary.tolist() == [[0, 1], [0.5, 0.5]]
    assert categorical[1].tolist() == [0, 0, 1]
    for kinds in (["binary", "categorical"], ["categorical", "ordinal"]):
        odds = transform_columns(logits, layout, kinds, "logit")
        assert odds.dtype == dtype
        assert np.isfinite(odds).all()
        assert odds[1, -3:].tolist() == [-2000, -1000, 0]


@heads
def test_both_heads_of_a_binary_attribute_agree(binary_head):
    """One logit is the difference of two: the same probabilities and log odds."""
    pair = np.random.default_rng(0).normal(size=(5, 2))
    layout = BranchLayout((2,), binary_head)
    logits = pair if binary_head == "softmax" else pair[:, 1:] - pair[:, :1]
    np.testing.assert_allclose(probabilities(logits, layout)[0], softmax(pair, axis=1))
    odds = transform_columns(logits, layout, ["binary"], "logit")
    np.testing.assert_allclose(odds[:, 0], pair[:, 1] - pair[:, 0])


def test_attributes_of_one_class_are_certain():
    """A constant attribute has probability 1 and log probability 0, without a logit."""
    layout = BranchLayout((1, 1))
    logits = np.empty((3, 0))
    assert [proba.tolist() for proba in probabilities(logits, layout)] == [[[1]] * 3] * 2
    assert transform_columns(logits, layout, ["binary", "categorical"]).tolist() == [[1, 1]] * 3
    assert (
        transform_columns(logits, layout, ["binary", "ordinal"], "logit").tolist() == [[0, 0]] * 3
    )


def test_names_of_columns():
    """A binary attribute by its name, others as name=level; names may be numbers."""
    names = column_names(
        ["hat", "color", 3],
        [np.array([False, True]), np.array(["red", "NA"]), np.array([1.0, 2.0, 3.0])],
        ["binary", "categorical", "ordinal"],
    )
    assert names.tolist() == ["hat", "color=red", "color=NA", "3=1.0", "3=2.0", "3=3.0"]
    assert column_names(["hat"], [np.array([True])], ["binary"]).tolist() == ["hat=True"]


def falling(rng, n, width, dtype=np.float64, scale=3):
    """Return cumulative log odds."""
    return -np.sort(-rng.normal(scale=scale, size=(n, width)), axis=1).astype(dtype)


@dtypes
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 9), st.floats(0.1, 300))
def test_ordinal_probabilities_are_differences(dtype, seed, n_classes, scale):
    """P(k) = expit(c_k) - expit(c_k+1): never negative, and of sum one, in float32 too."""
    logits = falling(np.random.default_rng(seed), 20, n_classes - 1, dtype, scale)
    [found] = probabilities(logits, BranchLayout((n_classes,), ordinal=(0,)))
    assert found.dtype == dtype
    above = np.hstack([np.ones((20, 1)), expit(logits.astype(np.float64)), np.zeros((20, 1))])
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(found, -np.diff(above, axis=1), atol=tolerance)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=tolerance)
    at_least = found[:, ::-1].cumsum(axis=1, dtype=np.float64)[:, ::-1]
    assert (np.diff(at_least, axis=1) <= 0).all()
    np.testing.assert_allclose(at_least, above[:, :-1], atol=2 * tolerance)


def test_ordinal_tails_keep_their_digits():
    """Where both sigmoids are 1 in float64, the probability between them is still right."""
    logits = np.array([[50.0, 49.0, -800.0]])
    layout = BranchLayout((4,), ordinal=(0,))
    [[lowest, low, _, highest]] = transform_columns(logits, layout, ["ordinal"], "logit")
    assert lowest == pytest.approx(-50)
    assert low == pytest.approx(np.log(np.exp(-49.0) - np.exp(-50.0)))
    assert highest == -800
    assert probabilities(logits, layout)[0][0, 1] == pytest.approx(np.exp(-49.0) - np.exp(-50.0))


def test_thresholds_that_meet_leave_nothing_between():
    """Equal cumulative log odds give as good as no probability; its logarithm stays finite."""
    logits = np.array([[1.0, 1.0], [-500.0, -500.0]], dtype=np.float32)
    layout = BranchLayout((3,), ordinal=(0,))
    assert (probabilities(logits, layout)[0][:, 1] <= np.finfo(np.float32).tiny).all()
    logs = transform_columns(logits, layout, ["ordinal"], "logit")
    assert logs.dtype == np.float32
    assert np.isfinite(logs).all()
    assert (logs[:, 1] < -85).all()


def test_joint_presence_is_one_minus_absence():
    """P(attribute) = 1 - P(absent) of a softmax over {absent} and the categories."""
    layout = BranchLayout((2, 3, 2), n_categories=4)
    logits = np.random.default_rng(0).normal(scale=4, size=(6, layout.n_logits))
    for j in (0, 2):
        part = np.exp(logits[:, layout.slices[j]])
        absent = part[:, 0] / part.sum(axis=1)
        found = probabilities(logits, layout)[j]
        np.testing.assert_allclose(found, np.stack([absent, 1 - absent], axis=1))
        odds = binary_log_odds(logits, layout, np.array([j]))[:, 0]
        np.testing.assert_allclose(odds, np.log1p(-absent) - np.log(absent))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_log_odds_of_pairs(problem):
    """The log odds of attributes of two classes are the logarithm of p / (1 - p)."""
    logits, layout, _ = problem
    pairs = np.flatnonzero(np.array(layout.n_classes) == 2)
    if len(pairs):
        found = binary_log_odds(logits, layout, pairs)
        probas = probabilities(logits, layout)
        expected = [np.log(probas[j][:, 1]) - np.log(probas[j][:, 0]) for j in pairs]
        np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-9, atol=1e-12)


def test_huge_joint_and_ordinal_logits():
    """At +-1000 they neither overflow nor warn."""
    layout = BranchLayout((2, 3), n_categories=2, ordinal=(1,))
    logits = np.array([[1000, -1000, -1000, 1000, -1000], [-1000, 1000, 1000, -999, -1000]], float)
    joint, ordinal = probabilities(logits, layout)
    assert joint.tolist() == [[1, 0], [0, 1]]
    np.testing.assert_allclose(ordinal, [[0, 1, 0], [1, 0, 0]], atol=1e-300)
    assert binary_log_odds(logits, layout, np.array([0]))[0, 0] == pytest.approx(-2000 + np.log(2))


def test_auxiliary_attributes_are_left_out():
    """Auxiliary branches are in neither probabilities nor columns."""
    layout = BranchLayout((2, 3, 4), n_auxiliary=1)
    logits = np.random.default_rng(0).normal(size=(3, layout.n_logits))
    assert [proba.shape[1] for proba in probabilities(logits, layout)] == [2, 3]
    assert transform_columns(logits, layout, ["binary", "categorical"]).shape == (3, 4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 7), st.sampled_from(["median", "mode"]))
def test_predicted_class_of_ordinal_attributes(seed, n_classes, ordinal_predict):
    """The median is the first class with half the probability at or below it; ties go low."""
    rng = np.random.default_rng(seed)
    proba = rng.multinomial(8, np.full(n_classes, 1 / n_classes), size=10) / 8
    found = predicted_codes([proba, proba], ["ordinal", "categorical"], ordinal_predict)
    assert found.dtype == np.int64
    for row, (ordinal, categorical) in zip(proba, found, strict=True):
        best = max(range(n_classes), key=lambda k: (row[k], -k))
        assert categorical == best
        if ordinal_predict == "mode":
            assert ordinal == best
        else:
            assert row[: ordinal + 1].sum() >= 0.5 > row[:ordinal].sum()
            costs = [np.abs(np.arange(n_classes) - k) @ row for k in range(n_classes)]
            assert costs[ordinal] == min(costs)  # the median costs least absolute error


def test_joint_probabilities_are_at_most_one():
    """However the shares of many categories are rounded, no probability leaves [0, 1]."""
    layout = BranchLayout((2,), n_categories=40)
    logits = np.random.default_rng(0).normal(size=(20_000, 41)).astype(np.float32)
    logits[:, 0] -= 30
    (proba,) = probabilities(logits, layout)
    assert proba.dtype == np.float32
    assert (proba <= 1).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("n_bad", [0, 1, 3])
def test_outputs_that_are_not_finite(n_bad):
    """The first row is named, and the others are counted; large numbers are no error."""
    values = np.full((6, 2), 3e38, dtype=np.float32)  # their sum is infinite
    values[[2, 4, 5][:n_bad], 1] = [np.inf, np.nan, -np.inf][:n_bad]
    if n_bad:
        message = rf"outputs for row 2 of X and {n_bad - 1} other row\(s\) are not finite"
        with pytest.raises(DivergedError, match=message):
            _check_outputs(values)
    else:
        _check_outputs(values)
    with config_context(assume_finite=True):
        _check_outputs(values)
