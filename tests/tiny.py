"""A network small enough to be trained in every test, importable so that it pickles."""

from torch import nn


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
