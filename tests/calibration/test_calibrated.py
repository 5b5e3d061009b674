"""CalibratedMultiOutputCV against scikit-learn's calibration of single outputs."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib import parallel_config
from scipy.special import logit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold, KFold, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

from skattr import AttributeClassifier, ImageReading
from skattr.calibration import CalibratedMultiOutputCV
from skattr.calibration._calibrators import (
    METHODS,
    Beta,
    Identity,
    Isotonic,
    Prior,
    Sigmoid,
    Temperature,
)
from skattr.exceptions import (
    BadImageWarning,
    PositiveLevelWarning,
    SkattrWarning,
    UnseenLabelError,
)
from tests.tiny_models import tiny

FOLDS = KFold(3, shuffle=True, random_state=0)


class FeatureClassifier(ClassifierMixin, BaseEstimator):
    """Classifier whose features are its scores and that records its fits.

    X has a column of scores per class of each output, and one column for a binary output.
    """

    fits: list = []

    def __init__(self, classes=None, proba=True):
        self.classes = classes
        self.proba = proba

    def fit(self, X, y, sample_weight=None, label_weight=None):
        """Only count."""
        FeatureClassifier.fits.append((len(X), sample_weight, label_weight))
        self.classes_ = [np.asarray(labels) for labels in self.classes]
        return self

    def __getattr__(self, name):
        asked = "predict_proba" if self.__dict__.get("proba", True) else "decision_function"
        if name == asked:
            return self._scores
        raise AttributeError(name)

    def _scores(self, X):
        parts, start = [], 0
        for labels in self.classes:
            width = 1 if len(labels) == 2 else len(labels)
            parts.append(np.asarray(X)[:, start : start + width])
            start += width
        return parts


@pytest.fixture
def binary():
    """Return the features and labels of one rare binary output."""
    return make_classification(900, n_informative=4, weights=[0.7], flip_y=0.1, random_state=0)


@pytest.fixture
def labels():
    """Return features and three binary outputs."""
    return make_multilabel_classification(300, n_features=8, n_classes=3, random_state=0)


def mixed(n=240, seed=0):
    """Return features and a table of four kinds of columns, a third of the labels missing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    noisy = X + rng.normal(0, 0.5, X.shape)
    y = pd.DataFrame(
        {
            "hat": pd.array(noisy[:, 0] > 0, dtype="boolean"),
            "color": np.array(["blue", "green", "red"], dtype=object)[
                np.digitize(noisy[:, 1], [-0.5, 0.5])
            ],
            "glasses": np.where(noisy[:, 2] > 0.3, 1.0, 0.0),
            "age": pd.Categorical.from_codes(
                np.digitize(noisy[:, 3], [-0.5, 0.5]), ["young", "adult", "old"], ordered=True
            ),
        }
    )
    return X, y.mask(pd.DataFrame(rng.random(y.shape) < 0.33, columns=y.columns))


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("classifier", "response_method"),
    [
        (GaussianNB(), "auto"),
        (RandomForestClassifier(20, random_state=0), "auto"),
        (LogisticRegression(), "decision_function"),
    ],
    ids=["bayes", "forest", "logistic"],
)
def test_one_output_equals_scikit_learn(binary, method, weighted, classifier, response_method):
    """The probabilities are those of CalibratedClassifierCV(ensemble=False).

    Except that our sigmoid acts on log odds of probabilities, and smooths labels by effective
    numbers of rows.
    """
    if method == "sigmoid" and (weighted or response_method == "auto"):
        pytest.skip("another sigmoid")
    X, y = binary
    weights = np.random.default_rng(0).random(len(y)) if weighted else None
    ours = CalibratedMultiOutputCV(
        classifier, method=method, cv=FOLDS, response_method=response_method
    ).fit(X[:600], y[:600], None if weights is None else weights[:600])
    theirs = CalibratedClassifierCV(classifier, method=method, cv=FOLDS, ensemble=False)
    theirs.fit(X[:600], y[:600], None if weights is None else weights[:600])
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.score(X, y) == theirs.score(X, y)


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.8"), reason="has no temperatures"
)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_temperature_equals_scikit_learn(n_classes):
    """The log loss is scikit-learn's, for two classes and for more."""
    X, y = make_classification(600, n_informative=6, n_classes=n_classes, random_state=0)
    classifier = GaussianNB().fit(X[:300], y[:300])
    frozen = FrozenEstimator(classifier)
    ours = CalibratedMultiOutputCV(frozen, method="temperature").fit(X[300:], y[300:])
    theirs = CalibratedClassifierCV(frozen, method="temperature").fit(X[300:], y[300:])
    found, expected = (log_loss(y[300:], clf.predict_proba(X[300:])) for clf in (ours, theirs))
    assert found == pytest.approx(expected, abs=1e-5)
    assert found < log_loss(y[300:], classifier.predict_proba(X[300:]))


@pytest.mark.parametrize("method", METHODS)
def test_several_outputs_equal_single_ones(labels, method):
    """A forest per output has the same calibrated probabilities together and alone."""
    X, y = labels
    forest = RandomForestClassifier(10, random_state=0)
    params = {"method": method, "cv": FOLDS, "min_support": 5, "pos_weight": 2}
    together = CalibratedMultiOutputCV(MultiOutputClassifier(forest), **params).fit(X, y)
    for j, proba in enumerate(together.predict_proba(X)):
        alone = CalibratedMultiOutputCV(forest, **params).fit(X, y[:, j])
        np.testing.assert_allclose(proba, alone.predict_proba(X), atol=1e-12)


@pytest.mark.parametrize(
    "classifier",
    [
        RandomForestClassifier(10, random_state=0),
        MultiOutputClassifier(LogisticRegression()),
        OneVsRestClassifier(LogisticRegression()),
        MLPClassifier((4,), solver="lbfgs", max_iter=15_000, random_state=0),
        AttributeClassifier(max_epochs=20, random_state=0),
        make_pipeline(StandardScaler(), AttributeClassifier(max_epochs=20, random_state=0)),
    ],
    ids=["forest", "multioutput", "one-vs-rest", "mlp", "attributes", "pipeline"],
)
@pytest.mark.parametrize("method", ["sigmoid", "beta"])
def test_every_form_of_classifier(labels, classifier, method):
    """The prediction is the argmax, and clones and pickles agree, for lists and matrices."""
    X, y = labels
    calibrated = CalibratedMultiOutputCV(classifier, method=method, cv=3).fit(X, y)
    probas = calibrated.predict_proba(X)
    predicted = calibrated.predict(X)
    assert [proba.shape for proba in probas] == [(300, 2)] * 3
    for j, proba in enumerate(probas):
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        np.testing.assert_array_equal(predicted[:, j], proba.argmax(axis=1))
        assert np.mean(proba[:, 1]) == pytest.approx(y[:, j].mean(), abs=0.05)
    again = clone(calibrated).fit(X, y)
    stored = pickle.loads(pickle.dumps(calibrated))
    for other in (again, stored):
        np.testing.assert_array_equal(other.predict_proba(X), probas)
    assert calibrated.score(X, y) == np.mean((predicted == y).all(axis=1))
    assert calibrated.n_outputs_ == 3
    assert not hasattr(calibrated, "decision_function")


def test_decisions_of_several_outputs(labels):
    """A matrix of decisions is calibrated to probabilities."""
    X, y = labels
    classifier = OneVsRestClassifier(LogisticRegression())
    by_decision = CalibratedMultiOutputCV(
        classifier, cv=FOLDS, method="temperature", response_method="decision_function"
    ).fit(X, y)
    by_proba = CalibratedMultiOutputCV(classifier, cv=FOLDS, method="temperature").fit(X, y)
    np.testing.assert_allclose(by_decision.predict_proba(X), by_proba.predict_proba(X), atol=1e-6)


def test_mixed_attributes_with_missing_labels():
    """All kinds are calibrated together, with the classes of the estimator."""
    X, y = mixed()
    classifier = AttributeClassifier(max_epochs=3, random_state=0)
    calibrated = CalibratedMultiOutputCV(classifier, method="sigmoid", cv=3).fit(X, y)
    kinds = [type(calibrator) for calibrator in calibrated.calibrators_]
    assert kinds == [Sigmoid, Temperature, Sigmoid, Temperature]
    assert calibrated.output_names_ == ["hat", "color", "glasses", "age"]
    assert calibrated.classes_[3].tolist() == ["young", "adult", "old"]
    for ours, theirs in zip(calibrated.classes_, calibrated.estimator_.classes_, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    probas = calibrated.predict_proba(X)
    assert [proba.shape[1] for proba in probas] == [2, 3, 2, 3]
    predicted = calibrated.predict(X)
    raw = calibrated.estimator_.predict(X)
    np.testing.assert_array_equal(predicted[:, [1, 3]], raw[:, [1, 3]])  # temperatures keep order
    for j, (proba, classes) in enumerate(zip(probas, calibrated.classes_, strict=True)):
        np.testing.assert_array_equal(predicted[:, j], classes[proba.argmax(axis=1)])
    known = y.notna().to_numpy()
    truth = y.astype(object).where(known, "unknown").to_numpy()
    right = ((predicted == truth) | ~known).all(axis=1)
    assert calibrated.score(X, y) == np.mean(right[known.any(axis=1)])


def test_calibration_lowers_the_log_loss():
    """Naive Bayes on four copies of a column is overconfident, and calibration corrects it."""
    X, y = mixed(1200)
    X = np.tile(X[:, 2:3] + np.random.default_rng(1).normal(0, 0.5, (1200, 1)), 4)
    glasses = y["glasses"].fillna(0).to_numpy()
    classifier = GaussianNB().fit(X[:300], glasses[:300])
    raw = log_loss(glasses[900:], classifier.predict_proba(X[900:]))
    for method in ("temperature", "sigmoid", "isotonic", "beta"):
        calibrated = CalibratedMultiOutputCV(classifier, method=method, cv="prefit")
        proba = calibrated.fit(X[300:900], glasses[300:900]).predict_proba(X[900:])
        assert log_loss(glasses[900:], np.clip(proba, 1e-3, 1 - 1e-3)) < raw - 0.05


@pytest.mark.parametrize(
    ("cv", "fits"), [(3, [200, 200, 200, 300]), (0.25, [225]), (None, [240] * 5 + [300])]
)
def test_number_of_fits(labels, cv, fits):
    """There is a fit per fold and one on all rows, or a single fit with a held-out share."""
    X, y = labels
    proba = np.random.default_rng(0).random((300, 3))
    FeatureClassifier.fits.clear()
    calibrated = CalibratedMultiOutputCV(
        FeatureClassifier([[0, 1]] * 3), cv=cv, random_state=0, min_support=1
    )
    calibrated.fit(proba, y)
    assert [n for n, _, _ in FeatureClassifier.fits] == fits
    FeatureClassifier.fits.clear()
    calibrated.set_params(method="prior", pos_weight=2).fit(proba, y)
    assert [n for n, _, _ in FeatureClassifier.fits] == [300]


@pytest.mark.parametrize("method", METHODS)
def test_prefit_fits_nothing(labels, method):
    """A fitted or frozen classifier is calibrated on all rows without another fit."""
    X, y = labels
    params = {"method": method, "min_support": 5, "pos_weight": 2}
    table = FeatureClassifier([[0, 1]] * 3).fit(X, y)
    proba = np.random.default_rng(0).random((300, 3))
    FeatureClassifier.fits.clear()
    by_cv = CalibratedMultiOutputCV(table, cv="prefit", **params).fit(proba, y)
    frozen = CalibratedMultiOutputCV(FrozenEstimator(table), **params).fit(proba, y)
    assert FeatureClassifier.fits == []
    assert by_cv.estimator_ is table
    np.testing.assert_array_equal(by_cv.predict_proba(proba), frozen.predict_proba(proba))
    alone = [
        CalibratedMultiOutputCV(FeatureClassifier([[0, 1]]).fit(X, y), cv="prefit", **params)
        .fit(proba[:, [j]], y[:, j])
        .predict_proba(proba[:, [j]])
        for j in range(3)
    ]
    np.testing.assert_allclose(by_cv.predict_proba(proba), alone)


def test_prior_is_exact():
    """Logistic regression with class weights w, in a model that is true: the odds are w times.

    With a feature per cell the fitted odds are the weighted frequencies, so undoing the weight
    gives the very frequencies.
    """
    cells = np.repeat(np.arange(3), [100, 200, 300])
    y = np.concatenate([np.arange(n) < k for n, k in [(100, 10), (200, 60), (300, 240)]]).astype(
        int
    )
    X = np.eye(3)[cells]
    weights = {0: 1, 1: 7}
    classifier = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000, class_weight=weights)
    calibrated = CalibratedMultiOutputCV(classifier, method="prior", pos_weight=7).fit(X, y)
    np.testing.assert_allclose(
        calibrated.predict_proba(np.eye(3))[:, 1], [0.1, 0.3, 0.8], rtol=1e-5
    )
    by_decision = calibrated.set_params(response_method="decision_function").fit(X, y)
    np.testing.assert_allclose(
        by_decision.predict_proba(np.eye(3))[:, 1], [0.1, 0.3, 0.8], rtol=1e-5
    )
    assert by_decision.calibrators_ == [Prior(False, 7.0)]


def test_prior_on_mixed_attributes():
    """Each binary attribute has its weight, and the others are unchanged."""
    X, y = mixed()
    fitted = FrozenEstimator(AttributeClassifier(max_epochs=3, random_state=0).fit(X, y))
    raw = fitted.predict_proba(X)
    calibrated = CalibratedMultiOutputCV(fitted, method="prior", pos_weight={"glasses": 4.0})
    found = calibrated.fit(X, y).predict_proba(X)
    for j in (0, 1, 3):
        np.testing.assert_allclose(found[j], raw[j], rtol=1e-6)
    np.testing.assert_allclose(logit(found[2][:, 1]), logit(raw[2][:, 1]) - np.log(4), atol=1e-5)
    balanced = calibrated.set_params(pos_weight="balanced").fit(X, y)
    counts = y["glasses"].value_counts()
    assert balanced.calibrators_[2].weight == counts[0.0] / counts[1.0]
    assert balanced.calibrators_[1] == Identity(True)


class PositiveWeightedRegression(LogisticRegression):
    """Classifier with a parameter for the weight of positives."""

    def __init__(self, pos_weight=None):
        super().__init__()
        self.pos_weight = pos_weight

    def fit(self, X, y, sample_weight=None):
        """Fit with the weight."""
        return super().fit(X, y, np.where(y == 1, self.pos_weight, 1))


def test_prior_reads_the_estimators_own_weight(binary):
    """It is also found inside a pipeline; without any, there is an error."""
    X, y = binary
    classifier = make_pipeline(StandardScaler(), PositiveWeightedRegression(5))
    calibrated = CalibratedMultiOutputCV(classifier, method="prior").fit(X, y)
    assert calibrated.calibrators_ == [Prior(True, 5)]
    with pytest.raises(ValueError, match="neither pos_weight is set nor a parameter of that name"):
        CalibratedMultiOutputCV(GaussianNB(), method="prior").fit(X, y)


def test_only_the_prior_depends_on_which_class_is_positive(binary):
    """It warns if the positive class was chosen by sorting; other methods have no need to."""
    X, y = binary
    pets = np.where(y == 1, "dog", "cat")
    prior = CalibratedMultiOutputCV(GaussianNB(), method="prior", pos_weight=3)
    with pytest.warns(PositiveLevelWarning, match="dog"):
        prior.fit(X, pets)
    CalibratedMultiOutputCV(GaussianNB(), method="sigmoid").fit(X, pets)


@pytest.mark.parametrize("method", ["temperature", "sigmoid", "isotonic", "beta"])
@pytest.mark.parametrize("proba", [True, False])
def test_missing_labels_have_no_influence(method, proba):
    """A missing label is equivalent to a row without it for the calibrator of its column."""
    rng = np.random.default_rng(0)
    scores = rng.random((200, 5))
    scores[:, 1:4] /= scores[:, 1:4].sum(axis=1, keepdims=True)
    y = np.stack(
        [
            (rng.random(200) < scores[:, 0]).astype(int),
            rng.integers(0, 3, 200),
            (rng.random(200) < scores[:, 4]).astype(int),
        ],
        axis=1,
    ).astype(object)
    table = FeatureClassifier([[0, 1], [0, 1, 2], [0, 1]], proba).fit(scores, y)
    params = {"method": method, "cv": "prefit", "min_support": 5}
    for j in range(3):
        missing = rng.random(200) < 0.4
        blanked = y.copy()
        blanked[missing, j] = [None, np.nan, pd.NA][j]
        blank = CalibratedMultiOutputCV(table, **params).fit(scores, blanked)
        full = CalibratedMultiOutputCV(table, **params).fit(scores, y)
        dropped = CalibratedMultiOutputCV(table, **params).fit(scores[~missing], y[~missing])
        for column in range(3):
            same = dropped if column == j else full
            np.testing.assert_array_equal(
                blank.predict_proba(scores)[column], same.predict_proba(scores)[column]
            )


def test_missing_label_of_another_type():
    """A string that marks missing labels is read from the estimator and is no class."""
    X, y = mixed()
    marked = y.astype(object).where(y.notna(), "?")
    classifier = AttributeClassifier(max_epochs=3, random_state=0)
    plain = CalibratedMultiOutputCV(classifier, cv=3).fit(X, y)
    marking = clone(classifier).set_params(missing_label="?", attributes={"age": plain_ordinal()})
    found = CalibratedMultiOutputCV(marking, cv=3).fit(X, marked)
    for j in range(3):
        np.testing.assert_allclose(
            plain.predict_proba(X)[j], found.predict_proba(X)[j], rtol=1e-5, atol=1e-6
        )


def plain_ordinal():
    """Return the declaration of the ordinal attribute."""
    return ("ordinal", ["young", "adult", "old"])


def test_weights_reach_fit_and_calibration(labels):
    """Integer weights equal repetition, for rows and for single labels."""
    _, y = labels
    rng = np.random.default_rng(0)
    proba = rng.random((300, 3))
    row_weight, label_weight = rng.integers(0, 3, 300), rng.integers(0, 3, (300, 3))
    table = FeatureClassifier([[0, 1]] * 3)
    FeatureClassifier.fits.clear()
    params = {"method": "temperature", "cv": FOLDS}
    weighted = CalibratedMultiOutputCV(table, **params).fit(
        proba, y, row_weight.tolist(), label_weight
    )
    train, _ = next(FOLDS.split(proba))
    np.testing.assert_array_equal(FeatureClassifier.fits[0][1], row_weight[train])
    np.testing.assert_array_equal(FeatureClassifier.fits[0][2], label_weight[train])
    np.testing.assert_array_equal(FeatureClassifier.fits[3][2], label_weight)
    for j in range(3):
        rows = np.repeat(np.arange(300), row_weight * label_weight[:, j])
        alone = CalibratedMultiOutputCV(FeatureClassifier([[0, 1]]), **params)
        alone.fit(proba[rows][:, [j]], y[rows, j])
        expected = alone.predict_proba(proba[:, [j]])
        np.testing.assert_allclose(weighted.predict_proba(proba)[j], expected, atol=1e-5)


def test_estimator_without_weights(binary):
    """Only the calibrators are weighted, and a warning says so."""
    X, y = binary
    pipeline = make_pipeline(StandardScaler(), GaussianNB())
    weights = np.random.default_rng(0).random(len(y))
    with pytest.warns(SkattrWarning, match="Pipeline.fit does not take sample_weight"):
        weighted = CalibratedMultiOutputCV(pipeline, cv=FOLDS).fit(X, y, weights)
    plain = CalibratedMultiOutputCV(pipeline, cv=FOLDS).fit(X, y)
    assert weighted.calibrators_ != plain.calibrators_
    inner = CalibratedMultiOutputCV(pipeline, cv=FOLDS).fit(X, y, gaussiannb__sample_weight=weights)
    assert inner.estimator_[-1].class_prior_[0] != plain.estimator_[-1].class_prior_[0]


def test_metadata_routing(labels):
    """Weights go where they are requested, and groups go to the splitter."""
    _, y = labels
    proba = np.random.default_rng(0).random((300, 3))
    groups = np.arange(300) % 6
    ones = np.ones(300)
    with sklearn.config_context(enable_metadata_routing=True):
        FeatureClassifier.fits.clear()
        estimator = FeatureClassifier([[0, 1]] * 3).set_fit_request(
            sample_weight=True, label_weight=False
        )
        calibrated = CalibratedMultiOutputCV(estimator, cv=GroupKFold(3))
        calibrated.fit(proba, y, sample_weight=ones, label_weight=np.ones((300, 3)), groups=groups)
        assert [len(weight) for _, weight, _ in FeatureClassifier.fits] == [200, 200, 200, 300]
        assert all(weight is None for _, _, weight in FeatureClassifier.fits)
        FeatureClassifier.fits.clear()
        calibrated.fit(proba, y, groups=groups)
        assert all(weight is None for _, weight, _ in FeatureClassifier.fits)
        nested = CalibratedMultiOutputCV(
            MultiOutputClassifier(LogisticRegression().set_fit_request(sample_weight=True)), cv=3
        )
        result = cross_validate(
            nested.set_fit_request(sample_weight=True).set_score_request(sample_weight=True),
            proba,
            y,
            cv=FOLDS,
            params={"sample_weight": ones},
            error_score="raise",
        )
    assert len(result["test_score"]) == 3
    FeatureClassifier.fits.clear()
    calibrated.fit(proba, y, groups=groups)  # also without routing
    assert len(FeatureClassifier.fits) == 4


def test_one_warning_for_all_rare_attributes():
    """Attributes with too few labels are not calibrated, and one warning names them all."""
    rng = np.random.default_rng(0)
    scores = rng.random((100, 5))
    scores[:, 2:] /= scores[:, 2:].sum(axis=1, keepdims=True)
    y = np.empty((100, 3), dtype=object)
    y[:, 0] = np.arange(100) % 2
    y[:, 1] = (np.arange(100) < 3).astype(int)
    y[:9, 2] = [0, 1, 2] * 3
    table = FeatureClassifier([[0, 1], [0, 1], [0, 1, 2]])
    with pytest.warns(SkattrWarning) as caught:
        calibrated = CalibratedMultiOutputCV(table, cv=FOLDS).fit(scores, y)
    [warning] = caught
    assert str(warning.message) == (
        "2 of 3 attributes are not calibrated, because they have too few known labels: "
        "'y1': 3 positive and 97 negative labels, of each 5 needed; 'y2': 9 labels, 10 needed."
    )
    assert warning.filename == __file__
    assert [type(calibrator) for calibrator in calibrated.calibrators_] == [
        Sigmoid,
        Identity,
        Identity,
    ]
    np.testing.assert_allclose(calibrated.predict_proba(scores)[1][:, 1], scores[:, 1])
    np.testing.assert_allclose(calibrated.predict_proba(scores)[2], scores[:, 2:])
    fewer = CalibratedMultiOutputCV(table, cv=FOLDS, min_support=3).fit(scores, y)
    assert [type(calibrator) for calibrator in fewer.calibrators_] == [
        Sigmoid,
        Sigmoid,
        Temperature,
    ]


def test_class_that_a_fold_has_not_seen():
    """Labels for which a fold's classifier has no score do not count."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = np.digitize(X[:, 0] + rng.normal(0, 0.5, 300), [-0.5, 0.5])
    folds = np.arange(300) % 3
    rare = np.flatnonzero((folds == 0) & (y == 0))
    y[np.flatnonzero(y == 0)] = 1
    y[rare] = 0  # class 0 is in the test rows of the first fold only
    splits = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(3)]
    for response_method in ("predict_proba", "decision_function"):
        calibrated = CalibratedMultiOutputCV(
            LogisticRegression(), cv=splits, response_method=response_method
        ).fit(X, y)
        blanked = y.astype(float)
        blanked[rare] = np.nan
        assert calibrated.classes_.tolist() == [0, 1, 2]
        known = np.isfinite(blanked)
        frozen = FrozenEstimator(LogisticRegression().fit(X[known], y[known]))
        assert 0.3 < calibrated.calibrators_[0].temperature < 3
        assert calibrated.predict_proba(X).shape == (300, 3)
        with_frozen = CalibratedMultiOutputCV(frozen)
        with pytest.raises(UnseenLabelError, match=r"labels \[0\], which are not among"):
            with_frozen.fit(X, y)


def test_rows_that_no_fold_holds_out(labels):
    """They are used for training and do not count in the calibration."""
    _, y = labels
    proba = np.random.default_rng(0).random((300, 3))
    splits = [(np.arange(150, 300), np.arange(100)), (np.arange(100), np.arange(100, 150))]
    part = CalibratedMultiOutputCV(FeatureClassifier([[0, 1]] * 3), cv=iter(splits)).fit(proba, y)
    prefit = FeatureClassifier([[0, 1]] * 3).fit(proba, y)
    expected = CalibratedMultiOutputCV(prefit, cv="prefit").fit(proba[:150], y[:150])
    np.testing.assert_allclose(part.predict_proba(proba), expected.predict_proba(proba))


def test_one_output_with_missing_labels():
    """Classes are sorted, and probabilities are in their order."""
    X, y = mixed()
    classifier = AttributeClassifier(max_epochs=40, random_state=0)
    for name, n_classes in [("color", 3), ("age", 3), ("hat", 2)]:
        calibrated = CalibratedMultiOutputCV(classifier, cv=0.4, random_state=0).fit(X, y[name])
        assert calibrated.classes_.tolist() == sorted(calibrated.classes_.tolist())
        proba = calibrated.predict_proba(X)
        assert proba.shape == (240, n_classes)
        np.testing.assert_array_equal(
            calibrated.predict(X), calibrated.classes_[proba.argmax(axis=1)]
        )
        known = y[name].notna()
        right = calibrated.predict(X)[known] == y[name][known].to_numpy()
        assert calibrated.score(X, y[name]) == right.mean() > 0.6
        if n_classes > 2:  # temperatures keep the order
            np.testing.assert_array_equal(calibrated.predict(X), calibrated.estimator_.predict(X))


def test_parallel_equals_serial(labels):
    """Folds fitted in parallel give the same calibration."""
    X, y = labels
    forest = RandomForestClassifier(5, random_state=0)
    serial = CalibratedMultiOutputCV(forest, cv=2).fit(X, y)
    with parallel_config("threading"):
        parallel = CalibratedMultiOutputCV(forest, cv=2, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(serial.predict_proba(X), parallel.predict_proba(X))


def test_in_pipelines_and_searches(labels):
    """It works as the last step under cross_validate, and with feature names."""
    X, y = labels
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(8)])
    calibrated = CalibratedMultiOutputCV(RandomForestClassifier(10, random_state=0), cv=2)
    result = cross_validate(make_pipeline(StandardScaler(), calibrated), X, y, cv=FOLDS)
    assert (result["test_score"] > 0.2).all()
    named = clone(calibrated).fit(frame, y)
    assert named.feature_names_in_.tolist() == frame.columns.tolist()
    assert named.n_features_in_ == 8
    assert not hasattr(named.fit(X, y), "feature_names_in_")


def test_images(images, table):
    """Images are divided into folds unchanged."""
    y = table[["hat", "color"]]
    calibrated = CalibratedMultiOutputCV(tiny(), cv=2, method="beta", min_support=3)
    probas = calibrated.fit(images, y).predict_proba(images)
    assert [proba.shape for proba in probas] == [(24, 2), (24, 3)]
    assert [type(calibrator) for calibrator in calibrated.calibrators_] == [Beta, Temperature]


def test_rejects_nan_scores_in_fit(labels):
    """The message names the output and the row."""
    _, y = labels
    proba = np.random.default_rng(0).random((300, 3))
    proba[7, 1] = np.nan
    with pytest.raises(ValueError, match="scores of output 'y1' contain NaN, first in row 7"):
        CalibratedMultiOutputCV(FeatureClassifier([[0, 1]] * 3), cv=FOLDS).fit(proba, y)


def test_rejects_nan_scores_in_predict(labels):
    """A row without scores is rejected unless it is an unreadable image."""
    X, y = labels
    calibrated = CalibratedMultiOutputCV(
        FeatureClassifier([[0, 1]] * 3), cv="prefit", method="prior"
    )
    rng = np.random.default_rng(0)
    calibrated.estimator.fit(X, y)
    calibrated.set_params(pos_weight=2.0).fit(rng.random((300, 3)), y)
    proba = rng.random((5, 3))
    proba[2] = np.nan
    for method in ("predict", "predict_proba"):
        with pytest.raises(ValueError, match="the score of row 2 is NaN"):
            getattr(calibrated, method)(proba)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_labels", [1, 3])
def test_unreadable_rows(labels, method, n_labels):
    """They have no influence on the calibrators; NaN and None are predicted, with one warning."""
    X, y = labels[0], labels[1][:, :n_labels] if n_labels > 1 else labels[1][:, 0]
    is_bad = np.arange(300) % 9 == 4
    holed = np.where(is_bad[:, None], np.nan, X)
    network = AttributeClassifier(
        max_epochs=3, random_state=0, images=ImageReading(on_bad_image="warn")
    ).fit(X, y)
    params = {"method": method, "cv": "prefit", "min_support": 2, "pos_weight": 3.0}
    calibrated = CalibratedMultiOutputCV(network, **params)
    other = clone(calibrated).set_params(estimator=network).fit(X[~is_bad], y[~is_bad])
    calls = {"fit": (holed, y), "predict": (holed,), "predict_proba": (holed,), "score": (holed, y)}
    found = {}
    for name, given in calls.items():
        if method == "prior" and name == "fit":
            calibrated.fit(X, y)  # uses no scores of the classifier
            continue
        with pytest.warns(BadImageWarning, match="row 4 of X") as caught:
            found[name] = getattr(calibrated, name)(*given)
        assert [warning.filename for warning in caught] == [__file__]
    assert calibrated.calibrators_ == other.calibrators_ or method == "isotonic"
    expected, probas = other.predict_proba(X[~is_bad]), found["predict_proba"]
    if n_labels == 1:
        expected, probas = [expected], [probas]
    for ours, part in zip(probas, expected, strict=True):
        assert np.isnan(ours[is_bad]).all()
        np.testing.assert_allclose(ours[~is_bad], part, rtol=1e-9)
    assert (found["predict"][is_bad] == None).all()  # noqa: E711, an array
    np.testing.assert_array_equal(found["predict"][~is_bad], other.predict(X[~is_bad]))
    assert found["score"] == pytest.approx(other.score(X[~is_bad], y[~is_bad]))
    with pytest.warns(BadImageWarning):
        assert (calibrated.predict(holed[is_bad]) == None).all()  # noqa: E711, an array


@pytest.mark.filterwarnings("ignore::skattr.exceptions.BadImageWarning")
def test_unreadable_rows_in_folds(labels):
    """They do not count in the fold that holds them out."""
    X, y = labels
    holed = np.where((np.arange(300) % 9 == 4)[:, None], np.nan, X)
    network = AttributeClassifier(
        max_epochs=2, random_state=0, images=ImageReading(on_bad_image="warn")
    )
    for cv in (3, 0.4):
        calibrated = CalibratedMultiOutputCV(network, cv=cv, random_state=0).fit(holed, y)
        assert [type(calibrator) for calibrator in calibrated.calibrators_] == [Sigmoid] * 3


@pytest.mark.parametrize("cv", [3, 0.4])
def test_classifier_without_support_for_missing_labels(labels, cv):
    """The message names the outputs, and the classifier's own error is its cause."""
    X, y = labels
    frame = pd.DataFrame(y, columns=list("abc")).astype("boolean")
    frame.loc[::7, ["b", "c"]] = pd.NA
    calibrated = CalibratedMultiOutputCV(RandomForestClassifier(2), cv=cv)
    message = r"RandomForestClassifier does not support missing labels, .* output\(s\) \['b', 'c'\]"
    with pytest.raises(ValueError, match=message) as caught:
        calibrated.fit(X, frame)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"method": "platt"}, "'method' parameter .* must be a str among"),
        ({"cv": "fit"}, "'cv' parameter"),
        ({"cv": 1.5}, "'cv' parameter"),
        ({"min_support": 0}, "'min_support' parameter"),
        ({"response_method": "predict"}, "'response_method' parameter"),
        ({"pos_weight": -1.0}, "'pos_weight' parameter"),
        ({"method": "prior", "pos_weight": [1, 2]}, "one number for each of the 3 binary"),
    ],
)
def test_rejects_invalid_parameters(labels, params, message):
    """The message names the parameter and what is valid."""
    X, y = labels
    with pytest.raises(ValueError, match=message):
        CalibratedMultiOutputCV(RandomForestClassifier(2), **params).fit(X, y)


def test_rejects_invalid_input(labels):
    """The message names what is wrong with y, weights or the estimator."""
    X, y = labels
    forest = RandomForestClassifier(2)
    with pytest.raises(NotFittedError, match="the `estimator` must be fitted"):
        CalibratedMultiOutputCV(forest, cv="prefit").fit(X, y)
    with pytest.raises(NotFittedError):
        CalibratedMultiOutputCV(forest).predict(X)
    fitted = FrozenEstimator(forest.fit(X, y))
    with pytest.raises(ValueError, match="y has 2 output"):
        CalibratedMultiOutputCV(fitted).fit(X, y[:, :2])
    with pytest.raises(ValueError, match="label_weight of row 3, attribute 'y1'"):
        weights = np.ones(y.shape)
        weights[3, 1] = -1
        CalibratedMultiOutputCV(fitted).fit(X, y, label_weight=weights)
    with pytest.raises(ValueError, match="None of its labels is known"):
        calibrated = CalibratedMultiOutputCV(fitted).fit(X, y)
        calibrated.score(X, np.full(y.shape, np.nan))
    with pytest.raises(UnseenLabelError, match="label 2"):
        calibrated.score(X, y * 2)
    with pytest.raises(AttributeError, match="decision_function"):
        CalibratedMultiOutputCV(fitted, response_method="decision_function").fit(X, y)


def test_isotonic_needs_many_labels(binary):
    """It is fitted from a hundred labels of each class on."""
    X, y = binary
    calibrated = CalibratedMultiOutputCV(GaussianNB(), method="isotonic", cv=3)
    assert type(calibrated.fit(X, y).calibrators_[0]) is Isotonic
    with pytest.warns(SkattrWarning, match="of each 100 needed"):
        calibrated.fit(X[:200], y[:200])


CONTRACT = [
    CalibratedMultiOutputCV(LogisticRegression(C=1), cv=3),
    CalibratedMultiOutputCV(
        LogisticRegression(C=1), cv=3, min_support=2, method="beta", response_method="predict_proba"
    ),
    CalibratedMultiOutputCV(
        AttributeClassifier(batch_size=100_000, max_epochs=10), cv=3, min_support=2
    ),
    CalibratedMultiOutputCV(
        AttributeClassifier(batch_size=100_000, max_epochs=10, random_state=0),
        method="prior",
        pos_weight=1.0,
    ),
]
# Checks that may fail, each with a reason.
EXPECTED_FAILURES: dict[str, str] = {}


@pytest.mark.filterwarnings("ignore::skattr.exceptions.SkattrWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(CONTRACT, expected_failed_checks=lambda _: EXPECTED_FAILURES)
def test_scikit_learn_contract(estimator, check):
    """All checks of scikit-learn pass, with a linear model and with a network."""
    assert check(estimator) is None
