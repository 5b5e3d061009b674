"""Metrics of predicted labels, compared with scikit-learn on the known entries."""

import inspect
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from skattr import metrics
from skattr.metrics import UndefinedAttributeWarning

RATES = ("precision_score", "recall_score", "f1_score", "jaccard_score", "fbeta_score")
AVERAGES = ("macro", "micro", "weighted", "samples", None)


def assert_close(ours, theirs):
    """Assert equality to 1e-12."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def extra(name):
    """Return the required parameters of a metric."""
    return {"beta": 1.7} if name == "fbeta_score" else {}


@pytest.fixture
def binary(rng):
    """Return labels, predictions and row weights; every row and label has a positive."""
    y, predicted = rng.random((2, 200, 7)) < 0.4
    y[:, 0] |= ~y.any(axis=1)
    predicted[:, 0] |= ~predicted.any(axis=1)
    return y.astype(int), predicted.astype(int), rng.random(200) + 0.1


@pytest.fixture
def masked(rng):
    """Return a mixed table with 90 % of the labels missing, predictions, and known entries."""
    n = 1500
    frame = pd.DataFrame(
        {
            "hat": rng.random(n) < 0.3,
            "color": rng.choice(["blue", "green", "red"], n),
            "age": rng.integers(0, 4, n),
        }
    )
    predicted = frame.copy()
    for name in frame:
        wrong = rng.random(n) < 0.4
        predicted.loc[wrong, name] = rng.permutation(frame[name])[wrong]
    known = rng.random(frame.shape) < 0.1
    return frame.astype(object).where(known, None), predicted, known


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("weighted", [False, True])
def test_rates_equal_scikit_learn(binary, name, average, weighted):
    """On binary labels without missing ones, in each average, with and without weights."""
    y, predicted, weight = binary
    params = {"average": average, "sample_weight": weight if weighted else None, **extra(name)}
    ours = getattr(metrics, name)(y, predicted, **params)
    assert_close(ours, getattr(sk, name)(y, predicted, **params))


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("name", RATES)
def test_a_categorical_attribute_is_scored_as_a_multiclass_target(rng, name, average):
    """One attribute of several classes has scikit-learn's multiclass values in each average."""
    y, predicted = rng.choice(["a", "b", "c", "d"], (2, 150))
    weight = rng.random(150)
    params = {"average": average, "sample_weight": weight, **extra(name)}
    assert_close(
        getattr(metrics, name)(y, predicted, **params),
        getattr(sk, name)(y, predicted, **params),
    )


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("zero_division", [0, 1, np.nan])
def test_undefined_classes_of_a_categorical_attribute(rng, name, zero_division):
    """The value of an attribute is the mean over its classes that are not NaN."""
    if name == "jaccard_score" and np.isnan(zero_division):
        pytest.skip("scikit-learn's Jaccard does not take NaN")
    y, predicted = rng.choice(["a", "b", "c", "d"], 80), rng.choice(["b", "c", "d", "e"], 80)
    params = {"zero_division": zero_division, **extra(name)}
    expected = getattr(sk, name)(y, predicted, average="macro", **params)
    hat, guess = rng.integers(0, 2, (2, 80))
    table, other = (
        pd.DataFrame({"color": color, "hat": labels})
        for color, labels in ((y, hat), (predicted, guess))
    )
    ours = getattr(metrics, name)(table, other, average=None, **params)
    assert_close(ours, [expected, getattr(sk, name)(hat, guess, **params)])
    weighted = getattr(metrics, name)(y, predicted, average="weighted", **params)
    assert_close(weighted, getattr(sk, name)(y, predicted, average="weighted", **params))


@pytest.mark.parametrize("zero_division", [0, 1, np.nan])
@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("average", AVERAGES)
def test_zero_division_is_that_of_scikit_learn(rng, name, zero_division, average):
    """A number for 0 / 0 applies to labels without positives or predictions."""
    if name == "jaccard_score" and np.isnan(zero_division):
        pytest.skip("scikit-learn's Jaccard does not take NaN")
    y, predicted = (rng.random((2, 40, 6)) < 0.25).astype(int)
    y[:, 0] = 0
    predicted[:, [0, 1]] = 0
    y[:, 2] = 0
    params = {"average": average, "zero_division": zero_division, **extra(name)}
    assert_close(
        getattr(metrics, name)(y, predicted, **params), getattr(sk, name)(y, predicted, **params)
    )


@pytest.mark.parametrize("name", [*RATES, "accuracy_score", "balanced_accuracy_score"])
def test_each_column_is_scored_on_its_known_entries(masked, name):
    """With 90 % missing, each attribute has scikit-learn's value on its known labels."""
    y, predicted, known = masked
    params = extra(name)
    ours = getattr(metrics, name)(y, predicted, average=None, **params)
    expected = []
    for j, column in enumerate(y):
        true = y[column][known[:, j]].tolist()
        guess = predicted[column][known[:, j]].tolist()
        if name in RATES:
            params["average"] = "binary" if column == "hat" else "macro"
        expected.append(getattr(sk, name)(true, guess, **params))
    assert_close(ours, expected)
    macro = getattr(metrics, name)(y, predicted, **extra(name))
    assert_close(macro, np.mean(expected))


def test_correlation_is_that_of_scikit_learn(masked):
    """Matthews' correlation of two and of several classes, on the known labels."""
    y, predicted, known = masked
    ours = metrics.matthews_corrcoef(y, predicted, average=None)
    for j, column in enumerate(y):
        rows = known[:, j]
        theirs = sk.matthews_corrcoef(y[column][rows].tolist(), predicted[column][rows].tolist())
        assert_close(ours[j], theirs)


@pytest.mark.parametrize("name", ["balanced_accuracy_score", "matthews_corrcoef"])
def test_pooled_entries_are_one_column(binary, name):
    """The micro average is scikit-learn's value of all entries in one column."""
    y, predicted, weight = binary
    weights = np.repeat(weight, y.shape[1])
    ours = getattr(metrics, name)(y, predicted, average="micro", sample_weight=weight)
    assert_close(ours, getattr(sk, name)(y.ravel(), predicted.ravel(), sample_weight=weights))
    per_label = getattr(metrics, name)(y, predicted, average=None)
    assert_close(getattr(metrics, name)(y, predicted, average="weighted"), per_label.mean())


def test_rows_and_entries_are_counted_as_scikit_learn_does(binary):
    """Hamming loss, subset accuracy and accuracy without missing labels."""
    y, predicted, weight = binary
    for w in (None, weight):
        loss = sk.hamming_loss(y, predicted, sample_weight=w)
        assert_close(metrics.hamming_loss(y, predicted, sample_weight=w), loss)
        assert_close(metrics.hamming_accuracy(y, predicted, sample_weight=w), 1 - loss)
        exact = sk.accuracy_score(y, predicted, sample_weight=w)
        assert_close(metrics.subset_accuracy(y, predicted, sample_weight=w), exact)
        each = [
            sk.accuracy_score(a, b, sample_weight=w) for a, b in zip(y.T, predicted.T, strict=True)
        ]
        assert_close(metrics.accuracy_score(y, predicted, average=None, sample_weight=w), each)
        assert_close(metrics.accuracy_score(y, predicted, sample_weight=w), np.mean(each))
        assert_close(
            metrics.accuracy_score(y, predicted, average="samples", sample_weight=w), 1 - loss
        )


def test_averages_over_rows_use_their_known_labels(rng):
    """Missing entries, and rows without a known label, are left out."""
    y = (rng.random((60, 5)) < 0.6).astype(float)
    predicted = rng.random((60, 5)) < 0.6
    y[rng.random(y.shape) < 0.5] = np.nan
    y[3] = np.nan
    rows = [(t[~np.isnan(t)], p[~np.isnan(t)]) for t, p in zip(y, predicted, strict=True)]
    rows = [(t, p) for t, p in rows if len(t)]
    assert_close(
        metrics.accuracy_score(y, predicted, average="samples"),
        np.mean([np.mean(t == p) for t, p in rows]),
    )
    assert_close(metrics.subset_accuracy(y, predicted), np.mean([np.all(t == p) for t, p in rows]))
    f1 = [sk.f1_score(t, p, zero_division=1) for t, p in rows]
    assert_close(metrics.f1_score(y, predicted, average="samples", zero_division=1), np.mean(f1))
    weight = rng.random(y.shape)
    f1 = [
        sk.f1_score(
            t[~np.isnan(t)], p[~np.isnan(t)], zero_division=1, sample_weight=w[~np.isnan(t)]
        )
        for t, p, w in zip(y, predicted, weight, strict=True)
        if not np.isnan(t).all()
    ]
    ours = metrics.f1_score(y, predicted, average="samples", zero_division=1, label_weight=weight)
    assert_close(ours, np.mean(f1))


def test_averages_over_rows_of_a_mixed_table(masked, rng):
    """A wrong class of several is one false negative and one false positive."""
    y, predicted, known = masked
    weights = rng.random(y.shape)
    for weighted in (False, True):
        precision, recall, accuracy = [], [], []
        for row in np.flatnonzero(known.any(axis=1)):
            tp = fn = fp = right = total = 0.0
            for j in np.flatnonzero(known[row]):
                true, guess = y.iloc[row, j], predicted.iloc[row, j]
                weight = weights[row, j] if weighted else 1.0
                hit = true == guess
                total, right = total + weight, right + weight * hit
                is_binary = y.columns[j] == "hat"
                tp += weight * (hit and (not is_binary or true))
                fn += weight * (not hit and (not is_binary or true))
                fp += weight * (not hit and (not is_binary or guess))
            precision.append(tp / (tp + fp) if tp + fp else 1.0)
            recall.append(tp / (tp + fn) if tp + fn else 1.0)
            accuracy.append(right / total)
        params = {"average": "samples", "label_weight": weights if weighted else None}
        ours = metrics.precision_score(y, predicted, zero_division=1, **params)
        assert_close(ours, np.mean(precision))
        ours = metrics.recall_score(y, predicted, zero_division=1, **params)
        assert_close(ours, np.mean(recall))
        assert_close(metrics.accuracy_score(y, predicted, **params), np.mean(accuracy))


def test_label_weights_are_sample_weights_of_a_column(masked, rng):
    """Row and entry weights multiply, in binary and other attributes."""
    y, predicted, known = masked
    rows, entries = rng.random(len(y)), rng.random(y.shape)
    for name in ("f1_score", "accuracy_score", "matthews_corrcoef"):
        ours = getattr(metrics, name)(
            y, predicted, average=None, sample_weight=rows, label_weight=entries
        )
        for j, column in enumerate(y):
            params = {}
            if name == "f1_score":
                params["average"] = "binary" if column == "hat" else "macro"
            w = (rows * entries[:, j])[known[:, j]]
            true, guess = (f[column][known[:, j]].tolist() for f in (y, predicted))
            assert_close(ours[j], getattr(sk, name)(true, guess, sample_weight=w, **params))


def test_subset_accuracy_ignores_entries_without_weight(binary):
    """A label weight of 0 has the effect of a missing label."""
    y, predicted, _ = binary
    hidden = y.astype(float)
    hidden[::2, 1:5] = np.nan
    weight = ~np.isnan(hidden)
    ours = metrics.subset_accuracy(y, predicted, label_weight=weight)
    assert_close(ours, metrics.subset_accuracy(hidden, predicted))
    with pytest.raises(ValueError, match="positive weight"):
        metrics.subset_accuracy(y, predicted, label_weight=np.zeros(y.shape))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_confusion_counts_equal_a_loop(data):
    """For any table, read as objects and as floats."""
    n, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    cells = st.lists(st.sampled_from([0, 1, None]), min_size=width, max_size=width)
    y = data.draw(
        st.lists(cells, min_size=n, max_size=n).filter(
            lambda t: any(v is not None for row in t for v in row)
        )
    )
    cells = st.lists(st.sampled_from([0, 1]), min_size=width, max_size=width)
    predicted = data.draw(st.lists(cells, min_size=n, max_size=n))
    counts = metrics.confusion_counts(y, predicted)
    floats = metrics.confusion_counts(np.array(y, dtype=float), np.array(predicted))
    assert (counts.to_numpy() == floats.to_numpy()).all()
    for j in range(width):
        pairs = [(row[j], guess[j]) for row, guess in zip(y, predicted, strict=True)]
        expected = [pairs.count(pair) for pair in ((1, 1), (1, 0), (0, 1), (0, 0))]
        assert counts.loc[f"y{j}"].to_numpy().tolist() == [expected]


def test_classes_are_counted_against_the_rest(masked):
    """A categorical attribute has a row per class."""
    y, predicted, known = masked
    counts = metrics.confusion_counts(y, predicted)
    true, guess = (f["color"][known[:, 1]].to_numpy(dtype=str) for f in (y, predicted))
    matrices = sk.multilabel_confusion_matrix(true, guess)
    expected = [[m[1, 1], m[1, 0], m[0, 1], m[0, 0]] for m in matrices]
    assert counts.loc["color"].to_numpy().tolist() == expected
    assert counts.loc["hat"].index.tolist() == [True]
    assert set(counts.dtypes) == {np.dtype(np.int64)}


def test_one_warning_lists_undefined_attributes():
    """Attributes without a positive are left out; the warning has their names and number."""
    y = pd.DataFrame({"hat": [1, 0, 1], "scarf": [0, 0, 0], "coat": [np.nan] * 3})
    predicted = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0]])
    for name in ("recall_score", "f1_score", "jaccard_score"):
        with pytest.warns(UndefinedAttributeWarning) as caught:
            value = getattr(metrics, name)(y, predicted)
        [warning] = caught
        assert "['scarf', 'coat']; the average is over 1 of 3" in str(warning.message)
        assert warning.filename == __file__
        assert_close(value, getattr(sk, name)(y["hat"], predicted[:, 0]))
    with pytest.warns(sk._classification.UndefinedMetricWarning, match="2 of 3 .* they are NaN"):
        assert np.isnan(metrics.recall_score(y, predicted, average=None)[1:]).all()
    for name in ("balanced_accuracy_score", "matthews_corrcoef"):
        with pytest.warns(UndefinedAttributeWarning, match="scarf.*over 1 of 3"):
            getattr(metrics, name)(y, predicted)
    with pytest.warns(UndefinedAttributeWarning, match=r"1 of 3 attributes \(no known label\)"):
        assert_close(metrics.accuracy_score(y, predicted), (2 / 3 + 2 / 3) / 2)


def test_precision_without_a_prediction_is_zero_with_a_warning():
    """As in scikit-learn, unless `zero_division` says otherwise."""
    y, predicted = np.array([[1, 1], [0, 0]]), np.array([[0, 1], [0, 0]])
    with pytest.warns(UndefinedAttributeWarning, match=r"counts as 0 there: \['y0'\]"):
        assert metrics.precision_score(y, predicted) == 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.precision_score(y, predicted, zero_division=1) == 1
        assert metrics.precision_score(y, predicted, zero_division=np.nan) == 1
    with pytest.warns(UndefinedAttributeWarning, match="1 of 2 rows"):
        metrics.precision_score(y, predicted, average="samples")
    nothing = np.zeros_like(y)
    with pytest.warns(UndefinedAttributeWarning, match="pooled") as caught:
        assert np.isnan(metrics.recall_score(nothing, predicted, average="micro"))
        assert metrics.precision_score(y, nothing, average="micro") == 0
        assert np.isnan(metrics.matthews_corrcoef(nothing, predicted, average="micro"))
    assert {warning.filename for warning in caught} == {__file__}
    with pytest.warns(UndefinedAttributeWarning, match="over 0 of 2"):
        assert np.isnan(metrics.f1_score(nothing, predicted))


def test_constant_predictions_have_no_correlation(rng):
    """Also with weights, whose sums are rounded."""
    y, weight = np.arange(50) % 2, rng.random(50)
    assert metrics.matthews_corrcoef(y, np.ones(50, int), sample_weight=weight) == 0


def test_micro_of_a_mixed_table_pools_classes_against_the_rest(masked):
    """An entry of a categorical attribute is a binary entry for each of its classes."""
    y, predicted, known = masked
    true, guess = [], []
    for j, column in enumerate(y):
        t, p = (f[column][known[:, j]].to_numpy() for f in (y, predicted))
        for label in [True] if column == "hat" else np.unique(t.astype(str)):
            true.append(t.astype(str) == str(label))
            guess.append(p.astype(str) == str(label))
    theirs = sk.f1_score(np.concatenate(true), np.concatenate(guess))
    assert_close(metrics.f1_score(y, predicted, average="micro"), theirs)


def test_agrees_with_torchmetrics(rng):
    """The multilabel F1 with ignored entries, in its three averages."""
    classification = pytest.importorskip("torchmetrics.functional.classification")
    torch = pytest.importorskip("torch")
    y = rng.integers(0, 2, (300, 6))
    y[rng.random(y.shape) < 0.6] = -1
    predicted = rng.integers(0, 2, y.shape)
    for average in ("macro", "micro", "none"):
        theirs = classification.multilabel_f1_score(
            torch.tensor(predicted), torch.tensor(y), 6, average=average, ignore_index=-1
        )
        ours = metrics.f1_score(
            y, predicted, average=None if average == "none" else average, missing_label=-1
        )
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("f1_score", {"average": "binary"}, "`average` must be one of"),
        ("matthews_corrcoef", {"average": "samples"}, "`average` must be one of"),
        ("f1_score", {"zero_division": 2}, "`zero_division`"),
        ("f1_score", {"zero_division": "zero"}, "`zero_division`"),
        ("fbeta_score", {"beta": -1}, "`beta`"),
        ("fbeta_score", {"beta": "1"}, "`beta`"),
    ],
)
def test_rejects_invalid_parameters(name, params, message):
    """The error names the parameter."""
    with pytest.raises(ValueError, match=message):
        getattr(metrics, name)([[0, 1], [1, 0]], [[0, 1], [1, 0]], **params)


@pytest.mark.parametrize("name", [name for name in metrics.__all__ if name.islower()])
def test_every_parameter_is_in_the_signature_and_the_docstring(name):
    """Metrics that share parameters show each by name, with a description."""
    function = getattr(metrics, name)
    parameters = inspect.signature(function).parameters
    assert "options" not in parameters
    described = function.__doc__.split("Parameters\n    ----------\n")[1:]
    for parameter in parameters:
        pattern = rf"(?m)^    ([*\w]+, )*\**{parameter}(, [*\w]+)*( :|$|\n)"
        assert re.search(pattern, described[0]), f"{name}({parameter})"
    assert "{options}" not in function.__doc__
    if "label_weight" in parameters:
        with pytest.raises(TypeError, match="sample_weights"):
            function([0, 1], [0, 1], sample_weights=[1, 1], **extra(name))
