"""Whatever form labels and scores come in, metrics read the same."""

import numpy as np
import pandas as pd
import pytest

from skattr import metrics
from skattr.exceptions import UnseenLabelError
from skattr.metrics import _inputs

LABELS = ("f1_score", "hamming_loss", "subset_accuracy", "matthews_corrcoef")
SCORES = ("average_precision_score", "roc_auc_score", "log_loss", "calibration_error")


@pytest.fixture
def zero_one(rng):
    """Labels with unknown entries, predictions and probabilities."""
    y = (rng.random((80, 4)) < 0.4).astype(float)
    y[rng.random(y.shape) < 0.4] = np.nan
    return y, (rng.random(y.shape) < 0.4).astype(int), rng.random(y.shape)


def notations(y):
    """Yield the same table in several notations of unknown, and the `missing_label`."""
    unknown = np.isnan(y)
    yield y, None
    yield y.astype(np.float32), None
    yield np.where(unknown, -1, y).astype(int), -1
    yield np.where(unknown, -1, y), -1
    yield np.where(unknown, None, y), None
    yield np.where(unknown, "?", y.astype(object)), "?"
    yield y.tolist(), None
    yield pd.DataFrame(y), None
    yield pd.DataFrame(y).astype("Int64"), None
    yield pd.DataFrame(y).astype("boolean"), None
    yield pd.DataFrame(np.where(unknown, pd.NA, y)), None
    yield np.ma.masked_array(np.where(unknown, 7, y), unknown), None
    yield np.ma.masked_array(np.where(unknown, 0, y) > 0, unknown), None


def test_the_notation_of_unknown_does_not_matter(zero_one):
    """NaN, None, pandas.NA and a `missing_label` give one value."""
    y, predicted, scores = zero_one
    for names, other in ((LABELS, predicted), (SCORES, scores)):
        for name in names:
            expected = getattr(metrics, name)(y, other)
            for table, missing in notations(y):
                assert getattr(metrics, name)(table, other, missing_label=missing) == expected


def test_what_is_under_the_mask_does_not_matter(zero_one):
    """Predictions, scores and weights of unknown entries may be anything."""
    y, predicted, scores = zero_one
    unknown = np.isnan(y)
    weight = np.ones(y.shape)
    for names, other in ((LABELS, predicted), (SCORES, scores)):
        for name in names:
            expected = getattr(metrics, name)(y, other)
            for junk in (np.nan, -1, 7):
                strange = np.where(unknown, junk, other)
                weights = np.where(unknown, junk, weight)
                value = getattr(metrics, name)(y, strange, label_weight=weights)
                assert value == pytest.approx(expected, abs=1e-14)
                assert getattr(metrics, name)(y, strange) == expected
    strings = np.where(unknown, "zzz", np.where(predicted == 1, "yes", "no"))
    y_text = np.where(unknown, None, np.where(y == 1, "yes", "no"))
    assert metrics.f1_score(y_text, strings) == metrics.f1_score(y, predicted)


def test_predictions_come_in_the_forms_of_predict(zero_one):
    """Arrays of any dtype, frames and lists are one prediction."""
    y, predicted, _ = zero_one
    expected = metrics.f1_score(y, predicted)
    forms = (
        predicted.astype(bool),
        predicted.astype(float),
        predicted.astype(object),
        predicted.astype(bool).astype(object),
        predicted.tolist(),
        pd.DataFrame(predicted),
        pd.DataFrame(predicted).astype("boolean"),
        pd.DataFrame(predicted).astype({0: bool, 1: float}),
    )
    for form in forms:
        assert metrics.f1_score(y, form) == expected
        assert metrics.f1_score(pd.DataFrame(y).astype("boolean"), form) == expected


def test_scores_come_in_the_forms_of_predict_proba(zero_one):
    """A matrix, lists of one, two and no columns, frames and nested lists give equal scores."""
    y, _, scores = zero_one
    two = [np.stack([1 - s, s], axis=1) for s in scores.T]
    forms = (two, [s[:, None] for s in scores.T], list(scores.T), pd.DataFrame(scores))
    expected = metrics.log_loss(y, scores)
    for form in (*forms, scores.tolist(), np.asfortranarray(scores)):
        assert metrics.log_loss(y, form) == pytest.approx(expected, abs=1e-14)
        assert metrics.log_loss(y.tolist(), form) == pytest.approx(expected, abs=1e-14)
    one = metrics.roc_auc_score(y[:, 0], scores[:, 0])
    for form in (two[0], [two[0]], scores[:, [0]], scores[:, 0].tolist(), two[0].tolist()):
        assert metrics.roc_auc_score(y[:, 0], form) == one
        assert metrics.roc_auc_score(pd.Series(y[:, 0]).astype("Int64"), form) == one


def test_a_label_only_predicted_is_a_class():
    """It counts as wrong, and as a class of its own."""
    y, predicted = ["a", "b", None, "b"], ["a", "c", "d", "b"]
    assert metrics.accuracy_score(y, predicted) == 2 / 3
    counts = metrics.confusion_counts(y, predicted)
    assert counts.index.get_level_values("class").tolist() == ["a", "b", "c"]
    with pytest.warns(metrics.UndefinedAttributeWarning, match="divides by zero"):
        assert metrics.recall_score(y, predicted) == pytest.approx((1 + 0.5 + 0) / 3)
    assert metrics.f1_score([1, 2, 2], [1, 1, 2]) == pytest.approx(2 / 3)  # still binary
    with pytest.raises(UnseenLabelError, match="'c'.*'y0'"):
        metrics.accuracy_score(y, predicted, attributes={0: ("categorical", ["a", "b", "d"])})
    with pytest.raises(UnseenLabelError, match="'c'.*'y0'"):
        metrics.accuracy_score(y, predicted, attributes={"y0": ("ordinal", ["b", "a"])})
    with pytest.raises(ValueError, match="declared binary"):
        metrics.accuracy_score(y, predicted, attributes={"y0": "binary"})
    with pytest.raises(ValueError, match="one type"):
        metrics.accuracy_score(["0", "1"], [0, 1])


def test_scores_stand_for_declared_classes(rng):
    """Classes that are absent from y are declared; their order is kept."""
    y = pd.DataFrame({"age": ["old", "young", None, "old"], "hat": [True, None, False, False]})
    p = rng.dirichlet(np.ones(3), 4)
    scores = [p, rng.random((4, 1))]
    with pytest.raises(ValueError, match="Declare classes"):
        metrics.log_loss(y, scores)
    levels = ["young", "middle", "old"]
    ordinal = metrics.log_loss(y, scores, average=None, attributes={"age": ("ordinal", levels)})
    assert ordinal[0] == pytest.approx(-np.log(p[[0, 1, 3], [2, 0, 2]]).mean())
    for order in (levels, sorted(levels)):
        declared = {"age": ("categorical", order)}
        columns = [order.index(label) for label in ("old", "young", "old")]
        found = metrics.log_loss(y, scores, average=None, attributes=declared)[0]
        assert found == pytest.approx(-np.log(p[[0, 1, 3], columns]).mean())
    # The columns of a single output are sorted, whatever the order of its levels.
    single = metrics.log_loss(y["age"], p, attributes={"age": ("ordinal", levels)})
    assert single == pytest.approx(-np.log(p[[0, 1, 3], [1, 2, 1]]).mean())


def test_the_positive_level_is_declared(rng):
    """Metrics of strings with a declared positive level are those of zeros and ones."""
    hat, guess, scores = rng.integers(0, 2, 60), rng.integers(0, 2, 60), rng.random(60)
    text, said = (np.where(labels == 1, "hat", "no hat") for labels in (hat, guess))
    declared = {"attributes": {0: ("binary", "hat")}}
    for name in LABELS:
        metric = getattr(metrics, name)
        assert metric(text, said, **declared) == pytest.approx(metric(hat, guess))
    assert metrics.f1_score(text, said) != metrics.f1_score(hat, guess)
    proba = np.stack([scores, 1 - scores], axis=1)  # of the sorted classes of a single output
    for name in SCORES:
        metric = getattr(metrics, name)
        for form in (scores, proba, [proba], [scores]):
            assert metric(text, form, **declared) == pytest.approx(metric(hat, scores))
    with pytest.raises(ValueError, match="declared binary; y_pred adds"):
        metrics.accuracy_score(text, np.append(said[1:], "cap"), **declared)


def test_an_attribute_without_labels_may_have_any_scores(rng):
    """It is undefined, whatever the number of its classes."""
    y = pd.DataFrame({"hat": [1, 0, 1.0], "age": [None, None, None]})
    scores = [rng.random((3, 2)), rng.dirichlet(np.ones(4), 3)]
    scores[0][:, 0] = 1 - scores[0][:, 1]
    for table in (y, y.to_numpy(dtype=float)):
        for name in (*SCORES, "brier_score_loss"):
            with pytest.warns(metrics.UndefinedAttributeWarning, match="over 1 of 2"):
                getattr(metrics, name)(table, scores)


def test_two_ordinal_levels_take_one_score():
    """The score of the higher level alone is enough."""
    kind = {"y0": ("ordinal", ["low", "up"])}
    y = [["low", 1], ["up", 0]]
    value = metrics.log_loss(y, [np.array([0.2, 0.6]), np.array([0.5, 0.5])], attributes=kind)
    assert value == pytest.approx((-np.log([0.8, 0.6]).mean() + np.log(2)) / 2)


def test_large_tables_need_no_pandas(zero_one, monkeypatch):
    """Numeric tables of zeros and ones never reach the encoder."""
    y, predicted, scores = zero_one

    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(_inputs, "AttributeEncoder", fail)
    for table in (y, pd.DataFrame(y), np.nan_to_num(y).astype(bool)):
        metrics.f1_score(table, predicted)
        metrics.f1_score(table, pd.DataFrame(predicted).astype(bool))
        metrics.roc_auc_score(table, scores)
    bools = np.nan_to_num(y).astype(bool)
    assert np.shares_memory(_inputs.label_inputs(bools, bools).codes, bools)


@pytest.mark.parametrize("weights", ["none", "rows", "entries"])
def test_values_do_not_depend_on_the_size_of_blocks(zero_one, rng, monkeypatch, weights):
    """Tables are read in blocks of rows, of which the last is smaller; errors name the row."""
    y, predicted, scores = zero_one
    y[:50, 3] = np.nan  # known in some blocks only
    color, guess = rng.integers(0, 3, (2, len(y)))
    hot = rng.dirichlet(np.ones(3), len(y))
    params = {
        "none": {},
        "rows": {"sample_weight": rng.random(len(y))},
        "entries": {"label_weight": rng.random((len(y), 4))},
    }[weights]
    mixed = np.column_stack([y[:, :3], np.where(np.isnan(y[:, 3]), np.nan, color)])
    tables = (
        (y, predicted, scores),
        (mixed, np.column_stack([predicted[:, :3], guess]), [*scores[:, :3].T, hot]),
    )

    def values():
        found = []
        for true, labels, proba in tables:
            for average in ("macro", "micro", "weighted", "samples", None):
                named = {**params, "average": average, "zero_division": 0.0}
                found.append(metrics.f1_score(true, labels, **named))
                del named["zero_division"]
                found.append(metrics.accuracy_score(true, labels, **named))
                if average != "samples":
                    found += [getattr(metrics, name)(true, proba, **named) for name in SCORES]
            found.append(metrics.subset_accuracy(true, labels, **params))
            found.append(metrics.confusion_counts(true, labels, **params).to_numpy())
            if weights != "entries":
                report = metrics.attribute_report(true, labels, proba, tail=[22, 12], **params)
                found.append(report["f1"].to_numpy(dtype=float))
        return [np.ravel(value) for value in found]

    before = np.concatenate(values())
    monkeypatch.setattr(_inputs, "_BLOCK", 28)
    np.testing.assert_allclose(np.concatenate(values()), before, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(_inputs, "_BLOCK", 3)  # less than a row
    row, column = np.argwhere(~np.isnan(y))[-1]
    for metric, bad, value in (
        (metrics.f1_score, predicted.astype(float), np.nan),
        (metrics.log_loss, scores.copy(), 1.5),
    ):
        bad[row, column] = value
        with pytest.raises(ValueError, match=f"row {row}, attribute 'y{column}', is"):
            metric(y, bad)


@pytest.mark.parametrize("as_object", [False, True])
def test_bad_labels_get_a_sentence(zero_one, as_object):
    """Masked weights and misshapen, missing and misnamed labels are rejected."""
    y, predicted, _ = zero_one
    f1 = metrics.f1_score
    if as_object:
        y = np.where(np.isnan(y), None, y)
    with pytest.raises(TypeError, match="label_weight is a masked array"):
        f1(y, predicted, label_weight=np.ma.array(predicted))
    with pytest.raises(TypeError, match="sample_weight is a masked array"):
        f1(y, predicted, sample_weight=np.ma.array(np.ones(80)))
    for other in (predicted[1:], predicted[:, 1:]):
        with pytest.raises(ValueError, match="y_true has 80 rows and 4"):
            f1(y, other)
    with pytest.raises(ValueError, match="known"):
        f1(np.full_like(y, None if as_object else np.nan), predicted)
    row, column = np.argwhere(pd.notna(y))[5]
    with_gap = predicted.astype(float)
    with_gap[row, column] = np.nan
    with pytest.raises(ValueError, match=f"row {row}, attribute 'y{column}', is missing"):
        f1(y, with_gap)
    with pytest.raises(ValueError, match="no attribute"):
        f1(y, predicted, attributes={"hat": "binary"})
    with pytest.raises(ValueError, match="y_pred, column 'y0', row 0 is continuous"):
        f1(y, predicted + 0.25)
    frame = pd.DataFrame(predicted, columns=list("abcd"))
    with pytest.raises(ValueError, match=r"y_pred lacks \['d'\] and also has \['e'\]"):
        f1(frame, frame.rename(columns={"d": "e"}))
    with pytest.raises(ValueError, match="label_weight has shape"):
        f1(y, predicted, label_weight=np.ones((80, 3)))
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        f1(y, predicted, sample_weight=-np.ones(80))
    with pytest.raises(ValueError, match="inconsistent"):
        f1(y, predicted, sample_weight=np.ones(79))


def test_bad_scores_get_a_sentence(zero_one, rng):
    """Rows and attributes of scores that are none are named."""
    y, _, scores = zero_one
    row, column = np.argwhere(~np.isnan(y))[7]
    place = f"row {row}, attribute 'y{column}'"
    for value, names in ((np.nan, SCORES), (1.25, SCORES[2:]), (-0.1, SCORES[2:])):
        bad = scores.copy()
        bad[row, column] = value
        for name in names:
            with pytest.raises(ValueError, match=f"{place}, is {value}"):
                getattr(metrics, name)(y, bad)
    with pytest.raises(TypeError, match="y_score is a masked array"):
        metrics.roc_auc_score(y, np.ma.array(scores))
    with pytest.raises(TypeError, match="y_score is a masked array"):
        metrics.roc_auc_score(y, [np.ma.array(s) for s in scores.T])
    with pytest.raises(ValueError, match="y_true has 80 rows, y_score"):
        metrics.roc_auc_score(y, scores[1:])
    with pytest.raises(ValueError, match="does not fit"):
        metrics.roc_auc_score(y, scores[:, 1:])
    with pytest.raises(ValueError, match="must hold numbers"):
        metrics.roc_auc_score(y, np.full(y.shape, "high"))
    with pytest.raises(ValueError, match="`average`"):
        metrics.log_loss(y, scores, average="samples")
    three = rng.integers(0, 3, 30)
    p = rng.dirichlet(np.ones(3), 30)
    p[4] *= 0.9
    with pytest.raises(ValueError, match="row 4, attribute 'y0'.*sum to 0.9"):
        metrics.log_loss(three, p)
    p[4, 1] = np.nan
    with pytest.raises(ValueError, match="row 4, attribute 'y0', is nan"):
        metrics.roc_auc_score(three, p)
