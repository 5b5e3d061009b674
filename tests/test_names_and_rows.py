"""Wherever two tables meet, columns are matched by name and indexes of rows are compared."""

import contextlib
import functools
import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_validate, train_test_split
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skattr import (
    AttributeClassifier,
    CalibratedMultiOutputCV,
    ThresholdCalibrator,
    TunedThresholdMultiOutputCV,
    inspection,
    metrics,
)
from skattr.datasets import check_images
from skattr.exceptions import RowIndexWarning
from skattr.losses import CrossEntropyLoss
from skattr.model_selection import (
    MultilabelStratifiedGroupKFold,
    MultilabelStratifiedKFold,
    MultilabelStratifiedShuffleSplit,
    OfficialSplit,
    cross_val_predict_proba,
    multilabel_train_test_split,
)
from skattr.thresholds import find_thresholds

matplotlib.use("Agg")
N = 300
NAMES = ["a", "b", "c", "d"]
ORDER = ["d", "c", "b", "a"]
RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.normal(size=(N, 6)), columns=[f"f{j}" for j in range(6)])
LOGITS = X.to_numpy() @ RNG.normal(size=(6, 4)) + RNG.normal(size=(N, 4)) + [0, 1.5, -1, -2.5]
Y = pd.DataFrame((LOGITS > 0).astype(int), columns=NAMES)
PROBA = pd.DataFrame(1 / (1 + np.exp(-LOGITS - RNG.normal(size=(N, 4)))), columns=NAMES)
PRED = (PROBA > 0.4).astype(int)
WEIGHT = pd.DataFrame(RNG.uniform(0.1, 3, size=(N, 4)), columns=NAMES)
GROUPS = pd.Series(RNG.integers(40, size=N), name="person")
ZERO_ONE = dict.fromkeys(NAMES, ("binary", [0.0, 1.0]))
KINDS = {"d": ("categorical", [0, 1])}


@functools.cache
def fitted():
    """Return a classifier of the labels."""
    return AttributeClassifier(max_epochs=8, random_state=0).fit(X, Y)


@pytest.fixture(autouse=True)
def close_figures():
    """Close the figures of a test."""
    yield
    plt.close("all")


def meta(estimator, y, label_weight=None):
    """Return the probabilities, labels and thresholds of a fitted meta-estimator by name."""
    estimator = clone(estimator)
    estimator.estimator = fitted()
    if hasattr(estimator, "refit"):
        estimator.set_params(refit=False)
    estimator.set_params(cv="prefit").fit(X, y, label_weight=label_weight)
    found = pd.DataFrame(estimator.predict(X), columns=estimator.output_names_)[NAMES].to_numpy()
    return np.append(found, getattr(estimator, "best_score_", 0.0))


def trained(y, label_weight=None, **params):
    """Return the probabilities of a new classifier by name."""
    classifier = AttributeClassifier(max_epochs=2, random_state=0, **params)
    classifier.fit(X, y, label_weight=label_weight)
    proba = classifier.set_output(transform="pandas").transform(X)
    return proba[NAMES].to_numpy()


def streamed(y, label_weight=None):
    """Return the probabilities after a call of partial_fit, in the order of the first call."""
    classifier = AttributeClassifier(random_state=0).partial_fit(X, Y)
    return classifier.partial_fit(X, y, label_weight=label_weight).transform(X)


def grown(label_weight):
    """Return the probabilities of attributes that are added."""
    classifier = AttributeClassifier(max_epochs=2, random_state=0).fit(
        X, Y[["a"]].add_prefix("old ")
    )
    return classifier.add_attributes(X, Y, label_weight=label_weight).transform(X)


def weighted_score(y, label_weight):
    """Return a score whose weights are metadata."""
    with sklearn.config_context(enable_metadata_routing=True):
        return metrics.get_scorer("macro_f1")(fitted(), X, y, label_weight=label_weight)


def by_name(display):
    """Return the values of a display of scores by name."""
    return pd.Series(display.values, index=display.names)[NAMES].to_numpy()


# Each function takes `of`, which selects columns: in the order of the other table, or not.
MATCHED = {
    "macro_f1": lambda of: metrics.get_scorer("macro_f1")(fitted(), X, of(Y)),
    "micro_precision": lambda of: metrics.get_scorer("micro_precision")(fitted(), X, of(Y)),
    "neg_log_loss": lambda of: metrics.get_scorer("neg_log_loss")(fitted(), X, of(Y)),
    "mean_roc_auc": lambda of: metrics.get_scorer("mean_roc_auc")(fitted(), X, of(Y)),
    "instance_f1": lambda of: metrics.get_scorer("instance_f1")(fitted(), X, of(Y)),
    "per attribute": lambda of: pd.Series(
        metrics.get_scorer("macro_f1", per_attribute=True)(fitted(), X, of(Y))
    ).sort_index().to_numpy(),
    "scorer, weights in an array": lambda of: weighted_score(of(Y), of(WEIGHT).to_numpy()),
    "scorer, weights with names": lambda of: weighted_score(of(Y), WEIGHT),
    "score": lambda of: fitted().score(X, of(Y)),
    "tuned": lambda of: meta(TunedThresholdMultiOutputCV(None, strategy="exact"), of(Y)),
    "tuned, weights in an array": lambda of: meta(
        TunedThresholdMultiOutputCV(None, strategy="exact"), of(Y), of(WEIGHT).to_numpy()
    ),
    "tuned, weights with names": lambda of: meta(
        TunedThresholdMultiOutputCV(None, strategy="exact"), of(Y), WEIGHT
    ),
    "calibrated": lambda of: meta(CalibratedMultiOutputCV(None), of(Y)),
    "frozen": lambda of: TunedThresholdMultiOutputCV(FrozenEstimator(fitted()))
    .fit(X, of(Y))
    .score(X, Y),
    "tuned, score": lambda of: TunedThresholdMultiOutputCV(
        MultiOutputClassifier(LogisticRegression()), cv=3
    ).fit(X, Y).score(X, of(Y)),
    "tuned, scorer": lambda of: metrics.get_scorer("macro_f1")(
        TunedThresholdMultiOutputCV(MultiOutputClassifier(LogisticRegression()), cv=3).fit(X, Y),
        X,
        of(Y),
    ),
    "pipeline": lambda of: metrics.get_scorer("macro_f1")(
        make_pipeline(StandardScaler(), fresh()).fit(X, Y), X, of(Y)
    ),
    "search": lambda of: metrics.get_scorer("macro_f1")(
        GridSearchCV(
            AttributeClassifier(max_epochs=2, random_state=0), {"lr": [0.01]}, cv=KFold(2)
        ).fit(X, Y),
        X,
        of(Y),
    ),
    "partial_fit": lambda of: streamed(of(Y)),
    "partial_fit, weights": lambda of: streamed(of(Y), of(WEIGHT).to_numpy()),
    "label_weight": lambda of: trained(Y, of(WEIGHT)),
    "label_weight of negatives": lambda of: trained(
        Y.where(Y != 0), of(WEIGHT), loss=CrossEntropyLoss(unknown="negative"), attributes=ZERO_ONE
    ),
    "add_attributes": lambda of: grown(of(WEIGHT)),
    "encoder": lambda of: fitted().encoder_.transform(of(Y)),
    "ThresholdCalibrator, scores": lambda of: ThresholdCalibrator()
    .fit(of(PROBA), Y)
    .predict(of(PROBA)),
    "ThresholdCalibrator, y": lambda of: ThresholdCalibrator().fit(PROBA, Y).score(PROBA, of(Y)),
    "ThresholdCalibrator, weights": lambda of: ThresholdCalibrator()
    .fit(PROBA, Y, label_weight=of(WEIGHT))
    .best_threshold_,
    "find_thresholds": lambda of: find_thresholds(Y, of(PROBA)).thresholds,
    "find_thresholds, weights": lambda of: find_thresholds(
        Y, PROBA, sample_weight=of(WEIGHT)
    ).thresholds,
    "f1_score": lambda of: metrics.f1_score(Y, of(PRED), average=None),
    "f1_score, kinds": lambda of: metrics.f1_score(Y, of(PRED), average=None, attributes=KINDS),
    "f1_score, strings": lambda of: metrics.f1_score(
        Y.astype(str), of(PRED).astype(str), average=None
    ),
    "f1_score, weights": lambda of: metrics.f1_score(
        Y, PRED, average=None, label_weight=of(WEIGHT)
    ),
    "roc_auc_score": lambda of: metrics.roc_auc_score(Y, of(PROBA), average=None),
    "log_loss": lambda of: metrics.log_loss(Y, of(PROBA), average=None),
    "pedestrian_metrics": lambda of: list(metrics.pedestrian_metrics(Y, of(PROBA)).values()),
    "vaw_metrics": lambda of: list(metrics.vaw_metrics(Y, of(PROBA)).values()),
    "coco_metrics": lambda of: list(metrics.coco_metrics(Y, of(PROBA)).values()),
    "chexpert_auc": lambda of: list(
        metrics.chexpert_auc(Y, of(PROBA), observations=NAMES).values()
    ),
    "report of labels": lambda of: metrics.attribute_report(Y, of(PRED))["f1"].to_numpy(),
    "report of scores": lambda of: metrics.attribute_report(Y, y_score=of(PROBA))[
        ["f1", "roc_auc"]
    ].to_numpy(),
    "report of both": lambda of: metrics.attribute_report(Y, of(PRED), PROBA)[
        ["f1", "roc_auc"]
    ].to_numpy(),
    "scores display": lambda of: by_name(
        inspection.AttributeScoresDisplay.from_estimator(fitted(), X, of(Y), confidence=None)
    ),
    "scores display of AUC": lambda of: by_name(
        inspection.AttributeScoresDisplay.from_estimator(
            fitted(), X, of(Y), metric="roc_auc", confidence=None
        )
    ),
    "scores display of labels": lambda of: by_name(
        inspection.AttributeScoresDisplay.from_predictions(Y, of(PRED), confidence=None)
    ),
    "threshold curves": lambda of: inspection.ThresholdCurveDisplay.from_estimator(
        fitted(), X, of(Y), select=NAMES
    ).at("f1", [0.4] * 4),
    "threshold curves of scores": lambda of: inspection.ThresholdCurveDisplay.from_predictions(
        Y, of(PROBA), select=NAMES
    ).at("f1", [0.4] * 4),
    "reliability": lambda of: inspection.ReliabilityDisplay.from_estimator(
        fitted(), X, of(Y), select=NAMES
    ).errors,
    "reliability of scores": lambda of: inspection.ReliabilityDisplay.from_predictions(
        Y, of(PROBA), select=NAMES
    ).errors,
    "errors": lambda of: inspection.ErrorCorrelationDisplay.from_estimator(
        fitted(), X, of(Y), select=NAMES
    ).correlation.to_numpy(),
    "errors of labels": lambda of: inspection.ErrorCorrelationDisplay.from_predictions(
        Y, of(PRED), select=NAMES
    ).correlation.to_numpy(),
    "suspected_label_errors": lambda of: inspection.suspected_label_errors(
        Y, of(PROBA), select=NAMES
    )["margin"].to_numpy(),
}  # fmt: skip


@pytest.mark.parametrize("name", MATCHED)
def test_columns_are_matched_by_name(name):
    """Columns in another order give the same numbers; other columns are an error."""
    function = MATCHED[name]
    expected = function(lambda table: table[NAMES])
    np.testing.assert_allclose(function(lambda table: table[ORDER]), expected, rtol=1e-12)
    for wrong in (
        lambda table: table[NAMES[1:]],
        lambda table: table.assign(extra=0),
        lambda table: table.rename(columns={"a": "other"}),
        lambda table: table[["b", "b", "c", "d"]],
    ):
        if name == "chexpert_auc":  # selects the columns it needs
            break
        with pytest.raises(ValueError, match="extra|other|lacks|more than once"):
            function(wrong)


def test_scores_are_those_of_scikit_learn():
    """The value is that of the columns in their own order."""
    predicted = fitted().predict(X)
    expected = sklearn.metrics.f1_score(Y.to_numpy(), predicted, average="macro")
    assert metrics.get_scorer("macro_f1")(fitted(), X, Y[ORDER]) == pytest.approx(expected)
    tuned = TunedThresholdMultiOutputCV(FrozenEstimator(fitted()), strategy="exact")
    tuned.fit(X, Y[ORDER])
    assert tuned.output_names_ == NAMES
    for j, name in enumerate(NAMES):
        scores = fitted().predict_proba(X)[j][:, 1]
        f1 = [sklearn.metrics.f1_score(Y[name], scores >= t) for t in np.unique(scores)]
        at_threshold = sklearn.metrics.f1_score(Y[name], scores >= tuned.best_threshold_[j])
        assert at_threshold == pytest.approx(max(f1))


def test_names_that_are_numbers():
    """A DataFrame of an array has numbers for names; chosen numbers are matched, too."""
    numbered = Y.set_axis(range(4), axis=1)
    classifier = AttributeClassifier(max_epochs=8, random_state=0).fit(X, numbered)
    scorer = metrics.get_scorer("macro_f1")
    assert scorer(classifier, X, numbered[[3, 1, 0, 2]]) == scorer(classifier, X, numbered)
    # columns without names belong together by position
    assert scorer(classifier, X, Y) == scorer(classifier, X, numbered)
    assert scorer(fitted(), X, numbered) == scorer(fitted(), X, Y.to_numpy())
    with pytest.raises(ValueError, match="lacks"):
        scorer(fitted(), X, numbered[[3, 1, 0, 2]])


def test_warm_start_needs_the_order():
    """A network whose branches are in another order is no start."""
    classifier = clone(fitted()).set_params(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match=r"columns of y are \['d', .* were \['a', "):
        classifier.fit(X, Y[ORDER])
    assert classifier.fit(X, Y).output_names_ == NAMES


@pytest.mark.parametrize("order", [NAMES, ORDER])
def test_numbers_by_name(order):
    """A Series of numbers per attribute is matched by its index."""
    numbers = pd.Series({"a": 0.2, "b": 0.5, "c": 0.7, "d": 0.9})
    given = numbers[order]
    calibrator = ThresholdCalibrator(thresholds=given).fit(PROBA, Y)
    np.testing.assert_array_equal(calibrator.best_threshold_, numbers)
    report = metrics.attribute_report(Y, y_score=PROBA, thresholds=given)
    np.testing.assert_array_equal(report["threshold"][:4], numbers)
    mixed = Y.assign(c=np.array(["x", "y", "z"])[np.arange(N) % 3])
    scores = [np.stack([1 - PROBA[n], PROBA[n]], axis=1) for n in NAMES]
    scores[2] = np.full((N, 3), 1 / 3)
    known = given.mask(given.index == "c")  # NaN, as in best_threshold_
    calibrator = ThresholdCalibrator(thresholds=known).fit(scores, mixed)
    np.testing.assert_array_equal(calibrator.best_threshold_, [0.2, 0.5, np.nan, 0.9])
    with pytest.raises(ValueError, match="lacking"):
        ThresholdCalibrator(thresholds=given.rename({"a": "other"})).fit(PROBA, Y)


# ---------------------------------------------------------------------------------------- rows

SCORE_WEIGHT = pd.Series(RNG.uniform(0.1, 1, N), name="weight")
PATHS = pd.Series([f"{row}.png" for row in range(N)])
PARTS = pd.Series(np.where(np.arange(N) % 3, "train", "test"))
IMAGES = pd.DataFrame({"path": [__file__] * N})


def tuned(**params):
    """Return a meta-estimator of scikit-learn's classifiers."""
    inner = MultiOutputClassifier(LogisticRegression())
    return TunedThresholdMultiOutputCV(inner, cv=2, **params)


# Each function takes `of`, which changes the row labels of one of the tables.
ROWS = {
    "fit": lambda of: fresh().fit(X, of(Y)),
    "fit, sample_weight": lambda of: fresh().fit(X, Y, sample_weight=of(SCORE_WEIGHT)),
    "fit, weights of an array": lambda of: fresh().fit(
        X.to_numpy(), Y, sample_weight=of(SCORE_WEIGHT)
    ),
    "fit, label_weight": lambda of: fresh().fit(X, Y, label_weight=of(WEIGHT)),
    "fit, category": lambda of: fresh(category_prior="joint").fit(X, Y, category=of(GROUPS)),
    "fit, one attribute": lambda of: fresh().fit(X, of(Y["a"])),
    "partial_fit": lambda of: fresh().partial_fit(X, of(Y)),
    "fit_transform": lambda of: fresh(cross_fit=2).fit_transform(X, of(Y)),
    "fit_transform with a splitter": lambda of: fresh(
        cross_fit=MultilabelStratifiedKFold(2)
    ).fit_transform(X, of(Y)),
    "add_attributes": lambda of: AttributeClassifier(max_epochs=1)
    .fit(X, Y[["a"]])
    .add_attributes(X, of(Y[["b"]])),
    "score": lambda of: fitted().score(X, of(Y)),
    "score, sample_weight": lambda of: fitted().score(X, Y, of(SCORE_WEIGHT)),
    "scorer": lambda of: metrics.get_scorer("macro_f1")(fitted(), X, of(Y)),
    "scorer, sample_weight": lambda of: metrics.get_scorer("macro_f1")(
        fitted(), X, Y, sample_weight=of(SCORE_WEIGHT)
    ),
    "tuned": lambda of: tuned().fit(X, of(Y)),
    "tuned, sample_weight": lambda of: TunedThresholdMultiOutputCV(fresh(), cv=2).fit(
        X, Y, sample_weight=of(SCORE_WEIGHT)
    ),
    "tuned, label_weight": lambda of: TunedThresholdMultiOutputCV(fresh(), cv=2).fit(
        X, Y, label_weight=of(WEIGHT)
    ),
    "tuned, groups": lambda of: tuned()
    .set_params(cv=MultilabelStratifiedGroupKFold(2))
    .fit(X, Y, groups=of(GROUPS)),
    "tuned, score": lambda of: fit_once().score(X, of(Y)),
    "calibrated": lambda of: CalibratedMultiOutputCV(fresh(), cv=2).fit(X, of(Y)),
    "ThresholdCalibrator": lambda of: ThresholdCalibrator().fit(PROBA, of(Y)),
    "ThresholdCalibrator, y": lambda of: ThresholdCalibrator().fit(PROBA, Y).score(PROBA, of(Y)),
    "cross_val_predict_proba": lambda of: cross_val_predict_proba(fresh(), X, of(Y), cv=2),
    "cross_val_predict_proba, params": lambda of: cross_val_predict_proba(
        fresh(), X, Y, cv=2, params={"sample_weight": of(SCORE_WEIGHT)}
    ),
    "KFold": lambda of: next(MultilabelStratifiedKFold(2).split(X, of(Y))),
    "ShuffleSplit": lambda of: next(MultilabelStratifiedShuffleSplit(2).split(X, of(Y))),
    "GroupKFold": lambda of: next(MultilabelStratifiedGroupKFold(2).split(X, Y, of(GROUPS))),
    "OfficialSplit": lambda of: next(OfficialSplit(of(PARTS)).split(X)),
    "train_test_split": lambda of: multilabel_train_test_split(X, of(Y)),
    "train_test_split, stratify": lambda of: multilabel_train_test_split(X, stratify=of(Y)),
    "find_thresholds": lambda of: find_thresholds(Y, of(PROBA)),
    "find_thresholds, weights": lambda of: find_thresholds(
        Y, PROBA.to_numpy(), sample_weight=of(SCORE_WEIGHT)
    ),
    "f1_score": lambda of: metrics.f1_score(Y, of(PRED)),
    "f1_score, Series": lambda of: metrics.f1_score(Y["a"], of(PRED["a"])),
    "f1_score, sample_weight": lambda of: metrics.f1_score(
        Y, PRED.to_numpy(), sample_weight=of(SCORE_WEIGHT)
    ),
    "f1_score, label_weight": lambda of: metrics.f1_score(Y, PRED, label_weight=of(WEIGHT)),
    "roc_auc_score": lambda of: metrics.roc_auc_score(Y, of(PROBA)),
    "log_loss of a list": lambda of: metrics.log_loss(
        Y, [pd.DataFrame({0: 1 - p, 1: p}) for _, p in of(PROBA).items()]
    ),
    "pedestrian_metrics": lambda of: metrics.pedestrian_metrics(Y, of(PROBA)),
    "chexpert_auc": lambda of: metrics.chexpert_auc(Y, of(PROBA), observations=NAMES),
    "report": lambda of: metrics.attribute_report(Y, of(PRED)),
    "report, scores": lambda of: metrics.attribute_report(Y, PRED, of(PROBA)),
    "report, slices": lambda of: metrics.attribute_report(Y, PRED, slices=of(PARTS)),
    "report, groups": lambda of: metrics.attribute_report(
        Y, PRED, confidence=0.9, n_bootstrap=3, groups=of(GROUPS)
    ),
    "report, sample_weight": lambda of: metrics.attribute_report(
        Y, PRED, sample_weight=of(SCORE_WEIGHT)
    ),
    "consistency_score": lambda of: metrics.consistency_score(
        Y, {"implies": [("a", "b")]}, sample_weight=of(SCORE_WEIGHT)
    ),
    "attribute_profiles": lambda of: metrics.attribute_profiles(Y, of(PARTS)),
    "embedding_similarity": lambda of: metrics.embedding_similarity(X, of(PARTS)),
    "scores display": lambda of: inspection.AttributeScoresDisplay.from_estimator(
        fitted(), X, of(Y), n_bootstrap=2
    ),
    "scores display of labels": lambda of: inspection.AttributeScoresDisplay.from_predictions(
        Y, of(PRED), n_bootstrap=2
    ),
    "scores display, groups": lambda of: inspection.AttributeScoresDisplay.from_predictions(
        Y, PRED, n_bootstrap=2, groups=of(GROUPS)
    ),
    "threshold curves": lambda of: inspection.ThresholdCurveDisplay.from_predictions(Y, of(PROBA)),
    "reliability": lambda of: inspection.ReliabilityDisplay.from_estimator(fitted(), X, of(Y)),
    "errors": lambda of: inspection.ErrorCorrelationDisplay.from_estimator(fitted(), X, of(Y)),
    "check_images": lambda of: check_images(IMAGES, target=of(Y)),
    "gallery": lambda of: gallery(of(IMAGES)),
    "suspected_label_errors": lambda of: inspection.suspected_label_errors(Y, of(PROBA)),
}  # fmt: skip


def fresh(**params):
    """Return a classifier that is fitted fast."""
    return AttributeClassifier(max_epochs=1, random_state=0, **params)


@functools.cache
def fit_once():
    """Return a fitted meta-estimator."""
    return tuned().fit(X, Y)


def gallery(paths):
    """Draw a gallery of paths; rows are compared before this file, which is no image, is opened."""
    with contextlib.suppress(OSError):
        inspection.GalleryDisplay.from_predictions(Y, PRED, X=paths, n_images=1)


@pytest.mark.filterwarnings("ignore::skattr.exceptions.InSampleWarning")
@pytest.mark.filterwarnings("ignore::skattr.exceptions.ClassOrderWarning")
@pytest.mark.parametrize("name", ROWS)
def test_indexes_of_rows_are_compared(name):
    """Permuted labels are an error, other labels one warning, equal labels nothing."""
    function = ROWS[name]
    function(lambda table: table)
    permutation = np.random.default_rng(1).permutation(N)
    with pytest.raises(ValueError, match=r"in another order.*\.loc\["):
        function(lambda table: table.iloc[permutation])
    with pytest.warns(RowIndexWarning) as caught:
        function(lambda table: table.set_axis(range(1000, 1000 + N), axis=0))
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_paths_of_scikit_learn_are_silent():
    """Rows that are sliced alike, and frames that steps return, give no warning."""
    X_train, X_test, y_train, y_test = train_test_split(X, Y, random_state=0)
    scaled = make_pipeline(StandardScaler().set_output(transform="pandas"), fresh())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0 <= fresh().fit(X_train, y_train).score(X_test, y_test) <= 1
        for rows in (X, X.to_numpy()):
            for cv in (KFold(3), KFold(3, shuffle=True, random_state=0), 2):
                scoring = metrics.get_scorer("macro_f1")
                cross_validate(scaled, rows, Y, cv=cv, scoring=scoring, error_score="raise")
        GridSearchCV(
            scaled, {"attributeclassifier__lr": [0.01, 0.1]}, cv=2, error_score="raise"
        ).fit(X_train, y_train, attributeclassifier__sample_weight=SCORE_WEIGHT[X_train.index])
        tuned().fit(X_train, y_train)


def test_shuffled_labels_do_not_train():
    """The case that was found: a table of labels in another order."""
    permutation = np.random.default_rng(0).permutation(N)
    with pytest.raises(ValueError, match=r"Pass y.loc\[X.index\]"):
        fresh().fit(X, Y.iloc[permutation])
    shuffled = Y.iloc[permutation]
    fixed = fresh().fit(X, shuffled.loc[X.index]).predict(X)
    np.testing.assert_array_equal(fixed, fresh().fit(X, Y).predict(X))
    reset = X.sample(frac=1, random_state=0).reset_index(drop=True)
    with pytest.raises(ValueError, match="in another order"):
        fresh().fit(reset, shuffled)


def test_columns_of_pyarrow_are_matched_by_name():
    """A pyarrow table with its columns in another order has the score of the DataFrame."""
    pyarrow = pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = pd.DataFrame({"a": X[:, 0] > 0, "b": X[:, 1] > 1, "c": rng.random(40) > 0.5})
    table = pyarrow.table(y.to_dict("list"))
    classifier = AttributeClassifier(max_epochs=5, random_state=0).fit(X, table)
    scorer = metrics.get_scorer("macro_f1")
    expected = scorer(classifier, X, y)
    assert scorer(classifier, X, table) == expected
    assert scorer(classifier, X, table.select(["c", "a", "b"])) == expected
    with pytest.raises(ValueError, match=r"y lacks \['c'\]"):
        scorer(classifier, X, table.select(["b", "a"]))
