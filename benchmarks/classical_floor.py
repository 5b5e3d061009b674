"""Classical features and trees as a lower bound for multi-attribute image classification.

There is no network, and attributes share nothing: one forest per column is trained on fixed image
features (pixels, colors and edges). A multi-branch network should exceed these accuracies, or it
is not worth its training time.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.ensemble import ExtraTreesClassifier

IMAGE_SIZE = (60, 80)  # (width, height) to which every image is resized
THUMBNAIL_SIZE = (12, 16)  # (width, height) of the pixel features
HSV_BINS = (12, 4, 4)
RGB_BINS = (4, 4, 4)
ORIENTATION_BINS = 9
CELL = 10  # side of a square cell of the orientation histograms, in pixels


def _joint_histogram(pixels: np.ndarray, bins: tuple[int, int, int]) -> np.ndarray:
    """Share of the pixels in each joint bin of three 8-bit channels.

    Parameters
    ----------
    pixels : ndarray of shape (..., 3), dtype uint8
        Pixels in any three-channel color space.
    bins : tuple of int
        Number of equal bins per channel.

    Returns
    -------
    ndarray of shape (prod(bins),)
        Shares, summing to one.
    """
    index = pixels.reshape(-1, 3).astype(np.intp) * np.asarray(bins) // 256
    flat = np.ravel_multi_index(tuple(index.T), bins)
    return np.bincount(flat, minlength=int(np.prod(bins))) / len(flat)


def _orientation_histograms(gray: np.ndarray) -> np.ndarray:
    """Histograms of unsigned gradient orientation over a grid of cells.

    Parameters
    ----------
    gray : ndarray of shape (height, width)
        Gray image with values in [0, 1]; both sides are multiples of ``CELL``.

    Returns
    -------
    ndarray of shape (n_cells * ORIENTATION_BINS,)
        Magnitude-weighted histograms, each divided by its norm (flat cells stay near zero).
    """
    dy, dx = np.gradient(gray)
    angle = np.arctan2(dy, dx) % np.pi
    orientation = np.minimum((angle * (ORIENTATION_BINS / np.pi)).astype(int), ORIENTATION_BINS - 1)
    rows, columns = gray.shape[0] // CELL, gray.shape[1] // CELL
    y, x = np.indices(gray.shape) // CELL
    flat = ((y * columns + x) * ORIENTATION_BINS + orientation).ravel()
    histograms = np.bincount(
        flat, weights=np.hypot(dx, dy).ravel(), minlength=rows * columns * ORIENTATION_BINS
    ).reshape(rows * columns, ORIENTATION_BINS)
    return (histograms / (np.linalg.norm(histograms, axis=1, keepdims=True) + 0.5)).ravel()


def _image_features(path: str | PathLike[str]) -> np.ndarray:
    """Features of one image file; see `floor_features`."""
    with Image.open(path) as file:
        image = file.convert("RGB").resize(IMAGE_SIZE, Image.Resampling.BILINEAR)
    width, height = IMAGE_SIZE
    rgb = np.asarray(image)
    hsv = np.asarray(image.convert("HSV"))
    thumbnail = np.asarray(image.resize(THUMBNAIL_SIZE, Image.Resampling.BOX))
    centre = np.s_[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return np.concatenate(
        [
            thumbnail.ravel() / 255.0,
            _joint_histogram(hsv, HSV_BINS),
            _joint_histogram(hsv[centre], HSV_BINS),
            _joint_histogram(rgb[centre], RGB_BINS),
            _orientation_histograms(np.asarray(image.convert("L")) / 255.0),
        ]
    )


def floor_features(paths: Iterable[str | PathLike[str]]) -> np.ndarray:
    """Compute fixed features of image files: small pixels, color histograms, edge orientations.

    Parameters
    ----------
    paths : iterable of path-like
        Image files in any mode and size Pillow reads.

    Returns
    -------
    ndarray of shape (n_images, n_features), dtype float32
        One row per image, in the order of `paths`.
    """
    return np.stack([_image_features(path) for path in paths]).astype(np.float32)


def classical_floor(
    paths: Iterable[str | PathLike[str]],
    table: pd.DataFrame,
    train: np.ndarray,
    test: np.ndarray,
    random_state: int = 0,
) -> dict[str, float]:
    """Compute the test accuracy of one extra-trees forest per attribute.

    Parameters
    ----------
    paths : iterable of path-like
        Image files, one per row of `table`.
    table : DataFrame of shape (n_images, n_attributes)
        One column of labels per attribute; a missing value is a missing label.
    train, test : ndarray of int
        Row positions to fit on and to score on.
    random_state : int, default=0
        Seed of every forest.

    Returns
    -------
    dict of str to float
        Accuracy over the known test labels, per column of `table`; NaN where a column has no
        known label on either side.
    """
    features = floor_features(paths)
    scores: dict[str, float] = {}
    for column in table.columns:
        labels = table[column].to_numpy(dtype=object)
        known = table[column].notna().to_numpy()
        fit_rows, score_rows = train[known[train]], test[known[test]]
        if len(fit_rows) == 0 or len(score_rows) == 0:
            scores[str(column)] = float("nan")
            continue
        levels, codes = np.unique(labels[fit_rows].astype(str), return_inverse=True)
        forest = ExtraTreesClassifier(
            n_estimators=300, max_features=0.1, n_jobs=-1, random_state=random_state
        )
        predicted = levels[forest.fit(features[fit_rows], codes).predict(features[score_rows])]
        scores[str(column)] = float(np.mean(predicted == labels[score_rows].astype(str)))
    return scores
