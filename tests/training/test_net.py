"""The skorch net of a classifier: losses, interruptions, early stopping, randomness."""

import os
import pickle
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import log_loss
from skorch.callbacks import Callback, Checkpoint, EarlyStopping
from torch import nn

from skattr import AttributeClassifier, TrainingOptions
from skattr.exceptions import DivergedError, SkattrError
from tests.tiny_models import tiny_backbone


@pytest.fixture
def data(rng):
    """60 rows of five float64 features, with two binary attributes and one of three classes."""
    X = rng.normal(size=(60, 5))
    noisy = X + rng.normal(size=X.shape)
    y = np.column_stack([noisy[:, 0] > 0, noisy[:, 1] > 0, np.digitize(noisy[:, 2], [-0.5, 0.5])])
    return X, y.astype(int)


class Recorder(Callback):
    """Records every event, and the loss of its batch."""

    def __init__(self):
        self.events = []
        self.losses = []

    def on_train_begin(self, net, **_):
        """Record it."""
        self.events.append("train begins")

    def on_epoch_begin(self, net, **_):
        """Record it."""
        self.events.append("epoch begins")

    def on_batch_end(self, net, training, loss, y_pred, **_):
        """Record it."""
        self.events.append("train batch" if training else "valid batch")
        self.losses.append((loss.item(), tuple(y_pred.shape)))

    def on_epoch_end(self, net, **_):
        """Record it."""
        self.events.append("epoch ends")

    def on_train_end(self, net, **_):
        """Record it."""
        self.events.append("train ends")


class KeepValidation(Callback):
    """Stores the validation rows, which the fitted net no longer has."""

    def on_epoch_begin(self, net, dataset_valid, **_):
        """Store them."""
        self.rows = dataset_valid.indices


def summed_log_loss(classifier, X, y):
    """Sum scikit-learn's log loss over the attributes."""
    probas = classifier.predict_proba(X)
    return sum(
        log_loss(column, proba, labels=classes)
        for column, proba, classes in zip(y.T, probas, classifier.classes_, strict=True)
    )


def test_callbacks_see_every_event(data):
    """A callback of net_params gets all of skorch's events in order, each batch with its loss."""
    recorder = Recorder()
    AttributeClassifier(
        max_epochs=2, batch_size=20, validation_fraction=0.25, net_params={"callbacks": [recorder]}
    ).fit(*data)
    epoch = ["epoch begins", *["train batch"] * 3, "valid batch", "epoch ends"]
    assert recorder.events == ["train begins", *epoch, *epoch, "train ends"]
    assert all(np.isfinite(loss) for loss, _ in recorder.losses)
    assert [shape for _, shape in recorder.losses[:4]] == [(20, 5), (20, 5), (5, 5), (15, 5)]


def test_history(data):
    """There is one row per epoch, with the documented keys, and the losses fall."""
    X, y = data
    classifier = AttributeClassifier(max_epochs=5).fit(X, y)
    assert [set(row) for row in classifier.history_] == [{"epoch", "train_loss", "dur"}] * 5
    assert [row["epoch"] for row in classifier.history_] == [1, 2, 3, 4, 5]
    assert classifier.history_[-1]["train_loss"] < classifier.history_[0]["train_loss"]
    classifier.set_params(validation_fraction=0.2).fit(X, y)
    keys = {"epoch", "train_loss", "valid_loss", "dur"}
    assert [set(row) for row in classifier.history_] == [keys] * 5
    best = [row["valid_loss_best"] for row in classifier.net_.history]
    losses = [row["valid_loss"] for row in classifier.history_]
    assert best == [loss == min(losses[: n + 1]) for n, loss in enumerate(losses)]


@pytest.mark.parametrize("batch_size", [4, 7, 100])
def test_validation_loss_of_the_epoch(data, batch_size):
    """The validation loss is scikit-learn's log loss of all rows, for any batch size."""
    X, y = data
    keep = KeepValidation()
    classifier = AttributeClassifier(
        max_epochs=2,
        batch_size=batch_size,
        validation_fraction=0.3,
        net_params={"callbacks": [keep]},
        random_state=0,
    )
    classifier.fit(X, y)
    expected = summed_log_loss(classifier, X[keep.rows], y[keep.rows])
    assert len(keep.rows) == 18
    np.testing.assert_allclose(classifier.history_[-1]["valid_loss"], expected, rtol=1e-10)


@pytest.mark.parametrize("batch_size", [7, 100])
def test_training_loss_of_the_epoch(data, batch_size):
    """At a learning rate of 0, the training loss is the log loss of all known labels."""
    X, y = data
    unknown = np.random.default_rng(1).random(y.shape) < 0.4
    labels = np.where(unknown, np.nan, y)
    classifier = AttributeClassifier(max_epochs=1, batch_size=batch_size, lr=1e-300)
    classifier.fit(X, labels)
    probas = classifier.predict_proba(X)
    expected = sum(
        log_loss(y[~hidden, j], proba[~hidden], labels=range(proba.shape[1]))
        for j, (hidden, proba) in enumerate(zip(unknown.T, probas, strict=True))
    )
    np.testing.assert_allclose(classifier.history_[0]["train_loss"], expected, rtol=1e-10)


class Interrupter(Callback):
    """Interrupts the fit in an event of the second epoch."""

    def __init__(self, event, interrupt):
        self.event = event
        self.interrupt = interrupt

    def _strike(self, event, net):
        if event == self.event and len(net.history) == 2:
            self.interrupt()

    def on_batch_end(self, net, **_):
        """Interrupt in the second epoch."""
        self._strike("batch", net)

    def on_epoch_end(self, net, **_):
        """Interrupt in the second epoch."""
        self._strike("epoch", net)


def raise_interrupt():
    """Raise the exception of Ctrl-C."""
    raise KeyboardInterrupt


def send_interrupt():
    """Send the signal of Ctrl-C, and wait for it."""
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):
        pass


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("interrupt", [raise_interrupt, send_interrupt])
@pytest.mark.parametrize("event", ["batch", "epoch"])
def test_ctrl_c_is_raised(data, event, interrupt, early_stopping):
    """Ctrl-C ends fit with KeyboardInterrupt and leaves no half-trained network."""
    classifier = AttributeClassifier(
        net_params={"callbacks": [Interrupter(event, interrupt)]}, early_stopping=early_stopping
    )
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(*data)
    assert not hasattr(classifier, "net_")


def independent_labels(rng):
    """Labels that are independent of the features, so the validation loss soon rises."""
    return rng.normal(size=(60, 30)), rng.integers(0, 2, (60, 3))


def drops_by_layer(n_inputs):
    """Return a network with dropout."""
    return nn.Sequential(nn.Linear(n_inputs, 8), nn.ReLU(), nn.Dropout(0.5))


class Stopping(EarlyStopping):
    """A subclass, as a user may write one."""


@pytest.mark.parametrize("backbone", ["auto", drops_by_layer])
@pytest.mark.parametrize("mine", [None, EarlyStopping, Stopping])
def test_early_stopping_restores_the_best_epoch(rng, mine, backbone):
    """fit stops without an error and restores the best epoch, also with a callback's stopping."""  # noqa: D403
    X, y = independent_labels(rng)
    keep = KeepValidation()
    classifier = AttributeClassifier(
        backbone,
        max_epochs=60,
        lr=0.3,
        training=TrainingOptions(None),
        random_state=0,
        validation_fraction=0.3,
        early_stopping=4 if mine is None else False,
        net_params={
            "callbacks": [keep] if mine is None else [keep, mine(patience=4, load_best=True)]
        },
    ).fit(X, y)
    losses = [row["valid_loss"] for row in classifier.history_]
    best = int(np.argmin(losses))
    assert classifier.n_iter_ == len(losses) == best + 1 + 4
    rows = keep.rows
    np.testing.assert_allclose(
        summed_log_loss(classifier, X[rows], y[rows]), losses[best], rtol=1e-10
    )
    assert losses[best] < losses[-1]


def test_checkpoint_callback(data, tmp_path):
    """skorch's Checkpoint works: it finds valid_loss_best, saves and loads the best epoch."""  # noqa: D403
    X, y = data
    classifier = AttributeClassifier(
        max_epochs=4,
        validation_fraction=0.3,
        net_params={"callbacks": [Checkpoint(dirname=str(tmp_path), load_best=True)]},
    ).fit(X, y)
    assert (tmp_path / "params.pt").is_file()
    saved = torch.load(tmp_path / "params.pt", weights_only=True)
    state = classifier.net_.module_.state_dict()
    assert all(torch.equal(state[key], saved[key]) for key in state)


@pytest.mark.parametrize("n_features", [1, 5])
def test_divergence_raises(data, n_features):
    """A loss that is not finite raises DivergedError, which says what to change."""
    X, y = data
    classifier = AttributeClassifier(optimizer="sgd", lr=1e300, max_epochs=30)
    with pytest.raises(
        DivergedError, match=r"The train loss of epoch \d+ is .*a smaller `lr`"
    ) as e:
        classifier.fit(1e9 * X[:, :n_features], y)
    assert isinstance(e.value, SkattrError)
    assert isinstance(e.value, ArithmeticError)
    assert not hasattr(classifier, "net_")


class DropsByFunction(nn.Module):
    """Calls dropout as a function, so no layer shows that it draws."""

    def __init__(self, n_inputs):
        super().__init__()
        self.linear = nn.Linear(n_inputs, 8)

    def forward(self, x):
        """Map features to features."""
        return nn.functional.dropout(self.linear(x).relu(), 0.5, self.training)


def drops_alpha(n_inputs):
    """Return a network with alpha dropout."""
    return nn.Sequential(nn.Linear(n_inputs, 8), nn.SELU(), nn.AlphaDropout(0.5))


@pytest.mark.parametrize("backbone", [DropsByFunction, drops_by_layer, drops_alpha])
def test_dropout_is_reproducible(data, backbone):
    """Fits of one seed are bit-identical, other seeds differ, and no global state changes."""
    X, y = data
    before = torch.get_rng_state()
    fits = [
        AttributeClassifier(backbone, max_epochs=3, batch_size=20, random_state=seed).fit(X, y)
        for seed in (1, 1, 2)
    ]
    assert torch.equal(torch.get_rng_state(), before)
    states = [fit.net_.module_.state_dict() for fit in fits]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])
    assert np.array_equal(*[fits[0].predict_proba(X)[0] for _ in range(2)])


class DrawsElsewhere(Callback):
    """Draws from the global generator."""

    def on_batch_begin(self, net, **_):
        """Draw."""
        torch.rand(3)


def test_callbacks_draw_from_the_global_generator(data):
    """Code outside the network, such as a callback, draws from the global generator."""
    X, y = data
    fits = []
    before = torch.get_rng_state()
    for callbacks in (None, [DrawsElsewhere()]):
        classifier = AttributeClassifier(
            drops_by_layer, net_params={"callbacks": callbacks}, random_state=0
        )
        fits.append(classifier.fit(X, y).predict_proba(X)[0])
    np.testing.assert_array_equal(*fits)
    assert not torch.equal(torch.get_rng_state(), before)


def test_dropout_is_active_in_training(data):
    """Training losses differ from those of the network without dropout."""
    X, y = data
    losses = []
    for p in (0.0, 0.5):
        classifier = AttributeClassifier(
            lambda n, p=p: nn.Sequential(nn.Linear(n, 8), nn.Dropout(p)),
            max_epochs=2,
            random_state=0,
        )
        losses.append(classifier.fit(X, y).history_[-1]["train_loss"])
    assert losses[0] != losses[1]


def test_augmentation_is_reproducible_and_only_in_training(images, table):
    """Only training batches are augmented, with a generator of the seed."""
    seen = {True: [], False: []}

    def darken(pixels, generator):
        factor = torch.rand(len(pixels), generator=generator)
        seen[True].append(factor)
        return (pixels * factor[:, None, None, None]).to(torch.uint8)

    fits = [
        AttributeClassifier(
            tiny_backbone, image_size=(12, 10), max_epochs=2, batch_size=10, random_state=0,
            validation_fraction=0.25, augment=darken,
        ).fit(images, table)
        for _ in range(2)
    ]  # fmt: skip
    assert [len(factor) for factor in seen[True]] == [10, 8] * 4
    half = len(seen[True]) // 2
    assert all(map(torch.equal, seen[True][:half], seen[True][half:]))
    np.testing.assert_array_equal(*[fit.predict_proba(images)[1] for fit in fits])
    assert len(seen[True]) == 2 * half  # none in prediction


def test_pickle_holds_no_training_state(rng):
    """A pickle holds the weights but no momenta, gradients or validation rows."""
    X, y = rng.normal(size=(2000, 100)), rng.integers(0, 2, (2000, 3))
    classifier = AttributeClassifier("mlp", early_stopping=True, max_epochs=2).fit(X, y)
    weights = sum(
        value.numel() * value.element_size()
        for value in classifier.net_.module_.state_dict().values()
    )
    pickled = pickle.dumps(classifier)
    assert weights > 2e5
    assert len(pickled) < 1.3 * weights
    np.testing.assert_array_equal(
        pickle.loads(pickled).predict_proba(X[:5])[0], classifier.predict_proba(X[:5])[0]
    )
    assert classifier.net_.train_split is None
    assert not classifier.net_.optimizer_.state
    assert all(parameter.grad is None for parameter in classifier.net_.module_.parameters())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("precision", ["bfloat16", "float32", "float64"])
def test_precision_of_features(data, dtype, precision):
    """Outputs are float32 unless float64 was requested, and close to each other."""
    X, y = data
    X = X.astype(dtype)
    reference = AttributeClassifier("mlp", max_epochs=5, random_state=0).fit(X, y)
    classifier = clone(reference).set_params(
        training__precision=precision, transform_output="logit"
    )
    logits = classifier.fit(X, y).transform(X)
    assert logits.dtype == (np.float64 if precision == "float64" else np.float32)
    parameters = torch.float64 if precision == "float64" else torch.float32
    assert {p.dtype for p in classifier.net_.module_.parameters()} == {parameters}
    expected = reference.set_params(transform_output="logit").transform(X)
    tolerance = 0.1 if precision == "bfloat16" else 1e-4
    np.testing.assert_allclose(logits, expected, rtol=0, atol=tolerance)


def test_bfloat16_of_images(images, table):
    """Products in bfloat16 give float32 outputs close to those of float32."""
    probas = []
    for precision in ("float32", "bfloat16"):
        classifier = AttributeClassifier(
            tiny_backbone,
            image_size=(12, 10),
            max_epochs=2,
            training=TrainingOptions(precision=precision),
            random_state=0,
        ).fit(images, table)
        probas.append(classifier.transform(images))
    assert probas[1].dtype == np.float32
    np.testing.assert_allclose(*probas, rtol=0, atol=0.03)
    assert not np.array_equal(*probas)


@pytest.mark.parametrize(
    "backend",
    [
        "eager",
        pytest.param(
            "inductor",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler"),
            ],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised in modules of the compiler
def test_compiled_network(data, backend):
    """A compiled network learns the same, and its state dict keeps its keys."""
    X, y = data
    plain = AttributeClassifier("mlp", max_epochs=2, random_state=0).fit(X, y)
    compiled = clone(plain).set_params(
        training__compile=True, net_params={"compile__backend": backend}
    )
    compiled.fit(X, y)
    torch._dynamo.reset()
    expected, state = (one.net_.module_.state_dict() for one in (plain, compiled))
    assert list(state) == list(expected)
    for key in state:
        torch.testing.assert_close(state[key], expected[key], rtol=1e-8, atol=1e-8)
    again = pickle.loads(pickle.dumps(compiled))
    np.testing.assert_allclose(again.predict_proba(X)[0], plain.predict_proba(X)[0], rtol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_dropout(data):
    """Dropout in compiled code is reproducible and does not change the global state."""
    X, y = data
    before = torch.get_rng_state()
    states = [
        AttributeClassifier(
            drops_by_layer, max_epochs=2, random_state=0,
            net_params={"compile__backend": "eager"}, training=TrainingOptions(compile=True),
        ).fit(X, y).net_.module_.state_dict()
        for _ in range(2)
    ]  # fmt: skip
    torch._dynamo.reset()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_net_is_a_skorch_net(data):
    """The fitted net can be cloned and printed like skorch's."""
    net = AttributeClassifier(max_epochs=1).fit(*data).net_
    copy = clone(net)
    assert not copy.initialized_
    assert copy.get_params()["batch_size"] == 64
    assert copy.get_params()["config"] == net.config
    copy.set_params(config=replace(net.config, seed=7), lr=0.5)
    restored = pickle.loads(pickle.dumps(copy))
    assert (restored.config.seed, restored.lr) == (7, 0.5)
    assert "MultiBranchNetwork" in repr(net)


def test_generators_of_purposes_differ(data):
    """Generators differ between purposes and seeds, and are equal for equal ones."""
    net = AttributeClassifier(max_epochs=1, random_state=0).fit(*data).net_
    purposes = ("initialization", "shuffling", "augmentation", "dropout")
    draws = {purpose: torch.rand(4, generator=net.generator(purpose)) for purpose in purposes}
    assert len({tuple(draw.tolist()) for draw in draws.values()}) == 4
    for purpose, draw in draws.items():
        assert torch.equal(draw, torch.rand(4, generator=net.generator(purpose)))
    net.set_params(config=replace(net.config, seed=net.config.seed + 1))
    assert not torch.equal(draws["dropout"], torch.rand(4, generator=net.generator("dropout")))
