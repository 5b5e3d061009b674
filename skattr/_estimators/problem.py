"""Training targets, weights and loss from labels and parameters."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._estimators.data import Codes, Floats, TrainingData
from skattr._estimators.net_interface import NetInterface
from skattr._estimators.options import Branches, resolve
from skattr._estimators.parameters import ClassifierParameters
from skattr._targets.codes import row_blocks
from skattr._targets.encoder import AttributeEncoder
from skattr._targets.weights import attribute_weights, class_weights, positive_weights
from skattr._training.config import TrainingProblem
from skattr.losses import make_criterion
from skattr.nn import BranchLayout
from skattr.nn._branches import initial_logits

# Weights outside of this range are rescaled: float32 might not hold their sums or squares.
_SMALLEST, _LARGEST = 1e-15, 1e15


def make_problem(
    classifier: ClassifierParameters, data: TrainingData, train: NDArray[np.intp]
) -> TrainingProblem:
    """Return the training problem of checked data.

    Parameters
    ----------
    classifier : ClassifierParameters
    data : TrainingData
    train : ndarray of int
        Rows to count labels in.

    Returns
    -------
    TrainingProblem
    """
    encoder, prior = data.encoder, classifier.category_prior
    layout = BranchLayout(
        tuple(map(len, encoder.classes_)) + ((data.n_categories,) if prior == "auxiliary" else ()),
        resolve(Branches, classifier.branches).binary,
        ordinal=tuple(j for j, kind in enumerate(encoder.kinds_) if kind == "ordinal"),
        n_categories=data.n_categories if prior == "joint" else 0,
        n_auxiliary=int(prior == "auxiliary"),
    )
    criterion, params = make_criterion(classifier.loss)
    unknown_is_negative = params.get("unknown", "ignore") != "ignore"
    # A callable may count missing labels as well, and has no parameter that says so.
    may_count_missing = params.get("unknown") != "ignore"
    targets, weights = _targets(data, layout, prior, may_count_missing)
    codes, code_weights = _select_rows(data.codes, train), _select_rows(data.weights, train)
    has_label: NDArray[np.bool_] = np.any(code_weights > 0, axis=0)
    if not has_label.all():  # attributes without a label are not trained
        is_trained = np.append(has_label, np.ones(layout.n_auxiliary, dtype=bool))
        weights = np.where(is_trained, weights, weights.dtype.type(0))
    factors, mean_factors = _factors(classifier, encoder, layout, codes, code_weights)
    importance = attribute_weights(classifier.attribute_weight, encoder, codes, code_weights)
    if isinstance(importance, np.ndarray):
        importance = np.append(importance, np.ones(layout.n_auxiliary))
    extra = {
        "loss_factors": factors,
        "mean_factors": mean_factors,
        "attribute_weights": importance,
        "priors": _positive_shares(layout, codes, code_weights) if unknown_is_negative else None,
    }
    counts = _counts(targets, weights, train, layout, factors, unknown_is_negative)
    is_float64 = data.kind.dtype == np.float64
    return TrainingProblem(
        rows=data.rows,
        layout=layout,
        targets=targets,
        weights=weights if is_float64 else _to_float32(weights),
        criterion=criterion,
        criterion_params={**params, **{k: v for k, v in extra.items() if v is not None}},
        prior=initial_logits(layout, counts),
        untrained=tuple(np.flatnonzero(~has_label).tolist()),
        category=data.category if prior == "condition" else None,
        n_conditions=data.n_categories if prior == "condition" else 0,
        interface=NetInterface.of(classifier, data, layout),
    )


def _select_rows(values: NDArray[Any], rows: NDArray[np.intp]) -> NDArray[Any]:
    """Return rows given in order and without repetition; all rows are not copied."""
    return values if len(rows) == len(values) else values[rows]


def _to_float32(weights: Floats) -> NDArray[np.float32]:
    """Return weights as float32, relative to the largest if sums might overflow or vanish.

    The loss is a weighted mean, which does not depend on a common factor.
    """
    largest = weights.max(initial=0)
    if largest > 0 and not _SMALLEST < largest < _LARGEST:
        weights = weights / largest
    return weights.astype(np.float32, copy=False)


def _targets(
    data: TrainingData, layout: BranchLayout, prior: str | None, may_count_missing: bool
) -> tuple[Codes, Floats]:
    """Return the targets of all branches and their weights."""
    targets, weights = data.codes, data.weights
    if may_count_missing:
        weights = np.where(targets >= 0, weights, data.unknown_weights)
    if data.category is None or prior not in ("joint", "auxiliary"):
        return targets, weights
    category = data.category[:, np.newaxis]
    if prior == "auxiliary":
        # An unknown category is ignored under every policy: it is no negative of any class.
        category_weights = np.where(category >= 0, data.row_weights[:, np.newaxis], 0)
        return np.hstack([targets, category]), np.hstack([weights, category_weights])
    # Targets of a joint branch: absent, present with each category, present with an unknown one.
    present = np.where(category >= 0, category, data.n_categories) + 1
    is_joint = np.array([form == "joint" for form in layout.forms])
    return np.where(is_joint & (targets == 1), present, targets), weights


def _factors(
    classifier: ClassifierParameters,
    encoder: AttributeEncoder,
    layout: BranchLayout,
    codes: Codes,
    weights: Floats,
) -> tuple[list[Floats] | None, list[Floats] | None]:
    """Return the factor of each target in the sum of losses, and in the divisor of the mean.

    As in torch, positive weights multiply the loss only (`BCEWithLogitsLoss`), class weights also
    the divisor (`CrossEntropyLoss`).
    """
    if classifier.pos_weight is None and classifier.class_weight is None:
        return None, None
    by_class = class_weights(classifier.class_weight, encoder, codes, weights)
    pos_weight = 1.0 if classifier.pos_weight is None else classifier.pos_weight
    # The weight is NaN where "balanced" has no labels of one class to count.
    positive = np.nan_to_num(positive_weights(pos_weight, encoder, codes, weights), nan=1.0)
    sums, means = [], []
    for j, form in enumerate(layout.forms):
        is_output = j < len(by_class)  # the others are auxiliary
        mean = by_class[j] if is_output else np.ones(layout.n_classes[j])
        factor = mean.copy()
        if is_output and len(factor) == 2:
            factor[1] *= positive[j]
        repeats = [1, layout.n_categories + 1] if form == "joint" else 1
        sums.append(np.repeat(factor, repeats))
        means.append(np.repeat(mean, repeats))
    return sums, None if classifier.class_weight is None else means


def _positive_shares(layout: BranchLayout, codes: Codes, weights: Floats) -> Floats:
    """Return the share of the second class among the known labels, 0 if there is none."""
    known = np.where(codes >= 0, weights, 0).sum(axis=0, dtype=np.float64)
    positive = np.where(codes == 1, weights, 0).sum(axis=0, dtype=np.float64)
    shares = np.divide(positive, known, out=np.zeros_like(known), where=known > 0)
    return np.append(shares, np.zeros(layout.n_auxiliary))


def _counts(
    targets: Codes,
    weights: Floats,
    train: NDArray[np.intp],
    layout: BranchLayout,
    factors: list[Floats] | None,
    unknown_is_negative: bool,
) -> list[Floats]:
    """Return the weighted number of labels of each target in the training rows, per branch.

    The network starts at their log frequencies, so that rare labels do not start at one half.
    """
    n_classes = np.array(layout.n_classes)
    n_targets = np.where(
        [form == "joint" for form in layout.forms], layout.n_categories + 2, n_classes
    )
    # All branches are counted at once; the first bin of each branch counts missing labels.
    starts = np.concatenate([[0], np.cumsum(n_targets + 1)])
    counts, n_known = np.zeros(starts[-1]), np.zeros(len(n_targets), dtype=np.int64)
    for block in row_blocks(len(train)):
        codes, code_weights = targets[train[block]], weights[train[block]]
        if unknown_is_negative:
            codes = np.where((n_classes == 2) & (codes < 0), 0, codes)
        bins = codes + (starts[:-1] + 1)
        counts += np.bincount(bins.ravel(), code_weights.ravel(), starts[-1])
        n_known += ((codes >= 0) & (code_weights > 0)).sum(axis=0)
    result = []
    for j, (start, stop) in enumerate(itertools.pairwise(starts.tolist())):
        count = counts[start + 1 : stop]
        if n_known[j]:
            # The smoothing adds one to each count, which would dominate weights of a small mean:
            # they are rescaled to a mean of 1.
            count = count * max(1.0, n_known[j] / count.sum())
        result.append(count if factors is None else count * factors[j])
    return result
