"""Small configurations and problems, to train nets without the estimator."""

import numpy as np
import torch
from torch import nn

from skattr._inputs.rows import FeatureRows, ImageRows
from skattr._training.config import TrainingConfig, TrainingProblem
from skattr.nn import BranchLayout

LAYOUT = BranchLayout((2, 3, 2))


def config(**params):
    """Return a configuration for plain gradient descent on whole batches in float64."""
    defaults = {
        "backbone": "mlp",
        "weights": None,
        "branch_hidden": None,
        "image_size": (12, 10),
        "augment": None,
        "optimizer": "sgd",
        "lr": 0.1,
        "weight_decay": 0.0,
        "lr_schedule": None,
        "batch_size": 64,
        "max_epochs": 3,
        "patience": None,
        "device": "cpu",
        "precision": "float64",
        "compile": False,
        "num_workers": 0,
        "callbacks": None,
    }
    return TrainingConfig(**{**defaults, **params})


def labels(n, seed=0):
    """Return targets of three attributes, a fifth missing, and their weights."""
    rng = np.random.default_rng(seed)
    targets = np.stack([rng.integers(0, count, n) for count in LAYOUT.n_classes], axis=1)
    targets[rng.random(targets.shape) < 0.2] = -1
    return targets, rng.uniform(0.5, 2, targets.shape)


def feature_problem(n=40, n_features=4, seed=0, **params):
    """Return a problem on random float64 features."""
    X = np.random.default_rng(seed + 1).normal(size=(n, n_features))
    return TrainingProblem(FeatureRows(X), LAYOUT, *labels(n, seed), **params)


def image_problem(n=24, seed=0, **params):
    """Return a problem on random images of 12 x 10 pixels."""
    X = np.random.default_rng(seed + 1).integers(0, 256, (n, 12, 10, 3)).astype(np.uint8)
    return TrainingProblem(ImageRows(X, (12, 10)), LAYOUT, *labels(n, seed), **params)


def state(net):
    """Return a copy of the state of the network."""
    return {key: value.clone() for key, value in net.module_.state_dict().items()}


def equal(one, other):
    """Whether two states are bit-identical."""
    return all(torch.equal(one[key], other[key]) for key in one)


class Staged(nn.Module):
    """Named like a ResNet: a stem and four blocks with BatchNorm and dropout each."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        for number in range(1, 5):
            block = nn.Sequential(
                nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3)
            )
            setattr(self, f"layer{number}", block)

    def forward(self, x):
        """Map (n, 3, H, W) to maps (n, 4, H, W)."""
        x = self.bn1(self.conv1(x)).relu()
        for number in range(1, 5):
            x = x + getattr(self, f"layer{number}")(x)
        return x
