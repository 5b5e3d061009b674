"""Confusion counts and their rates: scikit-learn's values, and one rule for 0 / 0."""

import itertools

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.neighbors import KNeighborsClassifier

from skattr.exceptions import ThresholdNotTunedWarning
from skattr.metrics import UndefinedAttributeWarning, _counts, _rates, f1_score, get_scorer
from skattr.thresholds import TunedThresholdMultiOutputCV, find_thresholds

RATES = {
    "PRECISION": sk.precision_score,
    "RECALL": sk.recall_score,
    "F1": sk.f1_score,
    "JACCARD": sk.jaccard_score,
    "ACCURACY": sk.accuracy_score,
    "BALANCED_ACCURACY": sk.balanced_accuracy_score,
    "MATTHEWS": sk.matthews_corrcoef,
    "SPECIFICITY": lambda y, p, sample_weight: sk.recall_score(
        y, p, pos_label=0, sample_weight=sample_weight
    ),
}
# A row per rate: the values for the pairs (P, N) below, of all and of no predicted positives.
KNOWN = [(0, 0), (0, 2), (2, 0), (2, 2)]
NAN = np.nan
RULE = {
    #                   nothing    negatives  positives  both
    "PRECISION": [(NAN, NAN), (0, 0), (1, 0), (0.5, 0)],
    "RECALL": [(NAN, NAN), (NAN, NAN), (1, 0), (1, 0)],
    "F1": [(NAN, NAN), (NAN, NAN), (1, 0), (2 / 3, 0)],
    "JACCARD": [(NAN, NAN), (NAN, NAN), (1, 0), (0.5, 0)],
    "ACCURACY": [(NAN, NAN), (0, 1), (1, 0), (0.5, 0.5)],
    "SPECIFICITY": [(NAN, NAN), (0, 1), (NAN, NAN), (0, 1)],
    "FALSE_POSITIVE_RATE": [(NAN, NAN), (1, 0), (NAN, NAN), (1, 0)],
    "POSITIVE_SHARE": [(NAN, NAN), (1, 0), (1, 0), (1, 0)],
    "BALANCED_ACCURACY": [(NAN, NAN), (NAN, NAN), (NAN, NAN), (0.5, 0.5)],
    "MATTHEWS": [(NAN, NAN), (NAN, NAN), (NAN, NAN), (0, 0)],
}


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("weighted", [False, True])
def test_rates_are_those_of_scikit_learn(rng, name, weighted):
    """For arrays of counts, and for one label at a time."""
    y, predicted = rng.random((2, 50, 6)) < 0.4
    weight = rng.random(50) if weighted else np.ones(50)
    sides = (y * weight[:, np.newaxis], ~y * weight[:, np.newaxis]) if weighted else (y, ~y)
    counts = _counts.count_cells(*sides, predicted)
    rate = getattr(_rates, name)
    expected = [
        RATES[name](a, b, sample_weight=weight) for a, b in zip(y.T, predicted.T, strict=True)
    ]
    np.testing.assert_allclose(rate.of(counts), expected, rtol=1e-12)
    np.testing.assert_allclose(rate.of(counts, undefined=0.0), expected, rtol=1e-12)
    assert rate.of(counts.take(2)) == pytest.approx(expected[2])


@pytest.mark.parametrize("name", RULE)
def test_a_rate_is_undefined_where_the_known_labels_do_not_define_it(name):
    """NaN for want of known labels, 0 for want of predicted ones, in numbers and in arrays."""
    rate = getattr(_rates, name)
    for (P, N), (if_all, if_none) in zip(KNOWN, RULE[name], strict=True):
        for tp, fp, expected in ((P, N, if_all), (0, 0, if_none)):
            np.testing.assert_equal(float(rate(tp, fp, P, N)), expected)
            four = [np.array([value, value]) for value in (tp, fp, P, N)]
            np.testing.assert_equal(np.asarray(rate(*four), dtype=float), [expected] * 2)


@pytest.mark.parametrize("undefined", [0.0, 1.0, np.nan])
def test_a_number_for_every_zero_division(undefined):
    """`undefined` replaces 0 / 0, and nothing else, as scikit-learn's zero_division."""
    cases = itertools.product([0, 1], repeat=4)
    for tp, fn, fp, tn in cases:
        y, predicted = np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], [tp, fn, fp, tn], axis=0).T
        if not len(y):
            continue
        counts = _rates.Counts(tp, fn, fp, tn)
        for name in ("PRECISION", "RECALL", "F1"):
            expected = RATES[name](y, predicted, zero_division=undefined)
            np.testing.assert_equal(
                float(getattr(_rates, name).of(counts, undefined=undefined)), float(expected)
            )


def test_metrics_of_classes_are_those_of_scikit_learn(rng):
    """For stacks of matrices of four classes; with two classes they are the rates."""
    y, predicted = rng.integers(0, 4, (2, 3, 60))
    matrices = np.stack(
        [sk.confusion_matrix(a, b, labels=range(4)) for a, b in zip(y, predicted, strict=True)]
    )
    pairs = list(zip(y, predicted, strict=True))
    for function, reference in (
        (_rates.accuracy_of_classes, sk.accuracy_score),
        (_rates.balanced_accuracy_of_classes, sk.balanced_accuracy_score),
        (_rates.matthews_of_classes, sk.matthews_corrcoef),
    ):
        np.testing.assert_allclose(function(matrices), [reference(a, b) for a, b in pairs])
        assert np.isnan(function(np.zeros((4, 4))))
    for function, rate in (
        (_rates.accuracy_of_classes, _rates.ACCURACY),
        (_rates.balanced_accuracy_of_classes, _rates.BALANCED_ACCURACY),
        (_rates.matthews_of_classes, _rates.MATTHEWS),
    ):
        for tp, fn, fp, tn in itertools.product([0, 1, 3], repeat=4):
            expected = rate.of(_rates.Counts(tp, fn, fp, tn))
            two = function(np.array([[tn, fp], [fn, tp]], dtype=float))
            np.testing.assert_allclose(two, expected, atol=1e-12)


def test_cells_are_counted_with_their_weights(rng):
    """Soft labels and weights, over rows and along them, as a loop counts them."""
    positive, negative = rng.random((2, 12, 5))
    predicted = rng.random((12, 5)) < 0.5
    counts = _counts.count_cells(positive, negative, predicted)
    for j in range(5):
        cells = list(zip(positive[:, j], negative[:, j], predicted[:, j], strict=True))
        expected = [
            sum(p for p, _, said in cells if said),
            sum(p for p, _, said in cells if not said),
            sum(n for _, n, said in cells if said),
            sum(n for _, n, said in cells if not said),
        ]
        np.testing.assert_allclose([part[j] for part in counts], expected)
        np.testing.assert_allclose(counts.P[j], positive[:, j].sum())
        np.testing.assert_allclose(counts.N[j], negative[:, j].sum())
    for weights in (rng.random((12, 1)), rng.random((12, 5))):
        for axis in (0, 1):
            ours = _counts.sums_of_cells(predicted[3:7], weights, slice(3, 7), axis)
            np.testing.assert_allclose(ours, (predicted * weights)[3:7].sum(axis=axis))


def test_a_rate_with_no_error_is_exact(rng):
    """Weighted counts of nothing are exactly 0, whatever the weights sum to."""
    y, weight = rng.random(1000) < 0.3, rng.random((1000, 1))
    counts = _counts.count_cells(
        y[:, np.newaxis] * weight, ~y[:, np.newaxis] * weight, y[:, np.newaxis]
    )
    assert counts.fn[0] == counts.fp[0] == 0
    assert _rates.F1.of(counts)[0] == _rates.PRECISION.of(counts)[0] == 1
    assert _rates.ACCURACY.of(counts)[0] == 1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("objective", "average", "scorer"),
    [
        ("f1", "macro", "macro_f1"),
        ("f1", "micro", "micro_f1"),
        ("f1", "samples", "samples_f1"),
        ("precision", "macro", "macro_precision"),
        ("recall", "macro", "macro_recall"),
        ("recall", "micro", "micro_recall"),
        ("jaccard", "macro", "macro_jaccard"),
        ("accuracy", "macro", "accuracy"),
        ("balanced_accuracy", "macro", "balanced_accuracy"),
        ("mcc", "macro", "mcc"),
    ],
)
@pytest.mark.filterwarnings("ignore::skattr.metrics.UndefinedAttributeWarning")
def test_tuned_scores_are_those_of_the_scorer(rng, objective, average, scorer, weighted):
    """The same predictions have the same score, also where a label lacks a class."""
    X = rng.normal(size=(80, 3))
    y = np.where(rng.random((80, 5)) < 0.2, np.nan, X[:, [0, 1, 2, 0, 1]] > 0.8)
    y[:, 3] = np.where(np.isnan(y[:, 3]), np.nan, 0)
    y[:, 4] = np.where(np.isnan(y[:, 4]), np.nan, 1)
    neighbors = KNeighborsClassifier(5).fit(X, rng.random((80, 5)) < 0.3)
    weight = {"sample_weight": rng.random(80)} if weighted else {}
    tuned = TunedThresholdMultiOutputCV(
        neighbors,
        objective=objective,
        average=average,
        thresholds=0.3,
        cv="prefit",
        refit=False,
    ).fit(X, y, **weight)
    expected = get_scorer(scorer)(tuned, X, y, **weight)
    assert tuned.best_score_ == pytest.approx(expected, abs=1e-12)
    assert tuned.in_sample_score_ == pytest.approx(expected, abs=1e-12)
    if average == "macro":
        values = get_scorer(scorer, per_attribute=True)(tuned, X, y, **weight)
        np.testing.assert_allclose(
            tuned.cv_results_["cross_validated_scores"], list(values.values()), atol=1e-12
        )


def test_a_scorer_as_objective_has_the_score_of_its_name(rng):
    """A label without positives is left out of both, without a warning per threshold."""
    X = rng.normal(size=(90, 3))
    y = (X > 0.5).astype(float)
    y[:, 2] = 0
    scores = []
    for objective in ("f1", get_scorer("macro_f1")):
        with pytest.warns(ThresholdNotTunedWarning, match="y2"):
            tuned = TunedThresholdMultiOutputCV(
                KNeighborsClassifier(9), objective=objective, strategy="exact", cv=3
            ).fit(X, y)
        assert np.isnan(tuned.cv_results_["in_sample_scores"][2])
        scores.append(tuned.in_sample_score_)
    assert scores[0] == pytest.approx(scores[1], abs=1e-12)
    assert scores[0] > 0.6


def test_values_of_a_search_are_those_of_the_metrics(rng):
    """`find_thresholds` and `f1_score` agree at the thresholds found."""
    y = np.where(rng.random((60, 3)) < 0.2, np.nan, rng.random((60, 3)) < 0.4)
    scores = rng.random((60, 3))
    found = find_thresholds(y, scores)
    expected = f1_score(y, (scores >= found.thresholds).astype(int), average=None)
    np.testing.assert_allclose(found.values, expected)


def test_micro_of_labels_without_a_positive_is_undefined():
    """Pooled counts follow the same rule, with a warning."""
    with pytest.warns(UndefinedAttributeWarning, match="pooled is undefined"):
        assert np.isnan(f1_score([[0, 0], [0, 0]], [[0, 1], [0, 0]], average="micro"))
