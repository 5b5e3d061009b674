"""Every callback that skorch ships, and the methods of the net that take X."""

import inspect
import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import skorch.callbacks
import torch
from sklearn.metrics import accuracy_score, f1_score, get_scorer, make_scorer
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    Unfreezer,
    WarmRestartLR,
)

from skattr import AttributeClassifier, TrainingOptions
from skattr._training.build import build_and_train
from skattr._training.inference import predict_rows
from skattr._training.net import AttributeNet
from skattr.exceptions import SkattrError
from skattr.metrics import get_scorer as get_attribute_scorer
from tests.tiny_models import tiny
from tests.training.configs import config, feature_problem

# They only pass the history to a service, whose package must be installed.
SERVICES = {"MlflowLogger", "NeptuneLogger", "WandbLogger"}


class Log(list):
    """Stands in for a run of Sacred and for a writer of TensorBoard: lists its calls."""

    def log_scalar(self, *args, **kwargs):
        """List the call."""
        self.append(args)

    add_scalar = log_scalar


def made(kind, folder):
    """Return instances of a callback."""
    return {
        "Checkpoint": lambda: [Checkpoint(dirname=folder, f_pickle="net.pkl")],
        "Freezer": lambda: [Freezer("backbone*")],
        "Unfreezer": lambda: [Freezer("backbone*"), Unfreezer("backbone*", at=2)],
        "Initializer": lambda: [Initializer("branches.bias", fn=torch.nn.init.zeros_)],
        "LoadInitState": lambda: [LoadInitState(Checkpoint(dirname=folder))],
        "ParamMapper": lambda: [ParamMapper("branches*", at=1)],
        "BatchScoring": lambda: [BatchScoring("accuracy", lower_is_better=False)],
        "EpochScoring": lambda: [EpochScoring("accuracy", lower_is_better=False)],
        "PassthroughScoring": lambda: [PassthroughScoring("train_loss", on_train=True)],
        "GradientNormClipping": lambda: [GradientNormClipping(0.1)],
        "LRScheduler": lambda: [LRScheduler("StepLR", step_size=1)],
        "WarmRestartLR": lambda: [LRScheduler(WarmRestartLR)],
        "TensorBoard": lambda: [TensorBoard(Log(), close_after_train=False)],
        "SacredLogger": lambda: [SacredLogger(Log())],
        "TrainEndCheckpoint": lambda: [TrainEndCheckpoint(dirname=folder)],
        "EarlyStopping": lambda: [EarlyStopping(load_best=True)],
        "EpochTimer": lambda: [EpochTimer()],
        "PrintLog": lambda: [PrintLog(sink=lambda *_: None)],
        "ProgressBar": lambda: [ProgressBar(detect_notebook=False)],
    }[kind]()


@pytest.mark.parametrize(
    "kind", sorted(set(skorch.callbacks.__all__) - SERVICES - {"Callback", "InputShapeSetter"})
)
@pytest.mark.parametrize("what", ["features", "images"])
def test_every_callback_works(images, rng, tmp_path, kind, what):
    """A fit with it ends, predicts and, with a validation part, records its losses."""
    X = images if what == "images" else rng.normal(size=(24, 3))
    y = np.arange(24) % 2
    params = {
        "max_epochs": 3, "batch_size": 8, "validation_fraction": 0.25, "random_state": 0,
        "net_params": {"callbacks": made(kind, str(tmp_path))},
        "training": TrainingOptions(None),
    }  # fmt: skip
    classifier = tiny(**params) if what == "images" else AttributeClassifier("mlp", **params)
    classifier.fit(X, y)
    assert np.isfinite(classifier.predict_proba(X)).all()
    assert [set(row) >= {"train_loss", "valid_loss"} for row in classifier.history_] == [True] * 3
    if kind in ("BatchScoring", "EpochScoring"):
        assert 0 <= classifier.net_.history[-1]["accuracy"] <= 1
    if kind == "Freezer":
        start = tiny(**params | {"lr": 1e-30, "net_params": None}) if what == "images" else None
        if start is not None:
            old, new = (one.net_.module_.backbone[0][0].weight for one in (start.fit(X, y),
                                                                           classifier))  # fmt: skip
            assert torch.equal(old, new)


class KeepLabels(Callback):
    """Stores the rows that are validated on, and the predictions of the last epoch."""

    def on_epoch_end(self, net, dataset_valid, **_):
        """Store them."""
        self.rows = dataset_valid.indices


SCORINGS = {
    "f1_macro": "f1_macro",
    "roc_auc": "roc_auc",
    "neg_log_loss": "neg_log_loss",
    "f1_score": f1_score,
    "made": make_scorer(accuracy_score),
    "scorer": get_scorer("balanced_accuracy"),
    "own": get_attribute_scorer("macro_f1"),
    "own auc": get_attribute_scorer("mean_roc_auc"),
    "own log loss": get_attribute_scorer("neg_log_loss"),
}


@pytest.mark.parametrize("use_caching", [True, False])
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("name", SCORINGS)
def test_scores_of_epochs(rng, name, n_outputs, use_caching):
    """The score of the last epoch is that of the classifier on the rows it validates on."""
    if n_outputs == 3 and name in ("roc_auc", "neg_log_loss", "f1_score", "made", "scorer"):
        pytest.skip("scikit-learn has no such score for several outputs")
    X = rng.normal(size=(80, 3))
    y = (X + rng.normal(size=X.shape) > 0).astype(int)[:, :n_outputs]
    y = y[:, 0] if n_outputs == 1 else y
    keep = KeepLabels()
    scoring = EpochScoring(SCORINGS[name], name="it", lower_is_better=False,
                           use_caching=use_caching)  # fmt: skip
    classifier = AttributeClassifier(
        max_epochs=2, batch_size=20, validation_fraction=0.3, random_state=0,
        net_params={"callbacks": [scoring, keep]},
    ).fit(X, y)  # fmt: skip
    scorer = SCORINGS[name]
    scorer = make_scorer(scorer) if inspect.isfunction(scorer) else scorer
    scorer = get_scorer(scorer) if isinstance(scorer, str) else scorer
    expected = scorer(classifier, X[keep.rows], y[keep.rows])
    assert classifier.net_.history[-1]["it"] == pytest.approx(expected)
    assert len({tuple(row) for row in y.reshape(80, -1)}) > 1


def test_scores_with_missing_labels(images, table):
    """Our scorers take missing labels and attributes of several kinds, on both parts."""
    keep = KeepLabels()
    callbacks = [
        EpochScoring(get_attribute_scorer("macro_f1"), name="valid_f1", lower_is_better=False),
        EpochScoring(get_attribute_scorer("accuracy"), name="train_acc", on_train=True),
        EarlyStopping("valid_f1", lower_is_better=False),
        keep,
    ]
    text = table[["hat", "color"]]
    classifier = tiny(validation_fraction=0.5, net_params={"callbacks": callbacks})
    classifier.fit(images, text)
    expected = get_attribute_scorer("macro_f1")(classifier, images[keep.rows], text.iloc[keep.rows])
    assert classifier.net_.history[-1]["valid_f1"] == pytest.approx(expected)
    assert all(0 <= row["train_acc"] <= 1 for row in classifier.net_.history)


@pytest.mark.parametrize("what", ["images", "files", "features", "frame", "condition"])
def test_methods_of_the_net_take_X(images, files, table, rng, what):
    """`predict`, `predict_proba` and `forward` of the net agree with the classifier."""
    if what in ("features", "frame", "condition"):
        X = rng.normal(size=(24, 3))
        prior = "condition" if what == "condition" else None
        if what != "features":
            X = pd.DataFrame(X, columns=["a", "b", "c"])
        if prior is not None:
            X["category"] = np.where(X["a"] > 0, "cat", "dog")
        classifier = AttributeClassifier(max_epochs=20, lr=0.1, category_prior=prior).fit(X, table)
    else:
        X = files if what == "files" else images
        classifier = tiny(max_epochs=2).fit(X, table)
    net = pickle.loads(pickle.dumps(classifier)).net_
    assert np.array_equal(net.predict(X), classifier.predict(X))
    for one, other in zip(net.predict_proba(X), classifier.predict_proba(X), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    if what == "condition":
        swapped = X.assign(category=np.where(X["a"] > 0, "dog", "cat"))
        swapped_proba = classifier.predict_proba(swapped)
        assert np.abs(swapped_proba[0] - classifier.predict_proba(X)[0]).max() > 1e-4
        np.testing.assert_allclose(net.predict_proba(swapped)[0], swapped_proba[0], atol=1e-6)
    logits = net.forward(X)
    assert logits.shape == (24, net.module_.layout.n_logits)
    assert net.score(X, table) == classifier.score(X, table)
    before = len(net.history)
    net.set_params(max_epochs=1)
    net.partial_fit(X, table)
    assert len(net.history) == before + 1
    with pytest.raises(ValueError, match="X has 20 rows, but y has 24"):
        net.partial_fit(X[:20], table)
    if what == "frame":
        with pytest.raises(ValueError, match="feature names"):
            net.predict(X[["b", "a", "c"]])


class KeepScored(Callback):
    """Scorer of `EpochScoring` that keeps the labels it is given."""

    def __call__(self, net, X, y):
        """Keep them."""
        self.y, self.predicted = y, net.predict(X)
        return 0.0


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("prior", [None, "joint", "auxiliary"])
def test_labels_that_callbacks_score(rng, prior, single):
    """They are those of y, also of a joint branch; missing numbers are NaN."""
    X = rng.normal(size=(40, 3))
    y = pd.DataFrame({"wet": rng.integers(0, 2, 40), "size": rng.integers(3, 6, 40)}).astype(float)
    y.loc[::4, "wet"] = np.nan
    y = y[["wet"]] if single else y
    keep, scorer = KeepLabels(), KeepScored()
    classifier = AttributeClassifier(
        max_epochs=1, validation_fraction=0.5, category_prior=prior, random_state=0,
        net_params={"callbacks": [keep, EpochScoring(scorer, name="it")]},
    )  # fmt: skip
    category = None if prior is None else rng.choice(["cat", "dog", "elk"], 40)
    classifier.fit(X, y, category=category)
    expected = y.to_numpy()[keep.rows]
    assert np.isnan(expected).any() and (expected[:, 0] == 1).any()
    np.testing.assert_array_equal(scorer.y, expected[:, 0] if single else expected)
    assert scorer.predicted.shape == scorer.y.shape
    if prior is not None:
        with pytest.raises(ValueError, match="part of the targets of this net; use partial_fit"):
            classifier.net_.partial_fit(X, y)


class KeepBatches(Callback):
    """Stores the labels of batches as callbacks get them, at the begin and at the end."""

    def __init__(self):
        self.labels = []

    def on_batch_begin(self, net, batch, **_):
        """Store them."""
        self.labels.append(batch[1])

    on_batch_end = on_batch_begin


@pytest.mark.parametrize("is_scored", [False, True])
@pytest.mark.parametrize("has_interface", [False, True])
def test_labels_in_batches_of_callbacks(has_interface, is_scored):
    """They are those of y if a callback scores batches, else codes and weights."""
    keep = KeepBatches()
    scoring = [EpochScoring(lambda net, X, y: 0.0, name="it")] * is_scored
    interface = SimpleNamespace(labels=lambda codes: codes + 10) if has_interface else None
    problem = feature_problem(interface=interface)
    settings = config(callbacks=[keep, *scoring], max_epochs=1)
    build_and_train(settings, problem, np.arange(30), np.arange(30, 40))
    assert len(keep.labels) == 4  # of two parts
    for labels, rows in zip(keep.labels, [30, 30, 10, 10], strict=True):
        if has_interface and is_scored:
            assert labels.shape == (rows, 3)
            assert 9 <= labels.min() < labels.max() == 12
        else:
            codes, weights = labels
            assert codes.shape == weights.shape == (rows, 3)
            assert codes.min() == -1


@pytest.mark.parametrize("category", [None, np.arange(40) % 3])
def test_outputs_for_a_dataset(category):
    """Of a dataset with labels, the net takes the inputs alone."""
    problem = feature_problem(category=category, n_conditions=0 if category is None else 3)
    net = build_and_train(config(batch_size=16), problem, np.arange(40))
    rows = np.array([3, 30, 7, 8, 39])
    logits = net.forward(problem.dataset(rows))
    expected = predict_rows(net, problem.rows, batch_size=16, category=category)
    np.testing.assert_allclose(logits.detach(), expected[rows], rtol=1e-12)


def test_nets_without_a_classifier():
    """They have no classes, and take datasets only."""
    net = AttributeNet(torch.nn.Linear, config=config(), criterion=torch.nn.MSELoss)
    with pytest.raises(AttributeError, match="no classes_"):
        _ = net.classes_
    with pytest.raises(AttributeError, match="no encoder_"):
        _ = net.encoder_
    with pytest.raises(SkattrError, match="takes only its datasets"):
        net.get_dataset(np.zeros((2, 3)))


class Stop(Callback):
    """Ends the training, as skorch's own callback does."""

    def on_epoch_end(self, net, **_):
        """End it after the second epoch."""
        if len(net.history) == 2:
            raise KeyboardInterrupt


def test_a_callback_ends_the_training(images, table):
    """A callback that raises KeyboardInterrupt ends the training, and the network is kept."""
    classifier = tiny(max_epochs=9, net_params={"callbacks": [Stop()]}).fit(images, table)
    assert classifier.n_iter_ == 2
    same = tiny(max_epochs=9, net_params={"callbacks": [Stop]}).fit(images, table)
    assert np.array_equal(classifier.predict_proba(images)[1], same.predict_proba(images)[1])


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
@pytest.mark.parametrize("given", ["instance", "named", "class"])
def test_two_schedules_are_rejected(rng, schedule, given):
    """An LRScheduler beside `lr_schedule`, which would undo what it sets, is an error."""
    one = LRScheduler("StepLR", step_size=1, gamma=0.5)
    callback = {"instance": one, "named": ("mine", one), "class": LRScheduler}[given]
    X, y = rng.normal(size=(20, 3)), np.arange(20) % 2
    classifier = AttributeClassifier(
        training=schedule, max_epochs=3, lr=0.1, net_params={"callbacks": [callback]}
    )
    with pytest.raises(ValueError, match=rf"lr_schedule='{schedule}', and .* an LRScheduler"):
        classifier.fit(X, y)
    if given == "instance":
        classifier.set_params(training=TrainingOptions(None)).fit(X, y)
        assert classifier.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(0.1 / 8)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"validation": 0.2}, "'validation'.* no effect; .* chosen by validation_fraction"),
        ({"valid_split": 0.2}, r"\['valid_split'\], which have no effect"),
        ({"train_split": None}, r"\['train_split'\], which the classifier sets itself"),
        ({"warm_start": True}, r"\['warm_start'\], which the classifier sets itself"),
        ({"dataset": list}, "'dataset'.* no effect"),
        ({"predict_nonlinearity": None}, "'predict_nonlinearity'.* no effect"),
        ({"iterator_train__shuffle": True}, "which the classifier sets itself"),
        ({"callbacks": "disable"}, "must be a list of skorch callbacks; got 'disable'"),
        ({"callbacks": [InputShapeSetter()]}, "has an InputShapeSetter"),
    ],
)
def test_rejects_parameters_without_effect(rng, params, message):
    """The error names the key, and what is valid."""
    with pytest.raises(ValueError, match=message):
        AttributeClassifier(net_params=params).fit(rng.normal(size=(20, 3)), np.arange(20) % 2)


@pytest.mark.parametrize("callback", [EarlyStopping(), EarlyStopping, ("best", Checkpoint())])
def test_monitors_of_validation_need_rows_to_validate_on(callback):
    """Without them the error names validation_fraction, before an epoch is trained."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    classifier = AttributeClassifier(max_epochs=2, net_params={"callbacks": [callback]})
    with pytest.raises(ValueError, match=r"has monitor='valid_loss.*set validation_fraction"):
        classifier.fit(X, X[:, 0] > 0)


def test_monitors_of_the_training_loss(tmp_path):
    """They need no rows to validate on."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    callbacks = [EarlyStopping("train_loss", patience=2), Checkpoint(None, dirname=tmp_path)]
    classifier = AttributeClassifier(max_epochs=2, net_params={"callbacks": callbacks})
    assert classifier.fit(X, X[:, 0] > 0).n_iter_ == 2
