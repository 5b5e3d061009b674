"""Sparse tables of zeros and ones are read wherever dense ones are."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from skattr import (
    AttributeClassifier,
    AttributeEncoder,
    CalibratedMultiOutputCV,
    ThresholdCalibrator,
    TunedThresholdMultiOutputCV,
    metrics,
)
from skattr import model_selection as ms
from skattr.inspection import (
    AttributeScoresDisplay,
    CooccurrenceDisplay,
    ErrorCorrelationDisplay,
    GalleryDisplay,
    ReliabilityDisplay,
    ThresholdCurveDisplay,
    suspected_label_errors,
)
from skattr.thresholds import find_thresholds

plt = pytest.importorskip("matplotlib.pyplot")
N = 90
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 4))
Y = (X[:, :3] + 0.7 * RNG.normal(size=(N, 3)) > 0.3).astype(int)
SCORES = RNG.random((N, 3))
PREDICTED = (SCORES > 0.5).astype(int)
TREE = DecisionTreeClassifier(max_depth=2, random_state=0)
IMAGES = np.zeros((N, 8, 8, 3), np.uint8)


def net(**params):
    """Return a small classifier."""
    return AttributeClassifier(max_epochs=1, random_state=0, **params)


FITTED, TREE_FITTED = net().fit(X, Y), TREE.fit(X, Y)
# It predicts sparse labels, as it was fitted on such.
RESTS = OneVsRestClassifier(LogisticRegression()).fit(X, scipy.sparse.csr_matrix(Y))
EACH = {"average": None}
ENTRIES = {
    "AttributeEncoder": lambda y: AttributeEncoder().fit(y).transform(y),
    "fit": lambda y: net().fit(X, y).predict_proba(X),
    "fit, held-out rows": lambda y: net(validation_fraction=0.2).fit(X, y).predict_proba(X),
    "partial_fit": lambda y: net().partial_fit(X, y).partial_fit(X, y).predict_proba(X),
    "add_attributes": lambda y: net().fit(X, Y).add_attributes(X, y).predict_proba(X),
    "fit_transform": lambda y: net(cross_fit=3).fit_transform(X, y),
    "fit_transform, splitter": lambda y: net(
        cross_fit=ms.MultilabelStratifiedKFold(3)
    ).fit_transform(X, y),
    "score": lambda y: FITTED.score(X, y),
    "Pipeline": lambda y: make_pipeline(
        net(cross_fit=3), ThresholdCalibrator()
    ).fit(X, y).score(X, y),
    "GridSearchCV": lambda y: GridSearchCV(
        net(), {"lr": [0.1]}, cv=3, scoring=metrics.get_scorer("macro_f1")
    ).fit(X, y).best_score_,
    "TunedThresholdMultiOutputCV": lambda y: TunedThresholdMultiOutputCV(
        net(), cv=3
    ).fit(X, y).best_threshold_,
    "Tuned, neighbors": lambda y: TunedThresholdMultiOutputCV(
        KNeighborsClassifier(), cv=3
    ).fit(X, y).best_threshold_,
    "Tuned, one versus rest": lambda y: TunedThresholdMultiOutputCV(
        OneVsRestClassifier(LogisticRegression()), cv=3
    ).fit(X, y).score(X, y),
    "Tuned, prefit": lambda y: TunedThresholdMultiOutputCV(
        TREE_FITTED, cv="prefit", refit=False
    ).fit(X, y).best_threshold_,
    "CalibratedMultiOutputCV": lambda y: CalibratedMultiOutputCV(
        TREE, cv=3
    ).fit(X, y).predict_proba(X),
    "ThresholdCalibrator": lambda y: ThresholdCalibrator().fit(SCORES, y).best_threshold_,
    "find_thresholds": lambda y: find_thresholds(y, SCORES).thresholds,
    "cross_val_predict_proba": lambda y: ms.cross_val_predict_proba(TREE, X, y, cv=3),
    "KFold": lambda y: [test for _, test in ms.MultilabelStratifiedKFold(3).split(X, y)],
    "GroupKFold": lambda y: [
        test for _, test in ms.MultilabelStratifiedGroupKFold(3).split(X, y, np.arange(N) // 2)
    ],
    "ShuffleSplit": lambda y: next(
        ms.MultilabelStratifiedShuffleSplit(1, random_state=0).split(X, y)
    )[1],
    "train_test_split": lambda y: [
        dense(part) for part in ms.multilabel_train_test_split(X, y, random_state=0)
    ],
    "f1_score": lambda y: metrics.f1_score(y, PREDICTED, **EACH),
    "f1_score, predicted": lambda y: metrics.f1_score(Y, y, **EACH),
    "subset_accuracy": lambda y: metrics.subset_accuracy(y, y),
    "roc_auc_score": lambda y: metrics.roc_auc_score(y, SCORES, **EACH),
    "average_precision_score": lambda y: metrics.average_precision_score(
        y, FITTED.predict_proba(X), **EACH
    ),
    "log_loss": lambda y: metrics.log_loss(y, SCORES),
    "pedestrian_metrics": lambda y: [*metrics.pedestrian_metrics(y, SCORES).values()],
    "consistency_score": lambda y: metrics.consistency_score(y, {"at_most_one": [[0, 1]]}),
    "attribute_profiles": lambda y: metrics.attribute_profiles(y, ["a", "b"] * (N // 2)),
    "attribute_report": lambda y: metrics.attribute_report(
        y, PREDICTED, SCORES, slices=["a", "b"] * (N // 2), confidence=0.9, n_bootstrap=5
    ).select_dtypes("number"),
    "scorer": lambda y: metrics.get_scorer("macro_f1")(FITTED, X, y),
    "scorer of scores": lambda y: metrics.get_scorer("mean_roc_auc")(TREE_FITTED, X, y),
    "scorer of sparse labels": lambda y: metrics.get_scorer("macro_f1")(RESTS, X, y),
    "suspected_label_errors": lambda y: suspected_label_errors(y, SCORES)[["row", "margin"]],
    "AttributeScoresDisplay": lambda y: AttributeScoresDisplay.from_estimator(
        RESTS, X, y, n_bootstrap=5
    ).low,
    "ThresholdCurveDisplay": lambda y: ThresholdCurveDisplay.from_estimator(FITTED, X, y).precision,
    "ReliabilityDisplay": lambda y: ReliabilityDisplay.from_predictions(y, SCORES).errors,
    "CooccurrenceDisplay": lambda y: CooccurrenceDisplay.from_labels(y).matrix,
    "ErrorCorrelationDisplay": lambda y: ErrorCorrelationDisplay.from_estimator(
        RESTS, X, y
    ).correlation,
    "GalleryDisplay": lambda y: GalleryDisplay.from_predictions(y, PREDICTED, X=IMAGES).rows,
}  # fmt: skip


def dense(part):
    """Return an array."""
    return part.toarray() if scipy.sparse.issparse(part) else np.asarray(part)


def numbers(result):
    """Return all numbers of a result as one array, and close figures."""
    plt.close("all")
    parts = result if isinstance(result, list | tuple) else [result]
    return np.concatenate([np.ravel(np.asarray(part, dtype=float)) for part in parts])


def sparse_forms(dtypes):
    """Yield the labels in every format, and with explicit zeros."""
    for name in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia"):
        for container, dtype in zip(("matrix", "array"), dtypes, strict=True):
            form = getattr(scipy.sparse, f"{name}_{container}")
            yield f"{name}_{container}", form(Y.astype(dtype))
    rows, columns = np.indices(Y.shape)
    entries = (Y.ravel(), (rows.ravel(), columns.ravel()))
    yield "explicit zeros", scipy.sparse.csr_array(entries, Y.shape)


@pytest.mark.parametrize("entry", ENTRIES)
def test_sparse_labels_give_what_dense_ones_give(entry):
    """In every format of scipy, as matrices and arrays."""
    call = ENTRIES[entry]
    expected = numbers(call(Y))
    dtypes = [(np.int64, bool), (float, np.int8)]
    slow = entry in ("GridSearchCV", "Pipeline") or entry.startswith(
        ("Tuned", "Calib", "fit", "add")
    )
    for name, y in sparse_forms(dtypes[0]):
        if not slow or name in ("csr_matrix", "coo_array", "dok_array", "explicit zeros"):
            np.testing.assert_allclose(numbers(call(y)), expected, atol=1e-6, err_msg=name)
    if not slow:
        for name, y in sparse_forms(dtypes[1]):
            np.testing.assert_allclose(numbers(call(y)), expected, atol=1e-6, err_msg=name)


def test_one_sparse_column():
    """It is one binary output."""
    y = scipy.sparse.csc_array(Y[:, :1])
    classifier = net().fit(X, y)
    np.testing.assert_array_equal(classifier.classes_, [0, 1])
    np.testing.assert_array_equal(
        classifier.predict_proba(X), net().fit(X, Y[:, 0]).predict_proba(X)
    )
    frame = pd.DataFrame.sparse.from_spmatrix(scipy.sparse.csr_matrix(Y), columns=list("abc"))
    np.testing.assert_array_equal(AttributeEncoder().fit_transform(frame), Y)
