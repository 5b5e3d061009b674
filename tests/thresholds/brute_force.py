"""Thresholds by trying every cut in float64, written as the definitions read."""

import itertools

import numpy as np


def cuts_of(scores):
    """Return a threshold for each way to cut the distinct scores in two."""
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


def meets(constraint, *four):
    """Tell whether counts meet a constraint."""
    if constraint is None:
        return True
    name, bound = constraint
    reached = value(name, *four)
    if name in ("false_positive_rate", "positive_share"):
        return reached <= bound + 1e-12
    return reached >= bound - 1e-12


def best(scores, labels, weights, name, constraint=None, **params):
    """Return the best value of one label over all cuts, None if none meets the constraint."""
    found = [counts(scores, labels, weights, cut) for cut in cuts_of(scores[~np.isnan(labels)])]
    values = [value(name, *four, **params) for four in found if meets(constraint, *four)]
    return max(values, default=None)


def best_joint(scores, labels, weights, name, constraint=None, **params):
    """Return the best value of the sums over labels, over all combinations of cuts."""
    per_label = []
    for s, y, w in zip(scores.T, labels.T, weights.T, strict=True):
        per_label.append({counts(s, y, w, cut) for cut in cuts_of(s[~np.isnan(y)])})
    values = []
    for combination in itertools.product(*per_label):
        four = np.sum(combination, axis=0)
        if meets(constraint, *four):
            values.append(value(name, *four, **params))
    return max(values, default=None)
