"""The skorch net and its training loop."""

import copy
import dis
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, EarlyStopping, EpochTimer
from torch.nn.modules.dropout import _DropoutNd

from skattr._training.callbacks import ProgressBar
from skattr._training.config import TrainingConfig
from skattr._training.dataset import AttributeDataset, Batch
from skattr._training.devices import is_cuda
from skattr._training.ema import EMAWeights
from skattr._training.freezing import Freezing, parameter_groups
from skattr._training.loader import BatchLoader
from skattr._training.net_predictions import PredictingNet
from skattr._training.seeds import seed_of
from skattr._training.steps import TrainingGenerators
from skattr.exceptions import DivergedError, ImageReadError
from skattr.nn._branches import FusedBranches
from skattr.nn._random import make_generators, use_generators

_N_ROWS_CHECKED = 8  # rows whose outputs are checked after a training


class AttributeNet(PredictingNet):
    """skorch's training loop for :class:`~skattr.nn.MultiBranchNetwork`.

    It differs from :class:`skorch.NeuralNet` in that it is fitted on an :class:`AttributeDataset`;
    losses stay on the device until the epoch ends, and no history of batches is kept; Ctrl-C is
    raised; the initial weights, the shuffling, the augmentation and dropout each draw from a
    generator seeded by ``config.seed``; a loss that is not finite is an error.

    Parameters
    ----------
    config : TrainingConfig
        The settings that skorch has no parameter for: `augment`, `ema_decay`, `clip_norm`,
        `accumulate`, `freeze`, `unfreeze_every`, `layer_decay`, `num_workers` and `seed`. The
        others are read from skorch's parameters (`lr`, `batch_size`, `module__backbone`, ...).
    batch_history : bool, default=False
        Whether ``history[:, "batches"]`` has a row for each batch, with its loss. Each waits for
        the device. A callback that scores batches turns it on.
    interface : NetInterface, optional
        Reads X and y, and decodes logits. Without one the net takes datasets only.
    """

    module_: Any
    freezing_: Freezing
    epochs_before_ = 0
    first_rows_: tuple[torch.Tensor, ...]
    streams = False  # whether it was built for partial_fit
    cuda_dependent_attributes_ = ["average_"]

    def __init__(
        self,
        *args: Any,
        config: TrainingConfig,
        batch_history: bool = False,
        interface: Any = None,
        **kwargs: Any,
    ) -> None:
        # Scoring callbacks cannot take labels from a dataset of this package, only from batches.
        super().__init__(*args, **{"train_split": None, "use_caching": True, **kwargs})
        self.interface = interface
        self.config = config
        self.batch_history = batch_history

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [("epoch_timer", EpochTimer())]

    def generator(self, purpose: str, device: str = "cpu") -> torch.Generator:
        """Return a generator for a purpose of :func:`~skattr._training.seeds.seed_of`.

        It depends on the seed and on the number of epochs before the current training only.
        """
        return torch.Generator(device).manual_seed(self._seed_of(purpose))

    def _seed_of(self, purpose: str) -> int:
        return seed_of(purpose, self.config.seed, self.epochs_before_)

    def initialize_module(self) -> "AttributeNet":
        """Build the module without touching the global random state."""
        seed = seed_of("initialization", self.config.seed)
        with use_generators(*make_generators(self.device, seed)):
            super().initialize_module()
        self.average_ = None
        return self

    def get_params_for_optimizer(
        self, prefix: str, named_parameters: Iterable[tuple[str, torch.nn.Parameter]]
    ) -> tuple[Any, dict[str, Any]]:
        """Return parameter groups: one, or one per stage of the backbone for `layer_decay`."""
        named = list(named_parameters)
        args, kwargs = super().get_params_for_optimizer(prefix, named)
        decay = self.config.layer_decay
        if decay == 1:
            return args, kwargs
        if len(args[0]) > 1:
            raise ValueError(
                f"fine_tuning has layer_decay={decay}, which makes its own parameter groups and "
                "cannot be combined with optimizer__param_groups of net_params."
            )
        parameters = [parameter for _, parameter in named]
        groups = parameter_groups(self.module_.backbone, parameters, kwargs["lr"], decay)
        return (groups,), kwargs

    def torch_compile(self, module: torch.nn.Module, name: str) -> torch.nn.Module:
        """Compile the network in place.

        skorch replaces it by a wrapper, which adds a prefix to the keys of its state dict.
        """
        if self.compile and name == "module":
            module.compile(**self.get_params_for("compile"))
        return module

    def get_iterator(self, dataset: AttributeDataset, training: bool = False) -> BatchLoader:
        """Return the batches of a dataset, shuffled in training."""
        return BatchLoader(
            dataset,
            self.batch_size,
            self.generator("shuffling") if training else None,
            self.config.num_workers,
            pin_memory=is_cuda(self.device),
        )

    def run_single_epoch(
        self,
        iterator: Iterable[Batch] | None,
        training: bool,
        prefix: str,
        step_fn: Callable[..., dict[str, Any]],
    ) -> None:
        """Pass once over the batches and record the loss of the epoch."""
        if iterator is None:
            return
        self._set_training(training)
        if training:
            # After _set_training, which would undo the evaluation mode of frozen stages.
            self.freezing_.start_epoch(len(self.history) - 1)
            if self.average_ is not None and self.average_.network_holds_averages:
                self.average_.exchange(self.module_)
            if not self._keeps_batches():
                self.history.new_batch()
        self.epoch_sums_ = 0
        n_batches = 0
        for batch in iterator:
            if training and not n_batches:
                self.first_rows_ = _first_rows(batch)
            shown = self._for_callbacks(batch)
            self.notify("on_batch_begin", batch=shown, training=training)
            step = step_fn(batch)
            if self._keeps_batches():
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
                self.history.record_batch(f"{prefix}_batch_size", len(batch[1][0]))
            self.notify("on_batch_end", batch=shown, training=training, **step)
            n_batches += 1
        if not n_batches:
            rows = "training" if training else "validation"
            raise ImageReadError(f"All {rows} batches became unreadable during fit.")
        # Sums of losses and weights add up over batches, so this is the loss of all rows, not a
        # mean of batch means. One number is read from the device per epoch.
        loss = self.criterion_.total(*self.epoch_sums_).detach()
        del self.epoch_sums_
        if training and self.average_ is not None:
            self.average_.exchange(self.module_)
        self._record(prefix, float(loss), n_batches)

    def on_batch_begin(self, net: Any, **params: Any) -> None:
        """Begin a row of the history; without `batch_history` the batches of an epoch share one.

        Callbacks may record in it.
        """
        if self._keeps_batches():
            super().on_batch_begin(net, **params)

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

        Another call continues with other random numbers, from the weights, not their averages.
        """
        if not self.initialized_:
            self.initialize()
        self.epochs_before_ = len(self.history)
        if self.config.ema_decay is not None and self.average_ is None:
            self.average_ = EMAWeights(self.module_, self.config.ema_decay)
        self.generators_ = self._training_generators()
        self.freezing_ = Freezing(
            self.module_.backbone, self.config.freeze, self.config.unfreeze_every
        )
        self.notify("on_train_begin", X=X, y=y)
        try:
            self.fit_loop(X, y)
        except KeyboardInterrupt as error:
            if not _stopped_early(error):
                raise
        finally:
            self.freezing_.restore()
            del self.freezing_, self.generators_
            for _, callback in self.callbacks_:
                if isinstance(callback, ProgressBar):
                    callback.close()
        self.notify("on_train_end", X=X, y=y)
        return self

    def _training_generators(self) -> TrainingGenerators:
        """Return generators for augmentation, mixup, and networks that draw random numbers."""
        # What a backbone of the user's draws cannot be seen from its layers.
        draws = callable(self.module__backbone) or any(
            isinstance(layer, _DropoutNd) or "StochasticDepth" in type(layer).__name__
            for layer in self.module_.modules()
        )
        return TrainingGenerators(
            augmentation=self.generator("augmentation", str(self.device)),
            mixup=np.random.default_rng(self._seed_of("mixup")),
            transforms=np.random.default_rng(self._seed_of("transforms")),
            network=make_generators(self.device, self._seed_of("dropout")) if draws else (),
        )

    def with_branches(self, branches: FusedBranches) -> "AttributeNet":
        """Return a net that has further branches, and shares all else with this one."""
        net = type(self).__new__(type(self))
        net.__dict__.update(self.__dict__)
        module = copy.copy(self.module_)
        module._modules = dict(module._modules)
        module.grow(branches)
        net.__dict__["module_"] = module
        return net

    def release_training_state(self) -> None:
        """Drop the state that only training needs, so that pickles are as large as the weights.

        This is: gradients, momenta, averages, validation rows, schedules, saved weights.
        """
        # The schedule has ended: further training by the net's own methods is at a constant rate.
        # Without validation rows, there is nothing to stop early by.
        if "lr_schedule" in dict(self.callbacks_):
            for group in self.optimizer_.param_groups:
                group["lr"] = group.pop("max_lr", group.pop("initial_lr", group["lr"]))
        self.optimizer_.zero_grad(set_to_none=True)
        self.optimizer_.state.clear()
        self.train_split = None  # holds the validation rows
        self.average_ = None
        for _, callback in self.callbacks_:
            if hasattr(callback, "lr_scheduler_"):
                callback.lr_scheduler_ = None
            if isinstance(callback, EarlyStopping):
                callback.best_model_weights_ = None
        ended = ("lr_schedule", "early_stopping")
        self.callbacks_ = [(name, one) for name, one in self.callbacks_ if name not in ended]


def _first_rows(batch: Batch) -> tuple[torch.Tensor, ...]:
    """Return copies of the inputs of a batch's first rows."""
    inputs = batch[0] if isinstance(batch[0], tuple) else (batch[0],)
    return tuple(tensor[:_N_ROWS_CHECKED].clone() for tensor in inputs)


def _stopped_early(error: KeyboardInterrupt) -> bool:
    """Whether a method of a callback raised the error to end the training, as in skorch."""
    # Ctrl-C raises the same error, which says nothing of its origin. It may strike inside of a
    # callback, but not at a raise statement: the innermost frame and its instruction tell.
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or not isinstance(last.tb_frame.f_locals.get("self"), Callback):
        return False
    return dis.opname[last.tb_frame.f_code.co_code[last.tb_lasti]] == "RAISE_VARARGS"
