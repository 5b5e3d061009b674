"""Scorers in scikit-learn's tools."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn import metrics as reference
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LearningCurveDisplay,
    ValidationCurveDisplay,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skattr import AttributeClassifier, ImageReading, TunedThresholdMultiOutputCV
from skattr.exceptions import BadImageWarning, ImageReadError
from skattr.metrics import (
    average_precision_score,
    f1_score,
    get_scorer,
    get_scorer_names,
    make_attribute_scorer,
    pedestrian_metrics,
)

PROBA = [name for name in get_scorer_names() if "log_loss" in name or "brier" in name]
ORDINAL = ["neg_mean_absolute_error", "quadratic_kappa"]


@pytest.fixture
def data():
    """150 rows of three binary labels."""
    return make_multilabel_classification(150, n_classes=3, n_labels=2, random_state=0)


@pytest.fixture
def mixed():
    """Return features, and a bool, a category and an ordered attribute with missing labels."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    size = np.array(["s", "m", "l"])[np.digitize(X[:, 2], [-0.4, 0.4])]
    y = pd.DataFrame(
        {
            "hat": pd.array(X[:, 0] > 0.3, dtype="boolean"),
            "color": np.array(["blue", "green", "red"])[np.digitize(X[:, 1], [-0.4, 0.4])],
            "size": pd.Categorical(size, ["s", "m", "l"], ordered=True),
        }
    )
    y.loc[::7, "hat"] = None
    y.loc[::5, "color"] = None
    return X, y


REFERENCE = {
    "macro_f1": lambda y, p, s: reference.f1_score(y, p, average="macro"),
    "micro_precision": lambda y, p, s: reference.precision_score(y, p, average="micro"),
    "weighted_recall": lambda y, p, s: reference.recall_score(y, p, average="weighted"),
    "subset_accuracy": lambda y, p, s: reference.accuracy_score(y, p),
    "neg_hamming_loss": lambda y, p, s: -reference.hamming_loss(y, p),
    "hamming_accuracy": lambda y, p, s: 1 - reference.hamming_loss(y, p),
    "mean_average_precision": lambda y, p, s: reference.average_precision_score(y, s),
    "mean_roc_auc": lambda y, p, s: reference.roc_auc_score(y, s),
    "mean_accuracy": lambda y, p, s: np.mean(
        [reference.balanced_accuracy_score(a, b) for a, b in zip(y.T, p.T, strict=True)]
    ),
    "mcc": lambda y, p, s: np.mean(
        [reference.matthews_corrcoef(a, b) for a, b in zip(y.T, p.T, strict=True)]
    ),
    "neg_log_loss": lambda y, p, s: (
        -np.mean([reference.log_loss(a, b) for a, b in zip(y.T, s.T, strict=True)])
    ),
    "neg_brier_score": lambda y, p, s: (
        -np.mean([reference.brier_score_loss(a, b) for a, b in zip(y.T, s.T, strict=True)])
    ),
    "instance_f1": lambda y, p, s: pedestrian_metrics(y, p.astype(float))["f1"],
}


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize(
    "classifier",
    [RandomForestClassifier(50, random_state=0), OneVsRestClassifier(LogisticRegression())],
    ids=["list", "matrix"],
)
def test_scorers_equal_scikit_learn(name, classifier, data):
    """On binary labels without missing ones, computed from the output of the classifier."""
    X, y = data
    classifier = clone(classifier).fit(X[:100], y[:100])
    probas = classifier.predict_proba(X[100:])
    if isinstance(probas, list):
        probas = np.stack([part[:, 1] for part in probas], axis=1)
    probas = np.clip(probas, 1e-3, 1 - 1e-3) if name == "neg_log_loss" else probas
    expected = REFERENCE[name](y[100:], classifier.predict(X[100:]), probas)
    found = get_scorer(name)(classifier, X[100:], y[100:])
    assert found == pytest.approx(expected, abs=0.02 if name == "neg_log_loss" else 1e-12)


TWO = {
    "one-vs-rest": OneVsRestClassifier(LogisticRegression()),
    "mlp": MLPClassifier((8,), solver="lbfgs", max_iter=20, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression())),
    "forest": RandomForestClassifier(20, random_state=0),
}


@pytest.mark.parametrize("name", ["mean_average_precision", "mean_roc_auc", "neg_log_loss"])
@pytest.mark.parametrize("classifier", TWO)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_two_labels_are_not_two_classes(name, classifier, data):
    """Two columns are two labels, although `classes_` is [0, 1]."""
    X, y = data[0], data[1][:, :2]
    classifier = clone(TWO[classifier]).fit(X[:100], y[:100])
    probas = classifier.predict_proba(X[100:])
    if isinstance(probas, list):
        probas = np.stack([part[:, 1] for part in probas], axis=1)
    expected = REFERENCE[name](y[100:], None, np.clip(probas, 1e-12, 1 - 1e-12))
    assert get_scorer(name)(classifier, X[100:], y[100:]) == pytest.approx(expected, abs=1e-3)


def test_two_decision_values_are_of_two_labels(data):
    """The same holds for a classifier without probabilities."""
    X, y = data[0], data[1][:, :2]
    ridge = RidgeClassifier().fit(X, y)
    expected = reference.roc_auc_score(y, ridge.decision_function(X))
    assert get_scorer("mean_roc_auc")(ridge, X, y) == pytest.approx(expected)


class Counting(OneVsRestClassifier):
    """A classifier that counts its predictions."""

    asked = 0

    def predict_proba(self, X):
        """Count and predict."""
        type(self).asked += 1
        return super().predict_proba(X)


def test_scorers_share_a_prediction(data):
    """Several scorers predict once, also with a scikit-learn scorer that reads one column."""
    X, y = data[0], data[1][:, :2]
    names = ("mean_roc_auc", "mean_average_precision")
    scoring = {name: get_scorer(name) for name in names} | {"f1": "f1_macro"}
    classifier, Counting.asked = Counting(LogisticRegression()), 0
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_validate(classifier, X, y, scoring=scoring, cv=2, error_score="raise")
    assert Counting.asked == 2
    for name in names:
        alone = cross_validate(classifier, X, y, scoring=get_scorer(name), cv=2)
        np.testing.assert_array_equal(scores[f"test_{name}"], alone["test_score"])


@pytest.mark.filterwarnings("ignore::skattr.exceptions.ThresholdNotTunedWarning")
@pytest.mark.parametrize("name", ["macro_f1", "subset_accuracy", "mean_roc_auc", "neg_log_loss"])
@pytest.mark.parametrize("as_list", [False, True])
def test_unreadable_rows_do_not_count(name, as_list, data):
    """The score is that of the other rows with their weights, with one warning."""
    X, y = data
    is_bad = np.arange(150) % 7 == 2
    holed, weight = np.where(is_bad[:, None], np.nan, X), np.linspace(1, 3, 150)
    network = AttributeClassifier(
        max_epochs=3, random_state=0, images=ImageReading(on_bad_image="warn")
    )
    tuned = TunedThresholdMultiOutputCV(network, cv=2).fit(X, y)
    scorer = get_scorer(name)
    for classifier in (tuned.estimator_, tuned, make_pipeline("passthrough", tuned)):
        with pytest.warns(BadImageWarning, match="row 2 of X") as caught:
            found = scorer(classifier, holed, y.tolist() if as_list else y, sample_weight=weight)
        assert [warning.filename for warning in caught] == [__file__]
        good = scorer(classifier, X[~is_bad], y[~is_bad], sample_weight=weight[~is_bad])
        assert found == pytest.approx(good)
    with (
        pytest.warns(BadImageWarning),
        pytest.raises(ImageReadError, match="All 22 rows of X are unreadable"),
    ):
        scorer(tuned, holed[is_bad], y[is_bad])


def test_rejects_other_missing_predictions(data):
    """A classifier without `on_bad_image="warn"` must predict all rows."""
    X, y = data

    class Silent(KNeighborsClassifier):
        def predict(self, X):
            return np.where(np.arange(len(X))[:, None] == 7, None, super().predict(X))

    with pytest.raises(ValueError, match="y_pred of row 7, attribute 'y0', is missing"):
        get_scorer("macro_f1")(Silent().fit(X, y), X, y)


@pytest.mark.parametrize("name", sorted(set(get_scorer_names()) - set(ORDINAL)))
@pytest.mark.filterwarnings("ignore::skattr.exceptions.SkattrWarning")
def test_every_scorer_in_cross_validate_with_missing_labels(name, data):
    """Each returns a finite number per fold, for a network and a tuned network."""
    X, y = data
    table = pd.DataFrame(y, columns=["a", "b", "c"]).astype("boolean")
    table.loc[::6, "b"] = None
    network = AttributeClassifier(max_epochs=3, random_state=0)
    for classifier in (network, TunedThresholdMultiOutputCV(network, cv=2)):
        scores = cross_validate(
            classifier, X, table, scoring=get_scorer(name), cv=KFold(2), error_score="raise"
        )
        assert np.isfinite(scores["test_score"]).all()


@pytest.mark.parametrize(
    "name", ["macro_f1", "accuracy", "subset_accuracy", "neg_log_loss", "mean_roc_auc", *ORDINAL]
)
@pytest.mark.filterwarnings("ignore::skattr.exceptions.SkattrWarning")
def test_mixed_attributes(name, mixed):
    """A bool, categories and ordered levels, each with its own number of classes."""
    X, y = mixed
    classifier = AttributeClassifier(max_epochs=10, random_state=0)
    if name in ORDINAL:
        y = y[["size"]]
    grid = GridSearchCV(
        classifier,
        {"max_epochs": [2, 30]},
        scoring=get_scorer(name),
        cv=KFold(2),
        error_score="raise",
    ).fit(X, y)
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    assert grid.best_params_ == {"max_epochs": 30}


def test_a_number_per_attribute(mixed):
    """Results are named by the attribute, for one scorer or several."""
    X, y = mixed
    classifier = AttributeClassifier(max_epochs=5, random_state=0)
    scores = cross_validate(
        classifier, X, y, scoring=get_scorer("macro_f1", per_attribute=True), cv=KFold(2)
    )
    assert {"test_f1__hat", "test_f1__color", "test_f1__size"} <= set(scores)
    classifier.fit(X, y)
    values = get_scorer("macro_f1", per_attribute=True)(classifier, X, y)
    average = get_scorer("macro_f1")(classifier, X, y)
    assert np.mean(list(values.values())) == pytest.approx(average)
    losses = get_scorer("neg_log_loss", per_attribute=True)(classifier, X, y)
    assert all(value < 0 for value in losses.values())
    with pytest.raises(ValueError, match="averages over rows"):
        get_scorer("neg_hamming_loss", per_attribute=True)


def test_a_fold_without_a_level(mixed):
    """Columns follow the classifier's classes, also if the scored rows lack some."""
    X, y = mixed
    classifier = AttributeClassifier(max_epochs=10, random_state=0).fit(X, y)
    rows = (y["color"] != "red").to_numpy() & y["color"].notna().to_numpy()
    found = get_scorer("accuracy", per_attribute=True)(classifier, X[rows], y[rows])
    right = classifier.predict(X[rows])[:, 1] == y["color"][rows]
    assert found["accuracy__color"] == pytest.approx(right.mean())


def test_sample_weight_and_routing(data):
    """Weights reach the metric, by hand and by metadata routing."""
    X, y = data
    classifier = KNeighborsClassifier().fit(X, y)
    weights = np.arange(150.0)
    expected = reference.f1_score(y, classifier.predict(X), average="macro", sample_weight=weights)
    assert get_scorer("macro_f1")(classifier, X, y, sample_weight=weights) == pytest.approx(
        expected
    )
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = get_scorer("macro_f1").set_score_request(sample_weight=True)
        scores = cross_validate(
            KNeighborsClassifier(), X, y, scoring=scorer, cv=3, params={"sample_weight": weights}
        )
    assert len(scores["test_score"]) == 3


def test_decision_values_are_ranked(data):
    """Rankings accept decision values; losses need probabilities."""
    X, y = data
    ridge = RidgeClassifier().fit(X, y)
    expected = reference.roc_auc_score(y, ridge.decision_function(X))
    assert get_scorer("mean_roc_auc")(ridge, X, y) == pytest.approx(expected)
    with pytest.raises(AttributeError, match="predict_proba"):
        get_scorer("neg_log_loss")(ridge, X, y)


def test_one_output():
    """A single output is scored like any attribute."""
    X, y = make_multilabel_classification(120, n_classes=2, random_state=0)
    classifier = KNeighborsClassifier().fit(X, y[:, 0])
    predicted = classifier.predict(X)
    assert get_scorer("macro_f1")(classifier, X, y[:, 0]) == pytest.approx(
        reference.f1_score(y[:, 0], predicted)
    )
    auc = reference.roc_auc_score(y[:, 0], classifier.predict_proba(X)[:, 1])
    assert get_scorer("mean_roc_auc")(classifier, X, y[:, 0]) == pytest.approx(auc)


def test_own_scorers(data):
    """make_attribute_scorer takes any metric of the package, with its arguments."""
    X, y = data
    classifier = KNeighborsClassifier().fit(X, y)
    scorer = make_attribute_scorer(
        average_precision_score, response_method="predict_proba", average="micro"
    )
    assert scorer(classifier, X, y) == get_scorer("micro_average_precision")(classifier, X, y)
    assert "average_precision_score" in repr(scorer)
    loaded = pickle.loads(pickle.dumps(get_scorer("instance_f1")))
    assert loaded(classifier, X, y) == get_scorer("instance_f1")(classifier, X, y)
    with pytest.raises(ValueError, match="response_method must be"):
        make_attribute_scorer(f1_score, response_method="decision_function")
    with pytest.raises(ValueError, match="scoring must be one of .*; got 'f1'"):
        get_scorer("f1")


def test_protocols_reject_other_than_binary_attributes(mixed):
    """The error names them."""
    X, y = mixed
    classifier = AttributeClassifier(max_epochs=2, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"\['color', 'size'\] are not"):
        get_scorer("instance_f1")(classifier, X, y)


def test_a_scorer_as_the_objective_of_thresholds(data):
    """It is tried over a grid of thresholds; a scorer of scores has no threshold."""
    X, y = data
    forest = RandomForestClassifier(20, random_state=0)
    params = {"strategy": "exact", "cv": 3}
    named = TunedThresholdMultiOutputCV(forest, objective="f1", **params).fit(X, y)
    scored = TunedThresholdMultiOutputCV(forest, objective=get_scorer("macro_f1"), **params)
    scored.fit(X, y)
    assert scored.in_sample_score_ == pytest.approx(named.in_sample_score_)
    lossy = TunedThresholdMultiOutputCV(forest, objective=get_scorer("neg_hamming_loss"), **params)
    assert lossy.fit(X, y).in_sample_score_ <= 0
    with pytest.raises(ValueError, match="has no threshold"):
        TunedThresholdMultiOutputCV(forest, objective=get_scorer("mean_roc_auc")).fit(X, y)


@pytest.mark.parametrize("per_attribute", [False, True])
def test_scorers_have_the_name_they_are_chosen_by(per_attribute):
    """Curves of scikit-learn, and whatever shows a scorer, read `__name__`; copies keep it."""
    for scoring in get_scorer_names():
        if per_attribute and ("instance" in scoring or "hamming" in scoring or "subset" in scoring):
            continue
        scorer = get_scorer(scoring, per_attribute=per_attribute)
        for same in (scorer, pickle.loads(pickle.dumps(scorer)), copy.deepcopy(scorer)):
            assert same.__name__ == scoring
            assert repr(same).startswith(f"AttributeScorer({scoring}, response_method=")
    assert make_attribute_scorer(f1_score).__name__ == "f1_score"
    assert make_attribute_scorer(f1_score, name="mine").__name__ == "mine"


@pytest.mark.parametrize("kind", ["learning", "validation"])
def test_curves_of_scikit_learn_are_labeled(kind, data):
    """A scorer is as good as the name of one of scikit-learn's."""
    plt = pytest.importorskip("matplotlib.pyplot")
    X, y = data
    params = {"scoring": get_scorer("neg_log_loss"), "cv": 3}
    forest = RandomForestClassifier(5, random_state=0)
    if kind == "learning":
        display = LearningCurveDisplay.from_estimator(
            forest, X, y, train_sizes=[0.5, 1.0], **params
        )
    else:
        display = ValidationCurveDisplay.from_estimator(
            forest, X, y, param_name="max_depth", param_range=[1, 2], **params
        )
    assert display.ax_.get_ylabel() == "Negative log loss"
    plt.close(display.figure_)
