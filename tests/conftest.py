"""Shared material of the tests: one torch thread each, a tiny network, tiny images."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

torch.set_num_threads(1)  # the tests run side by side


@pytest.fixture(autouse=True)
def same_start():
    """Seed what a test draws from torch itself, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def rng():
    """Return a seeded generator."""
    return np.random.default_rng(0)


@pytest.fixture
def images(rng):
    """24 images of 12x10 pixels whose mean color tells their labels."""
    labels = np.arange(24)
    noise = rng.integers(0, 40, (24, 12, 10, 3))
    noise[..., 0] += (80 * (labels % 3))[:, None, None]
    noise[..., 1] += (150 * (labels % 2))[:, None, None]
    return noise.astype(np.uint8)


@pytest.fixture
def table():
    """Attributes of the images: a bool, a string of three levels and a number, some unknown."""
    labels = np.arange(24)
    hat = pd.array(labels % 2 == 1, dtype="boolean")
    hat[5] = pd.NA
    color = np.array(["blue", "green", "red"], dtype=object)[labels % 3]
    color[[0, 7]] = None
    count = np.where(labels == 3, np.nan, 1.0 + labels % 4)
    return pd.DataFrame({"hat": hat, "color": color, "count": count})


@pytest.fixture
def files(tmp_path, images):
    """Return the paths of the images as PNG files."""
    paths = []
    for number, image in enumerate(images):
        path = tmp_path / f"image {number}.png"
        Image.fromarray(image).save(path)
        paths.append(str(path))
    return paths
