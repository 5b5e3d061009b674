"""Configuration of a training run, and the learning problem it is applied to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from skattr._inputs.rows import Rows
from skattr._training.augmentation import Augmentation, ImageAugmenter
from skattr._training.dataset import AttributeDataset
from skattr.nn import BranchLayout, SummedCrossEntropy


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is built and trained: AttributeClassifier's parameters, validated.

    Attributes
    ----------
    backbone, weights, branch_hidden, image_size
        The network; see :class:`~skattr.AttributeClassifier`.
    augment : callable, optional
        Maps a batch of images and a generator to images, in training only.
    optimizer, lr, weight_decay, lr_schedule, batch_size, max_epochs
        The optimization; see :class:`~skattr.AttributeClassifier`.
    patience : int, optional
        Epochs without an improvement of the validation loss before training stops.
    device, precision, compile, num_workers
        The computation; see :class:`~skattr.AttributeClassifier`.
    callbacks : sequence of skorch callbacks, optional
        They are called after those of the package.
    net_params : dict
        Further parameters of skorch's net, by skorch's names.
    ema_decay : float in [0, 1), optional
        Decay of the moving average of the weights that validation and prediction use.
    clip_norm : float, optional
        Largest norm of the gradient of all parameters together.
    accumulate : int
        Parts of about equal size, of two rows or more, that a batch is divided into to need
        less memory. The step is that of the whole batch, except for what sees one part at a
        time: BatchNorm, and losses that compare the rows of a batch.
    freeze : {"backbone", "stages:N"}, optional
        Backbone parts to freeze.
    unfreeze_every : int, optional
        Epochs after which one more frozen stage is unfrozen, the last one first.
    layer_decay : float in (0, 1]
        Factor of the learning rate from stage to stage, away from the branches.
    seed : int
        Seed of all randomness.
    verbose : int
        0 prints nothing, 1 shows a progress bar, 2 prints a line per epoch.
    """

    backbone: str | Callable[..., nn.Module]
    weights: str | None
    branch_hidden: int | None
    image_size: tuple[int, int]
    augment: Augmentation | None
    optimizer: str | Callable[..., torch.optim.Optimizer]
    lr: float
    weight_decay: float
    lr_schedule: str | None
    batch_size: int
    max_epochs: int
    patience: int | None
    device: str
    precision: str
    compile: bool
    num_workers: int
    callbacks: Sequence[Any] | None
    net_params: Mapping[str, Any] = field(default_factory=dict)
    ema_decay: float | None = None
    clip_norm: float | None = None
    accumulate: int = 1
    freeze: str | None = None
    unfreeze_every: int | None = None
    layer_decay: float = 1.0
    seed: int = 0
    verbose: int = 0

    @property
    def mixup(self) -> float:
        """Rows are mixed by shares from Beta(mixup, mixup), in training only; 0 is off."""
        return self.augment.mixup if isinstance(self.augment, ImageAugmenter) else 0.0

    @property
    def test_flip(self) -> bool:
        """Whether predictions average over each image and its mirror image.

        The validation loss is computed without.
        """
        return isinstance(self.augment, ImageAugmenter) and self.augment.test_flip


@dataclass(frozen=True)
class TrainingProblem:
    """What a network is to learn: rows, the targets of its branches, and the loss.

    Attributes
    ----------
    rows : Rows
        All rows of X.
    layout : BranchLayout
        The branches of the network.
    targets : ndarray of shape (len(rows), n_attributes), int
        Class codes as the layout defines them; -1 for a missing label.
    weights : ndarray of shape (len(rows), n_attributes), float
        Weights of the targets.
    criterion : callable
        Makes the loss from a `layout` and `criterion_params`.
    criterion_params : dict
    prior : Tensor of shape (n_logits,), optional
        Initial biases of the branches.
    untrained : tuple of int
        Attributes without a label to learn from.
    category : ndarray of shape (len(rows),), int64, optional
        The object's category, an input of the network; -1 where it is missing.
    n_conditions : int
        Number of these categories; 0 if they are not an input.
    interface : NetInterface, optional
        Lets the net take X and y.
    """

    rows: Rows
    layout: BranchLayout
    targets: NDArray[np.integer[Any]]
    weights: NDArray[np.floating[Any]]
    criterion: Callable[..., nn.Module] = SummedCrossEntropy
    criterion_params: Mapping[str, Any] = field(default_factory=dict)
    prior: torch.Tensor | None = None
    untrained: tuple[int, ...] = ()
    category: NDArray[np.int64] | None = None
    n_conditions: int = 0
    interface: Any = None

    def dataset(self, indices: NDArray[np.intp]) -> AttributeDataset:
        """Return some of the rows, to train or validate on."""
        return AttributeDataset(self.rows, indices, self.targets, self.weights, self.category)
