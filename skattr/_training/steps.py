"""What the net does with one batch: the forward pass, the loss, the gradient, the step."""

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
from skattr.nn._random import use_generator

_MOST_PARTS = 256


class LossAccumulator:
    """Sums of losses and of weights over the batches of an epoch, left on their device.

    Attributes
    ----------
    sums : tuple of Tensor of shape (n branches,)
    """

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Tensor]] = []

    def add(self, loss_sums: Tensor, weight_sums: Tensor) -> None:
        """Take in those of a batch."""
        if len(self._parts) == _MOST_PARTS:
            self._parts = [self.sums]
        self._parts.append((loss_sums, weight_sums))

    @property
    def sums(self) -> tuple[Tensor, Tensor]:
        """Those of all batches so far."""
        losses, weights = zip(*self._parts, strict=True)
        return torch.stack(losses).sum(0), torch.stack(weights).sum(0)


class CallbackDispatcher:
    """The methods of callbacks that hear of an event; most callbacks hear of no batch.

    Parameters
    ----------
    callbacks : sequence of (name, skorch callback)
    """

    def __init__(self, callbacks: Sequence[tuple[str, Any]]) -> None:
        self._callbacks = [callback for _, callback in callbacks]
        self._by_event: dict[str, list[Callable[..., Any]]] = {}

    def methods(self, event: str) -> list[Callable[..., Any]]:
        """Return those of an event such as "on_batch_end"."""
        if event not in self._by_event:
            silent = getattr(Callback, event)
            heard = [one for one in self._callbacks if getattr(type(one), event) is not silent]
            self._by_event[event] = [getattr(one, event) for one in heard]
        return self._by_event[event]


@dataclass(frozen=True)
class DeviceBatch:
    """Inputs of n rows and one or more sets of labels for them.

    Attributes
    ----------
    inputs : tuple of Tensor of shape (n, ...)
        Images or features; behind them the object's category, if the network is given it.
    labels : tuple of (codes, weights)
        Each of shape (n, n_attributes), as the loss has arranged them. The sums of the losses
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

        A label counts by its row's share, and nothing where it is unknown (Zhang et al. 2018,
        with a mask).

        Parameters
        ----------
        share : float in [0, 1]
            Of the row; the partner has the rest.
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
        """Cut the rows into parts of about equal size."""
        tensors = [*self.inputs, *(tensor for pair in self.labels for tensor in pair)]
        n_inputs = len(self.inputs)
        for part in zip(*(tensor.tensor_split(n_parts) for tensor in tensors), strict=True):
            labels = zip(part[n_inputs::2], part[n_inputs + 1 :: 2], strict=True)
            yield DeviceBatch(part[:n_inputs], tuple(labels))


class TrainStepMixin:
    """The half of :class:`~skattr._training.net.AttributeNet` that deals with one batch."""

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
            network = self.module_.forward  # not compiled again for a last batch of another size
        with autocast_context(self.autocast, inputs[0].device), self._drawing():
            logits: Tensor = network(*inputs)
        return logits.float() if self.autocast is not None else logits

    def get_loss(
        self, y_pred: Tensor, y_true: Targets, X: Any = None, training: bool = False
    ) -> Tensor:
        """Compute the loss of a batch and add its parts to those of the epoch."""
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

        If the rows are a part of a batch, `divisors` are the weight sums of the whole and
        `share` is the part's share of what is added once per batch.
        """
        criterion = self.criterion_
        loss_sums, weight_sums = criterion.arranged_sums(logits, *labels[0])
        for codes, weights in labels[1:]:
            sums = criterion.arranged_sums(logits, codes, weights)
            loss_sums, weight_sums = loss_sums + sums[0], weight_sums + sums[1]
        self.epoch_sums_.add(loss_sums.detach(), weight_sums)
        divisors = weight_sums if divisors is None else divisors
        loss: Tensor = criterion.total(loss_sums, divisors, share=share)
        return loss

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Take a step and average the weights."""
        first: dict[str, Any] = {}

        def closure() -> Tensor:
            for parameter in self.parameters_:
                parameter.grad = None
            step = self.train_step_single(batch)
            first.update({} if first else step)
            self._tell_of_gradients(batch)
            loss: Tensor = step["loss"]
            return loss

        self._step_optimizer(closure)
        if self.average_ is not None:
            self.average_.update(self.module_)
        return first

    def _tell_of_gradients(self, batch: Batch) -> None:
        listeners = self.dispatcher_.methods("on_grad_computed")
        named = TeeGenerator(self.get_all_learnable_params()) if listeners else None
        for listener in listeners:
            listener(self, named_parameters=named, batch=batch, training=True)

    def train_step_single(self, batch: Batch, **_: Any) -> dict[str, Any]:
        """Compute the gradient of a batch: augmented, mixed, part by part, clipped."""
        whole = self._augmented(DeviceBatch.of(batch, self.device))
        n_parts = max(1, min(self.config.accumulate, len(whole) // 2))
        if n_parts == 1:
            logits = self._logits(whole.inputs)
            loss = self._differentiated(logits, whole.labels)
        else:
            loss, logits = self._in_parts(whole, n_parts)
        if self.config.clip_norm is not None:
            clip_grad_norm_(self.parameters_, self.config.clip_norm)
        return {"loss": loss.detach(), "y_pred": logits.detach()}

    def _differentiated(self, logits: Tensor, labels: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Compute the gradient of a whole batch and return its loss."""
        loss: Tensor
        if len(labels) == 1 and self.criterion_.gives_gradient:
            with torch.no_grad():
                loss, gradient, *sums = self.criterion_.arranged_gradient(logits, *labels[0])
            self.epoch_sums_.add(*sums)
            logits.backward(gradient)  # type: ignore[no-untyped-call]
            return loss
        loss = self._loss(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def _in_parts(self, whole: DeviceBatch, n_parts: int) -> tuple[Tensor, Tensor]:
        """Add up the gradients of the parts of a batch."""
        sums = [self.criterion_.arranged_weight_sums(*pair) for pair in whole.labels]
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
        """Change the images of a batch, and mix its rows, if asked for."""
        if self.config.augment is not None:
            x, *category = batch.inputs
            changed = self.config.augment(x, self.augmentation_generator_)
            batch = DeviceBatch((changed, *category), batch.labels)
        mixup = self.config.mixup
        if mixup:
            share = self.mixing_generator_.beta(mixup, mixup)
            # Partners are drawn evenly, so this changes no distribution; but a row keeps the
            # larger share, to whose labels its category, which is not mixed, belongs.
            share = max(share, 1 - share)
            order = torch.from_numpy(self.mixing_generator_.permutation(len(batch)))
            batch = batch.mixed(share, order.to(batch.inputs[0].device))
        return batch

    def _drawing(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which the network draws from our generator, if it draws."""
        generator = getattr(self, "dropout_generator_", None)
        return contextlib.nullcontext() if generator is None else use_generator(generator)
