"""Log loss and Brier score, compared with scikit-learn, and calibration errors."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from skattr import metrics
from skattr.metrics import UndefinedAttributeWarning, _probabilistic

NAMES = ("log_loss", "brier_score_loss")


def close(ours, theirs):
    """Assert equality to 1e-12."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.fixture
def mixed(rng):
    """Return labels with 90 % missing, probabilities, known rows and label weights."""
    n = 1200
    y = pd.DataFrame({"hat": rng.integers(0, 2, n), "color": rng.choice(["a", "b", "c"], n)})
    known = rng.random(y.shape) < 0.1
    hat = rng.random((n, 1))
    hat[:3, 0] = 0, 1, 1  # clipped
    known[:3] = True
    y.loc[:2, "hat"] = 1, 0, 1
    color = rng.dirichlet(np.ones(3), n)
    color[0] = 0, 1, 0
    return y.astype(object).where(known, None), [hat, color], known, rng.random(y.shape)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_equal_scikit_learn(mixed, name, weighted):
    """Per attribute on its known entries, and their averages."""
    y, p, known, weights = mixed
    metric, theirs = getattr(metrics, name), getattr(sk, name)
    expected, sizes = [], []
    for j, column in enumerate(y):
        k = known[:, j]
        w = weights[k, j] if weighted else np.ones(k.sum())
        score = p[j][k, 0] if j == 0 else p[j][k]
        expected.append(theirs(y[column][k].tolist(), score, sample_weight=w))
        sizes.append(w.sum())
    params = {"label_weight": weights if weighted else None}
    close(metric(y, p, average=None, **params), expected)
    close(metric(y, p, **params), np.mean(expected))
    for average in ("micro", "weighted"):
        close(metric(y, p, average=average, **params), np.average(expected, weights=sizes))


@pytest.mark.parametrize("name", NAMES)
def test_losses_without_missing_labels(rng, name):
    """A matrix of probabilities with row weights equals scikit-learn."""
    y, p, w = rng.integers(0, 2, (90, 4)), rng.random((90, 4)), rng.random(90)
    theirs = [
        getattr(sk, name)(a, b, sample_weight=w, labels=[0, 1])
        for a, b in zip(y.T, p.T, strict=True)
    ]
    close(getattr(metrics, name)(y, p, average=None, sample_weight=w), theirs)
    single = p.astype(np.float32)
    close(
        getattr(metrics, name)(y, single),
        getattr(metrics, name)(y, single.astype(np.float64)),
    )


def test_float32_probabilities_are_clipped_at_their_precision():
    """As in scikit-learn, a wrong probability of 1 costs -log(eps) of the dtype."""
    for dtype in (np.float32, np.float64):
        ours = metrics.log_loss([1, 0], np.array([0, 0], dtype=dtype))
        eps = float(np.finfo(dtype).eps)
        close(ours, -(np.log(eps) + np.log(1 - eps)) / 2)


def test_the_sum_over_classes_can_be_halved(mixed):
    """`scale_by_half` has scikit-learn's meaning for two and for several classes."""
    y, p, known, _ = mixed
    auto = metrics.brier_score_loss(y, p, average=None)
    halved = metrics.brier_score_loss(y, p, average=None, scale_by_half=True)
    whole = metrics.brier_score_loss(y, p, average=None, scale_by_half=False)
    close(halved, auto / [1, 2])
    close(whole, auto * [2, 1])
    k = known[:, 1]
    theirs = sk.brier_score_loss(y["color"][k].tolist(), p[1][k], scale_by_half=True)
    close(halved[1], theirs)
    with pytest.raises(ValueError, match="scale_by_half"):
        metrics.brier_score_loss(y, p, scale_by_half="never")


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_bins_are_those_of_the_calibration_curve(rng, strategy):
    """The largest difference is that of scikit-learn's calibration_curve."""
    y, p = rng.integers(0, 2, 500), np.round(rng.random(500), 3)
    true, said = calibration_curve(y, p, n_bins=10, strategy=strategy)
    ours = metrics.calibration_error(y, p, n_bins=10, strategy=strategy, norm="max")
    close(ours, np.abs(true - said).max())


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_agrees_with_torchmetrics(rng, norm):
    """Binary and top-label errors of bins of equal width, in each norm."""
    classification = pytest.importorskip("torchmetrics.functional.classification")
    torch = pytest.importorskip("torch")
    y, p = rng.integers(0, 2, 600), rng.random(600)
    y[rng.random(600) < 0.5] = -1
    theirs = classification.binary_calibration_error(
        torch.tensor(p), torch.tensor(y), 12, norm, ignore_index=-1
    )
    ours = metrics.calibration_error(y, p, n_bins=12, norm=norm, missing_label=-1)
    assert ours == pytest.approx(float(theirs), abs=1e-6)
    y, p = rng.integers(0, 4, 600), rng.dirichlet(np.ones(4), 600)
    y[rng.random(600) < 0.5] = -1
    theirs = classification.multiclass_calibration_error(
        torch.tensor(p), torch.tensor(y), 4, 12, norm, ignore_index=-1
    )
    ours = metrics.calibration_error(y, p, n_bins=12, norm=norm, missing_label=-1)
    assert ours == pytest.approx(float(theirs), abs=1e-6)


@settings(deadline=None, max_examples=80)
@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            hnp.arrays(np.float64, n, elements=st.floats(0, 1)),
            hnp.arrays(np.bool_, n),
            hnp.arrays(np.float64, n, elements=st.sampled_from([0.0, 0.5, 2.0])),
        )
    ),
    st.integers(1, 8),
)
def test_every_entry_is_in_one_bin(entries, n_bins):
    """Sums over bins are sums over entries; an entry lies between its bin's edges."""
    p, hit, weights = entries
    for strategy in ("uniform", "quantile"):
        inner = _probabilistic.bin_edges(p, n_bins, strategy)
        assert len(inner) == n_bins - 1
        sums = _probabilistic.bin_sums(p, hit, weights, inner)
        assert sums.shape == (3, n_bins)
        close(sums.sum(axis=1), [p @ weights, hit @ weights, weights.sum()])
        edges = np.concatenate([[-np.inf], inner, [np.inf]])
        for b in range(n_bins):
            inside = (p > edges[b]) & (p <= edges[b + 1])
            close(sums[2, b], weights[inside].sum())


def test_averages_of_calibration_errors(mixed):
    """Macro and weighted average the attributes; micro is one curve."""
    y, p, known, weights = mixed
    p[0] = np.clip(p[0], 0.01, 0.99)
    for strategy in ("uniform", "quantile"):
        params = {"strategy": strategy, "label_weight": weights, "n_bins": 5}
        each = metrics.calibration_error(y, p, average=None, **params)
        close(metrics.calibration_error(y, p, **params), each.mean())
        sizes = (weights * known).sum(axis=0)
        ours = metrics.calibration_error(y, p, average="weighted", **params)
        close(ours, np.average(each, weights=sizes))
        top = p[1].max(axis=1)
        right = np.array(["a", "b", "c"])[p[1].argmax(axis=1)] == y["color"]
        pool = np.concatenate([p[0][known[:, 0], 0], top[known[:, 1]]])
        hits = np.concatenate([(y["hat"] == 1)[known[:, 0]], right[known[:, 1]]]).astype(int)
        w = np.concatenate([weights[known[:, j], j] for j in (0, 1)])
        ours = metrics.calibration_error(y, p, average="micro", **params)
        theirs = metrics.calibration_error(hits, pool, sample_weight=w, strategy=strategy, n_bins=5)
        close(ours, theirs)


@pytest.mark.parametrize("name", [*NAMES, "calibration_error"])
def test_an_attribute_without_labels_is_left_out(name):
    """One warning points to the line of the caller."""
    y = pd.DataFrame({"hat": [1, 0, np.nan], "scarf": [np.nan] * 3})
    p = np.array([[0.9, 0.1], [0.2, np.nan], [7, 0.4]])
    with pytest.warns(UndefinedAttributeWarning, match=r"\['scarf'\].*over 1 of 2") as caught:
        value = getattr(metrics, name)(y, p)
    assert [warning.filename for warning in caught] == [__file__]
    close(value, getattr(metrics, name)(y["hat"], p[:, 0]))


@pytest.mark.parametrize(
    "params", [{"n_bins": 0}, {"n_bins": 2.5}, {"n_bins": True}, {"strategy": "x"}, {"norm": "l3"}]
)
def test_rejects_invalid_parameters(params):
    """The error names the parameter."""
    with pytest.raises(ValueError, match=next(iter(params))):
        metrics.calibration_error([0, 1], [0.5, 0.5], **params)
