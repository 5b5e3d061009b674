"""The logistic fit on log odds, compared with a minimizer of SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from skattr._multioutput import logistic
from skattr._multioutput.logistic import _binned, logistic_fit


def loss(point, z, positive, negative):
    """Return the log loss with the penalty on the slope and the intercept."""
    t = point[0] * z + point[1]
    fit = positive @ np.logaddexp(0, -t) + negative @ np.logaddexp(0, t)
    return fit + ((point[0] - 1) ** 2 + point[1] ** 2 / 10) / 4


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(0, 40),
    scale=st.sampled_from([0.1, 1.0, 20.0]),
    shift=st.sampled_from([0.0, -3.0, 8.0]),
    seed=st.integers(0, 2**16),
)
def test_finds_the_minimum(n, scale, shift, seed):
    """The slope and the intercept are those of least penalized loss, with weights of both sides."""
    rng = np.random.default_rng(seed)
    z = scale * rng.normal(size=n) + shift
    positive = rng.integers(0, 3, n) * (z + shift + rng.normal(size=n) > 0)
    negative = rng.random(n) * (positive == 0)
    a, b = logistic_fit(z, positive.astype(float), negative)
    best = minimize(loss, [1.0, 0.0], (z, positive, negative), method="Nelder-Mead",
                    options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000})  # fmt: skip
    if best.x[0] > 1e-3:
        assert loss((a, b), z, positive, negative) <= best.fun + 1e-7
        np.testing.assert_allclose([a, b], best.x, rtol=1e-3, atol=1e-3)
    else:
        assert a == 1e-3


def test_without_labels_the_fit_is_the_identity():
    """Rows without weight have no effect."""
    assert logistic_fit(np.array([3.0, -5.0]), np.zeros(2), np.zeros(2)) == (1.0, 0.0)


def test_scores_that_are_upside_down_keep_a_rising_fit():
    """The slope is above 0 even if high scores are those of negatives."""
    z = np.linspace(-4, 4, 200)
    assert logistic_fit(z, (z < 0).astype(float), (z >= 0).astype(float))[0] == 1e-3


@pytest.mark.parametrize("constant", [False, True])
def test_bins_keep_the_sums(rng, monkeypatch, constant):
    """A bin is at the weighted mean of rows that are close to each other; few rows stay rows."""
    monkeypatch.setattr(logistic, "_BINS", 50)
    z = np.full(1000, 2.0) if constant else rng.permutation(np.linspace(-6, 6, 1000))
    positive, negative = rng.random((2, 1000)) * (rng.random((2, 1000)) < 0.5)
    positive, negative = positive * expit(2 * z), negative * expit(-2 * z)
    positive[z.argmax()] = 1  # the highest row is in the last bin
    few = (z[:50], positive[:50], negative[:50])
    assert all(one is other for one, other in zip(_binned(*few), few, strict=True))
    means, up, down = _binned(z, positive, negative)
    assert len(means) <= 50
    assert (up + down > 0).all()
    np.testing.assert_allclose(up.sum(), positive.sum())
    np.testing.assert_allclose(down.sum(), negative.sum())
    np.testing.assert_allclose(means @ (up + down), z @ (positive + negative))
    if constant:
        np.testing.assert_allclose(means, [2.0])
        return
    edges = np.linspace(z.min(), z.max(), 51)
    edges[-1] += 1
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (z >= low) & (z < high)
        found = (means >= low) & (means < high)
        np.testing.assert_allclose(up[found].sum(), positive[inside].sum())
    monkeypatch.undo()
    exact = minimize(loss, [1.0, 0.0], (z, positive, negative), method="Nelder-Mead").x
    monkeypatch.setattr(logistic, "_BINS", 400)
    np.testing.assert_allclose(logistic_fit(z, positive, negative), exact, atol=5e-3)
