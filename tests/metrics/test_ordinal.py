"""Metrics of ordinal attributes, compared with scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from skattr import metrics
from skattr.metrics import UndefinedAttributeWarning, _ordinal

LEVELS = ["young", "middle", "old", "ancient"]
KINDS = {"age": ("ordinal", LEVELS), "size": ("ordinal", [1, 2, 5])}


def close(ours, theirs):
    """Assert equality to 1e-12."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.fixture
def tables(rng):
    """Return two ordinal and a binary attribute, predictions, known entries and weights."""
    n = 900
    columns = {
        "age": rng.choice(LEVELS, n),
        "hat": rng.random(n) < 0.5,
        "size": rng.choice([1, 2, 5], n),
    }
    y = pd.DataFrame(columns)
    predicted = y.copy()
    for name in y:
        wrong = rng.random(n) < 0.5
        predicted.loc[wrong, name] = rng.permutation(y[name])[wrong]
    known = rng.random(y.shape) < 0.1
    return y.astype(object).where(known, None), predicted, known, rng.random(y.shape)


@pytest.mark.parametrize("weighted", [False, True])
def test_values_equal_scikit_learn(tables, weighted):
    """On the known entries of each column, by the positions of levels."""
    y, predicted, known, weights = tables
    params = {"attributes": KINDS, "label_weight": weights if weighted else None}
    absolute, kappa, sizes = [], [], []
    for j, (name, levels) in ((0, ("age", LEVELS)), (2, ("size", [1, 2, 5]))):
        k = known[:, j]
        w = weights[k, j] if weighted else None
        true, said = ([levels.index(v) for v in f[name][k]] for f in (y, predicted))
        absolute.append(sk.mean_absolute_error(true, said, sample_weight=w))
        kappa.append(sk.cohen_kappa_score(true, said, weights="quadratic", sample_weight=w))
        sizes.append(k.sum() if w is None else w.sum())
    for metric, each in (
        (metrics.mean_absolute_error, absolute),
        (metrics.quadratic_kappa, kappa),
    ):
        close(metric(y, predicted, average=None, **params), [each[0], np.nan, each[1]])
        close(metric(y, predicted, **params), np.mean(each))
        ours = metric(y, predicted, average="weighted", **params)
        close(ours, np.average(each, weights=sizes))
    pooled = metrics.mean_absolute_error(y, predicted, average="micro", **params)
    close(pooled, np.average(absolute, weights=sizes))


def test_ordered_categoricals_are_ordinal(tables):
    """The order of their categories is that of the levels."""
    y, predicted, _, _ = tables
    expected = metrics.mean_absolute_error(y["age"], predicted["age"], attributes=KINDS_OF_AGE)
    ordered = pd.Series(pd.Categorical(y["age"], LEVELS, ordered=True))
    assert metrics.mean_absolute_error(ordered, predicted["age"]) == expected


KINDS_OF_AGE = {"age": KINDS["age"]}


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 2, None]), st.sampled_from([0, 1, 2])), min_size=1
    ).filter(lambda pairs: any(true is not None for true, _ in pairs))
)
def test_errors_equal_a_loop_over_pairs(pairs):
    """The error is the mean of distances; kappa is undefined with one level, else at most 1."""
    true, said = ([pair[i] for pair in pairs] for i in (0, 1))
    kinds = {"y0": ("ordinal", [0, 1, 2])}
    known = [(t, s) for t, s in pairs if t is not None]
    error = metrics.mean_absolute_error(true, said, attributes=kinds)
    close(error, np.mean([abs(t - s) for t, s in known]))
    if len({level for pair in known for level in pair}) == 1:
        with pytest.warns(UndefinedAttributeWarning, match="over 0 of 1"):
            assert np.isnan(metrics.quadratic_kappa(true, said, attributes=kinds))
    else:
        ours = metrics.quadratic_kappa(true, said, attributes=kinds)
        assert ours <= 1
        close(ours, sk.cohen_kappa_score(*zip(*known, strict=True), weights="quadratic"))


def test_an_attribute_without_labels_is_left_out(tables):
    """Both metrics name it in one warning."""
    y, predicted, _, _ = tables
    y["size"] = None
    for metric in (metrics.mean_absolute_error, metrics.quadratic_kappa):
        with pytest.warns(UndefinedAttributeWarning, match=r"\['size'\].*over 1 of 2") as caught:
            metric(y, predicted, attributes=KINDS)
        assert [warning.filename for warning in caught] == [__file__]


def test_rejects_tables_without_an_ordinal_attribute(tables):
    """The error says how to declare one."""
    y, predicted, _, _ = tables
    with pytest.raises(ValueError, match="declare the order"):
        metrics.mean_absolute_error(y, predicted)
    with pytest.raises(ValueError, match="`average`"):
        metrics.quadratic_kappa(y, predicted, attributes=KINDS, average="micro")


def test_kappa_of_nothing_is_undefined():
    """An empty matrix is valid."""
    assert np.isnan(_ordinal._kappa(np.zeros((3, 3))))
