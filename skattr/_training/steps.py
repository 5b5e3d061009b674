"""One batch of training: forward pass, loss, gradient and optimizer step."""

import contextlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from skattr._training.config import TrainingConfig
from skattr._training.dataset import Batch, Targets
from skattr._training.devices import (
    autocast_context,
    resolve_dtypes,
    resolve_precision,
    to_device,
)
from skattr._training.ema import EMAWeights
from skattr._training.user_augmentation import UserAugmentation
from skattr.nn._random import use_generators


@dataclass(frozen=True)
class TrainingGenerators:
    """Random number generators of a training.

    Attributes
    ----------
    augmentation : torch.Generator
        On the device of the net.
    mixup : numpy.random.Generator
    transforms : numpy.random.Generator
        Draws the seed of each call of an augmentation of the user.
    network : sequence of torch.Generator
        Those that the network draws from; none if it draws no random numbers.
    """

    augmentation: torch.Generator
    mixup: np.random.Generator
    transforms: np.random.Generator
    network: Sequence[torch.Generator]


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

    def parts(self, n_parts: int) -> "Iterable[DeviceBatch]":
        """Split the rows into parts of about equal size."""
        for rows in np.array_split(np.arange(len(self)), n_parts):
            part = slice(rows[0], rows[-1] + 1)
            labels = tuple((codes[part], weights[part]) for codes, weights in self.labels)
            yield DeviceBatch(tuple(tensor[part] for tensor in self.inputs), labels)


class TrainStepNet(NeuralNet):
    """The methods of :class:`~skattr._training.net.AttributeNet` for one batch.

    Attributes
    ----------
    epoch_sums_ : Tensor of shape (2, n_branches)
        Sums of the losses and of the weights over the batches of the epoch so far. They stay on
        their device: reading a number would wait for it at each batch.
    generators_ : TrainingGenerators or None
        None outside training.
    """

    config: TrainingConfig
    epoch_sums_: Any
    generators_: TrainingGenerators | None = None
    average_: EMAWeights | None = None

    @property
    def autocast(self) -> torch.dtype | None:
        """Type of products in the backbone, if not that of the parameters.

        It follows from the device in use, so that a network that was trained on a GPU computes in
        float32 where it is loaded on a CPU.
        """
        precision = self.config.precision
        if precision == "auto" and self.module_.n_inputs is not None:  # 2-D features
            return None
        return resolve_dtypes(resolve_precision(precision, str(self.device)))[1]

    def infer(self, x: Tensor | tuple[Tensor, ...], **_: Any) -> Tensor:
        """Compute the logits of a batch."""
        return self._logits(to_device(x, self.device))

    def _logits(self, inputs: tuple[Tensor, ...]) -> Tensor:
        # A last batch of another size runs without the compiled code, which would be compiled
        # again for its size.
        sizes = (self.batch_size, math.ceil(self.batch_size / self.config.accumulate))
        is_usual = not self.compile or len(inputs[0]) in sizes
        network = self.module_ if is_usual else self.module_.forward
        generators = () if self.generators_ is None else self.generators_.network
        # Networks that draw nothing take no turns with those of other threads.
        drawing = use_generators(*generators) if generators else contextlib.nullcontext()
        with autocast_context(self.autocast, inputs[0].device), drawing:
            logits: Tensor = network(*inputs)
        return logits

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
        self.epoch_sums_ = self.epoch_sums_ + torch.stack([loss_sums.detach(), weight_sums])
        divisors = weight_sums if divisors is None else divisors
        loss: Tensor = criterion.total(loss_sums, divisors, share=share)
        return loss

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Take an optimizer step and update the moving average of the weights."""
        step: dict[str, Any] = super().train_step(batch, **fit_params)
        if self.average_ is not None:
            self.average_.update(self.module_)
        return step

    def _zero_grad_optimizer(self, set_to_none: bool | None = None) -> None:
        # optimizer.zero_grad() also starts a profiler record, 4 % of a step of a linear network.
        for group in self.optimizer_.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def train_step_single(self, batch: Batch, **_: Any) -> dict[str, Any]:
        """Augment and mix a batch, compute its gradient, in parts if configured, and clip it."""
        whole = self._augmented(DeviceBatch.of(batch, self.device))
        n_parts = max(1, min(self.config.accumulate, len(whole) // 2))
        parts: Iterable[DeviceBatch] = [whole]
        divisors = None
        if n_parts > 1:
            parts = whole.parts(n_parts)
            sums = [self.criterion_.weight_sums(*pair) for pair in whole.labels]
            divisors = sum(sums[1:], sums[0])
        losses, outputs = [], []
        for part in parts:
            logits = self._logits(part.inputs)
            loss = self._loss(logits, part.labels, divisors, share=1 / n_parts)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            outputs.append(logits.detach())
        if self.config.clip_norm is not None:
            parameters = [parameter for _, parameter in self.get_all_learnable_params()]
            clip_grad_norm_(parameters, self.config.clip_norm)
        y_pred = outputs[0] if n_parts == 1 else torch.cat(outputs)
        return {"loss": sum(losses), "y_pred": y_pred}

    def _augmented(self, batch: DeviceBatch) -> DeviceBatch:
        """Augment the images of a batch and mix its rows, as configured."""
        generators: Any = self.generators_
        if self.config.augment is not None:
            x, *category = batch.inputs
            augment: Any = self.config.augment
            if isinstance(augment, UserAugmentation):
                seed = int(generators.transforms.integers(2**62))
                changed = augment(x, generators.augmentation, seed)
            else:
                changed = augment(x, generators.augmentation)
            batch = DeviceBatch((changed, *category), batch.labels)
        mixup = self.config.mixup
        if mixup:
            share = generators.mixup.beta(mixup, mixup)
            # Partners are drawn uniformly, so taking the larger share changes no distribution. It
            # keeps each row closest to its own category, which is not mixed.
            share = max(share, 1 - share)
            order = torch.from_numpy(generators.mixup.permutation(len(batch)))
            batch = batch.mixed(share, order.to(batch.inputs[0].device))
        return batch
