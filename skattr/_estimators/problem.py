"""From labels and a classifier's parameters to what its network is to learn."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._estimators.data import Codes, Floats, Labels
from skattr._inputs.rows import FeatureRows, Rows
from skattr._targets.columns import ROWS_AT_ONCE
from skattr._targets.encoder import AttributeEncoder
from skattr._targets.weights import attribute_weights, class_weights, positive_weights
from skattr._training import TrainingProblem
from skattr.losses import make_criterion
from skattr.nn import BranchLayout
from skattr.nn._branches import initial_logits

_SMALLEST, _LARGEST = 1e-15, 1e15


def make_problem(
    classifier: Any, encoder: AttributeEncoder, rows: Rows, labels: Labels, train: NDArray[np.intp]
) -> TrainingProblem:
    """Return what the parameters of `classifier` make of rows and labels.

    Parameters
    ----------
    classifier : AttributeClassifier
    encoder : AttributeEncoder
    rows : Rows
    labels : Labels
        Of the rows.
    train : ndarray of int
        The rows to count labels in.
    """
    prior = classifier.category_prior
    layout = make_layout(classifier, encoder, labels.n_categories)
    criterion, params = make_criterion(classifier.loss)
    unknown_is_negative = params.get("unknown", "ignore") != "ignore"
    may_count = params.get("unknown") != "ignore"  # a callable's loss does not say
    targets, weights = _targets(labels, layout, prior, may_count)
    counted = (_some(labels.codes, train), _some(labels.weights, train))
    has_label: NDArray[np.bool_] = np.any(counted[1] > 0, axis=0)
    if not has_label.all():  # an attribute without any is not trained
        weights = weights * np.append(has_label, np.ones(weights.shape[1] - len(has_label)))
    factors, mean_factors = _factors(classifier, encoder, layout, *counted)
    extra = {
        "loss_factors": factors,
        "mean_factors": mean_factors,
        "attribute_weights": _importance(classifier, encoder, layout, *counted),
        "priors": _shares_of_positives(layout, *counted) if unknown_is_negative else None,
    }
    of_train = _some(targets, train), _some(weights, train)
    counts = _counts(*of_train, layout, factors, unknown_is_negative)
    is_float64 = isinstance(rows, FeatureRows) and rows.array.dtype == np.float64
    return TrainingProblem(
        rows=rows,
        layout=layout,
        targets=targets,
        weights=weights if is_float64 else _single(weights),
        criterion=criterion,
        criterion_params={**params, **{k: v for k, v in extra.items() if v is not None}},
        prior=initial_logits(layout, counts),
        untrained=tuple(np.flatnonzero(~has_label).tolist()),
        category=labels.category if prior == "condition" else None,
        n_conditions=labels.n_categories if prior == "condition" else 0,
    )


def _some(values: NDArray[Any], rows: NDArray[np.intp]) -> NDArray[Any]:
    """Return some rows, which are in order and distinct; all of them are not copied."""
    return values if len(rows) == len(values) else values[rows]


def _single(weights: Floats) -> NDArray[np.float32]:
    """Return weights as float32; where their sums might leave its range, relative to the largest.

    Means are the same.
    """
    most = weights.max(initial=0)
    if most > 0 and not _SMALLEST < most < _LARGEST:
        weights = weights / most
    return weights.astype(np.float32)


def make_layout(classifier: Any, encoder: AttributeEncoder, n_categories: int) -> BranchLayout:
    """Return the layout of the branches that `classifier` has for these attributes."""
    prior = classifier.category_prior
    n_classes = tuple(map(len, encoder.classes_))
    return BranchLayout(
        n_classes + ((n_categories,) if prior == "auxiliary" else ()),
        classifier.binary_head,
        ordinal=tuple(j for j, kind in enumerate(encoder.kinds_) if kind == "ordinal"),
        n_categories=n_categories if prior == "joint" else 0,
        n_auxiliary=int(prior == "auxiliary"),
    )


def _targets(
    labels: Labels, layout: BranchLayout, prior: str | None, unknown_may_count: bool
) -> tuple[Codes, Floats]:
    """Return the targets of all branches and their weights."""
    targets, weights = labels.codes, labels.weights
    if unknown_may_count:
        weights = np.where(targets >= 0, weights, labels.unknown_weights)
    if labels.category is None or prior not in ("joint", "auxiliary"):
        return targets, weights
    category = labels.category[:, np.newaxis]
    if prior == "auxiliary":
        known = np.where(category >= 0, labels.row_weights[:, np.newaxis], 0)  # under any policy
        return np.hstack([targets, category]), np.hstack([weights, known])
    present = np.where(category >= 0, category, labels.n_categories) + 1
    is_joint = np.array([form == "joint" for form in layout.forms])
    return np.where(is_joint & (targets == 1), present, targets), weights


def _factors(
    classifier: Any, encoder: AttributeEncoder, layout: BranchLayout, codes: Codes, weights: Floats
) -> tuple[list[Floats] | None, list[Floats] | None]:
    """Return what each target weighs in the sum of losses, and in the divisor of their mean."""
    if classifier.pos_weight is None and classifier.class_weight is None:
        return None, None
    by_class = class_weights(classifier.class_weight, encoder, codes, weights)
    positive = np.ones(len(by_class))
    if classifier.pos_weight is not None:
        positive = positive_weights(classifier.pos_weight, encoder, codes, weights)
    sums, means = [], []
    for j, form in enumerate(layout.forms):
        mean = by_class[j] if j < len(by_class) else np.ones(layout.n_classes[j])
        factor = mean.copy()
        if j < len(positive) and len(factor) == 2:
            factor[1] *= 1 if np.isnan(positive[j]) else positive[j]
        repeats = [1, layout.n_categories + 1] if form == "joint" else 1
        sums.append(np.repeat(factor, repeats))
        means.append(np.repeat(mean, repeats))
    return sums, None if classifier.class_weight is None else means


def _importance(
    classifier: Any, encoder: AttributeEncoder, layout: BranchLayout, codes: Codes, weights: Floats
) -> Floats | str | None:
    importance = attribute_weights(classifier.attribute_weight, encoder, codes, weights)
    if isinstance(importance, np.ndarray):
        return np.append(importance, np.ones(layout.n_auxiliary))
    return importance


def _shares_of_positives(layout: BranchLayout, codes: Codes, weights: Floats) -> Floats:
    """Return the share of the second class among the known labels, 0 if there is none."""
    known = np.where(codes >= 0, weights, 0).sum(axis=0)
    positive = np.where(codes == 1, weights, 0).sum(axis=0)
    shares = np.where(known > 0, positive / np.where(known > 0, known, 1), 0.0)
    return np.append(shares, np.zeros(layout.n_auxiliary))


def _counts(
    targets: Codes,
    weights: Floats,
    layout: BranchLayout,
    factors: list[Floats] | None,
    unknown_is_negative: bool,
) -> list[Floats]:
    """Return what the labels of each target weigh together, per branch.

    Weights of a mean below 1 are brought to it: one is added to each count, which should be as
    little beside weights that sum to one as beside labels.
    """
    n_classes = np.array(layout.n_classes)
    n_targets = np.where(
        [form == "joint" for form in layout.forms], layout.n_categories + 2, n_classes
    )
    if unknown_is_negative:
        targets = np.where((n_classes == 2) & (targets < 0), 0, targets)
    starts = np.concatenate([[0], np.cumsum(n_targets + 1)])  # the first is of unknown ones
    counts, n_known = np.zeros(starts[-1]), np.zeros(len(n_targets), dtype=np.int64)
    for start in range(0, len(targets), ROWS_AT_ONCE):
        codes, of_codes = (part[start : start + ROWS_AT_ONCE] for part in (targets, weights))
        places = codes + (starts[:-1] + 1)
        counts += np.bincount(places.ravel(), of_codes.ravel(), starts[-1])
        n_known += ((codes >= 0) & (of_codes > 0)).sum(axis=0)
    result = []
    for j, (start, stop) in enumerate(itertools.pairwise(starts.tolist())):
        count = counts[start + 1 : stop]
        if n_known[j]:
            count = count * max(1.0, n_known[j] / count.sum())
        result.append(count if factors is None else count * factors[j])
    return result
