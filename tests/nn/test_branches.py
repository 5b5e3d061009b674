"""The fused branches against one linear map per attribute."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from skattr.nn import BranchLayout, FusedBranches, SummedCrossEntropy
from skattr.nn._branches import CategoryFiLM, initial_logits
from skattr.nn._random import use_generators

layouts = st.builds(
    BranchLayout,
    st.lists(st.integers(1, 6), min_size=1, max_size=12).map(tuple),
    st.sampled_from(["sigmoid", "softmax"]),
    st.sampled_from([(), (0, 1, 4)]),
    st.sampled_from([0, 3]),
)
MIXED = (3, 2, 1, 2, 5, 3, 2)


def randomised(branches):
    """Give the branches random parameters (they start at zero)."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in branches.parameters():
            parameter.normal_(generator=generator)
    return branches.double()


def separate_linears(branches):
    """One nn.Linear per attribute that has logits, with the weights of FusedBranches."""
    result = nn.ModuleDict()
    for attribute in branches.layout.order:
        columns = branches.layout.slices[attribute]
        linear = nn.Linear(branches.weight.shape[1], columns.stop - columns.start).double()
        with torch.no_grad():
            linear.weight.copy_(branches.weight[columns])
            linear.bias.copy_(branches.bias[columns])
        result[str(attribute)] = linear
    return result


@given(layouts)
def test_widths(layout):
    """Classes have 0, 1, 2, one per category more, K (softmax) or K - 1 (ordinal) logits."""
    two = layout.n_categories + 1
    if not layout.n_categories:
        two = {"sigmoid": 1, "softmax": 2}[layout.binary_head]
    assert layout.widths == tuple(
        {1: 0, 2: two}.get(k, k - (j in layout.ordinal)) for j, k in enumerate(layout.n_classes)
    )
    assert [s.stop - s.start for s in layout.slices] == list(layout.widths)
    assert layout.n_logits == sum(layout.widths)


@given(layouts)
def test_slices_partition_the_columns(layout):
    """Every column belongs to exactly one attribute."""
    columns = [column for part in layout.slices for column in range(part.start, part.stop)]
    assert sorted(columns) == list(range(layout.n_logits))


@given(layouts)
def test_order_is_that_of_the_columns(layout):
    """The layout's order lists the attributes with logits by place: by form, narrow ones first."""
    with_logits = [j for j, width in enumerate(layout.widths) if width]
    assert list(layout.order) == sorted(with_logits, key=lambda j: layout.slices[j].start)
    forms = ["sigmoid", "softmax", "joint", "ordinal"]
    by_form = sorted(with_logits, key=lambda j: (forms.index(layout.forms[j]), layout.widths[j], j))
    assert list(layout.order) == by_form


@given(layouts)
def test_blocks_are_contiguous(layout):
    """Blocks follow on each other without a gap, and hold the slices of their branches."""
    branch = column = 0
    for block in layout.blocks:
        assert (block.branches.start, block.columns.start) == (branch, column)
        attributes = layout.order[block.branches]
        assert {layout.forms[j] for j in attributes} == {block.form}
        for place, attribute in enumerate(attributes):
            start = column + place * block.width
            assert layout.slices[attribute] == slice(start, start + block.width)
        branch, column = block.branches.stop, block.columns.stop
    assert (branch, column) == (len(layout.order), layout.n_logits)
    assert len({(block.form, block.width) for block in layout.blocks}) == len(layout.blocks)


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
def test_equals_one_linear_map_per_attribute(binary_head):
    """Outputs and gradients equal those of a ModuleList of nn.Linear."""
    branches = randomised(FusedBranches(6, BranchLayout(MIXED, binary_head)))
    linears = separate_linears(branches)
    x = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x_fused, x_separate = x.clone().requires_grad_(), x.clone().requires_grad_()
    logits = branches(x_fused)
    parts = {int(name): linear(x_separate) for name, linear in linears.items()}
    for attribute, part in parts.items():
        columns = branches.layout.slices[attribute]
        torch.testing.assert_close(logits[:, columns], part, rtol=1e-12, atol=1e-12)
    logits.sin().sum().backward()
    sum(part.sin().sum() for part in parts.values()).backward()
    torch.testing.assert_close(x_fused.grad, x_separate.grad, rtol=1e-12, atol=1e-12)
    for name, linear in linears.items():
        columns = branches.layout.slices[int(name)]
        torch.testing.assert_close(branches.weight.grad[columns], linear.weight.grad)
        torch.testing.assert_close(branches.bias.grad[columns], linear.bias.grad)


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
def test_hidden_equals_two_layers_per_attribute(binary_head):
    """With `hidden`, outputs and gradients equal those of separate two-layer branches."""
    n_hidden = 4
    branches = randomised(FusedBranches(6, BranchLayout(MIXED, binary_head), n_hidden))
    layout = branches.layout
    x = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x_fused, x_separate = x.clone().requires_grad_(), x.clone().requires_grad_()
    logits = branches(x_fused)
    total = 0
    for block, weights in zip(layout.blocks, branches.weights, strict=True):
        for place, attribute in enumerate(layout.order[block.branches]):
            units = slice(
                (block.branches.start + place) * n_hidden,
                (block.branches.start + place + 1) * n_hidden,
            )
            hidden = x_separate @ branches.hidden.weight[units].T + branches.hidden.bias[units]
            columns = layout.slices[attribute]
            part = hidden.relu() @ weights[place] + branches.bias[columns]
            torch.testing.assert_close(logits[:, columns], part, rtol=1e-12, atol=1e-12)
            total = total + part.sin().sum()
    fused = torch.autograd.grad(logits.sin().sum(), [x_fused, *branches.parameters()])
    separate = torch.autograd.grad(total, [x_separate, *branches.parameters()])
    torch.testing.assert_close(fused, separate, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("hidden", [None, 4])
def test_fresh_branches_predict_the_prior(hidden):
    """Untrained branches predict exactly what set_prior wrote, for every input."""
    layout = BranchLayout(MIXED)
    branches = FusedBranches(6, layout, hidden)
    prior = torch.arange(float(layout.n_logits))
    branches.set_prior(prior)
    x = 100 * torch.randn(5, 6, generator=torch.Generator().manual_seed(2))
    assert torch.equal(branches(x), prior.expand(5, -1))


@pytest.mark.parametrize("hidden", [None, 4])
def test_no_branches_at_all(hidden):
    """If every attribute is constant the logits have no column, and no warning is given."""
    logits = FusedBranches(6, BranchLayout((1, 1)), hidden)(torch.ones(5, 6))
    assert logits.shape == (5, 0)


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
def test_prior_logits_are_smoothed_frequencies(binary_head):
    """Their probabilities are (count + 1) / (total + number of classes)."""
    layout = BranchLayout((3, 1, 2), binary_head)
    counts = [np.array([5.0, 0.0, 2.5]), np.array([7.0]), np.array([1.0, 9.0])]
    logits = initial_logits(layout, counts)
    three = logits[layout.slices[0]].softmax(0).numpy()
    np.testing.assert_allclose(three, (counts[0] + 1) / (counts[0].sum() + 3), rtol=1e-12)
    two = logits[layout.slices[2]]
    positive = two.sigmoid() if binary_head == "sigmoid" else two.softmax(0)[1:]
    np.testing.assert_allclose(positive.numpy(), [10 / 12], rtol=1e-12)
    assert logits.shape == (layout.n_logits,)


def test_prior_without_labels_is_even():
    """An attribute without a known label gets equal probabilities."""
    layout = BranchLayout((4, 2))
    logits = initial_logits(layout, [np.zeros(4), np.zeros(2)])
    np.testing.assert_allclose(logits[layout.slices[0]].softmax(0), 0.25)
    np.testing.assert_allclose(logits[layout.slices[1]].sigmoid(), 0.5)


FORMS = BranchLayout((3, 2, 1, 2, 5, 3, 4, 3), "softmax", ordinal=(0, 4, 5), n_categories=3)


def class_probabilities(cumulative):
    """Class probabilities of cumulative log odds (n, K - 1), as differences in float64 NumPy."""
    above = 1 / (1 + np.exp(-np.asarray(cumulative, dtype=np.float64)))
    ones, zeros = np.ones((len(above), 1)), np.zeros((len(above), 1))
    return -np.diff(np.hstack([ones, above, zeros]), axis=1)


def test_forms_and_widths():
    """Each attribute has its form, equal forms are adjacent, and each logit is in one block."""
    assert FORMS.forms == (
        "ordinal", "joint", "constant", "joint", "ordinal", "ordinal", "softmax", "softmax",
    )  # fmt: skip
    assert FORMS.widths == (2, 4, 0, 4, 4, 2, 4, 3)
    assert [(block.form, block.width, block.n_branches) for block in FORMS.blocks] == [
        ("softmax", 3, 1), ("softmax", 4, 1), ("joint", 4, 2), ("ordinal", 2, 2), ("ordinal", 4, 1),
    ]  # fmt: skip
    assert [block.n_targets for block in FORMS.blocks] == [3, 4, 5, 3, 5]
    assert [block.is_binary for block in FORMS.blocks] == [False, False, True, False, False]
    assert BranchLayout((2, 3, 4), n_auxiliary=1).outputs == (0, 1)


def cumulative_link(scores):
    """Cumulative log odds of a branch, term by term: the first, less one step after another."""
    first, *steps = scores.unbind(1)
    thresholds = [torch.zeros_like(first)]
    for step in steps:
        thresholds.append(thresholds[-1] + torch.log1p(torch.exp(step)))
    return torch.stack([first - threshold for threshold in thresholds], dim=1)


def test_ordinal_equals_one_cumulative_link_per_attribute():
    """Outputs and gradients equal those of a separate cumulative link per ordinal attribute."""
    branches = randomised(FusedBranches(6, FORMS))
    layout = branches.layout
    x = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x_fused, x_separate = x.clone().requires_grad_(), x.clone().requires_grad_()
    logits = branches(x_fused)
    fused, expected, linears = 0, 0, {}
    for attribute in (0, 4, 5):
        columns = layout.slices[attribute]
        linear = nn.Linear(6, layout.widths[attribute]).double()
        with torch.no_grad():
            linear.weight.copy_(branches.weight[columns])
            linear.bias.copy_(branches.bias[columns])
        part = cumulative_link(linear(x_separate))
        torch.testing.assert_close(logits[:, columns], part)
        fused, expected = fused + logits[:, columns].sin().sum(), expected + part.sin().sum()
        linears[attribute] = linear
    fused.backward()
    expected.backward()
    torch.testing.assert_close(x_fused.grad, x_separate.grad)
    for attribute, linear in linears.items():
        columns = layout.slices[attribute]
        torch.testing.assert_close(branches.weight.grad[columns], linear.weight.grad)
        torch.testing.assert_close(branches.bias.grad[columns], linear.bias.grad)


def test_ordinal_with_hidden_layers():
    """With `hidden`, an ordinal branch is a cumulative link of its own hidden units."""
    n_hidden = 4
    branches = randomised(FusedBranches(6, FORMS, n_hidden))
    layout = branches.layout
    x = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x.requires_grad_()
    logits = branches(x)
    fused, separate = 0, 0
    ordinal_weights = branches.weights[-len(branches.ordinal_blocks) :]
    for block, weights in zip(branches.ordinal_blocks, ordinal_weights, strict=True):
        for place, attribute in enumerate(layout.order[block.branches]):
            first = (block.branches.start + place) * n_hidden
            units = slice(first, first + n_hidden)
            columns = layout.slices[attribute]
            hidden = (x @ branches.hidden.weight[units].T + branches.hidden.bias[units]).relu()
            part = cumulative_link(hidden @ weights[place] + branches.bias[columns])
            torch.testing.assert_close(logits[:, columns], part)
            fused = fused + logits[:, columns].cos().sum()
            separate = separate + part.cos().sum()
    parameters = [x, branches.hidden.weight, branches.bias, *ordinal_weights]
    found = torch.autograd.grad(fused, parameters, retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(separate, parameters))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(st.integers(0, 2**31), st.integers(3, 9), st.floats(0.01, 30))
def test_ordinal_logits_fall(dtype, seed, n_classes, scale):
    """Whatever the weights, log odds of "k or above" fall with k: no probability is negative."""
    generator = torch.Generator().manual_seed(seed)
    branches = FusedBranches(3, BranchLayout((n_classes,), ordinal=(0,)), 2 if seed % 2 else None)
    with torch.no_grad():
        for parameter in branches.parameters():
            parameter.normal_(std=scale, generator=generator)
    logits = branches.to(dtype)(torch.randn(20, 3, dtype=dtype, generator=generator))
    assert logits.shape == (20, n_classes - 1)
    assert (logits.diff(dim=1) <= 0).all()


@pytest.mark.parametrize("hidden", [None, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fresh_branches_of_every_form_predict_the_frequencies(hidden, dtype):
    """Untrained branches predict (count + 1) / (n + K): ordinal ones as cumulative log odds."""
    rng = np.random.default_rng(0)
    layout = FORMS
    n_targets = [
        5 if f == "joint" else n for f, n in zip(layout.forms, layout.n_classes, strict=True)
    ]
    counts = [rng.integers(0, 50, n).astype(float) for n in n_targets]
    branches = FusedBranches(6, layout, hidden).to(dtype)
    branches.set_prior(initial_logits(layout, counts))
    logits = branches(100 * torch.randn(5, 6, dtype=dtype)).detach().double().numpy()
    for columns, form, count in zip(layout.slices, layout.forms, counts, strict=True):
        part = logits[:, columns]
        smooth = (count + 1) / (count + 1).sum()
        if form == "ordinal":
            found = class_probabilities(part)
        elif form == "softmax":
            found = np.exp(part) / np.exp(part).sum(axis=1, keepdims=True)
        else:
            continue
        rtol = 1e-5 if dtype == torch.float32 else 1e-12
        np.testing.assert_allclose(found, np.tile(smooth, (5, 1)), rtol=rtol)


def test_rare_and_common_levels_have_finite_gaps():
    """A level seen once in ten million, and weights as large as 1e60, start with finite gaps."""
    layout = BranchLayout((4,), ordinal=(0,))
    for counts in ([5e6, 1.0, 5e6, 1.0], [0.0, 1e60, 0.0, 0.0]):
        branches = FusedBranches(2, layout)
        branches.set_prior(initial_logits(layout, [np.array(counts)]))
        assert torch.isfinite(branches(torch.ones(1, 2))).all(), counts
        assert torch.isfinite(branches.bias).all(), counts
    branches.set_prior(initial_logits(layout, [np.array([5e6, 9.0, 5e6, 9.0])]))
    steps = nn.functional.softplus(branches.bias[1:].double())
    assert steps[0].item() == pytest.approx(4 * 10 / 1e7, rel=1e-3)  # the slope of logit at 1/2


def test_joint_prior_adds_what_is_present_anywhere():
    """P(absent) is that of one logit; the rest is shared as the known categories are."""
    layout = BranchLayout((2,), n_categories=3)
    counts = np.array([20.0, 5.0, 0.0, 3.0, 8.0])  # absent, three categories, anywhere
    probabilities = initial_logits(layout, [counts]).softmax(0).numpy()
    one = initial_logits(BranchLayout((2,)), [np.array([20.0, 5 + 0 + 3 + 8])]).sigmoid().item()
    np.testing.assert_allclose([probabilities[0], 1 - one], 21 / (21 + 17), rtol=1e-12)
    shares = np.array([6, 1, 4]) / 11
    np.testing.assert_allclose(probabilities[1:] / probabilities[1:].sum(), shares, rtol=1e-12)


def test_modulation_starts_as_the_identity():
    """Fresh, it changes nothing, for known and unknown categories alike."""
    modulation = CategoryFiLM(3, 5)
    features = torch.randn(6, 5)
    assert torch.equal(modulation(features, torch.tensor([0, 1, 2, -1, 0, -1])), features)


def test_modulation_is_film():
    """It is gamma x + beta by category; the last row of the table is for unknown ones."""
    modulation = CategoryFiLM(3, 5).double().eval()
    nn.init.normal_(modulation.table, generator=torch.Generator().manual_seed(0))
    features = torch.randn(4, 5, dtype=torch.float64)
    category = torch.tensor([2, -1, 0, 1])
    found = modulation(features, category).detach().numpy()
    table = modulation.table.detach().numpy()
    for row, place in enumerate([2, 3, 0, 1]):
        gamma, beta = 1 + table[place, :5], table[place, 5:]
        np.testing.assert_allclose(found[row], gamma * features[row].numpy() + beta)


def test_modulation_forgets_some_categories_in_training():
    """In training about `dropout` of the rows are taken for unknown, in evaluation none."""
    modulation = CategoryFiLM(1, 1, dropout=0.25)
    with torch.no_grad():
        modulation.table[1, 1] = 7  # the shift of unknown
    features, category = torch.zeros(4000, 1), torch.zeros(4000, dtype=torch.long)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        forgotten = modulation(features, category) == 7
    assert 0.22 < forgotten.double().mean() < 0.28
    assert not modulation.eval()(features, category).any()


@pytest.mark.parametrize("layouts", [
    [BranchLayout((2,) * count) for count in (2, 40)],
    [BranchLayout((2, 3, 5) * count, ordinal=tuple(range(1, 3 * count, 3))) for count in (2, 40)],
    [BranchLayout((2, 2, 4) * count, n_categories=3) for count in (2, 40)],
])  # fmt: skip
@pytest.mark.parametrize("hidden", [None, 4])
def test_operations_do_not_grow_with_the_attributes(layouts, hidden):
    """Forward, loss and backward dispatch as many operations for 40 times as for 2 times."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.count += 1
            return func(*args, **(kwargs or {}))

    counts = []
    for layout in layouts:
        branches = FusedBranches(6, layout, hidden, dropout=0.1)
        loss = SummedCrossEntropy(layout)
        codes = torch.ones(8, len(layout.n_classes), dtype=torch.long)
        with Counting() as counting:
            loss(branches(torch.ones(8, 6)), codes, torch.ones(codes.shape)).backward()
        counts.append(counting.count)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("hidden", [None, 4])
def test_no_maps_to_draw(hidden):
    """Constant attributes have none."""
    branches = FusedBranches(5, BranchLayout((1, 1)), hidden)
    branches.init_weights()
    assert branches(torch.zeros(3, 5)).shape == (3, 0)


@given(layout=layouts, hidden=st.sampled_from([None, 3]), data=st.data())
def test_preserved_attributes(layout, hidden, data):
    """The logits of preserved attributes are as before, those of all others are not."""
    attributes = range(len(layout.n_classes))
    preserved = data.draw(st.sets(st.sampled_from(attributes)))
    branches, x = randomised(FusedBranches(4, layout, hidden)), torch.rand(5, 4).double()
    before = branches(x)
    with branches.preserve_attributes(preserved), torch.no_grad():
        for parameter in branches.parameters():
            parameter += 0.5
    after = branches(x)
    for attribute in attributes:
        if layout.widths[attribute]:
            same = torch.equal(*(part[:, layout.slices[attribute]] for part in (after, before)))
            assert same == (attribute in preserved)


@pytest.mark.parametrize("hidden", [None, 4])
def test_random_maps(hidden):
    """They are as wide as torch's own, and the same whatever else is not trained."""
    layout, without = BranchLayout((3, 2, 2, 5, 3)), BranchLayout((3, 2, 5, 3))
    branches, others = FusedBranches(50, layout, hidden), FusedBranches(50, without, hidden)
    for one, untrained in ((branches, [2]), (others, [])):
        with use_generators(torch.Generator().manual_seed(0)):
            one.init_weights(untrained)
    weights = [branches.weight] if hidden is None else list(branches.weights)
    values = torch.cat([one.flatten() for one in weights]).detach()
    drawn = values[values != 0]
    n_zero = 50 if hidden is None else hidden  # the untrained attribute has one logit
    assert len(values) - len(drawn) == n_zero
    like = torch.nn.Linear(hidden or 50, 100).weight
    assert drawn.abs().max() <= (hidden or 50) ** -0.5
    assert drawn.std().item() == pytest.approx(like.std().item(), rel=0.1)
    rest = [others.weight] if hidden is None else list(others.weights)
    assert torch.equal(drawn, torch.cat([one.flatten() for one in rest]).detach())
