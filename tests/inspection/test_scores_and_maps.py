"""Scores with intervals, co-occurrence, error correlation and similarity."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
from skattr.inspection._style import shown, spread
from tests.inspection.conftest import make_table


def labels_and_guesses(n_attributes, n=200):
    """Return a table with missing labels and predictions of all of them."""
    y, scores = make_table(n_attributes, n)
    return y, (scores >= 0.5).astype(float)


@pytest.mark.parametrize("n_attributes", [2, 30, 120])
def test_scores_are_the_metrics_sorted(n_attributes):
    """Values are those of skattr.metrics, drawn from the highest to the lowest."""
    y, guesses = labels_and_guesses(n_attributes, 100)
    display = AttributeScoresDisplay.from_predictions(y, guesses, metric="recall", n_bootstrap=3)
    np.testing.assert_array_equal(display.values, metrics.recall_score(y, guesses, average=None))
    assert (np.diff(display.values[display.order]) <= 0).all()
    display.figure_.canvas.draw()
    axes = np.atleast_1d(display.ax_)
    labels = [text.get_text() for ax in axes for text in ax.get_yticklabels()]
    assert labels == [list(y)[j] for j in display.order]
    assert "Recall" in (axes[0].get_xlabel() or display.figure_.get_supxlabel())


def test_metrics_of_scores_take_scores():
    """A metric is known by its name or itself, and takes scores if its signature says so."""
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
    """Weighing rows by how often they are drawn is drawing them."""
    y, guesses = labels_and_guesses(2)
    display = AttributeScoresDisplay.from_predictions(
        y, guesses, metric="accuracy", confidence=0.8, n_bootstrap=50, random_state=4
    )
    generator = np.random.RandomState(4)
    counts = generator.multinomial(200, np.full(200, 1 / 200), size=50)
    drawn = []
    for count in counts:
        rows = np.repeat(np.arange(200), count)
        drawn.append(metrics.accuracy_score(y.iloc[rows], guesses[rows], average=None))
    np.testing.assert_allclose(display.low, np.quantile(drawn, 0.1, axis=0))
    np.testing.assert_allclose(display.high, np.quantile(drawn, 0.9, axis=0))
    assert ((display.low <= display.values) & (display.values <= display.high)).all()


def test_groups_are_drawn_together():
    """Rows that repeat each other ten times make intervals about three times as wide."""
    y, guesses = labels_and_guesses(1, 60)
    often, groups = pd.concat([y] * 10, ignore_index=True), np.tile(np.arange(60), 10)
    options = {"metric": "accuracy", "n_bootstrap": 300}
    draw = AttributeScoresDisplay.from_predictions
    alone = draw(often, np.tile(guesses, (10, 1)), **options)
    together = draw(often, np.tile(guesses, (10, 1)), groups=groups, **options)
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert 2 < ratio[0] < 5


def test_unknown_predictions_have_no_influence_on_scores():
    """What is predicted where nothing is known does not count, in the intervals neither."""
    y, guesses = labels_and_guesses(3)
    other = np.where(y.isna(), 1 - guesses, guesses)
    one = AttributeScoresDisplay.from_predictions(y, guesses, n_bootstrap=5)
    two = AttributeScoresDisplay.from_predictions(y, other, n_bootstrap=5)
    for name in ("values", "low", "high"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@pytest.mark.parametrize("metric", ["f1", "roc_auc"])
def test_scores_from_estimator_are_from_predictions(metric):
    """The estimator is asked for what the metric takes, labels or scores."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = np.stack([X[:, 0] > 0, np.digitize(X[:, 1], [-0.5, 0.5])], axis=1).astype(int)
    model = KNeighborsClassifier(20).fit(X, y)
    answer = model.predict(X) if metric == "f1" else model.predict_proba(X)
    options = {"metric": metric, "n_bootstrap": 5}
    one = AttributeScoresDisplay.from_estimator(model, X, y, **options)
    two = AttributeScoresDisplay.from_predictions(y, answer, **options)
    for name in ("values", "low", "high"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name))


def test_given_scores_are_drawn():
    """An undefined score stands last; names come from a Series."""
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
        ({"confidence": 95}, "`confidence` must lie between 0 and 1, got 95"),
        ({"n_bootstrap": 1}, "`n_bootstrap` must be 2 or more"),
        ({"groups": [1, 2]}, "groups has 2 values, but there are 200 rows"),
        ({"select": ["hut"]}, "`select` names 'hut'"),
        ({"metric_params": {"average": "macro"}}, r"returns 1 value\(s\) for 3 attributes"),
    ],
)
def test_bad_parameters_of_scores_get_a_sentence(change, message):
    """The message names the parameter."""
    y, guesses = labels_and_guesses(3)
    with pytest.raises(ValueError, match=message):
        AttributeScoresDisplay.from_predictions(y, guesses, **change)


def test_one_end_of_an_interval_is_refused():
    """Intervals have two ends, and lengths agree."""
    with pytest.raises(ValueError, match="both ends"):
        AttributeScoresDisplay.from_scores([0.1], low=[0.0])
    with pytest.raises(ValueError, match="inconsistent"):
        AttributeScoresDisplay.from_scores([0.1, 0.3], names=["hat"])


def test_cooccurrence_counts_rows_in_which_both_are_known():
    """Counts, conditional probabilities and phi, pair by pair by hand."""
    y, _ = make_table(4)
    found = {
        kind: CooccurrenceDisplay.from_labels(y, kind=kind).matrix.to_numpy()
        for kind in ("count", "conditional", "correlation")
    }
    for i, one in enumerate(y):
        for j, other in enumerate(y):
            both = y[one].notna() & y[other].notna()
            a, b = y[one][both] == 1, y[other][both] == 1
            assert found["count"][i, j] == (a & b).sum()
            assert found["conditional"][i, j] == pytest.approx((a & b).sum() / a.sum())
            assert found["correlation"][i, j] == pytest.approx(matthews_corrcoef(a, b))


def test_categories_cooccur_class_by_class(mixed):
    """A categorical attribute has a column per class, named as everywhere; classes exclude."""
    y, _ = mixed
    display = CooccurrenceDisplay.from_labels(y)
    assert list(display.matrix) == ["hat", "color=blue", "color=green", "color=red"]
    assert (display.matrix.iloc[1:, 1:].to_numpy() == np.eye(3)).all()
    both = y["hat"].notna() & y["color"].notna()
    expected = (y["color"][both & (y["hat"] == True)] == "red").mean()  # noqa: E712
    assert display.matrix.loc["hat", "color=red"] == pytest.approx(expected)
    assert "P(column | row)" in display.figure_.axes[1].get_ylabel()


def test_errors_correlate_over_rows_in_which_both_are_known():
    """It is the Matthews coefficient of the two columns of errors."""
    y, guesses = labels_and_guesses(3)
    display = ErrorCorrelationDisplay.from_predictions(y, guesses)
    wrong = guesses != y.to_numpy()
    for i in range(3):
        for j in range(3):
            both = y.iloc[:, i].notna() & y.iloc[:, j].notna()
            expected = matthews_corrcoef(wrong[both, i], wrong[both, j])
            assert display.correlation.iloc[i, j] == pytest.approx(expected)
            assert display.n_rows.iloc[i, j] == both.sum()
    flipped = np.where(y.isna(), 1 - guesses, guesses)
    again = ErrorCorrelationDisplay.from_predictions(y, flipped)
    pd.testing.assert_frame_equal(display.correlation, again.correlation)


def test_errors_from_estimator_are_from_predictions():
    """The estimator's predict is what is judged; strings and numbers may be mixed."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 2))
    y = np.where(X + rng.normal(size=X.shape) > 0, "a", "b")
    model = KNeighborsClassifier(9).fit(X, y)
    one = ErrorCorrelationDisplay.from_estimator(model, X, y)
    two = ErrorCorrelationDisplay.from_predictions(y, model.predict(X))
    pd.testing.assert_frame_equal(one.correlation, two.correlation)


def test_an_attribute_without_errors_is_undefined_and_gray():
    """Nothing correlates with a constant."""
    y = np.array([[1, 0], [0, 1], [1, 1]])
    display = ErrorCorrelationDisplay.from_predictions(y, np.array([[1, 1], [0, 1], [1, 1]]))
    assert np.isnan(display.correlation.loc["y0", "y1"])
    assert np.ma.getmaskarray(display.ax_.images[0].get_array()).all()


def test_a_missing_prediction_of_a_known_label_is_refused():
    """The row and the attribute are named."""
    with pytest.raises(ValueError, match="row 1, attribute 'y1', is missing"):
        ErrorCorrelationDisplay.from_predictions([[1, 0], [0, 1]], [[1, 0], [0, None]])
    with pytest.raises(ValueError, match=r"shape \(2, 2\), y_pred \(1, 2\)"):
        ErrorCorrelationDisplay.from_predictions([[1, 0], [0, 1]], [[1, 0]])


@pytest.mark.parametrize("n_attributes", [2, 40, 150])
def test_maps_of_every_size_are_drawn(n_attributes):
    """Labels stand where there is room, at least every n-th, and scales are centred at 0."""
    y, guesses = labels_and_guesses(n_attributes, 60)
    display = ErrorCorrelationDisplay.from_predictions(y, guesses, order="cluster")
    display.figure_.canvas.draw()
    low, high = display.ax_.images[0].get_clim()
    assert low == -high
    labels = display.ax_.get_yticklabels()
    assert len(labels) == n_attributes if n_attributes < 100 else 20 < len(labels) < 100


def test_clusters_stand_together():
    """Two blocks that are interleaved come apart, labels and values together."""
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
    """NaN is drawn gray, also where rows are clustered."""
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
def test_bad_similarities_get_a_sentence(frame, error, message):
    """The message says what a table of similarities is."""
    with pytest.raises(error, match=message):
        SimilarityDisplay.from_similarity(frame)


def test_bad_parameters_of_maps_get_a_sentence():
    """The message names the parameter and the valid values."""
    with pytest.raises(ValueError, match="`kind` must be one of"):
        CooccurrenceDisplay.from_labels([[1, 0]], kind="odds")
    with pytest.raises(ValueError, match="`order` must be one of"):
        CooccurrenceDisplay.from_labels([[1, 0]], order="best")


def test_maps_are_drawn_into_given_axes():
    """The axes and their figure are those of the caller."""
    figure, ax = plt.subplots()
    display = CooccurrenceDisplay.from_labels([[1, 0], [1, 1]], ax=ax, cmap="cividis")
    assert display.ax_ is ax and display.figure_ is figure
    assert ax.images[0].get_cmap().name == "cividis"


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 0.12))
def test_spread_labels_keep_their_order_and_distance(values, gap):
    """Labels that fit keep the gap, stay inside and do not change places."""
    places = spread(values, gap)
    order = np.argsort(values, kind="stable")
    assert (np.diff(places[order]) >= gap - 1e-9).all()
    assert places.min() >= -1e-9 and places.max() <= 1 + 1e-9


def test_long_names_keep_both_ends():
    """Names that differ in their ends are told apart; a dollar is a dollar."""
    assert shown("wearing_short_sleeves_12", 12) == "wearing…s_12"
    assert shown("$a$") == r"\$a\$"


def test_every_metric_that_is_listed_works():
    """The sentence that refuses a name lists those that can be drawn, and no others."""
    y, guesses = labels_and_guesses(3, 60)
    with pytest.raises(ValueError, match="`metric` must be") as caught:
        AttributeScoresDisplay.from_predictions(y, guesses, metric="nope")
    valid = re.search(r"\[(.*)\]", str(caught.value)).group(1).replace("'", "").split(", ")
    assert {"f1_score", "log_loss", "quadratic_kappa", "hamming_accuracy"} <= set(valid)
    for name in valid:
        options = {"metric_params": {"beta": 2}} if name == "fbeta_score" else {}
        if name in ("mean_absolute_error", "quadratic_kappa"):
            options = {"metric_params": {"attributes": dict.fromkeys(y, ("ordinal", [0, 1]))}}
        answer = np.clip(guesses, 0.1, 0.9) if takes_scores(getattr(metrics, name)) else guesses
        display = AttributeScoresDisplay.from_predictions(
            y, answer, metric=name, n_bootstrap=2, **options
        )
        assert np.isfinite(display.values).all()


@pytest.mark.parametrize("metric", ["f1", "roc_auc"])
def test_rows_that_cannot_be_read_do_not_count(metric):
    """If the estimator says that it leaves them out, their groups too."""
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(80, 3)), np.arange(80) // 2
    y = X[:, :2] + rng.normal(size=(80, 2)) > 0
    is_bad = np.arange(80) % 7 == 2
    model = AttributeClassifier(
        max_epochs=3, random_state=0, images=ImageReading(on_bad_image="warn")
    ).fit(X, y)
    options = {"metric": metric, "n_bootstrap": 5}
    draw = AttributeScoresDisplay.from_estimator
    holed = np.where(is_bad[:, None], np.nan, X)
    with pytest.warns(BadImageWarning, match="row 2 of X") as caught:
        drawn = draw(model, holed, y, groups=groups, **options)
    assert len(caught) == 1
    good = draw(model, X[~is_bad], y[~is_bad], groups=groups[~is_bad], **options)
    np.testing.assert_allclose(drawn.values, good.values)
    np.testing.assert_allclose(drawn.low, good.low)
    with pytest.warns(BadImageWarning):
        errors = ErrorCorrelationDisplay.from_estimator(model, holed, y)
    assert errors.n_rows.iloc[0, 0] == (~is_bad).sum()
