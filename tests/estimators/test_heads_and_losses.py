"""The classifier with each head, loss, weight and prior, from a table to predictions and back."""

import inspect
import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold

from skattr import (
    AttributeClassifier,
    Augmentation,
    Branches,
    CalibratedMultiOutputCV,
    FineTuning,
    TrainingOptions,
)
from skattr._targets.constraints import violations
from skattr.losses import AsymmetricLoss, CrossEntropyLoss, FocalLoss, PartialAsymmetricLoss
from skattr.metrics import get_scorer
from skattr.model_selection import MultilabelStratifiedKFold
from skattr.nn import SummedFocal
from tests.tiny_models import tiny

FAST = {"max_epochs": 10, "lr": 0.05, "batch_size": 16, "random_state": 0}
LEVELS = list(range(6))


def ages(seed, n=200, n_test=1500):
    """Return features and six ordered levels of a noisy linear function of them, twice."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n + n_test, 5))
    direction = rng.normal(size=5)
    latent = 2 * X @ direction / np.linalg.norm(direction) + rng.logistic(size=n + n_test)
    y = np.digitize(latent, np.quantile(latent, np.arange(1, 6) / 6))
    return X[:n], y[:n], X[n:], y[n:]


def table(n=90, seed=0):
    """Return features and four attributes that depend on them, with missing labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    y = pd.DataFrame(
        {
            "hat": (X[:, 0] > 0.7).astype(float),
            "age": np.digitize(X[:, 1], [-1, 0, 1]),
            "color": np.array(["blue", "green", "red"])[X[:, 1:].argmax(axis=1)],
            "beard": (X[:, 3] + X[:, 0] > 0).astype(float),
        }
    )
    y.loc[::5, ["hat", "beard"]] = np.nan
    y.loc[::4, "color"] = None
    return X, y


ORDINAL = {"age": ("ordinal", [0, 1, 2, 3])}
PRIORS = [None, "joint", "auxiliary", "condition"]


def in_frame(X):
    """Return X as a DataFrame with a category."""
    category = np.where(np.arange(len(X)) % 2, "seal", "boat")
    return pd.DataFrame(X, columns=list("abcd")).assign(category=category)


# --- ordinal attributes --------------------------------------------------------------------------


def test_ordinal_has_the_lower_absolute_error():
    """By the mode more than .02 of a level for each of five seeds, by the median .05."""
    gains = []
    for seed in range(5):
        X, y, X_test, y_test = ages(seed)
        errors = []
        for kind, rule in [
            ("categorical", "mode"), (("ordinal", LEVELS), "mode"), (("ordinal", LEVELS), "median"),
        ]:  # fmt: skip
            classifier = AttributeClassifier(
                attributes={"y0": kind},
                branches=Branches(ordinal_predict=rule),
                **{**FAST, "max_epochs": 30, "batch_size": 32},
            )
            errors.append(np.abs(classifier.fit(X, y).predict(X_test) - y_test).mean())
        gains.append(errors[0] - np.array(errors[1:]))
    gains = np.array(gains)
    assert (gains > [0.02, 0.05]).all()
    assert (gains.mean(axis=0) > [0.05, 0.12]).all()


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_ordinal_probabilities_are_a_cumulative_link(precision):
    """P(y >= k) = expit(s - t_k), s and the steps of t linear in x, in float64 NumPy."""
    X, y = table()
    classifier = AttributeClassifier(
        attributes=ORDINAL, training=TrainingOptions(precision=precision), **FAST
    ).fit(X, y)
    branches = classifier.net_.module_.branches
    weight, bias = (
        part.detach().double().numpy() for part in (branches.weight[-3:], branches.bias[-3:])
    )
    score, *steps = (X @ weight.T + bias).T
    thresholds = np.cumsum([np.zeros(90), *np.log1p(np.exp(steps))], axis=0)
    above = expit(score - thresholds).T
    expected = -np.diff(np.hstack([np.ones((90, 1)), above, np.zeros((90, 1))]), axis=1)
    proba = classifier.predict_proba(X)[1]
    assert proba.dtype == precision
    assert (proba >= 0).all()
    tolerance = 1e-6 if precision == "float32" else 1e-12
    assert_allclose(proba, expected, atol=tolerance)
    assert_allclose(proba.sum(axis=1), 1, atol=tolerance)


def test_median_and_mode_of_an_ordinal_attribute():
    """Both rules by brute force; other attributes have the mode; score goes by the rule."""
    X, y = table()
    classifier = AttributeClassifier(attributes=ORDINAL, **{**FAST, "max_epochs": 3}).fit(X, y)
    probas = classifier.predict_proba(X)
    mode = classifier.predict(X)
    # Fitted again: what is set after `fit` changes no prediction.
    median = classifier.set_params(branches__ordinal_predict="median").fit(X, y).predict(X)
    assert_array_equal(mode[:, 1], probas[1].argmax(axis=1))
    costs = np.abs(np.subtract.outer(range(4), range(4))) @ probas[1].T
    assert_array_equal(median[:, 1], costs.argmin(axis=0))
    assert (median[:, 1] != mode[:, 1]).any()
    assert_array_equal(median[:, [0, 2, 3]], mode[:, [0, 2, 3]])
    alone = AttributeClassifier(
        attributes={"age": ("ordinal", [3, 1, 0, 2])},
        branches=Branches(ordinal_predict="median"),
        **FAST,
    ).fit(X, y["age"])
    ordered = alone.predict_proba(X)[:, [3, 1, 0, 2]]  # columns stand in sorted order
    at_half = (ordered.cumsum(axis=1) < 0.5).sum(axis=1)
    assert_array_equal(alone.predict(X), np.array([3, 1, 0, 2])[at_half])
    assert alone.score(X, y["age"]) == (alone.predict(X) == y["age"]).mean()


# --- grids ---------------------------------------------------------------------------------------


def test_one_grid_compares_heads_weights_and_losses(files, table):
    """Every head with every weight and loss, on files with a category, scored and refitted."""
    frame = pd.DataFrame({"path": files, "category": np.repeat(["boat", "seal"], 12)})
    y = pd.DataFrame({"hat": table["hat"], "bright": np.arange(24) % 3 == 2})
    losses = {"pos_weight": [None, "balanced"], "loss": ["auto", "focal", "asymmetric"]}
    grid = [
        {"branches__binary": ["sigmoid", "softmax"], **losses},
        {"category_prior": ["joint", "condition"], **losses},
    ]
    search = GridSearchCV(
        tiny(max_epochs=1, batch_size=32), grid, cv=MultilabelStratifiedKFold(2),
        scoring=get_scorer("macro_f1"), error_score="raise",
    ).fit(frame, y)  # fmt: skip
    assert len(search.cv_results_["params"]) == 24
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(frame).shape == (24, 2)


def test_a_grid_reaches_into_objects():
    """`loss__gamma` and `freeze__layer_decay` are searched like parameters of the classifier."""
    X, y = table()
    classifier = AttributeClassifier("mlp", loss=FocalLoss(), fine_tuning=FineTuning(), **FAST)
    grid = {"loss__gamma": [0.5, 4.0], "fine_tuning__layer_decay": [0.5]}
    search = GridSearchCV(classifier, grid, cv=KFold(2), error_score="raise").fit(X, y)
    best = search.best_estimator_
    assert best.loss.gamma == best.net_.criterion_.gamma == search.best_params_["loss__gamma"]
    assert classifier.loss.gamma == 2.0
    assert best.net_.config.layer_decay == 0.5


@pytest.mark.parametrize("category_prior", PRIORS)
@pytest.mark.parametrize("loss", [
    "bce", "focal", "asymmetric", "partial_asymmetric", CrossEntropyLoss(label_smoothing=0.1),
    PartialAsymmetricLoss(unknown="negative"), partial(SummedFocal, gamma=1.0),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("head", [{}, {"branches": Branches("softmax", hidden=3)}], ids=str)
def test_every_head_learns_with_every_loss(category_prior, loss, head):
    """With all kinds of attributes at once, weights on top: better than the frequencies."""
    X, y = table()
    frame = in_frame(X)
    params = {"pos_weight": "balanced:3", "attribute_weight": {"age": 2}, **head, **FAST}
    classifier = AttributeClassifier(
        attributes=ORDINAL, category_prior=category_prior, loss=loss, **params
    ).fit(frame, y)
    assert classifier.history_[-1]["train_loss"] < classifier.history_[0]["train_loss"]
    probas = classifier.predict_proba(frame)
    assert [proba.shape[1] for proba in probas] == [2, 4, 3, 2]
    for proba in probas:
        assert_allclose(proba.sum(axis=1), 1)
        assert (proba >= 0).all()
    for name, proba, floor in zip(y, probas, [0.8, 0.7, 0.7, 0.8], strict=True):
        known = y[name].notna()
        proba = proba[known, 1] if proba.shape[1] == 2 else proba[known]
        assert roc_auc_score(y.loc[known, name], proba, multi_class="ovr") > floor, name


def test_named_losses_are_their_objects():
    """A name is the object with its defaults; "bce" is "auto"; focal with gamma 0 is both."""
    X, y = table()

    def fit(loss):
        return np.hstack(AttributeClassifier(loss=loss, **FAST).fit(X, y).predict_proba(X))

    plain = fit("auto")
    assert_array_equal(fit("bce"), plain)
    assert_array_equal(fit(CrossEntropyLoss()), plain)
    assert_allclose(fit(FocalLoss(gamma=0.0)), plain, rtol=1e-9)
    assert_array_equal(fit("focal"), fit(FocalLoss()))
    assert_array_equal(fit("asymmetric"), fit(AsymmetricLoss()))
    assert_array_equal(fit("partial_asymmetric"), fit(PartialAsymmetricLoss()))
    assert not np.allclose(fit("focal"), plain)


# --- what follows the network --------------------------------------------------------------------


@pytest.mark.parametrize("pos_weight", [5, "balanced", "balanced:1.2", {"hat": 3, "beard": 0.5}])
def test_prior_calibration_undoes_the_positive_weight(pos_weight):
    """The log odds of each binary attribute fall by the logarithm of the weight it had."""
    X, y = table()
    weight = np.random.default_rng(1).random(90)
    given = {"sample_weight": weight}
    classifier = AttributeClassifier(pos_weight=pos_weight, **FAST)
    raw = clone(classifier).fit(X, y, **given).predict_proba(X)
    calibrated = CalibratedMultiOutputCV(classifier, method="prior").fit(X, y, **given)
    found = calibrated.predict_proba(X)
    for j, name in [(0, "hat"), (3, "beard")]:
        sums = [weight[y[name] == label].sum() for label in (0, 1)]
        expected = {
            5: 5,
            "balanced": sums[0] / sums[1],
            "balanced:1.2": min(1.2, sums[0] / sums[1]),
        }
        factor = pos_weight[name] if isinstance(pos_weight, dict) else expected[pos_weight]
        assert_allclose(logit(found[j][:, 1]), logit(raw[j][:, 1]) - np.log(factor), rtol=1e-9)
    for j in (1, 2):
        assert_allclose(found[j], raw[j])


def test_undone_weights_give_the_frequencies_back():
    """Training with positives that weigh 6 and undoing it predicts the share of positives."""
    y = (np.arange(400) % 8 == 0).astype(int)
    X = np.ones((400, 1))
    classifier = AttributeClassifier(pos_weight=6, max_epochs=5, random_state=0)
    calibrated = CalibratedMultiOutputCV(classifier, method="prior").fit(X, y)
    assert calibrated.estimator_.predict_proba(X)[0, 1] == pytest.approx(6 / 13, abs=0.02)
    assert calibrated.predict_proba(X)[0, 1] == pytest.approx(1 / 8, abs=0.01)


@pytest.mark.parametrize("category_prior", [None, "joint"])
@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
def test_predictions_satisfy_the_constraints(category_prior, binary_head):
    """No rule is broken in prediction; probabilities and the network stay as without rules."""
    X, y = table()
    params = {"branches": Branches(binary_head), "category_prior": category_prior, **FAST}
    y["glasses"] = (X[:, 2] > 0).astype(float)
    plain = AttributeClassifier(**params).fit(in_frame(X), y)
    rules = {"exactly_one": [["hat", "glasses"]], "implies": [("beard", "glasses")]}
    ruled = clone(plain).set_params(constraints=rules).fit(in_frame(X), y)
    for one, other in zip(
        plain.predict_proba(in_frame(X)), ruled.predict_proba(in_frame(X)), strict=True
    ):
        assert_array_equal(one, other)
    binary = [0, 3, 4]
    before, after = (c.predict(in_frame(X))[:, binary].astype(int) for c in (plain, ruled))
    assert violations(before, ruled._constraints).any()
    assert not violations(after, ruled._constraints).any()
    kept = ~violations(before, ruled._constraints).any(axis=1)
    assert_array_equal(before[kept], after[kept])
    rest = [1, 2]
    assert_array_equal(plain.predict(in_frame(X))[:, rest], ruled.predict(in_frame(X))[:, rest])
    assert plain.score(in_frame(X), y) != ruled.score(in_frame(X), y)


# --- parameters as objects -----------------------------------------------------------------------

OBJECTS = {
    "loss": AsymmetricLoss(gamma_neg=3.0),
    "augment": Augmentation(flip=True, mixup=0.2),
    "fine_tuning": FineTuning("stages:1", unfreeze_every=1),
    "pos_weight": {"hat": 2},
    "class_weight": {"color": {"red": 2}},
    "attribute_weight": "uncertainty",
    "training": TrainingOptions(ema_decay=0.9, clip_norm=1.0, accumulate=2),
    "category_prior": "joint",
}


def test_objects_are_cloned_pickled_and_shown(images, table):
    """Clones copy the objects; clone and unpickled classifier fit bit-identical networks."""
    classifier = tiny(**OBJECTS)
    category = np.where(np.arange(24) % 2, "seal", "boat")
    copy = clone(classifier)
    assert copy.loss is not classifier.loss
    assert repr(copy) == repr(classifier)
    for text in ("loss=AsymmetricLoss(gamma_neg=3.0)", "FineTuning(freeze='stages:1'", "mixup=0.2"):
        assert text in repr(classifier)
    before = pickle.dumps(classifier.get_params())
    classifier.fit(images, table, category=category)
    assert pickle.dumps(classifier.get_params()) == before
    brought_back = pickle.loads(pickle.dumps(classifier))
    copy = pickle.loads(pickle.dumps(copy)).fit(images, table, category=category)
    for one, two, three in zip(
        *(c.predict_proba(images) for c in (classifier, copy, brought_back)), strict=True
    ):
        assert_array_equal(one, two)
        assert_array_equal(one, three)


def test_nested_parameters_are_set():
    """`loss__gamma_neg` is a parameter of the classifier while loss is an object."""
    classifier = AttributeClassifier(**OBJECTS)
    classifier.set_params(loss__gamma_neg=7.0, augment__flip=False, fine_tuning__freeze="backbone")
    assert classifier.loss.gamma_neg == 7.0
    assert not classifier.augment.flip
    assert classifier.fine_tuning.freeze == "backbone"
    with pytest.raises(ValueError, match="Invalid parameter 'gamma'"):
        classifier.set_params(loss__gamma=1.0)


def test_the_constructor_stays_small():
    """Parameters are grouped in objects: at most 31 names, all but one keyword-only."""
    parameters = inspect.signature(AttributeClassifier).parameters
    assert len(parameters) == len(AttributeClassifier().get_params(deep=False)) <= 31
    kinds = [parameter.kind for parameter in parameters.values()]
    assert kinds[1:] == [inspect.Parameter.KEYWORD_ONLY] * (len(kinds) - 1)


@pytest.mark.parametrize("flag", [True, np.True_, 5])
def test_early_stopping_counts_five_epochs_or_those_given(flag):
    """True, of Python or NumPy, waits five epochs, as the number 5 does."""
    X, y = table()
    params = {"max_epochs": 40, "lr": 1e-300, "random_state": 0, "early_stopping": flag}
    assert AttributeClassifier(**params).fit(X, y).n_iter_ == 6
