"""ThresholdCalibrator: tuned thresholds on given scores."""

import pickle
import warnings
from inspect import signature

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from skattr import AttributeClassifier, ImageReading
from skattr.exceptions import BadImageWarning, ThresholdNotTunedWarning
from skattr.metrics import get_scorer
from skattr.thresholds import ThresholdCalibrator, TunedThresholdMultiOutputCV, find_thresholds


def draw_sample(seed=0, n=300, n_labels=3):
    """Return probabilities of partly separable labels, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.random((n, n_labels)) < np.linspace(0.2, 0.5, n_labels)
    return rng.beta(1 + 2 * labels, 4), labels


@pytest.fixture
def mixed(rng):
    """Return scores as columns and as a list, and a table of two binary columns and a category."""
    n = 120
    color = rng.choice(["blue", "green", "red"], n)
    y = pd.DataFrame({"hat": rng.random(n) < 0.3, "color": color, "beard": rng.random(n) < 0.4})
    y = y.astype({"hat": "boolean", "beard": "boolean"})
    y.loc[::7, "hat"] = None
    y.loc[::9, "color"] = None
    hat = rng.beta(1 + 2 * y["hat"].fillna(False).to_numpy(bool), 4)
    beard = rng.beta(1 + 2 * y["beard"].to_numpy(bool), 4)
    colors = rng.dirichlet([1, 1, 1], n)
    parts = [np.stack([1 - hat, hat], 1), colors, np.stack([1 - beard, beard], 1)]
    return np.column_stack([hat, colors, beard]), parts, y


@pytest.mark.parametrize("average", ["macro", "micro", "samples", "global"])
def test_exact_thresholds_are_those_of_the_search(average):
    """The thresholds and their score are those of `find_thresholds`."""
    scores, y = draw_sample()
    calibrator = ThresholdCalibrator("f1", average=average, strategy="exact").fit(scores, y)
    found = find_thresholds(y, scores, average=average, strategy="exact")
    np.testing.assert_array_equal(calibrator.best_threshold_, found.thresholds)
    assert calibrator.in_sample_score_ == pytest.approx(found.value, abs=1e-12)


@pytest.mark.parametrize("estimator", [ThresholdCalibrator, TunedThresholdMultiOutputCV])
def test_defaults_are_those_of_the_search(estimator):
    """Parameters that are passed on to the search have its defaults."""
    own, of_search = (signature(part).parameters for part in (estimator, find_thresholds))
    for name in ("objective", "average", "strategy", "constraint", "confidence", "correction"):
        assert own[name].default == of_search[name].default
    assert own["beta"].default == of_search["beta"].default == 1.0
    assert own["costs"].default == of_search["costs"].default == (1.0, 1.0)
    assert own["default_threshold"].default == 0.5


def test_predict_is_score_at_least_threshold():
    """A score equal to the threshold is positive; labels are those of y, whatever their type."""
    scores, y = draw_sample()
    expected = scores >= ThresholdCalibrator().fit(scores, y).best_threshold_
    for labels in (y, y.astype(int), y.astype(float), np.where(y, "yes", "no")):
        predicted = ThresholdCalibrator().fit(scores, labels).predict(scores)
        assert predicted.dtype == labels.dtype
        no, yes = np.unique(labels)
        np.testing.assert_array_equal(predicted, np.where(expected, yes, no))


def test_one_output():
    """For 1-D y, X has one column or those of predict_proba; classes_ and labels are 1-D."""
    scores, y = draw_sample()
    from_column = ThresholdCalibrator().fit(scores[:, [0]], y[:, 0])
    from_list = ThresholdCalibrator().fit(np.stack([1 - scores[:, 0], scores[:, 0]], 1), y[:, 0])
    np.testing.assert_array_equal(from_column.best_threshold_, from_list.best_threshold_)
    np.testing.assert_array_equal(from_column.classes_, [False, True])
    assert from_column.predict(scores[:, [0]]).shape == (300,)
    assert from_column.predict_proba(scores[:, [0]]).shape == (300, 2)
    assert from_column.n_features_in_ == 1


def test_mixed_attributes(mixed):
    """Categories are predicted by their highest score and have the threshold NaN."""
    columns, parts, y = mixed
    first = ThresholdCalibrator().fit(columns, y)
    second = ThresholdCalibrator().fit(parts, y)
    np.testing.assert_array_equal(first.best_threshold_, second.best_threshold_)
    assert np.isnan(first.best_threshold_).tolist() == [False, True, False]
    assert np.isnan(first.cv_results_["cross_validated_scores"]).tolist() == [False, True, False]
    predicted = first.predict(columns)
    np.testing.assert_array_equal(predicted, second.predict(parts))
    np.testing.assert_array_equal(predicted[:, 0], columns[:, 0] >= first.best_threshold_[0])
    names = np.array(["blue", "green", "red"])
    np.testing.assert_array_equal(predicted[:, 1], names[columns[:, 1:4].argmax(axis=1)])
    for got, part in zip(first.predict_proba(columns), parts, strict=True):
        np.testing.assert_allclose(got, part)
    assert first.output_names_ == ["hat", "color", "beard"]
    assert not hasattr(second, "n_features_in_")


def test_transform_is_score_minus_threshold(mixed):
    """Columns have names, columns of categories are unchanged, and set_output works."""
    columns, _, y = mixed
    calibrator = ThresholdCalibrator().fit(columns, y)
    expected = columns - np.nan_to_num(calibrator.best_threshold_[[0, 1, 1, 1, 2]])
    np.testing.assert_allclose(calibrator.transform(columns), expected)
    frame = calibrator.set_output(transform="pandas").transform(columns)
    assert list(frame.columns) == ["hat", "color=blue", "color=green", "color=red", "beard"]


def test_log_odds():
    """Scores outside [0, 1] are log odds: thresholds are on their scale, the default is 0."""
    scores, y = draw_sample()
    odds = np.log(scores / (1 - scores))
    by_proba = ThresholdCalibrator(strategy="exact").fit(scores, y)
    by_odds = ThresholdCalibrator(strategy="exact").fit(odds, y)
    np.testing.assert_array_equal(by_proba.predict(scores), by_odds.predict(odds))
    with pytest.raises(ValueError, match="needs probabilities"):
        by_odds.predict_proba(odds)
    y = np.column_stack([y[:, 0], np.ones(len(y), dtype=bool)])
    with pytest.warns(ThresholdNotTunedWarning, match="default threshold 0 is used for 'y1'"):
        calibrator = ThresholdCalibrator().fit(odds[:, :2], y)
    assert calibrator.best_threshold_[1] == 0.0


def test_fixed_thresholds(mixed):
    """They are a number, one per binary attribute, one per attribute, or given by name."""
    columns, _, y = mixed
    for given in (
        [0.2, 0.4],
        [0.2, np.nan, 0.4],
        {"beard": 0.4, "hat": 0.2},
        pd.Series([0.2, 0.4]),
    ):
        calibrator = ThresholdCalibrator(thresholds=given).fit(columns, y)
        np.testing.assert_array_equal(calibrator.best_threshold_, [0.2, np.nan, 0.4])
        known = y["hat"].notna()
        expected = f1_score(y["hat"][known].astype(bool), columns[known, 0] >= 0.2)
        assert calibrator.cv_results_["cross_validated_scores"][0] == pytest.approx(expected)
    calibrator = ThresholdCalibrator(thresholds=0.3).fit(columns, y)
    np.testing.assert_array_equal(calibrator.best_threshold_, [0.3, np.nan, 0.3])


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ([0.1, 0.2, 0.3, 0.4], r"one number for each of the 2 binary output\(s\)"),
        ([0.1, 0.2, 0.3], r"must be NaN for outputs that are not binary: \['color'\]"),
        ({"hat": 0.2}, r"\['beard'\] are lacking; the binary outputs are \['hat', 'beard'\]"),
        ({"hat": 0.2, "beard": 0.1, "tie": 0.3}, r"others: \['tie'\] are not binary outputs;"),
        ({"hat": 0.2, "tie": 0.3}, r"\['beard'\] are lacking, and \['tie'\] are not binary"),
        ([0.2, np.nan], "The threshold of 'beard' is NaN"),
    ],
)
def test_rejects_invalid_fixed_thresholds(mixed, thresholds, message):
    """The message names the outputs."""
    columns, _, y = mixed
    with pytest.raises(ValueError, match=message):
        ThresholdCalibrator(thresholds=thresholds).fit(columns, y)


def test_best_score_is_cross_validated():
    """On uninformative scores, only the in-sample score is too high."""
    rng = np.random.default_rng(0)
    scores, y = rng.random((400, 30)), rng.random((400, 30)) < 0.03
    calibrator = ThresholdCalibrator(strategy="exact").fit(scores, y)
    fresh, labels = rng.random((4000, 30)), rng.random((4000, 30)) < 0.03
    true = f1_score(labels, calibrator.predict(fresh), average="macro")
    assert abs(calibrator.best_score_ - true) < 0.02
    assert calibrator.in_sample_score_ > true + 0.04
    assert calibrator.best_score_ == pytest.approx(
        calibrator.cv_results_["cross_validated_scores"].mean()
    )
    assert calibrator.in_sample_score_ == pytest.approx(
        calibrator.cv_results_["in_sample_scores"].mean()
    )
    assert calibrator.cv_results_["fold_thresholds"].shape == (5, 30)


@pytest.mark.parametrize("strategy", ["exact", "plugin", "shrunk", "auto"])
def test_strategies_are_nearly_optimal_with_many_rows(strategy):
    """All strategies come near the best threshold, and none exceeds it."""
    scores, y = draw_sample(n=20_000)
    calibrator = ThresholdCalibrator(strategy=strategy).fit(scores, y)
    best = find_thresholds(y, scores, strategy="exact").value
    assert calibrator.in_sample_score_ <= best + 1e-12
    assert calibrator.in_sample_score_ > best - (0.05 if strategy == "shrunk" else 0.01)


def test_auto_lies_between_exact_and_plugin():
    """It is the average on the scale of log odds, weighted by the number of positives."""

    def odds(strategy, n):
        rng = np.random.default_rng(1)
        y = rng.random(n) < 0.3
        scores = rng.beta(1 + 2 * y, 4)
        threshold = ThresholdCalibrator(strategy=strategy).fit(scores[:, None], y).best_threshold_
        return np.log(threshold / (1 - threshold)), y.sum()

    for n in (50, 300, 3000):
        (exact, support), (plugin, _), (auto, _) = (odds(s, n) for s in ("exact", "plugin", "auto"))
        share = support / (support + 100)
        assert auto == pytest.approx(share * exact + (1 - share) * plugin, abs=1e-9)


def test_missing_labels_and_scores_do_not_count():
    """Masked values have no influence, and rows without a score are as good as absent."""
    scores, y = draw_sample()
    labels = y.astype(float)
    labels[::4, 1] = np.nan
    with_nan = scores.copy()
    with_nan[::4, 1] = np.nan
    first = ThresholdCalibrator().fit(scores, labels)
    second = ThresholdCalibrator().fit(with_nan, y)
    np.testing.assert_array_equal(first.best_threshold_, second.best_threshold_)
    np.testing.assert_array_equal(
        first.cv_results_["cross_validated_scores"], second.cv_results_["cross_validated_scores"]
    )
    held_out = scores.copy()
    held_out[100:] = np.nan
    partly = ThresholdCalibrator().fit(held_out, y)
    alone = ThresholdCalibrator().fit(scores[:100], y[:100])
    np.testing.assert_array_equal(partly.best_threshold_, alone.best_threshold_)


def test_weights():
    """Integer weights equal repetition, and a label weight of 0 equals a missing label."""
    scores, y = draw_sample(n=60)
    times = 1 + np.arange(60) % 3
    params = {"strategy": "exact"}
    weighted = ThresholdCalibrator(**params).fit(scores, y, sample_weight=times)
    repeated = ThresholdCalibrator(**params).fit(
        np.repeat(scores, times, 0), np.repeat(y, times, 0)
    )
    np.testing.assert_allclose(weighted.best_threshold_, repeated.best_threshold_)
    label_weight = np.ones(y.shape)
    label_weight[::4, 1] = 0
    blanked = y.astype(float)
    blanked[::4, 1] = np.nan
    masked = ThresholdCalibrator(**params).fit(scores, y, label_weight=label_weight)
    missing = ThresholdCalibrator(**params).fit(scores, blanked)
    np.testing.assert_allclose(masked.best_threshold_, missing.best_threshold_)


def test_warns_once_of_labels_that_cannot_be_tuned():
    """One warning lists them with the reasons; they get the default threshold."""
    scores, y = draw_sample(n_labels=4)
    labels = y.astype(float)
    labels[:, 1], labels[:, 2] = 0, np.nan
    constant = scores.copy()
    constant[:, 3] = 0.4
    with pytest.warns(ThresholdNotTunedWarning) as caught:
        calibrator = ThresholdCalibrator(default_threshold=0.7).fit(constant, labels)
    assert len(caught) == 1
    message = str(caught[0].message)
    for part in (
        "'y1': one class only, the negative one",
        "'y2': no known label",
        "'y3': constant scores",
    ):
        assert part in message
    np.testing.assert_array_equal(calibrator.best_threshold_[1:], [0.7, 0.7, 0.7])
    constant_f1 = f1_score(y[:, 3], constant[:, 3] >= 0.7, zero_division=0)
    scores = calibrator.cv_results_["cross_validated_scores"]
    np.testing.assert_array_equal(scores[1:], [np.nan, np.nan, constant_f1])
    assert calibrator.best_score_ == pytest.approx(np.nanmean(scores))


def test_rejects_y_if_no_label_can_be_tuned():
    """The message lists all reasons."""
    scores, _ = draw_sample()
    with pytest.raises(
        ValueError, match="No threshold can be tuned: 'y0': one class only, the negative one"
    ):
        ThresholdCalibrator().fit(scores, np.zeros((300, 3)))
    with pytest.raises(ValueError, match="'y0': precision >= 1 is out of reach, the best"):
        ThresholdCalibrator(constraint=("precision", 1.0)).fit([[0.1], [0.9], [0.9]], [1, 0, 1])


@pytest.mark.parametrize(
    ("scores", "y", "message"),
    [
        (np.zeros((9, 2)), np.zeros((9, 3)), r"2 column\(s\), but y needs 3"),
        (np.zeros((9, 2)), np.zeros(8), "inconsistent numbers of samples"),
        ([np.zeros((9, 2))] * 2, np.zeros((9, 3)), "have 2 outputs, but y has 3"),
        ([np.zeros((9, 5))] * 3, np.zeros((9, 3)), "'y0' have shape"),
        (np.zeros((9, 3)), np.full((9, 3), 2.5), "continuous"),
        (np.zeros(9), np.zeros(9), "Reshape your data"),
    ],
)
def test_rejects_invalid_scores(scores, y, message):
    """The message names the shapes."""
    with pytest.raises(ValueError, match=message):
        ThresholdCalibrator().fit(scores, y)


def test_integer_labels_that_are_not_zero_and_one():
    """Two integers are two classes; three are a category, which needs three columns."""
    scores, y = draw_sample()
    calibrator = ThresholdCalibrator().fit(scores[:, [0]], np.where(y[:, 0], 7, 3))
    assert set(calibrator.predict(scores[:, [0]])) == {3, 7}
    with pytest.raises(ValueError, match="y needs 3"):
        ThresholdCalibrator().fit(scores[:, [0]], np.arange(300) % 3)


def test_predict_rejects_nan_scores():
    """The message names the row."""
    scores, y = draw_sample()
    calibrator = ThresholdCalibrator().fit(scores, y)
    scores[7, 1] = np.nan
    for method in ("predict", "predict_proba", "transform"):
        with pytest.raises(ValueError, match="a score of row 7 is NaN"):
            getattr(calibrator, method)(scores)


@pytest.mark.parametrize("columns", [slice(None), [0]])
def test_rows_without_a_score_in_predict(columns):
    """A warning names them, and their predictions are missing."""
    scores, y = draw_sample()
    scores, y = scores[:, columns], y[:, columns]
    calibrator = ThresholdCalibrator().fit(scores, y)
    holed, is_bad = scores.copy(), np.arange(len(y)) % 50 == 7
    holed[is_bad] = np.nan
    message = r"^6 of the 300 row\(s\) of X, the first of them row 7, have no score"
    for method in ("predict", "predict_proba", "transform"):
        with pytest.warns(BadImageWarning, match=message) as caught:
            found = getattr(calibrator, method)(holed)
        assert [warning.filename for warning in caught] == [__file__]
        expected = getattr(calibrator, method)(scores)
        if isinstance(found, list):
            found, expected = np.hstack(found), np.hstack(expected)
        assert pd.isna(found[is_bad]).all()
        np.testing.assert_array_equal(found[~is_bad], expected[~is_bad])
    with pytest.warns(BadImageWarning):
        score = calibrator.score(holed, y)
    assert score == pytest.approx(calibrator.score(scores[~is_bad], y[~is_bad]))


@pytest.mark.filterwarnings("ignore::skattr.exceptions.BadImageWarning")
def test_unreadable_rows_in_a_pipeline():
    """They pass the pipeline as missing labels, and scorers skip them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = X[:, :2] + rng.normal(size=(200, 2)) > 0
    is_bad = np.arange(200) % 9 == 4
    holed = np.where(is_bad[:, None], np.nan, X)
    network = AttributeClassifier(
        cross_fit=3, max_epochs=3, random_state=0, images=ImageReading(on_bad_image="warn")
    )
    pipeline = make_pipeline(network, ThresholdCalibrator()).fit(holed, y)
    labels = pipeline.predict(holed)
    np.testing.assert_array_equal(pd.isna(labels), np.repeat(is_bad[:, None], 2, axis=1))
    np.testing.assert_array_equal(labels[~is_bad], pipeline.predict(X[~is_bad]))
    for name in ("macro_f1", "mean_roc_auc"):
        expected = get_scorer(name)(pipeline, X[~is_bad], y[~is_bad])
        assert get_scorer(name)(pipeline, holed, y) == pytest.approx(expected)


def test_predict_rejects_other_columns():
    """Number and names of columns must be those of fit."""
    scores, y = draw_sample()
    calibrator = ThresholdCalibrator().fit(pd.DataFrame(scores, columns=list("abc")), y)
    assert calibrator.feature_names_in_.tolist() == list("abc")
    with pytest.raises(ValueError, match="feature names should match"):
        calibrator.predict(pd.DataFrame(scores, columns=list("acb")))
    with pytest.raises(ValueError, match="2 features"):
        ThresholdCalibrator().fit(scores, y).predict(scores[:, :2])


def test_declared_classes_and_missing_label():
    """A declared level that occurs in no row still has its column."""
    scores = np.random.default_rng(0).dirichlet([1, 1, 1], 30)
    color = np.where(np.arange(30) % 2, "red", "blue")
    y = pd.DataFrame({"color": color, "hat": np.where(np.arange(30) % 3, 1, -1)})
    y.loc[:9, "hat"] = 0
    columns = np.column_stack([scores, scores[:, 0]])
    calibrator = ThresholdCalibrator(
        attributes={"color": ("categorical", ["blue", "green", "red"])}, missing_label=-1
    ).fit(columns, y)
    assert calibrator.classes_[0].tolist() == ["blue", "green", "red"]
    assert calibrator.classes_[1].tolist() == [0, 1]


def test_clone_pickle_and_repeat():
    """A clone, a pickled copy and a second fit give the same thresholds."""
    scores, y = draw_sample()
    first = ThresholdCalibrator("mcc", average="macro").fit(scores, y)
    again = clone(first).fit(scores, y)
    np.testing.assert_array_equal(first.best_threshold_, again.best_threshold_)
    np.testing.assert_array_equal(
        first.cv_results_["cross_validated_scores"], again.cv_results_["cross_validated_scores"]
    )
    loaded = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(loaded.predict(scores), first.predict(scores))


def test_score_is_exact_match():
    """The score is the exact match over the known labels of each row."""
    scores, y = draw_sample()
    calibrator = ThresholdCalibrator().fit(scores, y)
    right = calibrator.predict(scores) == y
    assert calibrator.score(scores, y) == pytest.approx(right.all(axis=1).mean())
    labels = y.astype(float)
    labels[:, 0] = np.nan
    assert calibrator.score(scores, labels) == pytest.approx(right[:, 1:].all(axis=1).mean())


@pytest.mark.filterwarnings("ignore::skattr.exceptions.AssumptionWarning")
def test_confidence():
    """Labels with too few positives are always predicted, the others are certified."""
    rng = np.random.default_rng(0)
    y = rng.random((400, 2)) < [0.5, 0.01]
    scores = rng.beta(1 + 3 * y, 4)
    with pytest.warns(
        ThresholdNotTunedWarning, match=r"'y1': too few positives \(\d\) to guarantee"
    ):
        calibrator = ThresholdCalibrator(
            "precision", constraint=("recall", 0.9), confidence=0.9
        ).fit(scores, y)
    assert calibrator.best_threshold_[1] == 0.0
    assert calibrator.predict(scores)[:, 1].all()
    recall = (scores[y[:, 0], 0] >= calibrator.best_threshold_[0]).mean()
    assert recall > 0.9


def test_float32_scores_stay_float32():
    """Scores are not converted, and the thresholds equal those of float64."""
    scores, y = draw_sample(n=2000)
    single = scores.astype(np.float32)
    first = ThresholdCalibrator(strategy="exact").fit(single, y)
    second = ThresholdCalibrator(strategy="exact").fit(single.astype(np.float64), y)
    np.testing.assert_array_equal(first.best_threshold_, second.best_threshold_)
    assert first.transform(single).dtype == np.float64


def test_fewer_rows_than_folds():
    """Each row with a label is a fold of its own."""
    calibrator = ThresholdCalibrator().fit([[0.1], [0.3], [0.8], [0.9]], [[0], [0], [1], [1]])
    assert calibrator.cv_results_["fold_thresholds"].shape == (4, 1)
    assert calibrator.best_score_ == calibrator.in_sample_score_ == 1.0


def test_plain_fit_does_not_warn(mixed):
    """All warnings are errors here."""
    columns, _, y = mixed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predicted = ThresholdCalibrator().fit(columns, y).predict(columns)
    assert len(predicted) == len(y)


def test_reads_its_own_probabilities_of_an_ordered_output(rng):
    """A single output has sorted columns, whatever the order of its levels."""
    size = pd.Series(pd.Categorical(rng.choice(["s", "m", "l"], 60), ["s", "m", "l"], ordered=True))
    proba = np.eye(3)[size.astype(str).map({"l": 0, "m": 1, "s": 2}).to_numpy()]
    calibrator = ThresholdCalibrator().fit([proba], size)
    assert (calibrator.predict([proba]) == size.astype(str)).all()
    np.testing.assert_array_equal(calibrator.predict_proba([proba]), proba)


def test_failed_fit_changes_nothing():
    """Thresholds and expected columns are those of the fit before."""
    scores, y = draw_sample()
    calibrator = ThresholdCalibrator()
    with pytest.raises(ValueError):
        calibrator.fit(scores[:, :2], np.zeros((300, 2)))
    assert not hasattr(calibrator, "n_features_in_")
    calibrator.fit(scores, y)
    with pytest.raises(ValueError):
        calibrator.fit(scores[:, :2], np.zeros((300, 2)))
    assert calibrator.predict(scores).shape == y.shape


def test_columns_in_another_order_than_the_labels():
    """Thresholds of a label are found on its own scores, whichever order the columns have."""
    scores, y = draw_sample()
    frame, labels = pd.DataFrame(scores, columns=list("abc")), pd.DataFrame(y, columns=list("abc"))
    expected = ThresholdCalibrator().fit(frame, labels)
    calibrator = ThresholdCalibrator().fit(frame, labels[list("bca")])
    np.testing.assert_array_equal(calibrator.best_threshold_, expected.best_threshold_[[1, 2, 0]])
    np.testing.assert_array_equal(calibrator.predict(frame), expected.predict(frame)[:, [1, 2, 0]])
    np.testing.assert_array_equal(
        calibrator.transform(frame), expected.transform(frame)[:, [1, 2, 0]]
    )
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        predicted = calibrator.predict(frame.to_numpy())
    np.testing.assert_array_equal(predicted, calibrator.predict(frame))
    with pytest.raises(ValueError, match=r"X lacks \['c'\] and also has \['d'\]"):
        ThresholdCalibrator().fit(frame.rename(columns={"c": "d"}), labels)


def test_warning_points_at_the_callers_line():
    """It does not point into the package."""
    scores, y = draw_sample()
    y[:, 1] = False
    with pytest.warns(ThresholdNotTunedWarning) as caught:
        ThresholdCalibrator().fit(scores, y)
    assert caught[0].filename == __file__
