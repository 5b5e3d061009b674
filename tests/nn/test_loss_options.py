"""Factors, weights, smoothing, links and policies of the losses, against torch and NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from skattr.nn import BranchLayout, SummedCrossEntropy
from skattr.nn._cross_entropy import present_log_odds
from skattr.nn._cross_entropy_kernels import log_probabilities
from tests.nn.test_cross_entropy import EXACT, example, n_targets

LAYOUTS = {
    "sigmoid": BranchLayout((3, 2, 1, 2, 5, 3, 2)),
    "softmax": BranchLayout((3, 2, 1, 2, 5, 3, 2), "softmax"),
    "ordinal": BranchLayout((3, 2, 1, 2, 5, 3, 2), ordinal=(0, 4)),
    "joint": BranchLayout((3, 2, 1, 2, 5, 3, 2), ordinal=(4,), n_categories=3),
}
FLOAT64 = {"dtype": torch.float64}


def probabilities(form, logits):
    """Return the probabilities of a branch's targets, by their definitions."""
    if form == "sigmoid":
        positive = 1 / (1 + np.exp(-logits[0]))
        return np.array([1 - positive, positive])
    if form == "ordinal":
        above = np.concatenate([[1], 1 / (1 + np.exp(-logits)), [0]])
        return above[:-1] - above[1:]
    softmax = np.exp(logits) / np.exp(logits).sum()
    return np.append(softmax, 1 - softmax[0]) if form == "joint" else softmax


def branches(layout, logits):
    """Yield each branch's attribute, form, whether it is binary, and target probabilities."""
    for block in layout.blocks:
        for attribute in layout.order[block.branches]:
            part = logits.detach().numpy()[:, layout.slices[attribute]]
            p = np.array([probabilities(block.form, row) for row in part])
            yield attribute, block.form, block.is_binary, p


def likely_positives(layout, logits, codes, priors, prior_threshold, top_k):
    """Return what the selective policy ignores: a set of (row, attribute)."""
    unknown = [
        (p[row, 0], row, attribute)
        for attribute, _, is_binary, p in branches(layout, logits)
        for row in range(len(p))
        if is_binary and codes[row, attribute] < 0
    ]
    frequent = {(i, j) for _, i, j in unknown if priors[j] > prior_threshold}
    return frequent | {(i, j) for _, i, j in sorted(unknown)[: top_k * len(codes)]}


def reference(layout, logits, codes, weights, label_loss, options):
    """Return the loss by a loop over all labels, in NumPy."""
    given = {"label_smoothing": 0.0, "unknown": "ignore", "attribute_weights": None, **options}
    eps = given["label_smoothing"]
    ignored = set()
    if given["unknown"] == "selective":
        parts = (given[key] for key in ("priors", "prior_threshold", "top_k"))
        ignored = likely_positives(layout, logits, codes, *parts)
    total = 0.0
    for attribute, form, is_binary, p in branches(layout, logits):
        v, m = (
            np.ones(p.shape[1]) if given.get(key) is None else given[key][attribute]
            for key in ("loss_factors", "mean_factors")
        )
        numerator = divisor = 0.0
        for row in range(len(p)):
            code, weight = int(codes[row, attribute]), float(weights[row, attribute])
            if code < 0 and not (is_binary and given["unknown"] != "ignore"):
                continue
            target = max(code, 0)
            divisor += weight * m[target]
            if (row, attribute) in ignored:
                continue
            n_classes = p.shape[1] - (form == "joint")
            loss = (1 - eps) * v[target] * label_loss(p[row], code, is_binary)
            for other in range(n_classes):
                loss += eps / n_classes * v[other] * label_loss(p[row], other, is_binary)
            numerator += weight * loss
        omega = given["attribute_weights"]
        if divisor:
            total += (1 if omega is None else omega[attribute]) * numerator / divisor
    return total


def cross_entropy(p, code, is_binary):
    """Return minus the log probability of a target, a missing label being a negative."""
    return -np.log(p[max(code, 0)])


def all_options(layout, rng, unknown="ignore"):
    """Return random factors, weights and settings for a layout."""
    n = len(layout.n_classes)
    return {
        "loss_factors": [rng.uniform(0.5, 3, k) for k in n_targets(layout)],
        "mean_factors": [rng.uniform(0.5, 3, k) for k in n_targets(layout)],
        "attribute_weights": rng.uniform(0, 2, n),
        "label_smoothing": 0.2,
        "unknown": unknown,
        "priors": rng.uniform(0, 0.1, n),
        "prior_threshold": 0.07,
        "top_k": 1,
    }


layouts = st.builds(
    BranchLayout,
    st.lists(st.integers(1, 5), min_size=1, max_size=8).map(tuple),
    st.sampled_from(["sigmoid", "softmax"]),
    st.sampled_from([(), (0, 2, 3), tuple(range(8))]),
    st.sampled_from([0, 0, 1, 3]),
)


@settings(max_examples=60, deadline=None)
@given(layouts, st.sampled_from(["ignore", "negative", "selective"]), st.integers(0, 99))
def test_all_options_together_equal_a_loop(layout, unknown, seed):
    """Factors, weights, smoothing and policies of any layout are those of a loop over labels."""
    options = all_options(layout, np.random.default_rng(seed), unknown)
    logits, codes, weights = example(layout, n=7, unknown=0.6, seed=seed)
    loss = SummedCrossEntropy(layout, **options, **FLOAT64)(logits, codes, weights)
    expected = reference(layout, logits, codes, weights, cross_entropy, options)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-12)


def with_gradient(loss, logits):
    """Return a loss and its gradient."""
    return loss, torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_positive_and_attribute_weights_are_those_of_torch(smoothing):
    """They are pos_weight and weight of BCEWithLogitsLoss, whose mean is over attributes too."""
    layout = BranchLayout((2, 2, 2))
    logits, codes, weights = example(layout, unknown=0)
    pos_weight, omega = np.array([3.0, 0.5, 1.0]), np.array([0.2, 1.0, 4.0])
    criterion = SummedCrossEntropy(
        layout,
        loss_factors=[(1, weight) for weight in pos_weight],
        attribute_weights=omega,
        label_smoothing=smoothing,
        **FLOAT64,
    )
    loss = criterion(logits, codes, torch.ones_like(weights))
    expected = 3 * F.binary_cross_entropy_with_logits(
        logits,
        codes.double() * (1 - smoothing) + smoothing / 2,
        weight=torch.tensor(omega),
        pos_weight=torch.tensor(pos_weight),
    )
    torch.testing.assert_close(
        with_gradient(loss, logits), with_gradient(expected, logits), **EXACT
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_class_weights_are_those_of_torch(smoothing, rng):
    """They are weight of CrossEntropyLoss, whose mean divides by the weights of the labels."""
    layout = LAYOUTS["softmax"]
    logits, codes, weights = example(layout)
    class_weights = [rng.uniform(0.2, 5, k) for k in layout.n_classes]
    criterion = SummedCrossEntropy(
        layout,
        loss_factors=class_weights,
        mean_factors=class_weights,
        label_smoothing=smoothing,
        **FLOAT64,
    )
    loss = criterion(logits, codes, torch.ones_like(weights))
    expected = sum(
        F.cross_entropy(
            logits[:, layout.slices[j]],
            codes[:, j],
            weight=torch.tensor(class_weights[j]),
            label_smoothing=smoothing,
            ignore_index=-1,
        )
        for j in layout.order
    )
    torch.testing.assert_close(
        with_gradient(loss, logits), with_gradient(expected, logits), **EXACT
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_log_probabilities_are_those_of_the_link(name):
    """Every form has the probabilities of its definition; those of the classes sum to one."""
    layout = LAYOUTS[name]
    logits, _, _ = example(layout)
    for block in layout.blocks:
        log_p = log_probabilities(block, logits[:, block.columns]).detach().numpy()
        assert log_p.shape == (40, block.n_branches, block.n_targets)
        for branch, attribute in enumerate(layout.order[block.branches]):
            part = logits.detach().numpy()[:, layout.slices[attribute]]
            expected = np.array([probabilities(block.form, row) for row in part])
            np.testing.assert_allclose(np.exp(log_p[:, branch]), expected, rtol=1e-10)
        n_classes = block.n_targets - (block.form == "joint")
        np.testing.assert_allclose(np.exp(log_p[..., :n_classes]).sum(-1), 1, rtol=1e-12)


@pytest.mark.parametrize("name", LAYOUTS)
def test_present_log_odds(name):
    """They are the log odds of not absent in binary branches, and below all of them elsewhere."""
    layout = LAYOUTS[name]
    logits, _, _ = example(layout)
    columns = [
        np.log(1 / p[:, 0] - 1) if is_binary else np.full(len(p), -np.inf)
        for _, _, is_binary, p in branches(layout, logits)
    ]
    odds = present_log_odds(layout, logits.detach())
    np.testing.assert_allclose(odds, np.transpose(columns), rtol=1e-10, atol=1e-10)


def test_cumulative_link_far_out():
    """Where the difference of sigmoids is lost in rounding, its log is still right."""
    (block,) = BranchLayout((3,), ordinal=(0,)).blocks
    logits = torch.tensor([[90.0, 80.0], [-800.0, -801.0], [1e4, -1e4]], dtype=torch.float64)
    log_p = log_probabilities(block, logits)[:, 0]
    expected = [
        [-90, -80 + np.log1p(-np.exp(-10.0)), 0],
        [0, -800 + np.log1p(-np.exp(-1.0)), -801],
        [-1e4, 0, -1e4],
    ]
    np.testing.assert_allclose(log_p, expected, rtol=1e-12, atol=1e-30)


def test_uncertainty_is_that_of_kendall():
    """Attribute j adds exp(-s_j) times its mean loss and s_j / 2, if one of its labels is known."""
    layout = LAYOUTS["sigmoid"]
    logits, codes, weights = example(layout)
    codes[:, 4] = -1
    criterion = SummedCrossEntropy(layout, attribute_weights="uncertainty", **FLOAT64)
    assert (criterion.log_variances == 0).all()
    s = np.linspace(-1, 2, len(layout.order))
    criterion.log_variances.data = torch.tensor(s)
    loss = criterion(logits, codes, weights)
    sums, divisors = SummedCrossEntropy(layout).sums(logits, codes, weights)
    known = np.array([attribute != 4 for attribute in layout.order])
    means = (sums / divisors).detach().numpy()[known]
    expected = np.exp(-s[known]) @ means + s[known].sum() / 2
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-12)
    (gradient,) = torch.autograd.grad(loss, criterion.log_variances)
    np.testing.assert_allclose(gradient[known], 0.5 - np.exp(-s[known]) * means, rtol=1e-12)
    assert (gradient[~known] == 0).all()


@pytest.mark.parametrize("attribute_weights", [None, "fixed", "uncertainty"])
@pytest.mark.parametrize("unknown", ["ignore", "negative"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_parts_of_a_batch_add_up(name, unknown, attribute_weights, rng):
    """Divided by the weight sums of the whole batch, its parts' losses sum to its loss."""
    layout = LAYOUTS[name]
    logits, codes, weights = example(layout)
    options = all_options(layout, rng, unknown)
    if attribute_weights != "fixed":
        options["attribute_weights"] = attribute_weights
    criterion = SummedCrossEntropy(layout, **options, **FLOAT64)
    if attribute_weights == "uncertainty":
        criterion.log_variances.data += 0.7
    divisors = criterion.weight_sums(codes, weights)
    wanted = [logits, *criterion.parameters()]
    whole = criterion(logits, codes, weights)
    parts = sum(
        criterion.total(
            criterion.sums(logits[rows], codes[rows], weights[rows])[0], divisors, share=share
        )
        for rows, share in ((slice(0, 10), 0.25), (slice(10, 30), 0.5), (slice(30, 40), 0.25))
    )
    torch.testing.assert_close(parts, whole, **EXACT)
    torch.testing.assert_close(
        torch.autograd.grad(parts, wanted), torch.autograd.grad(whole, wanted), **EXACT
    )


@pytest.mark.parametrize("unknown", ["ignore", "negative", "selective"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_weight_sums_do_not_depend_on_logits(name, unknown, rng):
    """They are bit-identical to the second of the sums, whatever the logits are."""
    layout = LAYOUTS[name]
    logits, codes, weights = example(layout)
    criterion = SummedCrossEntropy(layout, **all_options(layout, rng, unknown), **FLOAT64)
    expected = criterion.weight_sums(codes, weights)
    for scale in (1, -3):
        assert torch.equal(criterion.sums(scale * logits, codes, weights)[1], expected)


@pytest.mark.parametrize("name", LAYOUTS)
def test_negative_policy_writes_zeros(name):
    """It is as if missing labels of binary attributes were known negatives."""
    layout = LAYOUTS[name]
    logits, codes, weights = example(layout)
    zeros = codes.clone()
    for attribute, count in enumerate(layout.n_classes):
        if count == 2:
            zeros[codes[:, attribute] < 0, attribute] = 0
    loss = SummedCrossEntropy(layout, unknown="negative")(logits, codes, weights)
    assert torch.equal(loss, SummedCrossEntropy(layout)(logits, zeros, weights))


def test_selective_policy_by_hand():
    """Of four missing labels, the frequent attribute's and the likeliest count nothing."""
    layout = BranchLayout((2, 2, 2))
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, -1.0, 0.5]], dtype=torch.float64)
    codes = torch.tensor([[-1, 1, -1], [0, -1, -1]])  # known is 3.0, the likeliest of all
    criterion = SummedCrossEntropy(
        layout, unknown="selective", priors=[0.5, 0.01, np.nan], prior_threshold=0.1, top_k=1
    )
    sums, divisors = criterion.sums(logits, codes, torch.ones(2, 3))
    negative = F.softplus(logits)
    expected = torch.stack([negative[1, 0], F.softplus(-logits[0, 1]) + negative[1, 1], sums[2]])
    torch.testing.assert_close(sums, expected, **EXACT)
    assert sums[2] == 0
    assert divisors.tolist() == [2, 2, 2]


def test_selective_policy_without_rules():
    """Without priors and likelihoods it is the negative policy; with all likely, none counts."""
    layout = LAYOUTS["joint"]
    logits, codes, weights = example(layout)
    negative = SummedCrossEntropy(layout, unknown="negative")(logits, codes, weights)
    for options in ({}, {"priors": np.ones(7), "prior_threshold": None}):
        selective = SummedCrossEntropy(layout, unknown="selective", top_k=0, **options)
        assert torch.equal(selective(logits, codes, weights), negative)
    greedy = SummedCrossEntropy(layout, unknown="selective", top_k=100)
    sums, divisors = greedy.sums(logits, codes, weights)
    assert torch.equal(sums, SummedCrossEntropy(layout).sums(logits, codes, weights)[0])
    assert torch.equal(
        divisors, SummedCrossEntropy(layout, unknown="negative").weight_sums(codes, weights)
    )


@pytest.mark.parametrize("unknown", ["negative", "selective"])
def test_unknown_labels_of_other_attributes_are_ignored(unknown):
    """Junk at missing labels of attributes of more than two classes has no influence."""
    layout = LAYOUTS["ordinal"]
    logits, codes, weights = example(layout)
    criterion = SummedCrossEntropy(layout, unknown=unknown, top_k=1)
    many = torch.tensor(layout.n_classes) > 2
    junk = weights.masked_fill((codes < 0) & many, np.nan)
    torch.testing.assert_close(
        with_gradient(criterion(logits, codes, junk), logits),
        with_gradient(criterion(logits, codes, weights), logits),
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss_factors": [None]}, "loss_factors must have one entry for each of the 2 attributes"),
        ({"mean_factors": [None, [1, 2]]}, r"mean_factors\[1\] must have shape \(3,\)"),
        ({"attribute_weights": [1.0]}, r"attribute_weights must have shape \(2,\)"),
        ({"attribute_weights": "learned"}, 'attribute_weights must be an array, "uncertainty"'),
        ({"priors": [[0.1, 0.2]]}, r"priors must have shape \(2,\)"),
        ({"unknown": "positive"}, "unknown must be one of"),
    ],
)
def test_wrong_arguments(options, message):
    """Each is named in the error."""
    with pytest.raises(ValueError, match=message):
        SummedCrossEntropy(BranchLayout((2, 3)), **options)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "unknown": "selective"}])
def test_constant_attributes_only(options):
    """With no branch at all every option leaves a loss of 0."""
    layout = BranchLayout((1, 1))
    factors = {"loss_factors": [None, None], "priors": [0.1, 0.2]}
    criterion = SummedCrossEntropy(
        layout, attribute_weights="uncertainty", **factors, **options
    )  # fmt: skip
    logits = torch.zeros(3, 0, requires_grad=True)
    loss = criterion(logits, torch.zeros(3, 2).long(), torch.ones(3, 2))
    loss.backward()
    assert loss.item() == 0
