"""Tests of attribute scores and of the square heat maps."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, matthews_corrcoef
from sklearn.neighbors import KNeighborsClassifier

from skattr import AttributeClassifier, ImageReading, metrics
from skattr.exceptions import BadImageWarning
from skattr.inspection import (
    AttributeScoresDisplay,
    CooccurrenceDisplay,
    ErrorCorrelationDisplay,
    SimilarityDisplay,
)
from skattr.inspection._metric_names import takes_scores
from skattr.inspection._style import display_name
from tests.inspection.conftest import make_table


def labels_and_predictions(n_attributes, n=200):
    """Return a table with missing labels and predictions of all of them."""
    y, scores = make_table(n_attributes, n)
    return y, (scores >= 0.5).astype(float)


@pytest.mark.parametrize("n_attributes", [2, 30, 120])
def test_scores_equal_the_metric_and_are_sorted(n_attributes):
    """Values equal those of skattr.metrics and are drawn from the highest to the lowest."""
    y, predictions = labels_and_predictions(n_attributes, 100)
    display = AttributeScoresDisplay.from_predictions(
        y, predictions, metric="recall", n_bootstrap=3
    )
    np.testing.assert_array_equal(
        display.values, metrics.recall_score(y, predictions, average=None)
    )
    assert (np.diff(display.values[display.order]) <= 0).all()
    display.figure_.canvas.draw()
    axes = np.atleast_1d(display.ax_)
    labels = [text.get_text() for ax in axes for text in ax.get_yticklabels()]
    assert labels == [list(y)[j] for j in display.order]
    assert "Recall" in (axes[0].get_xlabel() or display.figure_.get_supxlabel())


def test_ranking_metrics_receive_scores():
    """A metric is given by name or as a function; its signature tells if it takes scores."""
    y, scores = make_table(3)
    expected = [
        average_precision_score(y[name].dropna(), scores[y[name].notna(), j])
        for j, name in enumerate(y)
    ]
    for metric in ("average_precision", "average_precision_score", metrics.average_precision_score):
        display = AttributeScoresDisplay.from_predictions(y, scores, metric=metric, n_bootstrap=2)
        np.testing.assert_allclose(display.values, expected)
        assert display.metric_name == "Average precision"


def test_intervals_are_quantiles_of_resampled_rows():
    """Rows that are weighted by their number of draws give the values of resampled rows."""
    y, predictions = labels_and_predictions(2)
    display = AttributeScoresDisplay.from_predictions(
        y, predictions, metric="accuracy", confidence=0.8, n_bootstrap=50, random_state=4
    )
    generator = np.random.RandomState(4)
    counts = generator.multinomial(200, np.full(200, 1 / 200), size=50)
    resampled = []
    for count in counts:
        rows = np.repeat(np.arange(200), count)
        resampled.append(metrics.accuracy_score(y.iloc[rows], predictions[rows], average=None))
    np.testing.assert_allclose(display.low, np.quantile(resampled, 0.1, axis=0))
    np.testing.assert_allclose(display.high, np.quantile(resampled, 0.9, axis=0))
    assert ((display.low <= display.values) & (display.values <= display.high)).all()


def test_groups_are_resampled_together():
    """With every row repeated ten times, groups make intervals about sqrt(10) times wider."""
    y, predictions = labels_and_predictions(1, 60)
    repeated, groups = pd.concat([y] * 10, ignore_index=True), np.tile(np.arange(60), 10)
    options = {"metric": "accuracy", "n_bootstrap": 300}
    draw = AttributeScoresDisplay.from_predictions
    by_row = draw(repeated, np.tile(predictions, (10, 1)), **options)
    by_group = draw(repeated, np.tile(predictions, (10, 1)), groups=groups, **options)
    ratio = (by_group.high - by_group.low) / (by_row.high - by_row.low)
    assert 2 < ratio[0] < 5


def test_predictions_of_missing_labels_have_no_influence():
    """They change neither the scores nor the intervals."""
    y, predictions = labels_and_predictions(3)
    changed = np.where(y.isna(), 1 - predictions, predictions)
    expected = AttributeScoresDisplay.from_predictions(y, predictions, n_bootstrap=5)
    actual = AttributeScoresDisplay.from_predictions(y, changed, n_bootstrap=5)
    for name in ("values", "low", "high"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name))


@pytest.mark.parametrize("metric", ["f1", "roc_auc"])
def test_scores_from_estimator_equal_from_predictions(metric):
    """The estimator provides labels or scores, as the metric needs."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = np.stack([X[:, 0] > 0, np.digitize(X[:, 1], [-0.5, 0.5])], axis=1).astype(int)
    model = KNeighborsClassifier(20).fit(X, y)
    predicted = model.predict(X) if metric == "f1" else model.predict_proba(X)
    options = {"metric": metric, "n_bootstrap": 5}
    actual = AttributeScoresDisplay.from_estimator(model, X, y, **options)
    expected = AttributeScoresDisplay.from_predictions(y, predicted, **options)
    for name in ("values", "low", "high"):
        np.testing.assert_allclose(getattr(actual, name), getattr(expected, name))


def test_given_scores_are_drawn():
    """An undefined score is last; names come from a Series."""
    values = pd.Series({"hat": 0.5, "coat": np.nan, "bag": 0.8})
    display = AttributeScoresDisplay.from_scores(values, [0.4, 0, 0.7], [0.6, 1, 0.9])
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["bag", "hat", "coat"]
    assert "undefined" in [text.get_text() for text in display.ax_.texts]
    assert display.ax_.get_xlabel() == "Score"
    assert AttributeScoresDisplay.from_scores([0.1, 0.2]).names == ["y0", "y1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "f7"}, "`metric` must be callable or a function of skattr.metrics"),
        ({"metric": "get_scorer"}, "a value per attribute, .*; got 'get_scorer'"),
        ({"metric": "subset_accuracy"}, "a value per attribute, .*; got 'subset_accuracy'"),
        ({"confidence": 95}, "confidence must be between 0 and 1; got 95"),
        ({"n_bootstrap": 1}, "n_bootstrap must be at least 2; got 1"),
        ({"groups": [1, 2]}, "groups has shape \\(2,\\); expected one value for each of the 200"),
        ({"select": ["hut"]}, "`select` names 'hut'"),
        ({"metric_params": {"average": "macro"}}, r"returns 1 value\(s\) for 3 attributes"),
    ],
)
def test_scores_reject_invalid_parameters(change, message):
    """The error names the parameter."""
    y, predictions = labels_and_predictions(3)
    with pytest.raises(ValueError, match=message):
        AttributeScoresDisplay.from_predictions(y, predictions, **change)


def test_rejects_one_limit_and_differing_lengths():
    """Intervals need both limits, and lengths must agree."""
    with pytest.raises(ValueError, match="both limits"):
        AttributeScoresDisplay.from_scores([0.1], low=[0.0])
    with pytest.raises(ValueError, match="inconsistent"):
        AttributeScoresDisplay.from_scores([0.1, 0.3], names=["hat"])


def test_cooccurrence_counts_rows_with_both_labels():
    """Counts, conditional probabilities and phi equal those of a loop over pairs."""
    y, _ = make_table(4)
    matrices = {
        kind: CooccurrenceDisplay.from_labels(y, kind=kind).matrix.to_numpy()
        for kind in ("count", "conditional", "correlation")
    }
    for i, row in enumerate(y):
        for j, column in enumerate(y):
            known = y[row].notna() & y[column].notna()
            a, b = y[row][known] == 1, y[column][known] == 1
            assert matrices["count"][i, j] == (a & b).sum()
            assert matrices["conditional"][i, j] == pytest.approx((a & b).sum() / a.sum())
            assert matrices["correlation"][i, j] == pytest.approx(matthews_corrcoef(a, b))


def test_categories_have_one_column_per_class(mixed):
    """A categorical attribute has a column per class, and its classes never co-occur."""
    y, _ = mixed
    display = CooccurrenceDisplay.from_labels(y)
    assert list(display.matrix) == ["hat", "color=blue", "color=green", "color=red"]
    assert (display.matrix.iloc[1:, 1:].to_numpy() == np.eye(3)).all()
    both = y["hat"].notna() & y["color"].notna()
    expected = (y["color"][both & (y["hat"] == True)] == "red").mean()  # noqa: E712
    assert display.matrix.loc["hat", "color=red"] == pytest.approx(expected)
    assert "P(column | row)" in display.figure_.axes[1].get_ylabel()


def test_error_correlation_is_the_matthews_coefficient():
    """The coefficient is that of the errors in the rows with both labels."""
    y, predictions = labels_and_predictions(3)
    display = ErrorCorrelationDisplay.from_predictions(y, predictions)
    wrong = predictions != y.to_numpy()
    for i in range(3):
        for j in range(3):
            both = y.iloc[:, i].notna() & y.iloc[:, j].notna()
            expected = matthews_corrcoef(wrong[both, i], wrong[both, j])
            assert display.correlation.iloc[i, j] == pytest.approx(expected)
            assert display.n_rows.iloc[i, j] == both.sum()
    flipped = np.where(y.isna(), 1 - predictions, predictions)
    repeated = ErrorCorrelationDisplay.from_predictions(y, flipped)
    pd.testing.assert_frame_equal(display.correlation, repeated.correlation)


def test_errors_from_estimator_equal_from_predictions():
    """The estimator's `predict` is compared with y, also for string labels."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 2))
    y = np.where(X + rng.normal(size=X.shape) > 0, "a", "b")
    model = KNeighborsClassifier(9).fit(X, y)
    actual = ErrorCorrelationDisplay.from_estimator(model, X, y)
    expected = ErrorCorrelationDisplay.from_predictions(y, model.predict(X))
    pd.testing.assert_frame_equal(actual.correlation, expected.correlation)


def test_an_attribute_without_errors_is_undefined_and_gray():
    """A constant has no correlation."""
    y = np.array([[1, 0], [0, 1], [1, 1]])
    display = ErrorCorrelationDisplay.from_predictions(y, np.array([[1, 1], [0, 1], [1, 1]]))
    assert np.isnan(display.correlation.loc["y0", "y1"])
    assert np.ma.getmaskarray(display.ax_.images[0].get_array()).all()


def test_rejects_a_missing_prediction_of_a_known_label():
    """The error names the row and the attribute."""
    with pytest.raises(ValueError, match="row 1, attribute 'y1', is missing"):
        ErrorCorrelationDisplay.from_predictions([[1, 0], [0, 1]], [[1, 0], [0, None]])
    with pytest.raises(ValueError, match=r"shape \(2, 2\), but y_pred has shape \(1, 2\)"):
        ErrorCorrelationDisplay.from_predictions([[1, 0], [0, 1]], [[1, 0]])


@pytest.mark.parametrize("n_attributes", [2, 40, 150])
def test_maps_of_every_size_are_drawn(n_attributes):
    """Every row, or every n-th if space is short, is labeled; scales are centered at 0."""
    y, predictions = labels_and_predictions(n_attributes, 60)
    display = ErrorCorrelationDisplay.from_predictions(y, predictions, order="cluster")
    display.figure_.canvas.draw()
    low, high = display.ax_.images[0].get_clim()
    assert low == -high
    labels = display.ax_.get_yticklabels()
    assert len(labels) == n_attributes if n_attributes < 100 else 20 < len(labels) < 100


def test_clusters_are_adjacent():
    """Two interleaved blocks are separated, labels and values alike."""
    block = np.add.outer(np.arange(6), np.arange(6)) % 2 == 0
    names = list("abcdef")
    similarity = pd.DataFrame(np.where(block, 0.9, 0.1), index=names, columns=names)
    display = SimilarityDisplay.from_similarity(similarity, order="cluster", label="Cosine")
    shown_names = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert {frozenset(shown_names[:3]), frozenset(shown_names[3:])} == {
        frozenset("ace"),
        frozenset("bdf"),
    }
    values = display.ax_.images[0].get_array()
    expected = similarity.loc[shown_names, shown_names].to_numpy()
    off = ~np.eye(6, dtype=bool)
    np.testing.assert_array_equal(values[off], expected[off])
    assert display.figure_.axes[1].get_ylabel().startswith("Cosine")
    given_order = display.plot(order="given")
    assert [text.get_text() for text in given_order.ax_.get_yticklabels()] == names


def test_undefined_similarities_are_allowed():
    """NaN is drawn gray, also with clustered rows."""
    values = np.full((4, 4), np.nan)
    for known in (0, 2):
        if known:
            values[0, 1] = values[1, 0] = 0.5
        display = SimilarityDisplay.from_similarity(pd.DataFrame(values), order="cluster")
        drawn = np.ma.masked_invalid(display.ax_.images[0].get_array())
        assert drawn.count() == known


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (np.eye(2), TypeError, "must be a DataFrame"),
        (pd.DataFrame(np.eye(3)[:2]), ValueError, "must be square"),
        (pd.DataFrame(np.eye(2), columns=["a", "b"]), ValueError, "same labels in one order"),
    ],
)
def test_rejects_invalid_similarities(frame, error, message):
    """The error describes a valid table of similarities."""
    with pytest.raises(error, match=message):
        SimilarityDisplay.from_similarity(frame)


def test_heatmaps_reject_invalid_parameters():
    """The error names the parameter and the valid values."""
    with pytest.raises(ValueError, match="`kind` must be one of"):
        CooccurrenceDisplay.from_labels([[1, 0]], kind="odds")
    with pytest.raises(ValueError, match="`order` must be one of"):
        CooccurrenceDisplay.from_labels([[1, 0]], order="best")


def test_maps_are_drawn_into_given_axes():
    """The display uses the axes and the figure of the caller."""
    figure, ax = plt.subplots()
    display = CooccurrenceDisplay.from_labels([[1, 0], [1, 1]], ax=ax, cmap="cividis")
    assert display.ax_ is ax and display.figure_ is figure
    assert ax.images[0].get_cmap().name == "cividis"


def test_long_names_keep_both_ends():
    """Names are shortened in the middle, and dollar signs are escaped."""
    assert display_name("wearing_short_sleeves_12", 12) == "wearing…s_12"
    assert display_name("$a$") == r"\$a\$"


def test_every_listed_metric_can_be_drawn():
    """The error for an unknown metric lists exactly the metrics that can be drawn."""
    y, predictions = labels_and_predictions(3, 60)
    with pytest.raises(ValueError, match="`metric` must be") as error:
        AttributeScoresDisplay.from_predictions(y, predictions, metric="nope")
    valid = re.search(r"\[(.*)\]", str(error.value)).group(1).replace("'", "").split(", ")
    assert {"f1_score", "log_loss", "quadratic_kappa", "hamming_accuracy"} <= set(valid)
    for name in valid:
        options = {"metric_params": {"beta": 2}} if name == "fbeta_score" else {}
        if name in ("mean_absolute_error", "quadratic_kappa"):
            options = {"metric_params": {"attributes": dict.fromkeys(y, ("ordinal", [0, 1]))}}
        predicted = (
            np.clip(predictions, 0.1, 0.9) if takes_scores(getattr(metrics, name)) else predictions
        )
        display = AttributeScoresDisplay.from_predictions(
            y, predicted, metric=name, n_bootstrap=2, **options
        )
        assert np.isfinite(display.values).all()


@pytest.mark.parametrize("metric", ["f1", "roc_auc"])
def test_scores_leave_out_unreadable_rows(metric):
    """With on_bad_image="warn" unreadable rows and their groups are left out."""
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(80, 3)), np.arange(80) // 2
    y = X[:, :2] + rng.normal(size=(80, 2)) > 0
    is_bad = np.arange(80) % 7 == 2
    model = AttributeClassifier(
        max_epochs=3, random_state=0, images=ImageReading(on_bad_image="warn")
    ).fit(X, y)
    options = {"metric": metric, "n_bootstrap": 5}
    draw = AttributeScoresDisplay.from_estimator
    with_nan = np.where(is_bad[:, None], np.nan, X)
    with pytest.warns(BadImageWarning, match="row 2 of X") as warned:
        actual = draw(model, with_nan, y, groups=groups, **options)
    assert len(warned) == 1
    expected = draw(model, X[~is_bad], y[~is_bad], groups=groups[~is_bad], **options)
    np.testing.assert_allclose(actual.values, expected.values)
    np.testing.assert_allclose(actual.low, expected.low)
    with pytest.warns(BadImageWarning):
        errors = ErrorCorrelationDisplay.from_estimator(model, with_nan, y)
    assert errors.n_rows.iloc[0, 0] == (~is_bad).sum()
