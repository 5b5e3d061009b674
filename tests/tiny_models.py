"""A network small enough to be trained in every test, importable so that it pickles."""

import torch
from torch import nn

from skattr import AttributeClassifier


def tiny_backbone():
    """Two convolutions with batch normalisation: (n, 3, H, W) to maps of 8 channels."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
    )


def dropping_backbone():
    """Return a network that draws random numbers while it is trained."""
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.ReLU(), nn.Dropout(0.5))


class RowsAsTokens(nn.Module):
    """Backbones whose dropout is inside of a layer: rows of pixels are the steps of a sequence."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        """Map (n, 3, H, W) to (n, 10 or 8)."""
        output = self.layer(x.mean(1))
        return (output[0] if isinstance(output, tuple) else output).mean(1)


def lstm_backbone():
    """Return a network that drops out between the layers of an LSTM; for images 10 wide."""
    return RowsAsTokens(nn.LSTM(10, 8, num_layers=2, dropout=0.5, batch_first=True))


def transformer_backbone():
    """Return a transformer layer, which drops out in its attention; for images 10 wide."""
    return RowsAsTokens(nn.TransformerEncoderLayer(10, 2, 8, dropout=0.5, batch_first=True))


class NoisyBackbone(nn.Module):
    """A network that draws random numbers in a function, without a layer that tells."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 8)

    def forward(self, x):
        """Map (n, 3, H, W) to (n, 8)."""
        features = self.layer(x.mean((2, 3)))
        return features + torch.randn_like(features) if self.training else features


def tiny(**params):
    """Return a classifier of `tiny_backbone` that fits in a moment."""
    defaults = {"image_size": (12, 10), "max_epochs": 3, "batch_size": 8, "random_state": 0}
    return AttributeClassifier(**{"backbone": tiny_backbone, **defaults, **params})
