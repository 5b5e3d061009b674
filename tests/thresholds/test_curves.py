"""Candidates of the threshold search and their counts against direct counts."""

import numpy as np
import pytest

from skattr.thresholds._curves import fast_curves, plain_curves, weighted_curve


def count(scores, positive, negative):
    """Return counts at the distinct scores of positives, thresholds and the highest score."""
    weighs = positive + negative > 0
    distinct = np.unique(scores[weighs])
    candidates = np.unique(scores[positive > 0])
    predicted = scores >= candidates[:, np.newaxis]
    below = [distinct[distinct < score] for score in candidates]
    thresholds = [
        (score / 2 + lower[-1] / 2) if len(lower) else score
        for score, lower in zip(candidates.astype(np.float64), below, strict=True)
    ]
    return predicted @ positive, predicted @ negative, thresholds, distinct[-1]


def curves_of(kind, scores, labels, known, weights):
    """Return the curves of each label by one of the three functions."""
    if kind == "fast":
        buffer = np.empty(scores.shape[::-1], dtype=np.uint32)
        parts = fast_curves(scores, labels, known, buffer)
    elif kind == "plain":
        parts = plain_curves(scores.astype(np.float64), labels, known)
    else:
        sides = weights * (labels & known), weights * (~labels & known)
        parts = [
            weighted_curve(scores[:, j], sides[0][:, j], sides[1][:, j], j)
            for j in range(scores.shape[1])
        ]
    return [curve for part in parts if part is not None for curve in part.split()]


@pytest.mark.parametrize("kind", ["fast", "plain", "weighted"])
def test_candidates_and_counts(kind):
    """Each distinct score of a positive is a candidate once; labels without a choice have none."""
    rng = np.random.default_rng(0)
    n_curves = n_left_out = 0
    for n in (2, 3, 5, 8, 13, 40) * 3:
        scores = rng.choice(np.float32([0, 0.125, 0.25, 0.5, 0.75]), (n, 6))
        labels = rng.random(scores.shape) < rng.random(6)
        known = rng.random(scores.shape) < 0.8
        weights = rng.choice([0.0, 0.5, 2.0], scores.shape) if kind == "weighted" else 1.0
        found = {
            int(curve.labels[0]): curve for curve in curves_of(kind, scores, labels, known, weights)
        }
        positives, negatives = weights * (labels & known), weights * (~labels & known)
        for j in range(6):
            column = scores[:, j], positives[:, j], negatives[:, j]
            used = column[1] + column[2] > 0
            if not column[1].any() or not column[2].any() or len(set(column[0][used])) == 1:
                assert j not in found
                n_left_out += 1
                continue
            curve = found[j]
            tp, fp, thresholds, top = count(*column)
            np.testing.assert_array_equal(curve.tp, tp)
            np.testing.assert_array_equal(curve.fp, fp)
            np.testing.assert_array_equal(curve.starts, [0, len(tp)])
            np.testing.assert_array_equal(curve.thresholds(np.arange(len(tp))), thresholds)
            assert (curve.P[0], curve.N[0]) == (column[1].sum(), column[2].sum())
            assert curve.top[0] == top
            n_curves += 1
    assert n_curves > 40
    assert n_left_out > 5
