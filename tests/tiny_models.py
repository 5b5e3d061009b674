"""A network small enough to be trained in every test, importable so that it pickles."""

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


def tiny(**params):
    """Return a classifier of `tiny_backbone` that fits in a moment."""
    defaults = {"image_size": (12, 10), "max_epochs": 3, "batch_size": 8, "random_state": 0}
    return AttributeClassifier(**{"backbone": tiny_backbone, **defaults, **params})
