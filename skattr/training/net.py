"""The skorch net: several branches, masked losses, and no global random state."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, EpochTimer
from torch import Tensor
from torch.nn.modules.dropout import _DropoutNd

from skattr.exceptions import DivergedError
from skattr.nn.initialization import drawing_from
from skattr.training.augmentation import Augmentation
from skattr.training.batches import AttributeDataset, Batch, BatchLoader, Targets
from skattr.training.progress import ProgressBar


class AttributeNet(NeuralNet):
    """skorch's training loop for :class:`~skattr.nn.MultiBranchNetwork`.

    What differs from :class:`skorch.NeuralNet`: it is fitted on an :class:`AttributeDataset`;
    losses stay on the device until the epoch ends; Ctrl-C is raised; the initial weights, the
    shuffling, the augmentation and dropout each draw from a generator made of `seed`; a loss
    that is not finite is an error.

    Parameters
    ----------
    seed : int
        Of all randomness.
    augment : callable, optional
        Maps a batch of pictures and a generator to pictures, in training only.
    autocast : torch.dtype, optional
        The type matrix products and convolutions are computed in.
    num_workers : int
        Processes that decode files.
    validation : AttributeDataset, optional
        Rows to compute ``valid_loss`` on after every epoch.
    """

    module_: torch.nn.Module

    def __init__(
        self,
        *args: Any,
        seed: int = 0,
        augment: Augmentation | None = None,
        autocast: torch.dtype | None = None,
        num_workers: int = 0,
        validation: AttributeDataset | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **{"train_split": None, **kwargs})
        self.seed = seed
        self.augment = augment
        self.autocast = autocast
        self.num_workers = num_workers
        self.validation = validation

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [("epoch_timer", EpochTimer())]

    def generator(self, purpose: str, device: str = "cpu") -> torch.Generator:
        """Return a generator for one of the purposes that draw random numbers."""
        purposes = ("initialization", "shuffling", "augmentation", "dropout")
        sequence = np.random.SeedSequence([self.seed, purposes.index(purpose)])
        seed = int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
        return torch.Generator(device).manual_seed(seed)

    def initialize_module(self) -> "AttributeNet":
        """Build the module without touching the global random state."""
        with drawing_from(self.generator("initialization")):
            super().initialize_module()
        return self

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
        )

    def infer(self, x: Tensor, **_: Any) -> Tensor:
        """Compute the logits of a batch, augmented in training, in full precision."""
        x = x.to(self.device, non_blocking=True)
        if self.augment is not None and self.module_.training:
            x = self.augment(x, self.augmentation_generator_)
        with computing_in(self.autocast, x.device), self._drawing():
            logits: Tensor = self.module_(x)
        return logits.float() if self.autocast is not None else logits

    def get_loss(
        self, y_pred: Tensor, y_true: Targets, X: Any = None, training: bool = False
    ) -> Tensor:
        """Compute the loss of a batch and add its parts to those of the epoch."""
        codes, weights = (part.to(self.device, non_blocking=True) for part in y_true)
        loss_sums, weight_sums = self.criterion_.sums(y_pred, codes, weights)
        self.epoch_sums_.append((loss_sums.detach(), weight_sums))
        loss: Tensor = self.criterion_.total(loss_sums, weight_sums)
        return loss

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
        self.epoch_sums_: list[tuple[Tensor, Tensor]] = []
        n_batches = 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            self.notify("on_batch_end", batch=batch, training=training, **step)
            n_batches += 1
        loss_sums, weight_sums = (
            torch.stack(sums).sum(0) for sums in zip(*self.epoch_sums_, strict=True)
        )
        del self.epoch_sums_
        self._record(prefix, float(self.criterion_.total(loss_sums, weight_sums)), n_batches)

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
        """Train for `max_epochs`; unlike skorch's, it does not swallow Ctrl-C."""
        if not self.initialized_:
            self.initialize()
        self.notify("on_train_begin", X=X, y=y)
        try:
            with self._training_randomness():
                self.fit_loop(X, y)
        except BaseException as error:
            if not _stopped_early(error):
                self._close_progress()
                raise
        self.notify("on_train_end", X=X, y=y)
        return self

    @contextlib.contextmanager
    def _training_randomness(self) -> Iterator[None]:
        """Have generators for augmentation and dropout; compiled code takes only torch's own."""
        draws = callable(self.module__backbone) or any(
            isinstance(layer, _DropoutNd) or "StochasticDepth" in type(layer).__name__
            for layer in self.module_.modules()
        )
        dropout = self.generator("dropout", str(self.device))
        self.augmentation_generator_ = self.generator("augmentation", str(self.device))
        self.dropout_generator_ = dropout if draws and not self.compile else None
        try:
            with (
                _forked_randomness(dropout.initial_seed())
                if draws and self.compile
                else contextlib.nullcontext()
            ):
                yield
        finally:
            del self.augmentation_generator_, self.dropout_generator_

    def _drawing(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which the network draws from our generator, if it draws."""
        generator = getattr(self, "dropout_generator_", None)
        return contextlib.nullcontext() if generator is None else drawing_from(generator)

    def release_training_state(self) -> None:
        """Forget what only training needs: gradients, momenta, validation rows, the schedule."""
        self.optimizer_.zero_grad(set_to_none=True)
        self.optimizer_.state.clear()
        self.validation = None
        for _, callback in self.callbacks_:
            if hasattr(callback, "lr_scheduler_"):
                callback.lr_scheduler_ = None
            if isinstance(callback, EarlyStopping):
                callback.best_model_weights_ = None

    def _close_progress(self) -> None:
        for _, callback in self.callbacks_:
            if isinstance(callback, ProgressBar):
                callback.close()


@contextlib.contextmanager
def _forked_randomness(seed: int) -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def computing_in(
    dtype: torch.dtype | None, device: torch.device
) -> contextlib.AbstractContextManager[Any]:
    """Return autocast to `dtype` on `device`, or nothing for None."""
    if dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def _stopped_early(error: BaseException) -> bool:
    """Tell skorch's EarlyStopping, which raises KeyboardInterrupt itself, from Ctrl-C."""
    traceback = error.__traceback__ if isinstance(error, KeyboardInterrupt) else None
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return False
    return isinstance(traceback.tb_frame.f_locals.get("self"), EarlyStopping)
