"""Training problems: targets, weights and loss against torch and NumPy."""

import itertools
import tracemalloc
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_softmax
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from skattr import AttributeClassifier, Branches, TrainingOptions
from skattr._estimators.parameters import random_generator
from skattr._estimators.validation import hold_out
from skattr._targets.codes import ROWS_AT_ONCE
from skattr.exceptions import MissingLabelWarning
from skattr.losses import CrossEntropyLoss, PartialAsymmetricLoss
from skattr.nn import SummedCrossEntropy

STILL = {"lr": 1e-300, "training": TrainingOptions(None), "max_epochs": 1, "random_state": 0}


def problem(n=50, seed=0):
    """Return features, and a table of a binary and a categorical attribute with gaps."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    hat = (X[:, 0] + 0.5 * rng.normal(size=n) > 0.8).astype(float)
    color = np.array(["blue", "green", "red"], dtype=object)[(X[:, 1:].argmax(axis=1) + (hat > 0))]
    hat[rng.random(n) < 0.2] = np.nan
    color[rng.random(n) < 0.4] = None
    return X, pd.DataFrame({"hat": hat, "color": color})


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_loss_is_that_of_torch(binary_head, is_weighted):
    """For every combination of weights the epoch's loss is that of torch's losses in float64."""
    X, y = problem()
    rng = np.random.default_rng(1)
    weights = {"sample_weight": rng.random(50), "label_weight": rng.random((50, 2))}
    weights = weights if is_weighted else {}
    w = np.ones((50, 2))
    if is_weighted:
        w = weights["sample_weight"][:, None] * weights["label_weight"]
    codes = [y["hat"].fillna(-1).to_numpy(int), pd.Categorical(y["color"]).codes.astype(int)]
    known = [code >= 0 for code in codes]
    sums = [np.bincount(c[k], w[k, j]) for j, (c, k) in enumerate(zip(codes, known, strict=True))]
    positives = {None: 1, 3.0: 3, "balanced": sums[0][0] / sums[0][1], "balanced:1.5": 1.5}
    assert positives["balanced"] > 1.5
    every_class = {
        "none": (None, [1, 1], [1, 1, 1]),
        "balanced": ("balanced", *[s.sum() / (len(s) * s) for s in sums]),
        "dict": ({"hat": {0.0: 2, 1.0: 3}, "color": {"red": 0.5}}, [2, 3], [1, 1, 0.5]),
    }
    totals = np.array([s.sum() for s in sums])
    omegas = {
        "none": (None, [1, 1]), "uncertainty": ("uncertainty", [1, 1]),
        "dict": ({"color": 2.5}, [1, 2.5]), "balanced": ("balanced", totals.mean() / totals),
    }  # fmt: skip
    if not is_weighted:
        by_label = [compute_class_weight("balanced", classes=np.arange(len(s)), y=c[k])
                    for s, c, k in zip(sums, codes, known, strict=True)]  # fmt: skip
        assert_allclose(every_class["balanced"][1], by_label[0])
        assert_allclose(every_class["balanced"][2], by_label[1])
    start = AttributeClassifier(
        max_epochs=3, lr=0.05, batch_size=8, random_state=0, transform_output="logit",
        branches=Branches(binary_head), warm_start=True,
    ).fit(X, y)  # fmt: skip
    columns = torch.from_numpy(start.transform(X))
    start.set_params(**STILL | {"batch_size": 7})
    for (positive, p), (class_weight, *c), (omega, o) in itertools.product(
        positives.items(), every_class.values(), omegas.values()
    ):
        start.set_params(pos_weight=positive, class_weight=class_weight, attribute_weight=omega)
        start.fit(X, y, **weights)
        expected = 0.0
        for j in range(2):
            target = torch.from_numpy(codes[j][known[j]])
            by_row = torch.from_numpy(w[known[j], j])
            weight = by_row * torch.tensor(c[j], dtype=torch.float64)[target]
            if j == 0:
                total = functional.binary_cross_entropy_with_logits(
                    columns[known[j], 0], target.double(), weight=weight,
                    pos_weight=torch.tensor(p, dtype=torch.float64), reduction="sum",
                )  # fmt: skip
            else:
                total = functional.cross_entropy(
                    columns[known[j], 1:], target, torch.tensor(c[j], dtype=torch.float64),
                    reduction="none",
                ) @ by_row  # fmt: skip
            expected += o[j] * (total / weight.sum()).item()
        assert start.history_[0]["train_loss"] == pytest.approx(expected, rel=1e-12)
    assert_array_equal(start.transform(X), columns.numpy())


def test_the_loss_of_ordinal_and_joint_branches():
    """Class and positive weights in the likelihood of cumulative links and of categories."""
    X, y = problem()
    y = y.assign(age=np.digitize(X[:, 2], [-1, 0, 1]).astype(float))
    levels = [0.0, 1.0, 2.0, 3.0]
    category = np.random.default_rng(3).choice(["boat", "seal", None], 50)
    classifier = AttributeClassifier(
        attributes={"age": ("ordinal", levels)}, category_prior="joint", max_epochs=4, lr=0.05,
        random_state=0, warm_start=True, transform_output="logit",
    ).fit(X, y, category=category)  # fmt: skip
    age = classifier.transform(X)[:, -4:]
    logits = classifier.net_.module_(torch.from_numpy(X)).detach().numpy()
    hat = log_softmax(logits[:, classifier.net_.module_.layout.slices[0]], axis=1)
    class_weight = {"age": {0.0: 3, 2.0: 0.5}, "hat": {0.0: 2, 1.0: 1}, "color": {}}
    classifier.set_params(
        **STILL, pos_weight=4, class_weight=class_weight, attribute_weight={"color": 0}
    ).fit(X, y, category=category)
    by_level = np.array([3, 1, 0.5, 1])[y["age"].astype(int)]
    expected = -(by_level * age[np.arange(50), y["age"].astype(int)]).sum() / by_level.sum()
    total = divisor = 0
    for row in range(50):
        if y["hat"][row] == 0:
            total, divisor = total - 2 * hat[row, 0], divisor + 2
        elif y["hat"][row] == 1:
            columns = {"boat": [1], "seal": [2], None: [1, 2]}[category[row]]
            total, divisor = total - 4 * np.log(np.exp(hat[row, columns]).sum()), divisor + 1
    expected += total / divisor
    assert classifier.history_[0]["train_loss"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "params", [{}, {"branches": Branches("softmax")}, {"branches": Branches(hidden=3)}]
)
def test_fresh_networks_predict_weighted_frequencies(params):
    """They are (weighted count + 1) / (total + K), with weights of positives and classes."""
    X, y = problem()
    sample_weight = np.random.default_rng(0).random(50)
    params = {**params, "pos_weight": 5, "class_weight": {"color": {"red": 2}}}
    classifier = AttributeClassifier(**STILL, **params).fit(X, y, sample_weight=sample_weight)
    for name, factors, proba in zip(
        y, [{1: 5}, {"red": 2}], classifier.predict_proba(X), strict=True
    ):
        known = y[name].notna()
        factor = y.loc[known, name].map(lambda label, f=factors: f.get(label, 1))
        share = sample_weight[known].mean()  # labels count as if they weighed 1 on average
        weight = sample_weight[known] / min(1, share)
        counts = (weight * factor).groupby(y[name]).sum() + 1
        assert_allclose(proba, np.tile(counts / counts.sum(), (50, 1)))


def test_weights_are_counted_in_the_training_rows_only():
    """Held-out rows count neither in "balanced" nor in the prior."""
    X, y = problem()
    params = {**STILL, "validation_fraction": 0.4, "pos_weight": "balanced"}
    classifier = AttributeClassifier(**params).fit(X, y[["hat"]])
    rng = random_generator(0)
    rng.integers(2**31)  # the seed of the net
    codes = y[["hat"]].fillna(-1).to_numpy(dtype=np.int64)
    train = np.flatnonzero(~hold_out(codes, None, 0.4, rng, classifier.encoder_))
    negative, positive = ((y["hat"].iloc[train] == label).sum() for label in (0, 1))
    factor = classifier.net_.criterion_.loss_table[1, 0].item()
    assert factor == pytest.approx(negative / positive)
    assert factor != pytest.approx((y["hat"] == 0).sum() / (y["hat"] == 1).sum())
    assert_allclose(classifier.predict_proba(X)[:, 1], 0.5)  # weighed, there are as many of both


@pytest.mark.parametrize("params", [
    {"pos_weight": "balanced", "class_weight": "balanced", "attribute_weight": "balanced"},
    {"pos_weight": "balanced:2", "branches": Branches("softmax", hidden=3)},
])  # fmt: skip
def test_a_row_given_twice_weighs_two(params):
    """Repeated rows and a sample weight of 2 train the same network with all balanced weights."""
    X, y = problem()
    twice = np.r_[0:50, 0:20]
    params = {**params, "batch_size": 100, "random_state": 0, "max_epochs": 20}
    repeated = AttributeClassifier(**params).fit(X[twice], y.iloc[twice])
    weight = np.where(np.arange(50) < 20, 2, 1)
    weighted = AttributeClassifier(**params).fit(X, y, sample_weight=weight)
    for one, other in zip(repeated.predict_proba(X), weighted.predict_proba(X), strict=True):
        assert_allclose(one, other, rtol=1e-6)


def test_a_scalar_sample_weight_weighs_all_rows():
    """A number as `sample_weight` counts for every row, as in scikit-learn."""
    X, y = problem()
    by_number = AttributeClassifier(**STILL).fit(X, y, sample_weight=2.0)
    by_row = AttributeClassifier(**STILL).fit(X, y, sample_weight=np.full(50, 2.0))
    for one, other in zip(by_number.predict_proba(X), by_row.predict_proba(X), strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
@pytest.mark.parametrize("category_prior", [None, "joint"])
def test_policy_negative_equals_filling_with_zero(binary_head, category_prior):
    """The policy "negative" trains the network of y with 0 for missing labels."""
    X, y = problem()
    category = np.where(X[:, 1] > 0, "seal", "sea")
    params = {
        "max_epochs": 4,
        "random_state": 0,
        "branches": Branches(binary_head),
        "batch_size": 8,
    }
    fit = partial(AttributeClassifier(**params, category_prior=category_prior).fit, X)
    sample_weight = np.random.default_rng(0).random(50)
    filled = fit(y.fillna({"hat": 0}), sample_weight, category=category).predict_proba(X)
    policy = AttributeClassifier(
        **params, category_prior=category_prior, loss=CrossEntropyLoss(unknown="negative")
    ).fit(X, y, sample_weight, category=category)
    for one, other in zip(filled, policy.predict_proba(X), strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("unknown", ["ignore", "negative", "selective"])
@pytest.mark.parametrize("blank", ["unknown", "weightless"])
def test_an_attribute_without_labels_stays_even_under_every_policy(unknown, blank):
    """Labels that are not there, or weigh nothing, do not make an attribute negative."""
    X, y = problem()
    y["scarf"] = np.nan if blank == "unknown" else np.arange(50) % 2
    y.loc[::3, "scarf"] = np.nan
    label_weight = np.ones((50, 3)) * [1, 1, 0]
    classifier = AttributeClassifier(loss=CrossEntropyLoss(unknown=unknown), random_state=0)
    if blank == "unknown":
        with pytest.warns(MissingLabelWarning):
            classifier.fit(X, y)
    else:
        classifier.fit(X, y, label_weight=label_weight)
    assert_array_equal(classifier.predict_proba(X)[2], 0.5)


def test_parameters_of_the_loss_reach_it():
    """None is passed on too; shares of positives are added if the policy needs them."""
    X, y = problem()
    loss = PartialAsymmetricLoss(prior_threshold=None, top_k=0, gamma_pos=0.5)
    criterion = AttributeClassifier(**STILL, loss=loss).fit(X, y).net_.criterion_
    assert criterion.is_frequent is None
    assert (criterion.top_k, criterion.gamma_pos) == (0, 0.5)
    loss = PartialAsymmetricLoss(prior_threshold=0.99)
    criterion = AttributeClassifier(**STILL, loss=loss).fit(X, y).net_.criterion_
    assert not criterion.is_frequent.any()
    share = y["hat"].mean()
    for threshold in (share - 1e-6, share + 1e-6):
        loss = PartialAsymmetricLoss(prior_threshold=threshold)
        criterion = AttributeClassifier(**STILL, loss=loss).fit(X, y[["hat"]]).net_.criterion_
        assert criterion.is_frequent.tolist() == [threshold < share]
    own = partial(SummedCrossEntropy, label_smoothing=0.2)
    assert AttributeClassifier(**STILL, loss=own).fit(X, y).net_.criterion_.label_smoothing == 0.2


def test_small_weights_start_at_the_frequencies_too():
    """Weights that sum to one start the branches where weights of 1 do."""
    X, y = problem()
    every = AttributeClassifier(**STILL).fit(X, y).predict_proba(X)
    small = AttributeClassifier(**STILL).fit(X, y, sample_weight=np.full(50, 0.02))
    for expected, found in zip(every, small.predict_proba(X), strict=True):
        assert_allclose(found, expected)


def test_label_weight_of_missing_labels_that_count_as_negatives():
    """A weight of 0 takes a missing label out of the policy "negative"."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = pd.DataFrame({"hat": np.where(np.arange(60) % 3 == 0, np.nan, X[:, 0] > 0.3)})
    weight = np.where(y.isna(), 0.0, 1.0)
    params = {"max_epochs": 3, "random_state": 0}
    negative = AttributeClassifier(loss=CrossEntropyLoss(unknown="negative"), **params)
    ignored = AttributeClassifier(**params).fit(X, y).predict_proba(X)
    assert_allclose(negative.fit(X, y, label_weight=weight).predict_proba(X), ignored, atol=1e-6)
    assert np.abs(negative.fit(X, y).predict_proba(X) - ignored).max() > 0.05


def test_a_callable_may_count_missing_labels():
    """A loss that is a callable receives their weights."""
    X, y = problem()
    hat = y["hat"].to_numpy()
    for loss, taken in (
        (partial(SummedCrossEntropy, unknown="negative"), np.nan_to_num(hat)),
        (SummedCrossEntropy, hat[~np.isnan(hat)]),
    ):
        classifier = AttributeClassifier(**STILL, loss=loss).fit(X, y[["hat"]])
        log = np.log(classifier.predict_proba(X)[0])
        expected = -np.mean(np.where(taken == 1, log[1], log[0]))
        assert_allclose(classifier.history_[0]["train_loss"], expected, rtol=1e-6)


def test_labels_are_counted_a_part_at_a_time():
    """The network starts at the weighted shares of more rows than are counted at once."""
    rng = np.random.default_rng(0)
    n = 2 * ROWS_AT_ONCE + 5
    X, y = rng.normal(size=(n, 2)), pd.DataFrame(rng.integers(0, [2, 4], size=(n, 2)).astype(float))
    y[rng.random(y.shape) < 0.4] = np.nan
    weight = 1 + rng.random(n)
    classifier = AttributeClassifier(**STILL).fit(X, y, sample_weight=weight)
    for column, proba in zip(y.to_numpy().T, classifier.predict_proba(X), strict=True):
        sums = [1 + weight[column == value].sum() for value in range(proba.shape[1])]
        assert_allclose(proba, np.broadcast_to(sums / np.sum(sums), proba.shape), rtol=1e-6)


def test_weights_of_missing_labels_without_a_number(rng):
    """Where missing labels count as negative, a weight of NaN is 1, and others scale the row's."""
    X, rows = rng.normal(size=(30, 3)), rng.uniform(0.5, 2, size=30)
    y = rng.integers(0, 2, size=(30, 2)).astype(float)
    y[::3, 0] = np.nan
    weight = rng.uniform(0.5, 2, size=y.shape)
    weight[::6, 0] = np.nan

    def odds(y, weight, unknown):
        classifier = AttributeClassifier(
            max_epochs=3, random_state=0, loss=CrossEntropyLoss(unknown=unknown)
        )
        classifier.fit(X, y, sample_weight=rows, label_weight=weight)
        return np.stack(classifier.predict_proba(X))

    found = odds(y, weight, "negative")
    expected = odds(np.nan_to_num(y), np.nan_to_num(weight, nan=1.0), "ignore")
    np.testing.assert_allclose(found, expected, rtol=1e-9)


N_MEMORY, L_MEMORY = 20_000, 100


@pytest.mark.parametrize(
    "read",
    [
        lambda labels: labels,
        lambda labels: labels.astype(float),
        lambda labels: pd.DataFrame(labels.astype(np.int8)),
        lambda labels: np.where(labels == 1, np.nan, labels),
        lambda labels: np.minimum(labels, 1),
        lambda labels: labels > 0,
    ],
    ids=["int64", "float64", "DataFrame of int8", "missing labels", "0 and 1", "bool"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_takes_eight_bytes_a_label_or_fewer(read, dtype):
    """The codes of labels take one byte, their weights four."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_MEMORY, 2)).astype(dtype)
    y = read(rng.integers(0, 3, (N_MEMORY, L_MEMORY)))
    classifier = AttributeClassifier(max_epochs=1, batch_size=256, random_state=0)
    classifier.fit(X[:300], y[:300])  # what is allocated once is not counted
    tracemalloc.start()
    try:
        classifier.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 8 * N_MEMORY * L_MEMORY


def test_codes_of_more_classes_than_a_byte_holds():
    """Positions of 300 levels, and of numbers among declared classes, are those of the levels."""
    levels = [f"level {i:03}" for i in range(300)]
    rng = np.random.default_rng(0)
    y = rng.integers(0, 300, (900, 2))
    named = pd.DataFrame(np.array(levels)[y], columns=["a", "b"])
    X = np.stack([y[:, 0] == 7, y[:, 0] == 290, y[:, 1] == 131], axis=1) * 1.0
    results = []
    for labels, classes in ((named, levels), (y, list(range(300)))):
        declared = {0: ("categorical", classes), 1: ("categorical", classes)}
        classifier = AttributeClassifier(max_epochs=2, random_state=0, attributes=declared)
        results.append(classifier.fit(X, labels).predict_proba(X))
    for one, other in zip(*results, strict=True):
        assert_array_equal(one, other)
