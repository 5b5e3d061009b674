"""Tests of threshold curves and calibration curves against scikit-learn."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, precision_recall_curve, precision_score, recall_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skattr import AttributeClassifier, ImageReading
from skattr.exceptions import BadImageWarning
from skattr.inspection import ReliabilityDisplay, ThresholdCurveDisplay
from skattr.metrics import UndefinedAttributeWarning, calibration_error
from skattr.thresholds import TunedThresholdMultiOutputCV
from tests.inspection.conftest import corrupt_missing, make_table


@pytest.fixture
def fitted():
    """Return X, y and a classifier of three attributes that returns a list of probabilities."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 4))
    y = (X[:, :3] + rng.normal(size=(150, 3)) > 0.3).astype(int)
    return X, y, KNeighborsClassifier(15).fit(X, y)


def test_curves_equal_scikit_learn_on_known_labels():
    """Each attribute's curve is precision_recall_curve of its known labels."""
    y, scores = make_table(4)
    display = ThresholdCurveDisplay.from_predictions(y, scores)
    assert display.names == list(y)
    for j, name in enumerate(y):
        known = y[name].notna()
        precision, recall, thresholds = precision_recall_curve(y[name][known], scores[known, j])
        np.testing.assert_array_equal(display.thresholds[j], thresholds)
        np.testing.assert_array_equal(display.precision[j], precision[:-1])
        np.testing.assert_array_equal(display.recall[j], recall[:-1])


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.77])
def test_value_at_a_threshold_is_the_metric_of_the_predictions(threshold):
    """The value at a threshold is the metric of ``score >= threshold``."""
    y, scores = make_table(3)
    display = ThresholdCurveDisplay.from_predictions(y, scores)
    functions = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    for metric, function in functions.items():
        values = display.at(metric, [threshold] * 3)
        for j, name in enumerate(y):
            known = y[name].notna()
            expected = function(y[name][known], scores[known, j] >= threshold, zero_division=np.nan)
            assert values[j] == pytest.approx(expected, nan_ok=True)


def test_metrics_above_the_highest_score():
    """Without a positive prediction recall and F1 are 0 and precision is undefined."""
    display = ThresholdCurveDisplay.from_predictions([1, 0], [0.6, 0.2])
    assert [display.at(metric, [0.7])[0] for metric in ("recall", "f1")] == [0, 0]
    assert np.isnan(display.at("precision", [0.7])[0])


@pytest.mark.parametrize("display", [ThresholdCurveDisplay, ReliabilityDisplay])
def test_missing_labels_have_no_influence(display):
    """Scores of missing labels do not change the display."""
    y, scores = make_table(3)
    expected = display.from_predictions(y, scores)
    actual = display.from_predictions(y, corrupt_missing(y, scores))
    for name in ("thresholds", "precision", "recall", "chosen", "prob_true", "counts", "y_prob"):
        if hasattr(expected, name):
            for a, b in zip(getattr(actual, name), getattr(expected, name), strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("display", [ThresholdCurveDisplay, ReliabilityDisplay])
@pytest.mark.parametrize("n_attributes", [1, 2, 5, 20, 60])
def test_every_size_is_drawn_with_labeled_axes(display, n_attributes):
    """Single panels, small multiples and heat maps are drawn and have axis labels."""
    y, scores = make_table(n_attributes, 80)
    drawn = display.from_predictions(y, scores)
    drawn.figure_.canvas.draw()
    texts = [ax.get_xlabel() for ax in drawn.figure_.axes]
    texts += [drawn.figure_.get_supxlabel(), drawn.figure_.get_supylabel()]
    assert any("probability" in text or "Probability" in text for text in texts)
    if n_attributes == 20:
        assert len(drawn.ax_) == 20


@pytest.mark.parametrize("metrics", ["f1", ["recall", "precision"]])
def test_selected_metrics_are_drawn(metrics):
    """One metric of few attributes is drawn in one panel with a legend."""
    y, scores = make_table(5)
    display = ThresholdCurveDisplay.from_predictions(y, scores, metrics=metrics)
    if metrics == "f1":
        labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert sorted(label.split(" ")[0] for label in labels) == sorted(y)
        assert display.ax_.get_ylabel() == "F1"
    else:
        assert len(display.ax_) == 5


def test_legends_name_the_lines_in_their_colors():
    """One attribute has a line per metric; calibration curves have names and errors."""
    y, scores = make_table(2)
    curve = ThresholdCurveDisplay.from_predictions(y, scores, select=[0])
    texts = [text.get_text() for text in curve.ax_.get_legend().get_texts()]
    assert texts == ["Precision", "Recall", "F1", "chosen threshold"]
    calibration = ReliabilityDisplay.from_predictions(y, scores)
    legend = calibration.ax_[0].get_legend()
    for name, error, text, line in zip(
        y, calibration.errors, legend.get_texts(), legend.get_lines(), strict=True
    ):
        assert text.get_text() == f"{name}\nECE {error:.3f}"
        assert text.get_color() == line.get_color()


def test_chosen_threshold_is_marked():
    """The curve has a dot at the chosen threshold."""
    y, scores = make_table(1)
    display = ThresholdCurveDisplay.from_predictions(y, scores, thresholds=0.3, metrics="f1")
    dots = [line for line in display.ax_.lines if line.get_marker() == "o"]
    assert dots[0].get_xdata()[0] == 0.3
    assert dots[0].get_ydata()[0] == display.at("f1", [0.3])[0]


@pytest.mark.parametrize(
    "given",
    [
        [0.1, 0.2, 0.3],
        {"attribute_0": 0.1, "attribute_1": 0.2, "attribute_2": 0.3},
        pd.Series({"attribute_2": 0.3, "attribute_1": 0.2, "attribute_0": 0.1}),
    ],
)
def test_thresholds_can_be_arrays_or_named(given):
    """Arrays are read by position, dicts and Series by name; `select` selects from them."""
    y, scores = make_table(3)
    read = ThresholdCurveDisplay.from_predictions
    np.testing.assert_allclose(read(y, scores, thresholds=given).chosen, [0.1, 0.2, 0.3])
    selected = read(y, scores, thresholds=given, select=["attribute_2", "attribute_0"])
    np.testing.assert_allclose(selected.chosen, [0.3, 0.1])
    assert read(y, scores).chosen.tolist() == [0.5] * 3
    assert read(y, 10 * scores - 5).chosen.tolist() == [0] * 3


def test_thresholds_are_read_from_estimators(fitted):
    """`best_threshold_` is used, also of a pipeline's last step; a plain classifier has 0.5."""
    X, y, plain = fitted
    tuned = TunedThresholdMultiOutputCV(plain, cv="prefit", refit=False).fit(X, y)
    draw = ThresholdCurveDisplay.from_estimator
    np.testing.assert_array_equal(draw(tuned, X, y).chosen, tuned.best_threshold_)
    np.testing.assert_array_equal(draw(plain, X, y).chosen, [0.5] * 3)
    np.testing.assert_array_equal(draw(tuned, X, y, thresholds=0.2).chosen, [0.2] * 3)
    pipeline = make_pipeline(StandardScaler(), TunedThresholdMultiOutputCV(plain)).fit(X, y)
    np.testing.assert_array_equal(draw(pipeline, X, y).chosen, pipeline[-1].best_threshold_)


def test_thresholds_of_decisions_are_drawn_over_decisions():
    """Decisions are used if thresholds refer to them, even if there are probabilities."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2))
    y = (X[:, 0] > 0).astype(int)
    tuned = TunedThresholdMultiOutputCV(
        LogisticRegression(), response_method="decision_function"
    ).fit(X, y)
    display = ThresholdCurveDisplay.from_estimator(tuned, X, y)
    assert not display.is_proba and display.chosen.tolist() == [tuned.best_threshold_]
    assert display.ax_.get_xlabel() == "Threshold (score)"


@pytest.mark.parametrize("display", [ThresholdCurveDisplay, ReliabilityDisplay])
def test_from_estimator_equals_from_predictions(display, fitted):
    """Lists of (n, 2) arrays and (n, L) matrices give the same curves."""
    X, y, plain = fitted
    proba = plain.predict_proba(X)
    expected = display.from_estimator(plain, X, y)
    matrix = np.stack([part[:, 1] for part in proba], axis=1)
    for actual in (display.from_predictions(y, proba), display.from_predictions(y, matrix)):
        assert expected.names == actual.names == ["y0", "y1", "y2"]
        for name in ("precision", "chosen", "prob_true", "counts"):
            if hasattr(expected, name):
                for a, b in zip(getattr(actual, name), getattr(expected, name), strict=True):
                    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_calibration_equals_scikit_learn_on_known_labels(strategy):
    """Each attribute's curve is calibration_curve of its known labels, and counts add up."""
    y, proba = make_table(3)
    display = ReliabilityDisplay.from_predictions(y, proba, n_bins=7, strategy=strategy)
    for j, name in enumerate(y):
        known = y[name].notna()
        expected = calibration_curve(y[name][known], proba[known, j], n_bins=7, strategy=strategy)
        np.testing.assert_array_equal(display.prob_true[j], expected[0])
        np.testing.assert_array_equal(display.prob_pred[j], expected[1])
        assert display.counts[j].sum() == known.sum() == len(display.y_prob[j])
    errors = calibration_error(y, proba, n_bins=7, strategy=strategy, average=None)
    np.testing.assert_allclose(display.errors, errors)
    for row, bins in zip(display.differences(), display.bins, strict=True):
        np.testing.assert_array_equal(np.flatnonzero(~np.isnan(row)), bins)


def test_calibration_of_categories_uses_the_top_class(mixed):
    """The curve of several classes uses the highest probability and whether it is correct."""
    y, proba = mixed
    display = ReliabilityDisplay.from_predictions(y, proba, n_bins=5)
    known = y["color"].notna()
    predicted = np.array(["blue", "green", "red"])[proba[1].argmax(axis=1)]
    is_correct = (predicted == y["color"])[known]
    expected, _ = calibration_curve(is_correct, proba[1].max(axis=1)[known], n_bins=5)
    np.testing.assert_array_equal(display.prob_true[1], expected)
    np.testing.assert_allclose(display.errors, calibration_error(y, proba, n_bins=5, average=None))


def test_only_binary_attributes_have_thresholds(mixed):
    """Other attributes are skipped, and rejected if selected or if no attribute is binary."""
    y, proba = mixed
    draw = ThresholdCurveDisplay.from_predictions
    assert draw(y, proba).names == ["hat"]
    with pytest.raises(ValueError, match=r"'color', which has 3 class.*only binary"):
        draw(y, proba, select=["color"])
    with pytest.raises(ValueError, match=r"need a binary attribute.*\['color'\]"):
        draw(y[["color"]], proba[1:])


def test_attribute_without_positives_is_left_out_with_a_warning():
    """Its recall is undefined. Other attributes are drawn; without others it is an error."""
    y, scores = make_table(2)
    y["attribute_1"] = y["attribute_1"].mask(y["attribute_1"] == 1, 0.0)
    with pytest.warns(UndefinedAttributeWarning, match="attribute_1"):
        display = ThresholdCurveDisplay.from_predictions(y, scores, thresholds=[0.3, 0.4])
    assert display.names == ["attribute_0"] and display.chosen.tolist() == [0.3]
    with pytest.raises(ValueError, match="every attribute has no positive label"):
        ThresholdCurveDisplay.from_predictions(y, scores, select=["attribute_1"])
    y["attribute_1"] = np.nan
    with pytest.warns(UndefinedAttributeWarning, match="no known label"):
        assert ReliabilityDisplay.from_predictions(y, scores).names == ["attribute_0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"select": ["hut"]}, "`select` names 'hut', which is not an attribute"),
        ({"select": []}, "`select` is empty"),
        ({"metrics": ["auc"]}, "`metrics` must be one or more of"),
        ({"thresholds": [0.1, 0.2]}, r"`thresholds` has shape \(2,\)"),
        ({"thresholds": {"hut": 0.2}}, "`thresholds` names 'hut'"),
        ({"thresholds": {"attribute_0": 0.2}}, "`thresholds` has no value for"),
        ({"thresholds": [0.1, np.nan, 0.2]}, "threshold of 'attribute_1' is NaN"),
    ],
)
def test_rejects_invalid_parameters(change, message):
    """The error names the parameter and what is valid."""
    y, scores = make_table(3)
    with pytest.raises(ValueError, match=message):
        ThresholdCurveDisplay.from_predictions(y, scores, **change)


@pytest.mark.parametrize("display", [ThresholdCurveDisplay, ReliabilityDisplay])
def test_rejects_invalid_scores(display):
    """Wrong shapes or columns, and NaN scores of known labels, are rejected."""
    y, scores = make_table(3)
    with pytest.raises(ValueError, match="for 3 outputs they must be"):
        display.from_predictions(y, scores[:, :2])
    with pytest.raises(ValueError, match="y has 200 rows, but the scores have 150"):
        display.from_predictions(y, scores[:150])
    other = pd.DataFrame(scores, columns=[*y.columns[:2], "other"])
    with pytest.raises(ValueError, match=r"y_score lacks \['attribute_2'\] and also has"):
        display.from_predictions(y, other)
    row = int(np.flatnonzero(y["attribute_1"].notna())[0])
    scores[row, 1] = np.nan
    with pytest.raises(ValueError, match=f"row {row}, attribute 'attribute_1', is NaN"):
        display.from_predictions(y, scores)


def test_calibration_rejects_decisions():
    """Scores outside [0, 1] are rejected."""
    y, scores = make_table(2)
    with pytest.raises(ValueError, match="not probabilities"):
        ReliabilityDisplay.from_predictions(y, 3 * scores)


def test_given_axes_are_used_or_divided():
    """One panel is drawn into the axes; several replace them in the grid."""
    y, scores = make_table(4)
    figure, axes = plt.subplots(1, 2, layout="constrained")
    single = ThresholdCurveDisplay.from_predictions(y, scores, select=[0], ax=axes[0])
    assert single.ax_ is axes[0] and single.figure_ is figure
    divided = ReliabilityDisplay.from_predictions(y, scores, ax=axes[1])
    assert divided.figure_ in figure.subfigs
    figure.canvas.draw()
    free = figure.add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="`ax` must come from plt.subplots"):
        ThresholdCurveDisplay.from_predictions(y, scores, ax=free)


def test_keyword_arguments_and_repeated_plots():
    """Keyword arguments are passed to the curves; plot makes a new figure and returns self."""
    y, scores = make_table(1)
    display = ThresholdCurveDisplay.from_predictions(y, scores, linewidth=3, metrics="recall")
    assert display.ax_.lines[0].get_linewidth() == 3
    first = display.figure_
    assert display.plot(metrics="precision") is display
    assert display.figure_ is not first and display.ax_.get_ylabel() == "Precision"


def test_string_labels_with_missing_rows():
    """The positive class is the second class of the classifier, whatever its dtype."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 2))
    labels = np.where(X > 0, "yes", "no")
    model = MultiOutputClassifier(LogisticRegression()).fit(X, labels)
    y = labels.astype(object)
    y[:10, 0] = None
    display = ThresholdCurveDisplay.from_estimator(model, X, y)
    known = np.arange(10, 80)
    positive = model.predict_proba(X)[0][known, 1]
    precision, _, thresholds = precision_recall_curve(y[known, 0] == "yes", positive)
    np.testing.assert_array_equal(display.thresholds[0], thresholds)
    np.testing.assert_array_equal(display.precision[0], precision[:-1])


@pytest.mark.parametrize("display", [ThresholdCurveDisplay, ReliabilityDisplay])
def test_unreadable_rows_are_left_out(display):
    """With on_bad_image="warn" the display equals that of the readable rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    y = X[:, :2] + rng.normal(size=(80, 2)) > 0
    is_bad = np.arange(80) % 7 == 2
    model = AttributeClassifier(
        max_epochs=3, random_state=0, images=ImageReading(on_bad_image="warn")
    ).fit(X, y)
    with pytest.warns(BadImageWarning, match="row 2 of X") as warned:
        actual = display.from_estimator(model, np.where(is_bad[:, None], np.nan, X), y)
    assert len(warned) == 1
    expected = display.from_estimator(model, X[~is_bad], y[~is_bad])
    for name in ("thresholds", "precision", "counts", "y_prob"):
        if hasattr(actual, name):
            for a, b in zip(getattr(actual, name), getattr(expected, name), strict=True):
                np.testing.assert_allclose(a, b)
