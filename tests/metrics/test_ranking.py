"""Average precision and ROC AUC, compared with scikit-learn, with ties and weights."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from skattr import metrics
from skattr._utils import sorting as _sorted_keys
from skattr.metrics import UndefinedAttributeWarning, _ranking

NAMES = ("average_precision_score", "roc_auc_score")


def close(ours, theirs):
    """Assert equality to 1e-12."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def tied(scores, dtype, is_log):
    """Return scores with ties, as probabilities or log odds, of which some are negative."""
    scores = np.round(scores, 1).astype(dtype)
    return (8 * scores - 4).astype(dtype) if is_log else scores


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted", "samples", None])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("is_log", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_values_equal_scikit_learn(rng, name, average, dtype, is_log, weighted):
    """Each average of labels without missing ones, with tied scores."""
    y = (rng.random((150, 6)) < 0.4).astype(int)
    y[:, 0] |= ~y.any(axis=1)
    y[:, 1] &= ~y.all(axis=1)
    scores = tied(rng.random(y.shape), dtype, is_log)
    weight = rng.random(150) if weighted else None
    params = {"average": average, "sample_weight": weight}
    close(getattr(metrics, name)(y, scores, **params), getattr(sk, name)(y, scores, **params))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_columns_are_ranked_on_their_known_entries(rng, name, dtype, weighted):
    """With 90 % missing, and NaN scores there, the value is that of the known entries."""
    y = (rng.random((2000, 5)) < 0.3).astype(float)
    scores = tied(rng.random(y.shape), dtype, False)
    known = rng.random(y.shape) < 0.1
    y[~known] = np.nan
    scores[~known & (rng.random(y.shape) < 0.5)] = np.nan
    weight = rng.random(y.shape) if weighted else None
    ours = getattr(metrics, name)(y, scores, average=None, label_weight=weight)
    expected = [
        getattr(sk, name)(
            y[k, j], scores[k, j], sample_weight=None if weight is None else weight[k, j]
        )
        for j, k in enumerate(known.T)
    ]
    close(ours, expected)
    pooled = getattr(metrics, name)(y, scores, average="micro", label_weight=weight)
    weight = None if weight is None else weight[known]
    close(pooled, getattr(sk, name)(y[known], scores[known], sample_weight=weight))


@pytest.mark.parametrize("weighted", [False, True])
def test_classes_are_ranked_against_the_rest(rng, weighted):
    """A categorical and a binary attribute, in every average."""
    color = rng.choice(["blue", "green", "red"], 120)
    y = pd.DataFrame({"hat": rng.random(120) < 0.5, "color": color}).astype(object)
    known = rng.random(y.shape) < 0.6
    y = y.where(known, None)
    p = np.round(rng.dirichlet(np.ones(3), 120), 2)
    p[:, 0] = 1 - p[:, 1:].sum(axis=1)
    hat = np.round(rng.random((120, 1)), 1)
    weight = rng.random(120) if weighted else None
    w = [None if weight is None else weight[k] for k in known.T]
    rows = [np.flatnonzero(k) for k in known.T]
    hot = (color[rows[1], None] == ["blue", "green", "red"]).astype(int)
    for name in NAMES:
        metric, theirs = getattr(metrics, name), getattr(sk, name)
        first = theirs(y["hat"][rows[0]].astype(int), hat[rows[0], 0], sample_weight=w[0])
        second = theirs(hot, p[rows[1]], sample_weight=w[1])
        close(metric(y, [hat, p], average=None, sample_weight=weight), [first, second])
        close(metric(y, [hat, p], sample_weight=weight), (first + second) / 2)
        close(
            metric(y["color"], p, average="weighted", sample_weight=weight),
            theirs(hot, p[rows[1]], average="weighted", sample_weight=w[1]),
        )
        close(
            metric(y["color"], p, average="micro", sample_weight=weight),
            theirs(hot, p[rows[1]], average="micro", sample_weight=w[1]),
        )
        close(
            metric(y["color"], p, average="samples", sample_weight=weight),
            theirs(hot, p[rows[1]], average="samples", sample_weight=w[1]),
        )


@pytest.mark.parametrize("name", NAMES)
def test_averages_over_rows_rank_their_known_labels(rng, name):
    """Missing entries and undefined rows are left out, with a warning."""
    y = (rng.random((40, 9)) < 0.4).astype(float)
    y[rng.random(y.shape) < 0.4] = np.nan
    y[0] = np.nan
    y[1] = 0
    scores, weight = np.round(rng.random(y.shape), 1), rng.random(y.shape)
    expected = []
    for labels, s, w in zip(y, scores, weight, strict=True):
        known = ~np.isnan(labels)
        if len(set(labels[known])) == 2 or (name == NAMES[0] and (labels == 1).any()):
            expected.append(getattr(sk, name)(labels[known], s[known], sample_weight=w[known]))
    with pytest.warns(UndefinedAttributeWarning, match=f"of 39 rows.*other {len(expected)}") as one:
        ours = getattr(metrics, name)(y, scores, average="samples", label_weight=weight)
    close(ours, np.mean(expected))
    assert one[0].filename == __file__


columns = st.integers(1, 25).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.int8, n, elements=st.sampled_from([-1, 0, 1])),
        hnp.arrays(np.float64, n, elements=st.sampled_from([-0.0, 0.0, 0.25, 0.5, 0.75, 1.0])),
        hnp.arrays(np.float64, n, elements=st.sampled_from([0.0, 0.5, 1.0, 3.0])),
    )
)


@settings(deadline=None, max_examples=150)
@given(columns)
def test_all_counting_methods_equal_brute_force(column):
    """Sorted keys, sorted sides and weighted counts equal sums over pairs and thresholds."""
    codes, scores, weights = column
    known = codes >= 0
    ones = np.ones(len(codes))
    for way, weight in (("keys", ones), ("apart", ones), ("order", weights)):
        dtype = np.float32 if way == "keys" else np.float64
        block = _ranking._Block(
            scores[:, None].astype(dtype),
            codes[:, None],
            weight[:, None] if way == "order" else None,
            np.zeros(1, int),
        )
        [counts] = _ranking._counts_of_block(block)
        s, y, w = scores[known], codes[known], weight[known]
        P, N = w[y == 1].sum(), w[y == 0].sum()
        assert (counts.P, counts.N) == (P, N)
        area, precision = _ranking._area(counts), _ranking._average_precision(counts)
        if P > 0:
            total = 0.0
            for cut in np.unique(s[(y == 1) & (w > 0)]):
                tp, fp = w[(y == 1) & (s >= cut)].sum(), w[(y == 0) & (s >= cut)].sum()
                total += w[(y == 1) & (s == cut)].sum() * tp / (tp + fp)
            close(precision, total / P)
        else:
            assert np.isnan(precision)
        if P > 0 and N > 0:
            up, down = s[y == 1, None], s[None, y == 0]
            wins = (up > down) + (up == down) / 2
            close(area, w[y == 1] @ wins @ w[y == 0] / (P * N))
        else:
            assert np.isnan(area)


def test_infinite_scores_have_an_order():
    """Classes that a fold lacks have decisions of minus infinity."""
    y = [1, 0, 1, 0, None]
    for dtype in (np.float32, np.float64):
        scores = np.array([np.inf, 1, 2, 0, np.nan], dtype=dtype)
        assert metrics.roc_auc_score(y, scores) == 1
        assert metrics.roc_auc_score(y, -scores) == 0
        assert metrics.average_precision_score(y, scores) == 1


def test_values_do_not_depend_on_block_sizes(rng, monkeypatch):
    """Neither on the block of sorting nor on that of transposing."""
    y = rng.random((700, 9)) < 0.3
    scores = np.round(rng.random(y.shape), 2).astype(np.float32)
    classes = [rng.random((700, 2)), rng.random((700, 7))]
    mixed = np.column_stack([y[:, 0].astype(int), rng.integers(0, 7, 700)])

    def values():
        return [
            getattr(metrics, name)(*data, average=average)
            for name in NAMES
            for data in ((y | (scores > 0.95), scores), (mixed, classes))
            for average in ("macro", "micro", "weighted")
        ]

    before = values()
    monkeypatch.setattr(_ranking, "_ENTRIES", 1500)
    monkeypatch.setattr(_sorted_keys, "_TILE_SIZE", 64)
    monkeypatch.setattr(_sorted_keys, "_MIN_TILE_HEIGHT", 1)
    assert values() == before


def test_one_warning_lists_undefined_attributes():
    """Averages are over the defined attributes; the others are NaN."""
    y = pd.DataFrame({"hat": [1, 0, 1], "scarf": [0, 0, 0], "coat": [1, 1, np.nan]})
    scores = np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.3], [0.8, 0.3, 0.4]])
    with pytest.warns(UndefinedAttributeWarning) as caught:
        assert metrics.roc_auc_score(y, scores) == 1
    [warning] = caught
    assert "2 of 3 attributes" in str(warning.message)
    assert "['scarf', 'coat']; the average is over 1 of 3" in str(warning.message)
    assert warning.filename == __file__
    with pytest.warns(UndefinedAttributeWarning, match="1 of 3 .*they are NaN"):
        precision = metrics.average_precision_score(y, scores, average=None)
    np.testing.assert_array_equal(precision, [1, np.nan, 1])
    with pytest.warns(UndefinedAttributeWarning, match="pooled") as caught:
        assert np.isnan(metrics.roc_auc_score(y[["scarf"]], scores[:, 1], average="micro"))
    assert caught[0].filename == __file__


def test_agrees_with_torchmetrics(rng):
    """Multilabel scores with ignored entries; torchmetrics sorts float32."""
    classification = pytest.importorskip("torchmetrics.functional.classification")
    torch = pytest.importorskip("torch")
    y = rng.integers(0, 2, (400, 6))
    y[rng.random(y.shape) < 0.6] = -1
    scores = np.round(rng.random(y.shape), 2).astype(np.float32)
    for ours, theirs in (
        (metrics.average_precision_score, classification.multilabel_average_precision),
        (metrics.roc_auc_score, classification.multilabel_auroc),
    ):
        for average in ("macro", "micro", "weighted", "none"):
            value = ours(
                y, scores, average=None if average == "none" else average, missing_label=-1
            )
            other = theirs(
                torch.tensor(scores), torch.tensor(y), 6, average=average, ignore_index=-1
            )
            np.testing.assert_allclose(value, other.numpy(), atol=1e-5)
