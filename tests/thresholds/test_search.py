"""Threshold search against exhaustive search and scikit-learn."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics

from skattr.metrics import precision_score as skattr_precision
from skattr.thresholds import find_thresholds
from tests.thresholds import brute_force as brute

OBJECTIVES = (
    "f1",
    "fbeta",
    "precision",
    "recall",
    "balanced_accuracy",
    "accuracy",
    "jaccard",
    "mcc",
    "cost",
)
CONSTRAINTS = ("precision", "recall", "specificity", "false_positive_rate", "positive_share")
DTYPES = (np.float32, np.float64)


@st.composite
def tables(draw, most_rows=12, most_labels=3, weighted=None, logits=None):
    """Draw scores with ties, labels of which some are missing, and possibly weights."""
    n = draw(st.integers(2, most_rows))
    n_labels = draw(st.integers(1, most_labels))
    dtype = draw(st.sampled_from(DTYPES))
    levels = draw(st.integers(2, 9))
    grid = draw(hnp.arrays(np.int64, (n, n_labels), elements=st.integers(0, levels)))
    scores = (grid / levels).astype(dtype)
    if draw(st.booleans()) if logits is None else logits:
        scores = (8 * scores - 4).astype(dtype)
    labels = draw(
        hnp.arrays(np.float64, (n, n_labels), elements=st.sampled_from([0.0, 1.0, 1.0, np.nan]))
    )
    weights = None
    if draw(st.booleans()) if weighted is None else weighted:
        shape = (n, draw(st.sampled_from([1, n_labels])))
        weights = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 3))) / 2
    return scores, labels, weights


def full_weights(scores, weights):
    """Return a weight for each entry."""
    return np.broadcast_to(np.ones((1, 1)) if weights is None else weights, scores.shape)


def has_choice(scores, labels, weights):
    """Return whether a label has two classes and two scores with positive weight."""
    weighs = ~np.isnan(labels) & (weights > 0)
    return len(set(labels[weighs])) == 2 and len(set(scores[weighs])) > 1


def check_against_brute_force(table, objective, constraint, **params):
    """Compare the threshold of each label with the best of all thresholds."""
    scores, labels, weights = table
    found = find_thresholds(
        labels,
        scores,
        objective,
        strategy="exact",
        constraint=constraint,
        sample_weight=weights,
        **params,
    )
    weights = full_weights(scores, weights)
    for j in range(scores.shape[1]):
        column = scores[:, j].astype(np.float64), labels[:, j], weights[:, j]
        if not has_choice(*column):
            assert j in found.failed
            assert np.isnan(found.thresholds[j])
            continue
        expected = brute.best(*column, objective, constraint, **params)
        if expected is None:
            assert "best attainable" in found.failed[j]
            continue
        four = brute.counts(*column, found.thresholds[j])
        assert brute.satisfies(constraint, *four)
        assert brute.value(objective, *four, **params) == pytest.approx(expected, abs=1e-12)
        assert found.values[j] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=150, deadline=None)
@given(table=tables(), beta=st.sampled_from([0.5, 2.0]), costs=st.sampled_from([(1, 5), (3, 1)]))
def test_each_objective_equals_brute_force(objective, table, beta, costs):
    """The scores include ties, missing labels, weights, both precisions and log odds."""
    params = {"fbeta": {"beta": beta}, "cost": {"costs": costs}}.get(objective, {})
    check_against_brute_force(table, objective, None, **params)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("objective", ["f1", "recall", "precision", "mcc"])
@settings(max_examples=80, deadline=None)
@given(table=tables(), bound=st.sampled_from([0.0, 0.25, 0.5, 0.6, 0.75, 0.9, 1.0]))
def test_each_constraint_equals_brute_force(constraint, objective, table, bound):
    """The best threshold that satisfies the constraint is found if there is one."""
    check_against_brute_force(table, objective, (constraint, bound))


@pytest.mark.parametrize(
    "objective", ["f1", "fbeta", "jaccard", "precision", "recall", "accuracy", "mcc", "cost"]
)
@settings(max_examples=60, deadline=None)
@given(table=tables(most_rows=6))
def test_micro_equals_exhaustive_search(objective, table):
    """The joint thresholds are the best of all combinations."""
    check_joint(table, objective, None)


def test_reason_names_the_best_attainable_value_of_its_label():
    """Of three labels with different best precisions, and where only infinity is too high."""
    rng = np.random.default_rng(0)
    labels = rng.random((60, 3)) < 0.3
    scores = rng.random((60, 3))
    labels[scores.argmax(axis=0), [0, 1, 2]] = False
    found = find_thresholds(labels, scores, constraint=("precision", 1.0), strategy="exact")
    for j in range(3):
        thresholds = np.unique(scores[:, j])
        values = [labels[scores[:, j] >= t, j].mean() for t in thresholds]
        assert found.failed[j].endswith(f"the best attainable is {max(values):.6g}")
    logits = np.array([[np.inf], [np.inf], [1.0], [0.0], [-1.0]])
    label = np.array([[0], [1], [0], [0], [1]])
    found = find_thresholds(
        label, logits, constraint=("false_positive_rate", 0.1), strategy="exact"
    )
    assert found.failed[0].endswith("the best attainable is 0.333333")


@pytest.mark.parametrize("seed", range(4))
def test_constrained_micro_is_optimal_among_all_sums(seed):
    """On 400 rows and 2 labels, where the best vertex of the hull misses the optimum."""
    rng = np.random.default_rng(seed)
    labels = rng.random((400, 2)) < [0.4, 0.1]
    scores = rng.normal(size=labels.shape) + labels * [0.3, 1]
    found = find_thresholds(
        labels, scores, average="micro", constraint=("precision", 0.6), strategy="exact"
    )
    points = []
    for score, label in zip(scores.T, labels.T, strict=True):
        ranked = label[np.argsort(-score)]
        points.append([np.append(0, np.cumsum(side)) for side in (ranked, ~ranked)])
    tp, fp = (np.add.outer(a, b) for a, b in zip(*points, strict=True))
    precision = tp / np.maximum(tp + fp, 1)
    f1 = np.where(precision >= 0.6, 2 * tp / (tp + fp + labels.sum()), 0)
    predicted = (scores >= found.thresholds).ravel()
    assert metrics.precision_score(labels.ravel(), predicted) >= 0.6
    assert metrics.f1_score(labels.ravel(), predicted) == pytest.approx(f1.max())


@pytest.mark.parametrize("most_pairs", [0, 40, 4_000_000])
@pytest.mark.parametrize("bound", [0.0, 0.1, 0.3, 0.6, 1.0])
def test_constrained_micro_at_vertices(monkeypatch, most_pairs, bound):
    """If all sums are vertices, enumerating them, or giving up, finds what the vertices do."""
    from skattr.thresholds import _joint

    monkeypatch.setattr(_joint, "_MOST_PAIRS", most_pairs)
    # The share of positives falls from 1 to 0, by turns of the two labels.
    blocks = [[(5, 0), (3, 1), (1, 3)], [(4, 1), (2, 2), (0, 3)]]
    labels, scores = [], []
    for label in blocks:
        labels.append(np.repeat([1, 0] * 3, np.ravel(label)))
        scores.append(np.repeat([0.9, 0.6, 0.3], np.sum(label, axis=1)))
    n = max(map(len, labels))
    labels = np.array([np.append(y, [np.nan] * (n - len(y))) for y in labels]).T
    scores = np.array([np.append(s, [0.0] * (n - len(s))) for s in scores]).T
    merged = np.array([(0, 0), (5, 0), (4, 1), (3, 1), (2, 2), (1, 3), (0, 3)])
    tp, fp = np.cumsum(merged, axis=0).T
    found = find_thresholds(
        labels,
        scores,
        "recall",
        average="micro",
        constraint=("false_positive_rate", bound),
        strategy="exact",
    )
    known = ~np.isnan(labels)
    predicted = (scores >= found.thresholds) & known
    assert (predicted & (labels == 0)).sum() <= bound * 10
    assert (predicted & (labels == 1)).sum() == tp[fp <= bound * 10].max()
    assert found.value == pytest.approx(tp[fp <= bound * 10].max() / 15)


@pytest.mark.parametrize("average", ["macro", "micro", "global"])
def test_predicting_nothing_is_chosen_only_where_it_is_best(average):
    """By one row of ten: the one positive has the second or the third highest score."""
    scores = np.linspace(0.95, 0.05, 10)[:, np.newaxis]
    for rank, value in ((1, 0.9), (2, 0.9), (0, 1.0)):
        label = np.arange(10)[:, np.newaxis] == rank
        found = find_thresholds(label, scores, "accuracy", average=average, strategy="exact")
        predicted = scores >= np.ravel(found.thresholds)[0]
        assert (predicted == label).mean() == value
        # Of equally good thresholds the lowest is returned: the first two rows are positive.
        assert predicted.sum() == {0: 1, 1: 2, 2: 0}[rank]


@pytest.mark.parametrize("objective", ["f1", "jaccard", "mcc"])
@pytest.mark.parametrize("seed", range(4))
def test_micro_is_optimal_among_all_sums(objective, seed):
    """On 200 rows and 3 labels: tables of a few rows hide an error in the order of the edges."""
    rng = np.random.default_rng(seed)
    labels = rng.random((200, 3)) < [0.5, 0.2, 0.05]
    scores = (rng.normal(size=labels.shape) + labels * [0.3, 1, 2]) * [1, 3, 0.5]
    found = find_thresholds(labels, scores, objective, average="micro", strategy="exact")
    tp, fp = np.zeros(1), np.zeros(1)
    for score, label in zip(scores.T, labels.T, strict=True):
        ranked = label[np.argsort(-score)]
        tp = np.add.outer(tp, np.append(0, np.cumsum(ranked))).ravel()
        fp = np.add.outer(fp, np.append(0, np.cumsum(~ranked))).ravel()
        # Sums with the same true positives: the fewest false positives are the best.
        order = np.lexsort((fp, tp))
        first = np.append(True, np.diff(tp[order]) > 0)
        tp, fp = tp[order][first], fp[order][first]
    fn, tn = labels.sum() - tp, (~labels).sum() - fp
    with np.errstate(invalid="ignore"):
        best = {
            "f1": 2 * tp / (2 * tp + fp + fn),
            "jaccard": tp / (tp + fp + fn),
            "mcc": (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)),
        }[objective]
    predicted = scores >= found.thresholds
    reference = {
        "f1": metrics.f1_score,
        "jaccard": metrics.jaccard_score,
        "mcc": metrics.matthews_corrcoef,
    }[objective]
    assert reference(labels.ravel(), predicted.ravel()) == pytest.approx(np.nanmax(best))


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@settings(max_examples=60, deadline=None)
@given(table=tables(most_rows=6), bound=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
def test_constrained_micro_equals_exhaustive_search(constraint, table, bound):
    """A constraint on the sums over labels makes the best hull vertex suboptimal."""
    for objective in ("f1", "recall", "precision"):
        check_joint(table, objective, (constraint, bound))


def check_joint(table, objective, constraint):
    """Compare joint thresholds with all combinations of thresholds of the tunable labels."""
    scores, labels, weights = table
    found = find_thresholds(
        labels,
        scores,
        objective,
        average="micro",
        strategy="exact",
        constraint=constraint,
        sample_weight=weights,
    )
    weights = full_weights(scores, weights)
    tunable = [
        j
        for j in range(scores.shape[1])
        if has_choice(*(a.T[j] for a in (scores, labels, weights)))
    ]
    if not tunable:
        assert len(found.failed) == scores.shape[1]
        return
    part = [array[:, tunable].astype(np.float64) for array in (scores, labels, weights)]
    expected = brute.best_joint(*part, objective, constraint)
    if expected is None:
        assert set(tunable) <= set(found.failed)
        return
    four = np.sum(
        [
            brute.counts(*(a[:, i] for a in part), found.thresholds[j])
            for i, j in enumerate(tunable)
        ],
        axis=0,
    )
    assert brute.satisfies(constraint, *four)
    assert brute.value(objective, *four) == pytest.approx(expected, abs=1e-12)
    assert found.value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("objective", ["f1", "mcc", "accuracy"])
@settings(max_examples=60, deadline=None)
@given(table=tables(most_rows=8))
def test_global_equals_brute_force(objective, table):
    """The single threshold is the best one of all entries together."""
    scores, labels, weights = table
    found = find_thresholds(
        labels, scores, objective, average="global", sample_weight=weights, strategy="exact"
    )
    flat = [
        array.reshape(-1).astype(np.float64)
        for array in (scores, labels, full_weights(scores, weights))
    ]
    if not has_choice(*flat):
        assert found.failed
        return
    assert len(set(found.thresholds)) == 1
    four = brute.counts(*flat, found.thresholds[0])
    expected = brute.best(*flat, objective)
    assert brute.value(objective, *four) == pytest.approx(expected, abs=1e-12)
    assert found.value == pytest.approx(expected, abs=1e-12)


def draw_sample(seed, n=400, n_labels=6, dtype=np.float32):
    """Return scores of partly separable labels, and the labels."""
    rng = np.random.default_rng(seed)
    prevalence = np.exp(rng.uniform(np.log(0.05), np.log(0.5), n_labels))
    labels = rng.random((n, n_labels)) < prevalence
    odds = rng.normal(size=labels.shape) + 1.5 * labels + np.log(prevalence)
    return (1 / (1 + np.exp(-odds))).astype(dtype), labels


@pytest.mark.parametrize("dtype", DTYPES)
def test_f1_equals_the_precision_recall_curve(dtype):
    """The best F1 is that of scikit-learn's curve, to float precision."""
    scores, labels = draw_sample(0, dtype=dtype)
    found = find_thresholds(labels, scores, strategy="exact")
    for j in range(scores.shape[1]):
        p, r, _ = metrics.precision_recall_curve(labels[:, j], scores[:, j])
        best = np.max(2 * p * r / np.maximum(p + r, 1e-12))
        reached = metrics.f1_score(labels[:, j], scores[:, j] >= found.thresholds[j])
        assert found.values[j] == pytest.approx(best, abs=1e-12)
        assert reached == pytest.approx(best, abs=1e-12)


def test_youden_equals_the_roc_curve():
    """The best balanced accuracy is where TPR - FPR is largest."""
    scores, labels = draw_sample(1)
    found = find_thresholds(labels, scores, "balanced_accuracy", strategy="exact")
    for j in range(scores.shape[1]):
        fpr, tpr, _ = metrics.roc_curve(labels[:, j], scores[:, j], drop_intermediate=False)
        assert found.values[j] == pytest.approx((1 + np.max(tpr - fpr)) / 2, abs=1e-12)


def test_accuracy_minimizes_the_hamming_loss():
    """The macro accuracy is 1 minus scikit-learn's Hamming loss of the predictions."""
    scores, labels = draw_sample(2)
    found = find_thresholds(labels, scores, "accuracy", strategy="exact")
    loss = metrics.hamming_loss(labels, scores >= found.thresholds)
    assert found.value == pytest.approx(1 - loss, abs=1e-12)


def test_threads_change_nothing():
    """Results do not depend on the number of threads."""
    scores, labels = draw_sample(3, n_labels=90)
    for average in ("macro", "micro"):
        serial = find_thresholds(labels, scores, average=average, strategy="exact")
        threaded = find_thresholds(labels, scores, average=average, n_jobs=2, strategy="exact")
        np.testing.assert_array_equal(serial.thresholds, threaded.thresholds)


@pytest.mark.parametrize("average", ["macro", "micro", "samples", "global"])
def test_missing_labels_have_no_influence(average):
    """Labels and scores under the mask are not read."""
    scores, labels = draw_sample(4)
    y = labels.astype(np.float64)
    y[::3, 0] = np.nan
    other = scores.copy()
    other[::3, 0] = np.nan
    first = find_thresholds(y, scores, average=average, strategy="exact")
    second = find_thresholds(labels, other, average=average, strategy="exact")
    np.testing.assert_array_equal(first.thresholds, second.thresholds)
    if average == "macro":
        rows = np.arange(len(y)) % 3 > 0
        alone = find_thresholds(labels[rows, 0], scores[rows, 0], strategy="exact")
        assert alone.thresholds[0] == first.thresholds[0]


def test_notations_of_missing_labels():
    """NaN, None and pandas.NA are equivalent."""
    scores, labels = draw_sample(5, n=60, n_labels=2)
    y = labels.astype(np.float64)
    y[:9] = np.nan
    frame = pd.DataFrame(y).astype("Int64")
    objects = np.where(np.isnan(y), None, labels).astype(object)
    expected = find_thresholds(y, scores, strategy="exact").thresholds
    for same in (frame, objects, pd.DataFrame(y).astype("boolean")):
        np.testing.assert_array_equal(
            find_thresholds(same, scores, strategy="exact").thresholds, expected
        )


@settings(max_examples=100, deadline=None)
@given(table=tables(weighted=False), weights=st.integers(1, 3))
def test_integer_weights_equal_repetition(table, weights):
    """A row of weight 2 is equivalent to two rows."""
    scores, labels, _ = table
    times = 1 + np.arange(len(scores)) % weights
    weighted = find_thresholds(labels, scores, sample_weight=times, strategy="exact")
    repeated = find_thresholds(
        np.repeat(labels, times, 0), np.repeat(scores, times, 0), strategy="exact"
    )
    np.testing.assert_allclose(weighted.thresholds, repeated.thresholds)
    np.testing.assert_allclose(weighted.values, repeated.values)


@settings(max_examples=100, deadline=None)
@given(table=tables())
def test_threshold_lies_between_scores(table):
    """It lies midway between two neighbors, or at an end, in either precision."""
    scores, labels, weights = table
    found = find_thresholds(labels, scores, "recall", sample_weight=weights, strategy="exact")
    for j in range(scores.shape[1]):
        threshold = found.thresholds[j]
        if np.isnan(threshold):
            continue
        weighs = ~np.isnan(labels[:, j]) & (full_weights(scores, weights)[:, j] > 0)
        distinct = np.unique(scores[weighs, j]).astype(np.float64)
        middles = (distinct[1:] + distinct[:-1]) / 2
        assert np.isclose(threshold, [distinct[0], *middles, distinct[-1]]).any()


@pytest.mark.parametrize("objective", ["f1", "jaccard", "accuracy", "recall", "precision", "fbeta"])
def test_samples_is_a_local_optimum(objective):
    """No single threshold can be improved, and the result is no worse than joint thresholds."""
    scores, labels = draw_sample(6, n=80, n_labels=4)
    found = find_thresholds(labels, scores, objective, average="samples", strategy="exact")

    def mean_over_rows(thresholds):
        per_row = []
        for y, p in zip(labels, scores >= thresholds, strict=True):
            four = (y & p).sum(), (~y & p).sum(), (y & ~p).sum(), (~y & ~p).sum()
            per_row.append(brute.value(objective, *four))
        return np.mean(per_row)

    assert found.value == pytest.approx(mean_over_rows(found.thresholds), abs=1e-12)
    joint = find_thresholds(labels, scores, objective, average="micro", strategy="exact")
    assert found.value >= mean_over_rows(joint.thresholds) - 1e-12
    for j in range(scores.shape[1]):
        for threshold in brute.distinct_thresholds(scores[:, j]):
            moved = found.thresholds.copy()
            moved[j] = threshold
            assert mean_over_rows(moved) <= found.value + 1e-12


def test_samples_f1_equals_scikit_learn():
    """The value is scikit-learn's F1 with average="samples"."""
    scores, labels = draw_sample(7)
    found = find_thresholds(labels, scores, average="samples", strategy="exact")
    predicted = scores >= found.thresholds
    expected = metrics.f1_score(labels, predicted, average="samples", zero_division=0)
    assert found.value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("average", ["macro", "global"])
def test_callable_objective(average):
    """A metric is evaluated over the distinct thresholds; F1 as a callable finds the best F1."""
    scores, labels = draw_sample(8, n=90)
    named = find_thresholds(labels[:, :2], scores[:, :2], average=average, strategy="exact")
    called = find_thresholds(
        labels[:, :2], scores[:, :2], metrics.f1_score, average=average, strategy="exact"
    )
    assert called.value == pytest.approx(named.value, abs=1e-12)


def test_callable_objective_is_weighted():
    """Weights are passed to the metric as sample_weight."""
    scores, labels = draw_sample(9, n=90)
    weights = np.random.default_rng(0).random(90)
    named = find_thresholds(labels, scores, sample_weight=weights, strategy="exact")
    called = find_thresholds(
        labels, scores, metrics.f1_score, sample_weight=weights, strategy="exact"
    )
    np.testing.assert_allclose(called.values, named.values)


def test_bounds_and_costs_per_label():
    """The result for each label is that of the label alone with its bound or cost."""
    scores, labels = draw_sample(10)
    bounds = np.linspace(0.3, 0.8, scores.shape[1])
    found = find_thresholds(labels, scores, "precision", constraint=("recall", bounds))
    costs = (np.ones(scores.shape[1]), np.arange(1.0, scores.shape[1] + 1))
    priced = find_thresholds(labels, scores, "cost", costs=costs, strategy="exact")
    for j, bound in enumerate(bounds):
        alone = find_thresholds(
            labels[:, j], scores[:, j], "precision", constraint=("recall", bound)
        )
        assert alone.thresholds[0] == found.thresholds[j]
        alone = find_thresholds(
            labels[:, j], scores[:, j], "cost", costs=(1.0, j + 1.0), strategy="exact"
        )
        assert alone.thresholds[0] == priced.thresholds[j]


def test_values_of_costs_per_label():
    """The cost over the sums of all labels is the total cost per known label."""
    scores, labels = draw_sample(14)
    y = labels.astype(np.float64)
    y[:, 1] = 1.0  # not tuned
    y[::2, 2] = np.nan
    y[: len(y) // 3, 3] = np.nan
    weights = np.random.default_rng(0).choice([0.5, 1.0, 2.0], len(y))
    costs = (np.array([1.0, 2, 1, 4, 1, 3]), np.arange(2.0, 8.0))
    found = find_thresholds(y, scores, "cost", average="micro", costs=costs, sample_weight=weights)
    used = ~np.isnan(y) & (np.arange(6) != 1)
    predicted = scores >= found.thresholds
    cost = np.where(predicted & (y == 0), costs[0], 0) + np.where(
        ~predicted & (y == 1), costs[1], 0
    )
    weighted = weights[:, np.newaxis] * used
    expected = -(cost * weighted).sum(axis=0)[used.any(axis=0)]
    sizes = weighted.sum(axis=0)[used.any(axis=0)]
    np.testing.assert_allclose(np.delete(found.values, 1), expected / sizes)
    assert np.isnan(found.values[1])
    assert found.value == pytest.approx(expected.sum() / sizes.sum())


@pytest.mark.parametrize("strategy", ["plugin", "auto"])
def test_strategies_of_costs_per_label(strategy):
    """Each label keeps its own costs, also if another label cannot be tuned."""
    scores, labels = draw_sample(12)
    labels[:, 1] = False
    costs = (np.ones(scores.shape[1]), np.arange(1.0, scores.shape[1] + 1))
    found = find_thresholds(labels, scores, "cost", costs=costs, strategy=strategy)
    assert list(found.failed) == [1]
    for j in (0, 2, 3, 4, 5):
        alone = find_thresholds(
            labels[:, j], scores[:, j], "cost", costs=(1.0, j + 1.0), strategy=strategy
        )
        assert alone.thresholds[0] == found.thresholds[j]
        assert alone.values[0] == found.values[j]


@pytest.mark.parametrize("average", ["macro", "micro", "samples", "global"])
@pytest.mark.parametrize("strategy", ["exact", "plugin", "shrunk", "auto"])
def test_every_strategy_with_every_average(average, strategy):
    """Values are those of the returned thresholds, by the definition of the average."""
    scores, labels = draw_sample(13)
    found = find_thresholds(labels, scores, "f1", average=average, strategy=strategy)
    predicted = scores >= found.thresholds
    how = {"global": "micro"}.get(average, average)
    expected = metrics.f1_score(labels, predicted, average=how, zero_division=0)
    assert found.value == pytest.approx(expected, abs=1e-12)
    per_label = metrics.f1_score(labels, predicted, average=None)
    np.testing.assert_allclose(found.values, per_label, atol=1e-12)


def test_infinite_scores():
    """Log odds of plus and minus infinity are valid scores."""
    scores = np.array([-np.inf, -1.0, 2.0, np.inf])
    found = find_thresholds([0, 0, 1, 1], scores, strategy="exact")
    assert found.value == 1.0
    assert found.thresholds[0] == 0.5
    found = find_thresholds([0, 1, 1, 1], scores, strategy="exact")
    np.testing.assert_array_equal(scores >= found.thresholds[0], [False, True, True, True])


def test_adjacent_scores_are_separated():
    """If no number lies between two scores, the threshold is the upper one."""
    low = np.float64(0.3)
    high = np.nextafter(low, 1)
    for dtype in DTYPES:
        low = dtype(0.3)
        high = np.nextafter(low, dtype(1))
        scores = np.array([low, high, low, high])
        found = find_thresholds([0, 1, 0, 1], scores, strategy="exact")
        assert found.value == 1.0


def test_negative_zero_is_zero():
    """-0.0 and 0.0 are the same score."""
    scores = np.array([-0.0, 0.0, 0.5, 0.7], dtype=np.float32)
    expected = find_thresholds([1, 0, 0, 1], scores.astype(np.float64), strategy="exact")
    assert find_thresholds([1, 0, 0, 1], scores, strategy="exact").value == expected.value


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"objective": "auc"}, "objective must be one of f1, fbeta"),
        ({"average": "weighted"}, "average must be one of"),
        ({"strategy": "best"}, "strategy must be one of"),
        ({"constraint": ("auc", 0.5)}, "constraint must bound one of precision"),
        ({"constraint": "recall"}, "constraint must be None or a pair"),
        ({"constraint": ("recall", 1.5)}, "between 0 and 1; got 1.5"),
        ({"constraint": ("recall", [0.5, 0.5, 0.5])}, "each of the 2 labels"),
        ({"constraint": ("recall", {"hat": 0.5})}, "is given for"),
        ({"beta": 0.0}, "beta must be a positive number"),
        ({"costs": 3.0}, "costs must be a pair"),
        ({"costs": (1.0, -1.0)}, "the cost of a false negative must be finite and at least 0"),
        ({"confidence": 0.9}, "pass constraint="),
        ({"correction": "bonferroni"}, "requires a confidence"),
        ({"strategy": "plugin", "constraint": ("recall", 0.5)}, "does not support a constraint"),
        ({"strategy": "shrunk", "constraint": ("recall", 0.5)}, "does not support a constraint"),
        ({"costs": (1.0, np.inf)}, "the cost of a false negative must be finite"),
        ({"confidence": 1.5, "constraint": ("recall", 0.5)}, "confidence must be between 0 and 1"),
        ({"confidence": 1.0, "constraint": ("recall", 0.5)}, "between 0 and 1; got 1.0"),
        ({"confidence": 0.0, "constraint": ("recall", 0.5)}, "between 0 and 1; got 0.0"),
        ({"average": "samples", "objective": "mcc"}, "average='samples' takes the objectives"),
        ({"average": "micro", "objective": metrics.f1_score}, "takes average='macro' or 'global'"),
        ({"strategy": "plugin", "objective": metrics.f1_score}, "strategy 'exact' or 'auto'"),
        ({"sample_weight": [1.0, 2.0]}, "The weights have shape"),
        ({"sample_weight": [1.0, -2.0, 1.0]}, "row 1, column 0 is -2.0"),
        ({"average": "global", "objective": "cost", "costs": ([1, 2], 1)}, "needs the same costs"),
        ({"average": "micro", "constraint": ("recall", [0.5, 0.6])}, "has one bound"),
        ({"average": "samples", "sample_weight": np.ones((3, 2))}, "one weight per row, not"),
    ],
)
def test_rejects_invalid_parameters(params, message):
    """The message says what is valid."""
    scores = np.array([[0.2, 0.3], [0.5, 0.1], [0.7, 0.8]])
    with pytest.raises(ValueError, match=message):
        find_thresholds(scores > 0.4, scores, **params)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([[0.1, 0.2]], [[1]], "one score for each label"),
        ([0.1, 0.2], [0, 2], "column 'y0', row 1: the label 2 is neither"),
        ([0.1, 0.2], [0, -1], "column 'y0', row 1: the label -1 is neither"),
        ([0.1, 0.2], [0.5, 1], "column 'y0', row 0: the label 0.5 is neither"),
        ([0.1, 0.2], ["no", "yes"], "the label 'no' is neither 0 nor 1"),
        (["a", "b"], [0, 1], "y_score must hold numbers"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "y_true is empty"),
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), "y_true should be of shape"),
    ],
)
def test_rejects_invalid_scores_and_labels(scores, labels, message):
    """The message names row and column."""
    with pytest.raises(ValueError, match=message):
        find_thresholds(labels, scores, strategy="exact")


def test_reasons_of_labels_that_cannot_be_tuned():
    """Each reason is reported, and the other labels are tuned."""
    scores = np.array(
        [[0.1, 0.1, 0.1, 0.5, 0.9], [0.6, 0.6, 0.6, 0.5, 0.1], [0.7, 0.7, 0.7, 0.5, 0.4]]
    )
    labels = np.array([[0, 0, np.nan, 0, 0], [1, 0, np.nan, 1, 1], [1, 0, np.nan, 1, 0]])
    found = find_thresholds(labels, scores, constraint=("precision", 0.9))
    assert found.failed == {
        1: "one class only, the negative one",
        2: "no known label",
        3: "constant scores",
        4: "precision >= 0.9 is out of reach, the best attainable is 0.333333",
    }
    assert np.isfinite(found.thresholds[0])
    assert found.value == found.values[0]


def test_inputs_are_not_changed():
    """Scores, labels and weights stay the same, and there is no warning."""
    scores, labels = draw_sample(11)
    y = labels.astype(np.float64)
    y[0] = np.nan
    weights = np.ones(len(y))
    arrays = (scores, y, weights)
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for average in ("macro", "micro", "samples", "global"):
            find_thresholds(y, scores, average=average, sample_weight=weights, strategy="auto")
            find_thresholds(y, scores, average=average, strategy="exact")
    for array, expected in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_strategies_follow_the_scale_of_decisions():
    """Decisions have no scale: a multiple of them gives the same predictions."""
    rng = np.random.default_rng(0)
    labels = rng.random((600, 3)) < 0.1
    scores = rng.normal(size=labels.shape) + 1.5 * labels - 1
    for strategy in ("auto", "plugin", "exact"):
        plain = find_thresholds(labels, scores, strategy=strategy)
        for scale in (1e-5, 1e-2, 1e3, 1e150):
            scaled = find_thresholds(labels, scores * scale, strategy=strategy)
            np.testing.assert_allclose(scaled.thresholds / scale, plain.thresholds, rtol=1e-6)


@pytest.mark.parametrize("shift", [-25, 15])
@pytest.mark.parametrize("strategy", ["auto", "plugin", "shrunk"])
def test_strategies_of_probabilities_near_the_ends(shift, strategy):
    """Saturated probabilities still have a threshold among them."""
    rng = np.random.default_rng(0)
    labels = rng.random((600, 2)) < 0.2
    scores = 1 / (1 + np.exp(-(rng.normal(size=labels.shape) + 2 * labels + shift)))
    exact = find_thresholds(labels, scores, strategy="exact").value
    assert find_thresholds(labels, scores, strategy=strategy).value > exact - 0.1


def test_infinite_top_scores_are_always_predicted():
    """No number is above infinity, so that some rows are always predicted positive."""
    found = find_thresholds([0, 1, 0, 0], [np.inf, 0, 1, 2], "accuracy", strategy="exact")
    assert found.values[0] == np.mean(
        (np.array([np.inf, 0, 1, 2]) >= found.thresholds[0]) == [0, 1, 0, 0]
    )
    with pytest.raises(ValueError, match="less than infinity"):
        find_thresholds([0, 1, 0, 0], [np.inf, 0, 1, 2], average="micro", strategy="exact")


def test_labels_that_fail_do_not_change_the_others():
    """The search uses the same labels as the mean over rows."""
    scores = [[0.5, 0, 0.25], [0.75, 0, 0.75], [0.25, 0, 0]]
    labels = [[0, 0, np.nan], [np.nan, 1, 0], [1, np.nan, 1]]
    found = find_thresholds(labels, scores, "accuracy", average="samples", strategy="exact")
    assert set(found.failed) == {1}
    assert found.value == pytest.approx(2 / 3)  # nothing is predicted


@pytest.mark.parametrize("average", ["macro", "micro", "global"])
@pytest.mark.parametrize("objective", ["recall", "f1", "cost"])
def test_weights_of_one_change_nothing(average, objective):
    """The thresholds are the same, also if several are equally good."""
    scores, labels = draw_sample(14)
    costs = {"costs": (0.0, 1.0)} if objective == "cost" else {}
    plain = find_thresholds(labels, scores, objective, average=average, **costs)
    weighted = find_thresholds(
        labels, scores, objective, average=average, sample_weight=np.ones(len(labels)), **costs
    )
    np.testing.assert_allclose(weighted.thresholds, plain.thresholds)


def test_names_of_columns():
    """Columns, and bounds in a dict or Series, are matched by name."""
    scores, labels = draw_sample(15, n_labels=2)
    frame, table = (pd.DataFrame(array, columns=["a", "b"]) for array in (scores, labels))
    params = {"objective": "precision"}
    expected = find_thresholds(table, frame, **params, constraint=("recall", [0.5, 0.9])).thresholds
    for bounds in ({"b": 0.9, "a": 0.5}, pd.Series({"b": 0.9, "a": 0.5})):
        found = find_thresholds(table, frame, **params, constraint=("recall", bounds))
        np.testing.assert_array_equal(found.thresholds, expected)
    by_number = find_thresholds(labels, scores, **params, constraint=("recall", {0: 0.5, 1: 0.9}))
    np.testing.assert_array_equal(by_number.thresholds, expected)
    found = find_thresholds(table[["b", "a"]], frame, **params, constraint=("recall", [0.9, 0.5]))
    np.testing.assert_array_equal(found.thresholds, expected[::-1])


def test_weights_of_very_different_sizes():
    """Weights that differ by sixteen orders of magnitude are summed correctly."""
    scores, labels = draw_sample(16)
    weights = np.where(np.arange(len(labels)) % 2, 1, 1e-20)
    found = find_thresholds(
        labels, scores, average="micro", sample_weight=weights, strategy="exact"
    )
    half = find_thresholds(labels[1::2], scores[1::2], average="micro", strategy="exact")
    assert found.value == pytest.approx(half.value, abs=1e-9)


def test_nullable_scores():
    """pandas.NA in a score is equivalent to NaN."""
    scores, labels = draw_sample(17, n_labels=2)
    scores[3, 0] = np.nan
    frame = pd.DataFrame(scores.astype(np.float64)).astype("Float64")
    expected = find_thresholds(labels, scores.astype(np.float64), strategy="exact").thresholds
    np.testing.assert_array_equal(
        find_thresholds(labels, frame, strategy="exact").thresholds, expected
    )


@settings(max_examples=150, deadline=None)
@given(table=tables())
def test_callable_objective_equals_brute_force(table):
    """Every way to divide the scores is tried once, on the known entries with their weights."""
    scores, labels, weights = table
    scores = np.where(scores == scores.max(), np.inf, scores) if scores.min() < 0 else scores
    calls = []

    def metric(y, predicted, sample_weight=None):
        assert y.dtype.kind == predicted.dtype.kind == "i"
        calls.append(predicted)
        w = np.ones(len(y)) if sample_weight is None else sample_weight
        return float((w * (5 * y - 3) * predicted).sum())  # 2 for a hit, -3 for an error

    full = full_weights(scores, weights)
    for j in range(scores.shape[1]):
        known = ~np.isnan(labels[:, j]) & (full[:, j] > 0)
        y, s, w = labels[known, j], scores[known, j].astype(float), full[known, j]
        calls.clear()
        own = None if weights is None else full[:, [j]]
        found = find_thresholds(
            labels[:, [j]], scores[:, [j]], metric, sample_weight=own, strategy="exact"
        )
        limits = brute.distinct_thresholds(s)
        if not has_choice(scores[:, j], labels[:, j], full[:, j]):
            assert 0 in found.failed
            assert len(calls) <= 1  # that of the value
            continue
        # A score of infinity is predicted at every threshold.
        limits = limits[:-1] if s.max() == np.inf else limits
        np.testing.assert_array_equal(calls[:-1], [s >= limit for limit in limits])
        values = [metric(y.astype(int), (s >= limit).astype(int), w) for limit in limits]
        best = [
            s >= limit for limit, v in zip(limits, values, strict=True) if v >= max(values) - 1e-9
        ]
        predicted = s >= found.thresholds[0]
        if weights is None:  # of equally good ones the lowest
            assert found.values[0] == max(values)
            np.testing.assert_array_equal(predicted, best[0])
        assert any((predicted == guess).all() for guess in best)
        if 0 < predicted.sum() < len(s) and s[predicted].min() < np.inf:  # between two scores
            middle = (s[predicted].min() + s[~predicted].max()) / 2
            assert found.thresholds[0] == pytest.approx(middle)
    together = find_thresholds(labels, scores, metric, sample_weight=weights, strategy="exact")
    for j in range(scores.shape[1]):
        assert (j in together.failed) != has_choice(scores[:, j], labels[:, j], full[:, j])


def test_callable_objective_is_called_200_times_at_most():
    """Thresholds are spread evenly over many scores, and reach from everything to nothing."""
    rng = np.random.default_rng(0)
    for n, n_calls in ((198, 199), (199, 200), (200, 200), (1000, 200)):
        n_predicted = []

        def count(y, predicted, n_predicted=n_predicted):
            n_predicted.append(predicted.sum())
            return 0.0

        find_thresholds(rng.random(n) < 0.5, rng.random(n), count, strategy="exact")
        n_predicted = n_predicted[:-1]  # the last call is that of the value at the threshold
        assert len(n_predicted) == n_calls
        assert (n_predicted[0], n_predicted[-1]) == (n, 0)
        steps = -np.diff(n_predicted)
        assert np.floor(n / (n_calls - 1)) <= steps.min()
        assert steps.max() <= np.ceil(n / (n_calls - 1))


def test_callable_objective_with_undefined_values():
    """NaN at some thresholds is passed over, without a warning for each of them."""
    scores, labels = draw_sample(18, n_labels=1)

    def precision(y, predicted, **options):
        return skattr_precision(y, predicted, zero_division=np.nan)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find_thresholds(labels, scores, precision, strategy="exact")
    ranked = labels[np.argsort(-scores[:, 0]), 0]
    best = (np.cumsum(ranked) / np.arange(1, len(ranked) + 1)).max()
    assert found.value == pytest.approx(best)


def test_callable_objective_that_is_always_nan():
    """The label fails with a reason."""
    scores, labels = draw_sample(18, n_labels=1)
    found = find_thresholds(labels, scores, lambda y, p: np.nan, strategy="exact")
    assert found.failed == {0: "the objective is NaN at every threshold"}
