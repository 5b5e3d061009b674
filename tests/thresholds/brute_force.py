"""Best thresholds by exhaustive search in float64, written as in the definitions."""

import itertools

import numpy as np


def distinct_thresholds(scores):
    """Return a threshold for each way to divide the distinct scores in two."""
    distinct = np.unique(scores)
    return [*distinct, np.inf]


def counts(scores, labels, weights, threshold):
    """Return TP, FP, FN, TN over the known entries."""
    known = ~np.isnan(labels)
    y, p, w = labels[known] == 1, scores[known] >= threshold, weights[known]
    return w[y & p].sum(), w[~y & p].sum(), w[y & ~p].sum(), w[~y & ~p].sum()


def divide(a, b):
    """Return a / b, 0 if b is 0."""
    return a / b if b else 0.0


def value(name, tp, fp, fn, tn, beta=1.0, costs=(1.0, 1.0)):
    """Return an objective by its textbook formula."""
    precision, recall = divide(tp, tp + fp), divide(tp, tp + fn)
    total = tp + fp + fn + tn
    if name in ("f1", "fbeta"):
        b = 1.0 if name == "f1" else beta**2
        return divide((1 + b) * precision * recall, b * precision + recall)
    if name == "mcc":
        return divide(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))
    return {
        "precision": precision,
        "recall": recall,
        "specificity": divide(tn, tn + fp),
        "false_positive_rate": divide(fp, tn + fp),
        "positive_share": divide(tp + fp, total),
        "balanced_accuracy": (recall + divide(tn, tn + fp)) / 2,
        "accuracy": divide(tp + tn, total),
        "jaccard": divide(tp, tp + fp + fn),
        "cost": -divide(costs[0] * fp + costs[1] * fn, total),
    }[name]


def satisfies(constraint, *four):
    """Return whether counts satisfy a constraint."""
    if constraint is None:
        return True
    name, bound = constraint
    attained = value(name, *four)
    if name in ("false_positive_rate", "positive_share"):
        return attained <= bound + 1e-12
    return attained >= bound - 1e-12


def best(scores, labels, weights, name, constraint=None, **params):
    """Return the best value of one label over all thresholds, None if none is valid."""
    results = [
        counts(scores, labels, weights, threshold)
        for threshold in distinct_thresholds(scores[~np.isnan(labels)])
    ]
    values = [value(name, *four, **params) for four in results if satisfies(constraint, *four)]
    return max(values, default=None)


def best_joint(scores, labels, weights, name, constraint=None, **params):
    """Return the best value of the sums over labels for all combinations of thresholds."""
    per_label = []
    for s, y, w in zip(scores.T, labels.T, weights.T, strict=True):
        per_label.append({counts(s, y, w, t) for t in distinct_thresholds(s[~np.isnan(y)])})
    values = []
    for combination in itertools.product(*per_label):
        four = np.sum(combination, axis=0)
        if satisfies(constraint, *four):
            values.append(value(name, *four, **params))
    return max(values, default=None)
