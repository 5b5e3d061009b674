"""Focal and asymmetric losses against torchvision and the published formulas in NumPy."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from skattr.nn import (
    BranchLayout,
    SummedAsymmetric,
    SummedCrossEntropy,
    SummedFocal,
    SummedPartialAsymmetric,
)
from tests.nn.test_cross_entropy import EXACT, example, operations_of
from tests.nn.test_loss_options import LAYOUTS, all_options, reference, with_gradient

CRITERIA = {
    "cross-entropy": (SummedCrossEntropy, {}),
    "smoothed": (SummedCrossEntropy, {"label_smoothing": 0.1}),
    "selective": (SummedCrossEntropy, {"unknown": "selective", "top_k": 1}),
    "uncertain": (SummedCrossEntropy, {"attribute_weights": "uncertainty"}),
    "focal": (SummedFocal, {"alpha": 0.3}),
    "focal, weak": (SummedFocal, {"gamma": 0.5}),
    "focal, none": (SummedFocal, {"gamma": 0.0}),
    "asymmetric": (SummedAsymmetric, {}),
    "asymmetric, weak": (SummedAsymmetric, {"gamma_neg": 0.3, "gamma_pos": 0.5, "clip": 0.0}),
    "asymmetric, none": (SummedAsymmetric, {"gamma_neg": 0.0, "gamma_pos": 0.0}),
    "partial": (SummedPartialAsymmetric, {"top_k": 1}),
    "partial, negative": (SummedPartialAsymmetric, {"unknown": "negative", "clip": 0.1}),
}
every_loss = pytest.mark.parametrize("loss", CRITERIA)
every_layout = pytest.mark.parametrize("name", LAYOUTS)


def make_criterion(loss, layout, dtype=torch.float64):
    """Return one of the criteria."""
    kind, options = CRITERIA[loss]
    return kind(layout, **options, dtype=dtype)


@pytest.mark.parametrize("alpha", [None, 0.25, 0.7])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_is_that_of_torchvision(gamma, alpha):
    """Value and gradient are those of its mean over each attribute's known rows."""
    layout = BranchLayout((2, 2, 2))
    logits, codes, weights = example(layout)
    loss = SummedFocal(layout, gamma=gamma, alpha=alpha)(logits, codes, torch.ones_like(weights))
    expected = 0
    for j in range(3):
        known = codes[:, j] >= 0
        expected = expected + sigmoid_focal_loss(
            logits[known, j],
            codes[known, j].double(),
            alpha=-1 if alpha is None else alpha,
            gamma=gamma,
            reduction="mean",
        )
    torch.testing.assert_close(
        with_gradient(loss, logits), with_gradient(expected, logits), **EXACT
    )


def focal(p, code, is_binary, gamma=1.5, alpha=0.3):
    """Lin et al. 2017: the alpha-balanced focal loss."""
    p_t = p[max(code, 0)]
    alpha_t = (alpha if code > 0 else 1 - alpha) if is_binary else 1
    return -alpha_t * (1 - p_t) ** gamma * np.log(p_t)


def asymmetric(p, code, is_binary, gamma_neg=3.0, gamma_pos=0.5, clip=0.08):
    """Ridnik et al. 2021, for binary branches."""
    if not is_binary:
        return -np.log(p[code])
    if code > 0:
        return -((1 - p[code]) ** gamma_pos) * np.log(p[code])
    shifted = max(1 - p[0] - clip, 0)
    return -(shifted**gamma_neg) * np.log(1 - shifted)


PARTIAL = {"gamma_pos": 0.5, "gamma_neg": 1.5, "gamma_unknown": 3.0, "clip": 0.02}
ALPHAS = {"alpha_pos": 2.0, "alpha_neg": 1.3, "alpha_unknown": 0.6}


def partial_asymmetric(p, code, is_binary):
    """Ben-Baruch et al. 2022: powers and weights by the kind of label."""
    if not is_binary:
        return -np.log(p[code])
    kind = "pos" if code > 0 else "unknown" if code < 0 else "neg"
    power = {
        "gamma_neg": PARTIAL["gamma_unknown" if code < 0 else "gamma_neg"],
        "gamma_pos": PARTIAL["gamma_pos"],
        "clip": PARTIAL["clip"],
    }
    return ALPHAS[f"alpha_{kind}"] * asymmetric(p, code, is_binary, **power)


PUBLISHED = {
    "focal": (SummedFocal, {"gamma": 1.5, "alpha": 0.3}, focal),
    "asymmetric": (
        SummedAsymmetric,
        {"gamma_neg": 3.0, "gamma_pos": 0.5, "clip": 0.08},
        asymmetric,
    ),
    "partial": (SummedPartialAsymmetric, {**PARTIAL, **ALPHAS}, partial_asymmetric),
}


@pytest.mark.parametrize("unknown", ["ignore", "negative", "selective"])
@pytest.mark.parametrize("loss", PUBLISHED)
@every_layout
def test_published_formula(name, loss, unknown, rng):
    """With all factors, smoothing and every policy it is the formula, summed in a loop."""
    layout = LAYOUTS[name]
    kind, arguments, formula = PUBLISHED[loss]
    logits, codes, weights = example(layout, unknown=0.6)
    options = all_options(layout, rng, unknown)
    value = kind(layout, **arguments, **options, dtype=torch.float64)(logits, codes, weights)
    expected = reference(layout, logits, codes, weights, formula, options)
    np.testing.assert_allclose(value.item(), expected, rtol=1e-12)


def test_partial_without_powers_is_the_cross_entropy():
    """With all gammas 0 and no margin, value and gradient are those of the negative policy."""
    layout = LAYOUTS["joint"]
    logits, codes, weights = example(layout)
    powers = dict.fromkeys(("gamma_pos", "gamma_neg", "gamma_unknown"), 0.0)
    loss = SummedPartialAsymmetric(layout, **powers, unknown="negative")(logits, codes, weights)
    expected = SummedCrossEntropy(layout, unknown="negative")(logits, codes, weights)
    torch.testing.assert_close(
        with_gradient(loss, logits), with_gradient(expected, logits), **EXACT
    )


def test_negatives_below_the_margin_cost_nothing():
    """Their loss and gradient are exactly 0."""
    logits = torch.tensor([[-5.0]], requires_grad=True)
    criterion = SummedAsymmetric(BranchLayout((2,)), gamma_neg=0.5)
    loss = criterion(logits, torch.zeros(1, 1).long(), torch.ones(1, 1))
    assert [part.item() for part in with_gradient(loss, logits)] == [0, 0]


@every_loss
@every_layout
def test_gradient_is_that_of_the_value(name, loss):
    """Finite differences agree in float64."""
    layout = LAYOUTS[name]
    logits, codes, weights = example(layout, n=6)
    criterion = make_criterion(loss, layout)
    assert torch.autograd.gradcheck(lambda x: criterion(x, codes, weights), logits)


@every_loss
@every_layout
def test_huge_logits(name, loss):
    """Logits of +-1e4, and equal ones, give finite losses and gradients in float32."""
    layout = LAYOUTS[name]
    _, codes, weights = example(layout)
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(-1, 2, (40, layout.n_logits), generator=generator).float()
    for scale in (0.0, 20.0, 100.0, 1e4):
        logits = (scale * signs).requires_grad_()
        value, gradient = with_gradient(
            make_criterion(loss, layout, torch.float32)(logits, codes, weights), logits
        )
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert torch.isfinite(gradient).all()


@every_loss
@every_layout
def test_missing_labels_have_no_influence(name, loss):
    """A row without a known label or weight changes no bit, even if its loss overflows."""
    layout = LAYOUTS[name]
    logits, codes, weights = example(layout)
    codes[0], weights[0] = -1, 0
    if make_criterion(loss, layout).unknown == "selective":
        weights = weights.masked_fill(codes < 0, 0)  # its logits choose which others count
    logits = logits.detach().float()
    criterion = make_criterion(loss, layout, torch.float32)
    results = []
    for row in (0.0, 3e38):
        logits[0, ::2], logits[0, 1::2] = row, -row
        x = logits.clone().requires_grad_()
        results.append(with_gradient(criterion(x, codes, weights), x))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert (results[0][1][0] == 0).all()


@every_loss
@pytest.mark.parametrize(
    "options",
    [{}, {"binary_head": "softmax"}, {"ordinal": tuple(range(50))}, {"n_categories": 4}],
)
def test_no_loop_over_attributes(loss, options):
    """50 attributes dispatch as many operations, forward and backward, as 5."""
    counts = []
    for repeats in (1, 10):
        layout = BranchLayout((2, 3, 5, 2, 3) * repeats, **options)
        counts.append(operations_of(make_criterion(loss, layout), layout))
    assert counts[0] == counts[1] > 0


@every_loss
@every_layout
def test_no_value_is_looked_at(name, loss):
    """Tensors without values go through, forward and backward: a step never waits for the GPU."""
    layout = LAYOUTS[name]
    criterion = make_criterion(loss, layout).to("meta")
    logits, codes, weights = (part.detach().to("meta") for part in example(layout))
    logits.requires_grad_()
    criterion(logits, codes, weights).backward()
    assert logits.grad.shape == logits.shape


class Brier(SummedCrossEntropy):
    """A loss of one's own: the squared distance of the label's probability to 1."""

    def label_losses(self, cross_entropies, codes, block):
        """Return the squared errors."""
        return torch.expm1(-cross_entropies).square()


def test_a_loss_of_ones_own():
    """One elementwise method is enough, for every form of branch."""
    layout = BranchLayout((2, 3))
    logits, codes, weights = example(layout, unknown=0)
    loss = Brier(layout)(logits, codes, torch.ones_like(weights))
    p = logits[:, 1:].softmax(1).gather(1, codes[:, 1:])
    q = torch.sigmoid(torch.where(codes[:, :1] > 0, logits[:, :1], -logits[:, :1]))
    expected = F.mse_loss(p, torch.ones_like(p)) + F.mse_loss(q, torch.ones_like(q))
    torch.testing.assert_close(loss, expected, **EXACT)
