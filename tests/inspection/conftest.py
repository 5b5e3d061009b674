"""Fixtures and data of the tests of displays."""

import numpy as np
import pandas as pd
import pytest

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def check_settings_unchanged(monkeypatch):
    """Draw without a screen and check that a test leaves matplotlib's settings unchanged."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == before


def make_table(n_attributes, n=200):
    """Return a DataFrame of zeros, ones and missing labels, and matching probabilities."""
    rng = np.random.default_rng(0)
    truth = rng.random((n, n_attributes)) < 0.4
    scores = np.clip(rng.beta(1 + 2 * truth, 3 - truth), 0, 1)
    y = np.where(rng.random(truth.shape) < 0.2, np.nan, truth)
    return pd.DataFrame(y, columns=[f"attribute_{j}" for j in range(n_attributes)]), scores


def corrupt_missing(y, scores):
    """Return scores with invalid values wherever the label is missing."""
    return np.where(np.isnan(y.to_numpy()), 5 - scores, scores)


@pytest.fixture
def mixed():
    """Return a table with a binary and a categorical attribute and a list of probabilities."""
    rng = np.random.default_rng(1)
    color = rng.integers(0, 3, 120)
    hat = rng.random(120) < 0.5
    proba = rng.dirichlet([1, 1, 1], 120) + 2 * np.eye(3)[color] * rng.random((120, 1))
    proba /= proba.sum(axis=1, keepdims=True)
    positive = rng.beta(1 + 2 * hat, 2)
    y = pd.DataFrame(
        {
            "hat": pd.array(hat, dtype="boolean"),
            "color": np.array(["blue", "green", "red"], dtype=object)[color],
        }
    )
    y.loc[3:9, "hat"] = pd.NA
    y.loc[5:15, "color"] = None
    return y, [np.stack([1 - positive, positive], axis=1), proba]
