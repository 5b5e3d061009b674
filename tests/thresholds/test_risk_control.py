"""Exact binomial tests and the thresholds they certify."""

import numpy as np
import pytest
from scipy.stats import beta, binom, norm

from skattr.thresholds import find_thresholds
from skattr.thresholds._risk_control import _sizes, fewest_hits, most_errors

# Rows are independent here, which the warning asks to be said by `groups`.
pytestmark = pytest.mark.filterwarnings("ignore::skattr.exceptions.AssumptionWarning")


def lower_bound(hits, n, confidence):
    """Return the one-sided lower bound of Clopper and Pearson (1934)."""
    return 0.0 if hits == 0 else beta.ppf(1 - confidence, hits, n - hits + 1)


@pytest.mark.parametrize("level", [0.1, 0.01])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.95])
def test_fewest_hits_is_clopper_pearson(share, level):
    """It is the smallest number of hits whose lower confidence bound reaches the share."""
    for n in (1, 5, 20, 45, 200):
        hits = fewest_hits(n, share, level)
        if hits <= n:
            assert lower_bound(hits, n, 1 - level) >= share - 1e-9
        if hits:
            assert lower_bound(hits - 1, n, 1 - level) < share
        assert binom.sf(hits - 1, n, share) <= level


def test_most_errors_is_the_complement():
    """Few errors certify a low share as many hits certify a high one."""
    for n in (10, 60, 300):
        errors = most_errors(n, 0.1, 0.05)
        assert (errors >= 0) == (0.9**n <= 0.05)
        if errors >= 0:
            assert binom.cdf(errors, n, 0.1) <= 0.05
        assert binom.cdf(errors + 1, n, 0.1) > 0.05


def test_shares_of_zero_and_one():
    """A share of 0 is always certified, a share of 1 never."""
    assert fewest_hits(10, 0.0, 0.1) == 0
    assert fewest_hits(10, 1.0, 0.1) == 11
    assert most_errors(10, 1.0, 0.1) == 10
    assert most_errors(10, 0.0, 0.1) == -1


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("recall", 0.9),
        ("false_positive_rate", 0.1),
        ("specificity", 0.9),
        ("precision", 0.7),
    ],
)
@pytest.mark.parametrize("rounded", [False, True])
def test_bound_is_missed_at_most_as_often_as_allowed(name, bound, rounded):
    """Of 400 draws, one in ten or fewer miss it; without confidence, half of them do."""
    rng = np.random.default_rng(0)
    y = rng.random((400, 400)) < 0.3
    scores = rng.normal(size=y.shape) + 2 * y
    if rounded:  # ties
        scores = scores.round(1)
    objective = "precision" if name == "recall" else "recall"
    found = find_thresholds(y, scores, objective, constraint=(name, bound), confidence=0.9)
    at = found.thresholds
    if rounded:  # the next score minus half a step of the rounding, as scores are multiples of .1
        at = np.ceil(at * 10 - 1e-9) / 10 - 0.05
    recall, false = norm.sf(at - 2), norm.sf(at)
    share = 0.3 * recall + 0.7 * false
    with np.errstate(invalid="ignore"):
        true = {
            "recall": recall,
            "false_positive_rate": false,
            "specificity": 1 - false,
            "precision": np.where(share > 0, 0.3 * recall / share, 1),
        }[name]
    missed = true > bound if name == "false_positive_rate" else true < bound
    assert missed.mean() < 0.1
    naive = find_thresholds(y, scores, objective, constraint=(name, bound)).thresholds
    if name == "recall" and not rounded:
        assert (norm.sf(naive - 2) < bound).mean() > 0.3


def test_bonferroni_holds_for_all_labels_at_once():
    """The corrected thresholds are never higher, and with many labels mostly lower."""
    rng = np.random.default_rng(1)
    y = rng.random((500, 20)) < 0.5
    scores = rng.normal(size=y.shape) + 2 * y
    params = {"constraint": ("recall", 0.9), "confidence": 0.9}
    each = find_thresholds(y, scores, "precision", **params)
    all_at_once = find_thresholds(y, scores, "precision", correction="bonferroni", **params)
    assert (all_at_once.thresholds <= each.thresholds).all()
    assert (all_at_once.thresholds < each.thresholds).sum() > 10


def test_too_few_labels_give_the_safest_threshold():
    """A recall of .95 at .9 needs 45 positives; with 44, the label is always predicted."""
    rng = np.random.default_rng(2)
    for positives, certified in ((44, False), (45, True)):
        y = np.arange(300) < positives
        scores = rng.random(300) / 2 + y / 2
        found = find_thresholds(y, scores, "f1", constraint=("recall", 0.95), confidence=0.9)
        assert (0 not in found.failed) == certified
        assert (found.thresholds[0] == 0.0) != certified
    odds = np.log(scores / (1 - scores))
    for name, threshold in (("recall", -np.inf), ("precision", np.inf)):
        found = find_thresholds(
            y[40:49], odds[40:49], "f1", constraint=(name, 0.95), confidence=0.9
        )
        assert "few positives" in found.failed[0] or "no threshold is certified" in found.failed[0]
        assert found.thresholds[0] == threshold


def is_certified(name, bound, level, tp, fp, P, N):
    """Return whether the one-sided interval of Clopper and Pearson lies within the bound."""
    hits, n = {
        "recall": (tp, P),
        "specificity": (N - fp, N),
        "false_positive_rate": (N - fp, N),
        "precision": (tp, tp + fp),
    }[name]
    share = 1 - bound if name == "false_positive_rate" else bound
    return lower_bound(hits, n, 1 - level) >= share


@pytest.mark.parametrize("name", ["recall", "specificity", "false_positive_rate"])
@pytest.mark.parametrize("seed", range(6))
def test_rates_equal_brute_force(name, seed):
    """The best of all certified thresholds, each label with its bound, some labels missing."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((60, 6)) < 0.4).astype(float)
    labels[rng.random(labels.shape) < 0.1] = np.nan
    scores = (rng.normal(size=labels.shape) / 2 + (labels == 1)).round(1)
    bounds = np.array([0.3, 0.5, 0.7, 0.8, 0.85, 0.9])
    bounds = 1 - bounds if name == "false_positive_rate" else bounds
    if name != "recall":  # of the last label, nothing but negatives has the highest score
        scores[labels[:, 5] == 0, 5] += 9
    found = find_thresholds(labels, scores, "accuracy", constraint=(name, bounds), confidence=0.8)
    for j, bound in enumerate(bounds):
        known = ~np.isnan(labels[:, j])
        s, y = scores[known, j], labels[known, j] == 1
        values = []
        for threshold in [*np.unique(s), np.inf]:
            predicted = s >= threshold
            tp, fp = (predicted & y).sum(), (predicted & ~y).sum()
            if is_certified(name, bound, 0.2, tp, fp, y.sum(), (~y).sum()):
                values.append((predicted == y).mean())
        assert (j in found.failed) == (not values)
        if values:
            predicted = s >= found.thresholds[j]
            tp, fp = (predicted & y).sum(), (predicted & ~y).sum()
            assert is_certified(name, bound, 0.2, tp, fp, y.sum(), (~y).sum())
            assert (predicted == y).mean() == pytest.approx(max(values))
            assert found.values[j] == pytest.approx(max(values))


@pytest.mark.parametrize("seed", range(6))
def test_precision_equals_brute_force(seed):
    """The best of the certified numbers of predictions; a threshold lies above the next score."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((150, 4)) < 0.4).astype(float)
    labels[rng.random(labels.shape) < 0.1] = np.nan
    scores = rng.normal(size=labels.shape) / 2 + (labels == 1)
    scores[:, 2:] = scores[:, 2:].round(1)
    bounds = np.array([0.5, 0.9, 0.6, 0.8])
    found = find_thresholds(labels, scores, constraint=("precision", bounds), confidence=0.8)
    for j, bound in enumerate(bounds):
        known = ~np.isnan(labels[:, j])
        s, y = scores[known, j], labels[known, j] == 1
        sizes = _sizes(len(s), bound, 0.2)
        values = []
        for size in sizes:
            predicted = s > np.sort(s)[::-1][size]
            tp = (predicted & y).sum()
            level = 0.2 / len(sizes)
            if is_certified("precision", bound, level, tp, predicted.sum() - tp, 0, 0):
                values.append(2 * tp / (predicted.sum() + y.sum()))
        assert (j in found.failed) == (not values)
        if values:
            predicted = s >= found.thresholds[j]
            value = 2 * (predicted & y).sum() / (predicted.sum() + y.sum())
            assert value == pytest.approx(max(values))
            assert found.values[j] == pytest.approx(max(values))


@pytest.mark.parametrize("bound", [0.2, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("level", [0.2, 0.01])
@pytest.mark.parametrize("n", [30, 200, 3000])
def test_numbers_of_predictions(n, level, bound):
    """From the fewest that can be certified on, they grow by half up to the number of rows."""
    sizes = np.array(_sizes(n, bound, level))
    if not len(sizes):  # even all rows could not be certified
        assert bound**n > level / 3
        return
    assert sizes[0] >= 1
    assert bound ** sizes[0] <= level / len(sizes)
    assert sizes[0] <= np.log(level / (len(sizes) + 3)) / np.log(bound) + 1
    assert (np.abs(sizes[1:] - 1.5 * sizes[:-1]) <= 1.5).all()
    assert sizes[-1] < n <= 1.5 * sizes[-1] + 1.5


def test_precision_of_none_and_all():
    """A precision of 1 is never certified; every number of predictions has one of 0."""
    y = np.arange(200) % 2
    found = find_thresholds(y, y + 0.0, constraint=("precision", 1.0), confidence=0.9)
    assert found.failed == {
        0: "no threshold is certified to have a precision of 1 with 100 positives "
        "(the best on the sample is 1)"
    }
    scores = np.arange(200) / 200
    found = find_thresholds(y, scores, "recall", constraint=("precision", 0.0), confidence=0.9)
    sizes = _sizes(200, 0.0, 0.1)
    assert sizes[:4] == [1, 2, 3, 4]
    assert sizes[-1] * 1.5 >= 200 > sizes[-1]
    assert (scores >= found.thresholds[0]).sum() == sizes[-1]


def test_rejects_weights():
    """The exact tests count samples."""
    with pytest.raises(ValueError, match="confidence requires unweighted samples"):
        find_thresholds(
            [0, 1], [0.1, 0.9], constraint=("recall", 0.5), confidence=0.9, sample_weight=[1, 2]
        )
    with pytest.raises(ValueError, match="or one on another of recall, precision"):
        find_thresholds([0, 1], [0.1, 0.9], constraint=("positive_share", 0.5), confidence=0.9)
