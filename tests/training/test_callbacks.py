"""Progress bar of a fit."""

import signal

import pytest
from skorch.callbacks import Callback

from skattr import AttributeClassifier, TrainingOptions


class Watch(Callback):
    """Stores the bar, to which the callback drops its reference at the end."""

    def on_epoch_end(self, net, **_):
        """Store it."""
        self.bar = dict(net.callbacks_)["progress"].bar_


@pytest.fixture
def data(rng):
    """40 rows of noise, with two attributes of noise."""
    return rng.normal(size=(40, 20)), rng.integers(0, 2, (40, 2))


@pytest.mark.parametrize(("validation_fraction", "per_epoch"), [(None, 6), (0.25, 5)])
def test_bar_counts_training_batches(data, validation_fraction, per_epoch, capsys):
    """The bar ends at the number of training batches, shows epoch and losses, and is closed."""
    watch = Watch()
    AttributeClassifier(
        max_epochs=3, batch_size=7, verbose=1, net_params={"callbacks": [watch]},
        validation_fraction=validation_fraction,
    ).fit(*data)  # fmt: skip
    shown = capsys.readouterr().err
    assert watch.bar.n == watch.bar.total == 3 * per_epoch
    assert watch.bar.disable  # what tqdm calls closed
    assert "epoch=3" in shown
    assert "train_loss=" in shown
    assert ("valid_loss=" in shown) == (validation_fraction is not None)


def test_bar_is_closed_by_early_stopping(data):
    """The bar is closed before its end if the fit stops early."""
    watch = Watch()
    classifier = AttributeClassifier(
        max_epochs=60, lr=0.3, training=TrainingOptions(None), early_stopping=2, verbose=1,
        net_params={"callbacks": [watch]}, random_state=0,
    ).fit(*data)  # fmt: skip
    assert classifier.n_iter_ < 60
    assert watch.bar.n < watch.bar.total
    assert watch.bar.disable


class Interrupt(Watch):
    """Interrupts the fit as Ctrl-C does."""

    def on_epoch_end(self, net, **params):
        """Interrupt after the first epoch."""
        super().on_epoch_end(net, **params)
        signal.raise_signal(signal.SIGINT)


def test_bar_is_closed_by_an_interrupted_fit(data):
    """No bar is left open after Ctrl-C."""
    watch = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        AttributeClassifier(max_epochs=3, verbose=1, net_params={"callbacks": [watch]}).fit(*data)
    assert watch.bar.disable
