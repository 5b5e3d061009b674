"""One batch of training: forward pass, loss, gradient and optimizer step."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from skorch.utils import TeeGenerator
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from skattr._training.config import TrainingConfig
from skattr._training.dataset import Batch, Targets
from skattr._training.devices import autocast_context, to_device
from skattr.nn._random import use_generators

_MAX_PENDING = 256  # batches; more would leave an epoch's small tensors all in memory


class LossAccumulator:
    """Sums of losses and of weights over the batches of an epoch.

    They stay on their device: reading a number would wait for it at each batch.

    Attributes
    ----------
    sums : tuple of Tensor of shape (n_branches,)
    """

    def __init__(self) -> None:
        self._pending: list[tuple[Tensor, Tensor]] = []

    def add(self, loss_sums: Tensor, weight_sums: Tensor) -> None:
        """Add the sums of a batch."""
        if len(self._pending) == _MAX_PENDING:
            self._pending = [self.sums]
        self._pending.append((loss_sums, weight_sums))

    @property
    def sums(self) -> tuple[Tensor, Tensor]:
        """The sums over all batches so far."""
        losses, weights = zip(*self._pending, strict=True)
        return torch.stack(losses).sum(0), torch.stack(weights).sum(0)


class CallbackDispatcher:
    """Finds the callbacks that define the method of an event.

    skorch notifies every callback of every batch, which takes 50 to 130 microseconds although
    most callbacks define no method for batches.

    Parameters
    ----------
    callbacks : sequence of (name, skorch callback)
    """

    def __init__(self, callbacks: Sequence[tuple[str, Any]]) -> None:
        self._callbacks = [callback for _, callback in callbacks]
        self._by_event: dict[str, list[Callable[..., Any]]] = {}

    def methods(self, event: str) -> list[Callable[..., Any]]:
        """Return the bound methods of an event such as "on_batch_end"."""
        if event not in self._by_event:
            default = getattr(Callback, event)
            self._by_event[event] = [
                getattr(callback, event)
                for callback in self._callbacks
                if getattr(type(callback), event) is not default
            ]
        return self._by_event[event]


@dataclass(frozen=True)
class DeviceBatch:
    """Inputs of n rows, and one or more sets of labels for them.

    Attributes
    ----------
    inputs : tuple of Tensor of shape (n, ...)
        Images or features, followed by the object's category if it is an input of the network.
    labels : tuple of (codes, weights)
        Each of shape (n, n_attributes), in the order of y. The sums of the losses
        with each of them, and those of the weights, are to be added.
    """

    inputs: tuple[Tensor, ...]
    labels: tuple[tuple[Tensor, Tensor], ...]

    @classmethod
    def of(cls, batch: Batch, device: Any) -> "DeviceBatch":
        """Move a batch to a device."""
        codes, weights = to_device(batch[1], device)
        return cls(to_device(batch[0], device), ((codes, weights),))

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.inputs[0].shape[0]

    def mixed(self, share: float, order: Tensor) -> "DeviceBatch":
        """Mix the images or features of each row with those of its partner, as floats.

        A label is weighted by the share of its row, and a missing label by 0 (Zhang et al. 2018,
        with a mask).

        Parameters
        ----------
        share : float in [0, 1]
            Share of the row; that of the partner is 1 - share.
        order : Tensor of shape (n,), int64
            The partner of each row.
        """
        x, *others = self.inputs
        floats = x if x.is_floating_point() else x.float()
        of_rows = tuple((codes, share * weights) for codes, weights in self.labels)
        of_partners = tuple(
            (codes[order], (1 - share) * weights[order]) for codes, weights in self.labels
        )
        mixed = torch.lerp(floats[order], floats, share)
        return DeviceBatch((mixed, *others), of_rows + of_partners)

    def parts(self, n_parts: int) -> "Iterator[DeviceBatch]":
        """Split the rows into parts of about equal size."""
        tensors = [*self.inputs, *(tensor for pair in self.labels for tensor in pair)]
        n_inputs = len(self.inputs)
        for part in zip(*(tensor.tensor_split(n_parts) for tensor in tensors), strict=True):
            labels = zip(part[n_inputs::2], part[n_inputs + 1 :: 2], strict=True)
            yield DeviceBatch(part[:n_inputs], tuple(labels))


class TrainStepMixin:
    """The methods of :class:`~skattr._training.net.AttributeNet` for one batch."""

    module_: Any
    criterion_: Any
    epoch_sums_: LossAccumulator
    dispatcher_: CallbackDispatcher
    average_: Any
    device: Any
    batch_size: int
    compile: bool
    autocast: torch.dtype | None
    config: TrainingConfig
    augmentation_generator_: torch.Generator
    mixing_generator_: np.random.Generator
    get_all_learnable_params: Callable[[], Iterator[tuple[str, torch.nn.Parameter]]]
    parameters_: list[torch.nn.Parameter]
    _step_optimizer: Callable[[Callable[[], Tensor]], None]

    def infer(self, x: Tensor | tuple[Tensor, ...], **_: Any) -> Tensor:
        """Compute the logits of a batch in full precision."""
        return self._logits(to_device(x, self.device))

    def _logits(self, inputs: tuple[Tensor, ...]) -> Tensor:
        network = self.module_
        if self.compile and len(inputs[0]) not in (
            self.batch_size,
            -(-self.batch_size // self.config.accumulate),
        ):
            # A last batch of another size runs without the compiled code, which would be compiled
            # again for its size.
            network = self.module_.forward
        with autocast_context(self.autocast, inputs[0].device), self._drawing():
            logits: Tensor = network(*inputs)
        return logits.float() if self.autocast is not None else logits

    def get_loss(
        self, y_pred: Tensor, y_true: Targets, X: Any = None, training: bool = False
    ) -> Tensor:
        """Compute the loss of a batch and add its sums to those of the epoch."""
        codes, weights = to_device(y_true, self.device)
        return self._loss(y_pred, [(codes, weights)])

    def _loss(
        self,
        logits: Tensor,
        labels: Sequence[tuple[Tensor, Tensor]],
        divisors: Tensor | None = None,
        share: float = 1.0,
    ) -> Tensor:
        """Return the loss of rows with all their `labels`.

        If the rows are a part of a batch, `divisors` are the weight sums of the whole batch, and
        `share` is the part's share of terms that a batch has once.
        """
        criterion = self.criterion_
        loss_sums, weight_sums = criterion.sums(logits, *labels[0])
        for codes, weights in labels[1:]:
            sums = criterion.sums(logits, codes, weights)
            loss_sums, weight_sums = loss_sums + sums[0], weight_sums + sums[1]
        self.epoch_sums_.add(loss_sums.detach(), weight_sums)
        divisors = weight_sums if divisors is None else divisors
        loss: Tensor = criterion.total(loss_sums, divisors, share=share)
        return loss

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Take an optimizer step and update the moving average of the weights."""
        first: dict[str, Any] = {}

        def closure() -> Tensor:
            # As optimizer.zero_grad(), which also starts a profiler record on each call.
            for parameter in self.parameters_:
                parameter.grad = None
            step = self.train_step_single(batch)
            first.update({} if first else step)
            self._notify_gradients(batch)
            loss: Tensor = step["loss"]
            return loss

        self._step_optimizer(closure)
        if self.average_ is not None:
            self.average_.update(self.module_)
        return first

    def _notify_gradients(self, batch: Batch) -> None:
        methods = self.dispatcher_.methods("on_grad_computed")
        named = TeeGenerator(self.get_all_learnable_params()) if methods else None
        for method in methods:
            method(self, named_parameters=named, batch=batch, training=True)

    def train_step_single(self, batch: Batch, **_: Any) -> dict[str, Any]:
        """Augment and mix a batch, compute its gradient, in parts if configured, and clip it."""
        whole = self._augmented(DeviceBatch.of(batch, self.device))
        n_parts = max(1, min(self.config.accumulate, len(whole) // 2))
        if n_parts == 1:
            logits = self._logits(whole.inputs)
            loss = self._loss(logits, whole.labels)
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            loss, logits = self._in_parts(whole, n_parts)
        if self.config.clip_norm is not None:
            clip_grad_norm_(self.parameters_, self.config.clip_norm)
        return {"loss": loss.detach(), "y_pred": logits.detach()}

    def _in_parts(self, whole: DeviceBatch, n_parts: int) -> tuple[Tensor, Tensor]:
        """Add up the gradients of the parts of a batch."""
        sums = [self.criterion_.weight_sums(*pair) for pair in whole.labels]
        divisors = sum(sums[1:], sums[0])
        losses, outputs = [], []
        for part in whole.parts(n_parts):
            logits = self._logits(part.inputs)
            loss = self._loss(logits, part.labels, divisors, share=1 / n_parts)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            outputs.append(logits.detach())
        return torch.stack(losses).sum(), torch.cat(outputs)

    def validation_step(self, batch: Batch, **_: Any) -> dict[str, Any]:
        """Compute the loss of a batch."""
        with torch.no_grad():
            logits = self.infer(batch[0])
            return {"loss": self.get_loss(logits, batch[1]), "y_pred": logits}

    def _augmented(self, batch: DeviceBatch) -> DeviceBatch:
        """Augment the images of a batch and mix its rows, as configured."""
        if self.config.augment is not None:
            x, *category = batch.inputs
            changed = self.config.augment(x, self.augmentation_generator_)
            batch = DeviceBatch((changed, *category), batch.labels)
        mixup = self.config.mixup
        if mixup:
            share = self.mixing_generator_.beta(mixup, mixup)
            # Partners are drawn uniformly, so taking the larger share changes no distribution. It
            # keeps each row closest to its own category, which is not mixed.
            share = max(share, 1 - share)
            order = torch.from_numpy(self.mixing_generator_.permutation(len(batch)))
            batch = batch.mixed(share, order.to(batch.inputs[0].device))
        return batch

    def _drawing(self) -> contextlib.AbstractContextManager[None]:
        """Return the context in which a network that draws random numbers is run in training."""
        generators = getattr(self, "dropout_generators_", None)
        # Networks that draw nothing take no turns with those of other threads.
        return use_generators(*generators) if generators else contextlib.nullcontext()
