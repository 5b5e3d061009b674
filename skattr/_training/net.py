"""The skorch net: several branches, masked losses, and no global random state."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, EpochTimer, LRScheduler
from torch.nn.modules.dropout import _DropoutNd

from skattr._training.augmentation import Augmentation, ImageAugmenter
from skattr._training.callbacks import ProgressBar
from skattr._training.dataset import AttributeDataset, Batch
from skattr._training.ema import EMAWeights
from skattr._training.freezing import Freezing, parameter_groups
from skattr._training.loader import BatchLoader
from skattr._training.seeds import seed_of
from skattr._training.steps import CallbackDispatcher, LossAccumulator, TrainStepMixin
from skattr.exceptions import DivergedError, ImageReadError
from skattr.nn._random import make_generators, use_generators


class AttributeNet(TrainStepMixin, NeuralNet):
    """skorch's training loop for :class:`~skattr.nn.MultiBranchNetwork`.

    What differs from :class:`skorch.NeuralNet`: it is fitted on an :class:`AttributeDataset`;
    losses stay on the device until the epoch ends, and no history of batches is kept; Ctrl-C is
    raised; the initial weights, the shuffling, the augmentation and dropout each draw from a
    generator made of `seed`; a loss that is not finite is an error.

    Parameters
    ----------
    seed : int
        Of all randomness.
    augment : callable, optional
        Maps a batch of images and a generator to images, in training only.
    mixup : float
        Rows are mixed by shares from Beta(mixup, mixup), in training only; 0 is off.
    test_flip : bool
        Predict from images and their mirror images. ``valid_loss`` is without.
    ema_decay : float in [0, 1), optional
        Of the average of the weights that validation and prediction use.
    freeze : {"backbone", "stages:N"}, optional
        What of the backbone is not trained.
    unfreeze_every : int, optional
        Epochs after which a frozen stage is thawed, the last first.
    layer_decay : float in (0, 1]
        What the learning rate is multiplied by from stage to stage, away from the branches.
    clip_norm : float, optional
        Largest norm of the gradient of all parameters together.
    accumulate : int
        Parts of about equal size, of two rows or more, that a batch is cut into to need less
        memory. The step is that of the whole batch, but for what sees a part at a time:
        BatchNorm, and losses that compare the rows of a batch.
    autocast : torch.dtype, optional
        The type matrix products and convolutions are computed in.
    num_workers : int
        Processes that decode files.
    batch_history : bool
        Whether ``history[:, "batches"]`` has a row for each batch, with its loss. Each waits for
        the device.
    validation : AttributeDataset, optional
        Rows to compute ``valid_loss`` on after every epoch.
    """

    module_: Any
    average_: EMAWeights | None = None
    freezing_: Freezing | None = None
    epochs_before_ = 0
    streams = False  # whether it was made to be trained chunk by chunk
    cuda_dependent_attributes_ = ["average_"]

    def __init__(
        self,
        *args: Any,
        seed: int = 0,
        augment: Augmentation | None = None,
        mixup: float = 0.0,
        test_flip: bool = False,
        ema_decay: float | None = None,
        freeze: str | None = None,
        unfreeze_every: int | None = None,
        layer_decay: float = 1.0,
        clip_norm: float | None = None,
        accumulate: int = 1,
        autocast: torch.dtype | None = None,
        num_workers: int = 0,
        batch_history: bool = False,
        validation: AttributeDataset | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **{"train_split": None, **kwargs})
        self.seed = seed
        self.augment = augment
        self.mixup = mixup
        self.test_flip = test_flip
        self.ema_decay = ema_decay
        self.freeze = freeze
        self.unfreeze_every = unfreeze_every
        self.layer_decay = layer_decay
        self.clip_norm = clip_norm
        self.accumulate = accumulate
        self.autocast = autocast
        self.num_workers = num_workers
        self.batch_history = batch_history
        self.validation = validation

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [("epoch_timer", EpochTimer())]

    def generator(self, purpose: str, device: str = "cpu") -> torch.Generator:
        """Return a generator for one of the purposes that draw random numbers.

        It is the same for the same `seed` and number of epochs before the present training.
        """
        return torch.Generator(device).manual_seed(self._seed_of(purpose))

    def _seed_of(self, purpose: str) -> int:
        is_first = purpose == "initialization"
        return seed_of(purpose, self.seed, 0 if is_first else self.epochs_before_)

    def initialize_module(self) -> "AttributeNet":
        """Build the module without touching the global random state."""
        with use_generators(*make_generators(self.device, self._seed_of("initialization"))):
            super().initialize_module()
        self.average_ = None
        return self

    def get_params_for_optimizer(
        self, prefix: str, named_parameters: Iterable[tuple[str, torch.nn.Parameter]]
    ) -> tuple[Any, dict[str, Any]]:
        """Return the parameter groups, one per stage of the backbone if they learn unequally."""
        named = list(named_parameters)
        args, kwargs = super().get_params_for_optimizer(prefix, named)
        if self.layer_decay == 1:
            return args, kwargs
        if len(args[0]) > 1:
            raise ValueError(
                f"layer_decay={self.layer_decay} makes parameter groups of its own; it goes with "
                "no optimizer__param_groups."
            )
        parameters = [parameter for _, parameter in named]
        backbone: Any = self.module_.backbone
        groups = parameter_groups(backbone, parameters, kwargs["lr"], self.layer_decay)
        return (groups,), kwargs

    def torch_compile(self, module: torch.nn.Module, name: str) -> torch.nn.Module:
        """Compile the network in place, so that its state dict keeps its keys."""
        if self.compile and name == "module":
            module.compile(**self.get_params_for("compile"))
        return module

    def get_split_datasets(self, X: Any, y: Any = None, **_: Any) -> tuple[Any, Any]:
        """Return the training rows and the validation rows, split beforehand."""
        return X, self.validation

    def get_iterator(self, dataset: AttributeDataset, training: bool = False) -> BatchLoader:
        """Return the batches of a dataset, shuffled in training."""
        return BatchLoader(
            dataset,
            self.batch_size,
            self.generator("shuffling") if training else None,
            self.num_workers,
            pin_memory=str(self.device).startswith("cuda"),
            reuse_memory=training and self.device == "cpu" and not self._may_hold_batches(),
        )

    def _may_hold_batches(self) -> bool:
        """Whether code of the user's sees batches, and may keep one: anything but its hooks."""
        if not hasattr(self, "listeners_") or not isinstance(self.module__backbone, str):
            return True
        if self.augment is not None and not isinstance(self.augment, ImageAugmenter):
            return True
        if not type(self.criterion_).__module__.startswith("skattr."):
            return True
        events = ("on_batch_begin", "on_grad_computed", "on_batch_end")
        heard = [method for event in events for method in self.listeners_.of(event)]
        callbacks = [getattr(method, "__self__", None) for method in heard]
        return not all(type(one) in (LRScheduler, ProgressBar) for one in callbacks)

    def run_single_epoch(
        self,
        iterator: Iterable[Batch] | None,
        training: bool,
        prefix: str,
        step_fn: Callable[..., dict[str, Any]],
        **fit_params: Any,
    ) -> None:
        """Go once over the batches and record the loss of the whole epoch."""
        if iterator is None:
            return
        if training:
            self._start_training()
            self.history.new_batch()  # what callbacks record of batches, if no history is kept
        self._set_training(training)
        self.epoch_sums_ = LossAccumulator()
        n_batches = 0
        for batch in iterator:
            if self.batch_history and (n_batches or not training):
                self.history.new_batch()
            for listener in self.listeners_.of("on_batch_begin"):
                listener(self, batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            if self.batch_history:
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
            for listener in self.listeners_.of("on_batch_end"):
                listener(self, batch=batch, training=training, **step)
            n_batches += 1
        if not n_batches:
            raise ImageReadError(
                f"No batch of the {prefix} rows is left: images that could be read when `fit` "
                "began no longer can."
            )
        loss = self.criterion_.total(*self.epoch_sums_.sums).detach()
        del self.epoch_sums_
        if training and self.average_ is not None:
            self.average_.exchange(self.module_)
        self._record(prefix, float(loss), n_batches)

    def _start_training(self) -> None:
        """Freeze what the epoch freezes, and go on from the weights, not their averages."""
        if self.freezing_ is not None:
            self.freezing_.start_epoch(len(self.history) - 1)
        if self.average_ is not None and self.average_.network_holds_averages:
            self.average_.exchange(self.module_)

    def _set_training(self, training: bool = True) -> None:
        super()._set_training(training)
        if training and self.freezing_ is not None:
            self.freezing_.keep_in_evaluation_mode()

    def _record(self, prefix: str, loss: float, n_batches: int) -> None:
        if not np.isfinite(loss):
            raise DivergedError(
                f"The {prefix} loss of epoch {len(self.history)} is {loss}; a smaller `lr` or "
                "input of a smaller scale keeps it finite."
            )
        earlier = [row[f"{prefix}_loss"] for row in self.history[:-1]]
        self.history.record(f"{prefix}_loss", loss)
        self.history.record(f"{prefix}_loss_best", all(loss < other for other in earlier))
        self.history.record(f"{prefix}_batch_count", n_batches)

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **_: Any) -> "AttributeNet":
        """Train for `max_epochs`; unlike skorch's, it does not swallow Ctrl-C.

        Called again, it goes on: with other random numbers, from the weights, not the averages.
        """
        if not self.initialized_:
            self.initialize()
        self.epochs_before_ = len(self.history)
        if self.ema_decay is not None and self.average_ is None:
            self.average_ = EMAWeights(self.module_, self.ema_decay)
        self.listeners_ = CallbackDispatcher(self.callbacks_)
        self.parameters_ = [parameter for _, parameter in self.get_all_learnable_params()]
        self.notify("on_train_begin", X=X, y=y)
        try:
            with self._training_randomness(), self._freezing():
                self.fit_loop(X, y)
        except BaseException as error:
            if not _stopped_early(error):
                self._close_progress()
                raise
        finally:
            del self.listeners_, self.parameters_
        self.notify("on_train_end", X=X, y=y)
        return self

    @contextlib.contextmanager
    def _training_randomness(self) -> Iterator[None]:
        """Have generators for augmentation, mixup, and networks that draw random numbers."""
        # What a backbone of the user's draws cannot be seen from its layers.
        draws = callable(self.module__backbone) or any(
            isinstance(layer, _DropoutNd) or "StochasticDepth" in type(layer).__name__
            for layer in self.module_.modules()
        )
        dropout = make_generators(self.device, self._seed_of("dropout")) if draws else []
        self.augmentation_generator_ = self.generator("augmentation", str(self.device))
        self.mixing_generator_ = np.random.default_rng(self._seed_of("mixup"))
        self.dropout_generators_ = dropout
        try:
            yield
        finally:
            del self.augmentation_generator_, self.dropout_generators_, self.mixing_generator_

    @contextlib.contextmanager
    def _freezing(self) -> Iterator[None]:
        """Freeze stages of the backbone, if asked for."""
        if self.freeze is None:
            yield
            return
        backbone: Any = self.module_.backbone
        self.freezing_ = freezing = Freezing(backbone, self.freeze, self.unfreeze_every)
        try:
            yield
        finally:
            freezing.restore()
            self.freezing_ = None

    def release_training_state(self) -> None:
        """Forget what only training needs: gradients, momenta, averages, validation rows."""
        self.optimizer_.zero_grad(set_to_none=True)
        self.optimizer_.state.clear()
        self.validation = None
        self.average_ = None
        for _, callback in self.callbacks_:
            if hasattr(callback, "lr_scheduler_"):
                callback.lr_scheduler_ = None
            if isinstance(callback, EarlyStopping):
                callback.best_model_weights_ = None

    def _close_progress(self) -> None:
        for _, callback in self.callbacks_:
            if isinstance(callback, ProgressBar):
                callback.close()


def _stopped_early(error: BaseException) -> bool:
    """Tell skorch's EarlyStopping, which raises KeyboardInterrupt itself, from Ctrl-C."""
    traceback = error.__traceback__ if isinstance(error, KeyboardInterrupt) else None
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return False
    return isinstance(traceback.tb_frame.f_locals.get("self"), EarlyStopping)
