"""Guarantees if only groups of rows are independent: exact expectations and simulations."""

import itertools
import math

import numpy as np
import pytest
import sklearn
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier

from skattr import AttributeClassifier
from skattr.exceptions import AssumptionWarning
from skattr.model_selection import MultilabelStratifiedGroupKFold
from skattr.thresholds import ThresholdCalibrator, TunedThresholdMultiOutputCV, find_thresholds
from skattr.thresholds._group_control import log_evidence
from tests.thresholds.test_risk_control import lower_bound

BOUNDS = {
    "recall": 0.8,
    "false_positive_rate": 0.1,
    "specificity": 0.9,
    "precision": 0.7,
}


@pytest.mark.parametrize("share", [0.3, 0.8, 0.95])
@pytest.mark.parametrize("sizes", [[1, 1, 1, 1], [2, 3], [5, 1, 2], [4, 4, 4]])
@pytest.mark.parametrize("as_one", [False, True])
def test_evidence_has_the_mean_one_at_the_bound(sizes, share, as_one):
    """Summed over all hits, of rows that are independent or groups that are hit as one."""
    n_draws = [1 if as_one else size for size in sizes]
    total = 0.0
    for drawn in itertools.product(*(range(n + 1) for n in n_draws)):
        chance = math.prod(
            math.comb(n, k) * share**k * (1 - share) ** (n - k)
            for n, k in zip(n_draws, drawn, strict=True)
        )
        hits = np.array(drawn) * sizes if as_one else np.array(drawn)
        total += chance * np.exp(log_evidence(hits, np.array(sizes), share, 0.1))
    assert total == pytest.approx(1)


def test_evidence_grows_with_every_hit():
    """So that the thresholds of a monotone rate can be tested in sequence."""
    sizes, hits = np.array([3, 5, 8]), np.array([2, 4, 6])
    values = [log_evidence(hits, sizes, 0.6, 0.1)]
    values += [log_evidence(hits + one, sizes, 0.6, 0.1) for one in np.eye(3, dtype=int)]
    assert min(values[1:]) > values[0]


def bets(hits, sizes, share, level):
    """Return the mean of the products of bets, written as in the module's docstring.

    The stake is the best one against groups that are hit as one, twice, and four times it, but no
    more than what the largest group can lose.
    """
    best = math.sqrt(2 * math.log(1 / level) / (share * (1 - share) * sum(n**2 for n in sizes)))
    stakes = {min(factor * best, 1 / (share * max(sizes))) for factor in (1, 2, 4)}
    return sum(
        math.prod(1 + stake * (k - share * n) for k, n in zip(hits, sizes, strict=True))
        for stake in stakes
    ) / len(stakes)


@pytest.mark.parametrize("level", [0.05, 0.2])
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_evidence_is_the_mean_of_the_products_of_bets(share, level):
    """With stakes that are limited by the largest group, and with stakes that are not."""
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 30, 200):
        sizes = rng.integers(1, 6, n)
        hits = rng.integers(1, sizes + 1)
        expected = np.log(bets(hits, sizes, share, level))
        assert log_evidence(hits, sizes, share, level) == pytest.approx(expected)


def grouped_labels(seed, n_labels):
    """Return labels of 300 rows in 75 groups, some missing, scores with ties, and groups."""
    rng = np.random.default_rng(seed)
    groups = np.sort(rng.integers(0, 75, 300))
    labels = (rng.random((300, n_labels)) < 0.5).astype(float)
    labels[rng.random(labels.shape) < 0.1] = np.nan
    return labels, (rng.normal(size=labels.shape) / 2 + (labels == 1)).round(1), groups


@pytest.mark.parametrize("name", ["recall", "specificity", "false_positive_rate"])
@pytest.mark.parametrize("seed", range(3))
def test_rates_equal_brute_force(name, seed):
    """The best of all thresholds whose rate is certified, each label with its bound."""
    bounds = np.array([0.0, 0.3, 0.6, 0.75, 0.85, 1.0])
    labels, scores, groups = grouped_labels(seed, len(bounds))
    # Nothing is the best prediction of the labels at both ends.
    scores[labels == 0] += np.where(np.isin(bounds, [0, 0.85]), 9, 0)[np.nonzero(labels == 0)[1]]
    labels[1:200, 0] = 0
    params = {"constraint": (name, 1 - bounds if name == "false_positive_rate" else bounds)}
    found = find_thresholds(labels, scores, "accuracy", confidence=0.8, groups=groups, **params)
    for j, bound in enumerate(bounds):
        known = ~np.isnan(labels[:, j])
        s, y, g = scores[known, j], labels[known, j] == 1, groups[known]
        side = y if name == "recall" else ~y
        values = {}
        for threshold in [*np.unique(s), np.inf]:
            predicted = s >= threshold
            right = (predicted == y) & side
            members = [(g == group) & side for group in np.unique(g[side])]
            hits, sizes = [(right & m).sum() for m in members], [m.sum() for m in members]
            if bound == 0 or (bound < 1 and bets(hits, sizes, bound, 0.2) >= 1 / 0.2):
                values[tuple(predicted)] = (predicted == y).mean()
        assert (j in found.failed) == (not values)
        if values:
            predicted = s >= found.thresholds[j]
            assert values[tuple(predicted)] == pytest.approx(max(values.values()))
            assert found.values[j] == pytest.approx(max(values.values()))
        else:
            what = "positives" if name == "recall" else "negatives"
            n_groups = len(np.unique(g[side]))
            assert found.failed[j] == (
                f"too few groups with {what} ({n_groups}) to guarantee any threshold"
            )


@pytest.mark.parametrize("seed", range(4))
def test_precision_equals_brute_force(seed):
    """The best of the thresholds that one group in five chose and the others certify."""
    bounds = np.array([0.3, 0.6, 0.8, 0.97])
    labels, scores, groups = grouped_labels(seed, len(bounds))
    params = {"constraint": ("precision", bounds), "confidence": 0.8}
    found = find_thresholds(labels, scores, "recall", groups=groups, **params)
    for j, bound in enumerate(bounds):
        known = ~np.isnan(labels[:, j])
        s, y, g = scores[known, j], labels[known, j] == 1, groups[known]
        names = np.unique(g)
        chosen = names[np.random.default_rng(0).permutation(len(names))[: len(names) // 5]]
        ranked = sorted(s[np.isin(g, chosen)], reverse=True)
        limits, size = set(), 1
        while size < len(ranked):  # 1, 2, 4, ... predictions
            upper, lower = ranked[size - 1], ranked[size]
            limits.add((upper + lower) / 2 if upper > lower else upper)
            size *= 2
        level, values = 0.2 / len(limits), []
        for limit in limits:
            predicted = s >= limit
            members = [predicted & (g == name) for name in names if name not in chosen]
            members = [m for m in members if m.any()]
            hits, sizes = [(m & y).sum() for m in members], [m.sum() for m in members]
            if members and bets(hits, sizes, bound, level) >= 1 / level:
                values.append((predicted & y).sum() / y.sum())
        assert (j in found.failed) == (not values)
        if values:
            predicted = s >= found.thresholds[j]
            assert (predicted & y).sum() / y.sum() == pytest.approx(max(values))
            assert found.values[j] == pytest.approx(max(values))
        else:
            assert found.failed[j] == (
                f"no threshold is certified to have a precision of {bound:g} with {y.sum()} "
                f"positives in {len(names)} groups"
            )


def draw(size, correlation, name, n=1000, n_labels=300, seed=0):
    """Return labels, scores, and groups of rows whose scores are correlated."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n) // size
    labels = rng.random((n, n_labels)) < 0.4
    shared = rng.normal(size=(groups.max() + 1, n_labels))[groups]
    noise = rng.normal(size=labels.shape)
    scores = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * noise + 2 * labels
    return labels, scores, groups


def true_value(name, thresholds):
    """Return the rate of new data at thresholds."""
    recall, false = norm.sf(thresholds - 2), norm.sf(thresholds)
    share = 0.4 * recall + 0.6 * false
    with np.errstate(invalid="ignore"):
        return {
            "recall": recall,
            "false_positive_rate": false,
            "specificity": 1 - false,
            "precision": np.where(share > 0, 0.4 * recall / share, 1),
        }[name]


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize(("size", "correlation"), [(5, 0.1), (10, 0.6), (20, 0.3), (20, 0.6)])
def test_bound_is_missed_at_most_as_often_as_allowed(name, size, correlation):
    """At a confidence of .9 one label in ten misses it at most; as independent rows, more do."""
    labels, scores, groups = draw(size, correlation, name)
    objective = "precision" if name == "recall" else "recall"
    params = {"constraint": (name, BOUNDS[name]), "confidence": 0.9}
    found = find_thresholds(labels, scores, objective, groups=groups, **params)

    def missed(thresholds):
        sign = -1 if name == "false_positive_rate" else 1
        return np.mean(sign * true_value(name, thresholds) < sign * BOUNDS[name])

    error = np.sqrt(0.1 * 0.9 / 300)
    assert missed(found.thresholds) <= 0.1 + 2 * error
    assert len(found.failed) < 300  # it is not met by predicting always, or never
    if correlation == 0.6 and name != "precision":
        rows = find_thresholds(labels, scores, objective, groups=range(len(labels)), **params)
        assert missed(rows.thresholds) > 0.15


@pytest.mark.parametrize("name", BOUNDS)
def test_groups_of_one_row_are_independent_rows(name):
    """The exact binomial tests are used, also if rows of one group have one known label."""
    labels, scores, _ = draw(1, 0.0, name, n_labels=3)
    params = {"constraint": (name, BOUNDS[name]), "confidence": 0.9}
    single = find_thresholds(labels, scores, groups=[f"row {i}" for i in range(1000)], **params)
    with pytest.warns(AssumptionWarning, match="holds if rows are independent, labels are missing"):
        plain = find_thresholds(labels, scores, **params)
    np.testing.assert_array_equal(single.thresholds, plain.thresholds)
    twice = np.repeat(labels.astype(float), 2, axis=0)
    twice[1::2] = np.nan
    pairs = find_thresholds(
        twice, np.repeat(scores, 2, axis=0), groups=np.repeat(np.arange(1000), 2), **params
    )
    np.testing.assert_array_equal(pairs.thresholds, plain.thresholds)


@pytest.mark.parametrize("name", ["recall", "false_positive_rate", "specificity"])
def test_copies_of_rows_are_no_evidence(name):
    """If every row is there twice, as a group, the threshold is no less safe than that of the rows.

    Counted as independent, the copies would certify what the rows do not.
    """
    labels, scores, _ = draw(1, 0.0, name, n=300, n_labels=20)
    objective = "precision" if name == "recall" else "recall"
    params = {"constraint": (name, BOUNDS[name]), "confidence": 0.9}
    single = find_thresholds(labels, scores, objective, groups=range(300), **params)
    twice, groups = (np.repeat(a, 2, axis=0) for a in (labels, np.arange(300)))
    found = find_thresholds(twice, np.repeat(scores, 2, axis=0), objective, groups=groups, **params)
    if name == "recall":
        assert (found.thresholds <= single.thresholds).all()
    else:
        assert (found.thresholds >= single.thresholds).all()


def test_as_many_groups_are_needed_as_rows_would_be():
    """A recall of .9 at .9 needs 22 perfect groups, as 22 rows (Clopper and Pearson, 1934)."""
    assert lower_bound(22, 22, 0.9) >= 0.9 > lower_bound(21, 21, 0.9)
    for n, certified in ((21, False), (22, True)):
        groups = np.concatenate([np.repeat(np.arange(n), 3), np.full(50, n)])
        labels = groups < n
        found = find_thresholds(
            labels, labels + 0.0, constraint=("recall", 0.9), confidence=0.9, groups=groups
        )
        assert (0 not in found.failed) == certified
    found = find_thresholds(
        labels[3:], labels[3:] + 0.0, constraint=("recall", 0.9), confidence=0.9, groups=groups[3:]
    )
    assert found.failed == {0: "too few groups with positives (21) to guarantee any threshold"}


def test_trivial_and_impossible_bounds():
    """A recall of 0 always holds, one of 1 never; rows without a group are one group."""
    labels, scores, groups = draw(5, 0.3, "recall", n=200, n_labels=1)
    for bound, certified in ((0.0, True), (1.0, False)):
        for name in ("recall", "specificity"):
            found = find_thresholds(
                labels, scores, constraint=(name, bound), confidence=0.9, groups=groups
            )
            assert (0 not in found.failed) == certified
    named = np.where(groups == 0, None, groups.astype(str))
    params = {"constraint": ("recall", 0.7), "confidence": 0.9}
    np.testing.assert_array_equal(
        find_thresholds(labels, scores, groups=named, **params).thresholds,
        find_thresholds(labels, scores, groups=groups, **params).thresholds,
    )


def test_groups_of_the_meta_estimators():
    """Groups given to `fit` keep the guarantee and are kept together in the folds."""
    labels, scores, groups = draw(10, 0.6, "recall", n=600, n_labels=2)
    params = {"constraint": ("recall", 0.8), "confidence": 0.9, "objective": "precision"}
    expected = find_thresholds(labels, scores, groups=groups, **params).thresholds
    calibrator = ThresholdCalibrator(**params).fit(scores, labels, groups=groups)
    np.testing.assert_array_equal(calibrator.best_threshold_, expected)
    with pytest.warns(AssumptionWarning, match="pass `groups`"):
        ThresholdCalibrator(**params).fit(scores, labels)
    classifier = MultiOutputClassifier(LogisticRegression()).fit(scores, labels)
    tuned = TunedThresholdMultiOutputCV(
        classifier, cv="prefit", refit=False, store_cv_results=True, **params
    ).fit(scores, labels, groups=groups)
    proba = np.stack([part[:, 1] for part in classifier.predict_proba(scores)], axis=1)
    expected = find_thresholds(labels, proba, groups=groups, **params).thresholds
    np.testing.assert_array_equal(tuned.best_threshold_, expected)
    tuned.retune(confidence=0.8)
    expected = find_thresholds(labels, proba, groups=groups, **{**params, "confidence": 0.8})
    np.testing.assert_array_equal(tuned.best_threshold_, expected.thresholds)
    with pytest.raises(ValueError, match=r"groups has shape \(3,\); expected one value for each"):
        ThresholdCalibrator(**params).fit(scores, labels, groups=[1, 2, 3])


@pytest.mark.parametrize("cv", [None, 3, "prefit", MultilabelStratifiedGroupKFold(3)])
@pytest.mark.parametrize("routing", [False, True])
def test_groups_reach_folds_and_thresholds(cv, routing):
    """With metadata routing or without; an int `cv` keeps groups together."""
    labels, scores, groups = draw(10, 0.6, "recall", n=400, n_labels=2)
    params = {"constraint": ("recall", 0.6), "confidence": 0.8, "store_cv_results": True}
    classifier = MultiOutputClassifier(LogisticRegression()).fit(scores, labels)
    with sklearn.config_context(enable_metadata_routing=routing):
        tuned = TunedThresholdMultiOutputCV(classifier, cv=cv, refit=cv != "prefit", **params)
        tuned.fit(scores, labels, groups=groups)
    found = tuned.cv_results_
    np.testing.assert_array_equal(found["groups"][:, 0], groups)
    del params["store_cv_results"]
    expected = find_thresholds(found["labels"] == 1, found["scores"], groups=groups, **params)
    np.testing.assert_array_equal(tuned.best_threshold_, expected.thresholds)
    if cv != "prefit":
        assert all(len(np.unique(found["folds"][groups == group])) == 1 for group in range(40))


def test_constraints_that_change_labels_are_named():
    """The confidence is that of thresholds, not of labels that are changed afterwards."""
    labels, scores, groups = draw(10, 0.3, "recall", n=200, n_labels=2)
    labels[:, 1] |= labels[:, 0]
    classifier = AttributeClassifier(
        constraints={"implies": [("y0", "y1")]}, max_epochs=2, random_state=0
    )
    tuned = TunedThresholdMultiOutputCV(
        classifier, cv=0.5, refit=False, constraint=("recall", 0.5), confidence=0.8, random_state=0
    )
    with pytest.warns(AssumptionWarning, match="are changed after the thresholds; the confidence"):
        tuned.fit(scores.astype(np.float32), labels, groups=groups)
