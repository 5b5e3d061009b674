"""Augmentations against numpy, picture by picture."""

import numpy as np
import pytest
import torch

from skattr.training.augmentation import AUGMENTATIONS, flip, flip_shift, shift


def pictures(n, height=33, width=48):
    """Return random uint8 pictures."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator)


def seeded(seed):
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", ["flip", "shift", "flip_shift"])
def test_reproducible_and_nothing_but_values(name):
    """The result depends on the generator alone; input, shape, dtype and global state stay."""
    augment = AUGMENTATIONS[name]
    pixels = pictures(20)
    copy, state = pixels.clone(), torch.get_rng_state()
    results = [augment(pixels, seeded(seed)) for seed in (1, 1, 2)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert results[0].shape == pixels.shape
    assert results[0].dtype == torch.uint8
    assert torch.equal(pixels, copy)
    assert torch.equal(torch.get_rng_state(), state)


def test_flip_mirrors_whole_pictures_half_of_the_time():
    """Each picture is as it was or numpy's mirror image of it; about half of them are mirrored."""
    pixels = pictures(1000, 3, 4).numpy()
    flipped = flip(torch.from_numpy(pixels), seeded(0)).numpy()
    same = (flipped == pixels).all(axis=(1, 2, 3))
    mirrored = (flipped == np.stack([np.fliplr(one) for one in pixels])).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / 1000**0.5


@pytest.mark.parametrize(("height", "width"), [(33, 48), (16, 7), (12, 10)])
def test_shift_is_a_crop_of_the_padded_picture(height, width):
    """Each picture is one crop of it padded with its edge by 1/16 of the sides; all crops occur."""
    pixels = pictures(400, height, width).numpy()
    shifted = shift(torch.from_numpy(pixels), seeded(0)).numpy()
    rows, columns = round(height / 16), round(width / 16)
    seen = set()
    for before, after in zip(pixels, shifted, strict=True):
        padded = np.pad(before, ((rows, rows), (columns, columns), (0, 0)), mode="edge")
        matches = [
            (top, left)
            for top in range(2 * rows + 1)
            for left in range(2 * columns + 1)
            if np.array_equal(padded[top : top + height, left : left + width], after)
        ]
        assert len(matches) == 1
        seen.update(matches)
    assert len(seen) == (2 * rows + 1) * (2 * columns + 1)


def test_small_pictures_do_not_move():
    """1/16 of fewer than eight pixels is no pixel."""
    pixels = pictures(20, 7, 7)
    assert torch.equal(shift(pixels, seeded(0)), pixels)


def test_flip_shift_is_both():
    """It is shift after flip, from one generator."""
    pixels = pictures(20)
    generator = seeded(3)
    assert torch.equal(flip_shift(pixels, seeded(3)), shift(flip(pixels, generator), generator))
