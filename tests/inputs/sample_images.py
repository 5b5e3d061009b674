"""Pixels, files and comparisons shared by the tests of rows, checks and decoding."""

import numpy as np
import pandas as pd
from PIL import Image

from skattr._inputs.boxes import BOX_COLUMNS

HEIGHT, WIDTH = SIZE = (6, 8)
LEVELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)


def repeat_channels(gray):
    """Return gray levels on three channels."""
    return np.repeat(np.asarray(gray)[..., np.newaxis], 3, axis=-1)


def save(image, path, **options):
    """Save an image and return its path."""
    image.save(path, **options)
    return path


def assert_resized(result, array, size):
    """Assert that a result is, within a level, the array resized by Pillow."""
    image = Image.fromarray(array).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(result, np.asarray(image), rtol=0, atol=1)


def make_boxed(path, *edges, **columns):
    """Return a DataFrame of one path and box."""
    return pd.DataFrame([[path, *edges]], columns=["path", *BOX_COLUMNS]).assign(**columns)
