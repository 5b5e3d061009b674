"""Configuration of a training run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from skattr._inputs.rows import Rows
from skattr._training.dataset import AttributeDataset
from skattr.nn import BranchLayout, SummedCrossEntropy


@dataclass(frozen=True)
class TrainingConfig:
    """All that decides how a network is built and trained; see AttributeClassifier."""

    backbone: str | Callable[..., nn.Module]
    weights: str | None
    branch_hidden: int | None
    image_size: tuple[int, int]
    augment: Any
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
    freeze: str | None = None
    unfreeze_every: int | None = None
    layer_decay: float = 1.0
    seed: int = 0
    verbose: int = 0


@dataclass(frozen=True)
class TrainingProblem:
    """What is to be learned of which rows.

    Attributes
    ----------
    rows : Rows
        All rows of X.
    layout : BranchLayout
    targets : ndarray of shape (len(rows), n_attributes), int64
        As the layout defines them; -1 unknown.
    weights : ndarray of shape (len(rows), n_attributes), float
        Of the targets.
    criterion : callable
        Makes the loss of a `layout` and `criterion_params`.
    criterion_params : dict
    prior : Tensor of shape (n_logits,), optional
        The biases of the branches before they are trained.
    untrained : tuple of int
        Attributes without a label to learn from.
    category : ndarray of shape (len(rows),), int64, optional
        The object's category, an input of the network; -1 unknown.
    n_conditions : int
        Number of these categories; 0 if they are no input.
    """

    rows: Rows
    layout: BranchLayout
    targets: NDArray[np.int64]
    weights: NDArray[np.floating[Any]]
    criterion: Callable[..., nn.Module] = SummedCrossEntropy
    criterion_params: Mapping[str, Any] = field(default_factory=dict)
    prior: torch.Tensor | None = None
    untrained: tuple[int, ...] = ()
    category: NDArray[np.int64] | None = None
    n_conditions: int = 0

    def dataset(self, indices: NDArray[np.intp]) -> AttributeDataset:
        """Return some of the rows, to train or validate on."""
        return AttributeDataset(self.rows, indices, self.targets, self.weights, self.category)
