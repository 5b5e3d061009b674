"""Augmentations against NumPy and torchvision, image by image."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as vision

from skattr._estimators.augmentation import AUGMENTATION_PRESETS, Augmentation
from skattr._training.augmentation import (
    ImageAugmenter,
    change_colors,
    erase,
    flip,
    shift,
    zoom_and_rotate,
)
from skattr.nn._backbones.torchvision import IMAGENET_MEAN


def images(n, height=33, width=48):
    """Return random uint8 images."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator)


def seeded(seed):
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


CHANGES = {
    name: ImageAugmenter(**preset.settings()) for name, preset in AUGMENTATION_PRESETS.items()
}


@pytest.mark.parametrize("name", ["flip", "shift", "flip_shift"])
def test_presets_are_reproducible_and_change_only_values(name):
    """Results depend on the generator alone; input, shape, dtype and global state do not change."""
    augment = CHANGES[name]
    pixels = images(20)
    copy, state = pixels.clone(), torch.get_rng_state()
    results = [augment(pixels, seeded(seed)) for seed in (1, 1, 2)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert results[0].shape == pixels.shape
    assert results[0].dtype == torch.uint8
    assert torch.equal(pixels, copy)
    assert torch.equal(torch.get_rng_state(), state)


def test_flip_mirrors_whole_images_half_of_the_time():
    """Each image is unchanged or NumPy's mirror image; about half of them are mirrored."""
    pixels = images(1000, 3, 4).numpy()
    flipped = flip(torch.from_numpy(pixels), seeded(0)).numpy()
    same = (flipped == pixels).all(axis=(1, 2, 3))
    mirrored = (flipped == np.stack([np.fliplr(one) for one in pixels])).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert abs(mirrored.mean() - 0.5) < 5 * 0.5 / 1000**0.5


@pytest.mark.parametrize(("height", "width"), [(33, 48), (16, 7), (12, 10)])
def test_shift_is_a_crop_of_the_padded_image(height, width):
    """Each image is one crop of it padded with its edge by 1/16 of the sides; all crops occur."""
    pixels = images(400, height, width).numpy()
    shifted = shift(torch.from_numpy(pixels), seeded(0), 1 / 16).numpy()
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


def test_small_images_do_not_move():
    """1/16 of fewer than eight pixels rounds to no pixel."""
    pixels = images(20, 7, 7)
    assert torch.equal(shift(pixels, seeded(0), 1 / 16), pixels)


def test_flip_shift_is_both():
    """The preset is a shift after a flip, from one generator."""
    pixels = images(20)
    generator = seeded(3)
    both = CHANGES["flip_shift"](pixels, seeded(3))
    assert torch.equal(both, shift(flip(pixels, generator), generator, 1 / 16))


@pytest.mark.parametrize(
    ("name", "function", "strength"), [("flip", flip, ()), ("shift", shift, (1 / 16,))]
)
def test_presets_are_the_functions(name, function, strength):
    """The presets are bit-identical to the functions of their names."""
    pixels = images(20)
    assert torch.equal(CHANGES[name](pixels, seeded(7)), function(pixels, seeded(7), *strength))


def test_has_the_parameters_of_the_public_object():
    """ImageAugmenter has the parameters of skattr.Augmentation, with its defaults."""
    assert dataclasses.asdict(ImageAugmenter()) == Augmentation().get_params()


ALONE = {
    "shift": 0.2,
    "zoom": 0.4,
    "rotation": 30.0,
    "brightness": 0.5,
    "contrast": 0.5,
    "saturation": 0.5,
    "hue": 0.2,
    "erase": 0.5,
}


@pytest.mark.parametrize(
    "changes", [*CHANGES.values(), *(ImageAugmenter(**{k: v}) for k, v in ALONE.items())]
)
def test_changes_are_reproducible_and_change_only_values(changes):
    """Results depend on the generator alone; input, shape, dtype and global state do not change."""
    pixels = images(20)
    copy, state = pixels.clone(), torch.get_rng_state()
    results = [changes(pixels, seeded(seed)) for seed in (1, 1, 2)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert results[0].shape == pixels.shape
    assert results[0].dtype == torch.uint8
    assert torch.equal(pixels, copy)
    assert torch.equal(torch.get_rng_state(), state)
    one = pixels[:1].repeat(20, 1, 1, 1)
    assert len(torch.unique(changes(one, seeded(0)), dim=0)) > 1  # each image in its own way


def test_changes_of_strength_0_draw_nothing():
    """Without a strength, and with mixup or test-time flips alone, images do not change."""
    pixels, generator = images(4), seeded(0)
    state = generator.get_state()
    assert ImageAugmenter(mixup=0.3, test_flip=True)(pixels, generator) is pixels
    assert torch.equal(generator.get_state(), state)


def test_names_of_changes_that_need_images():
    """All active changes need images, except mixup."""
    assert ImageAugmenter(mixup=1.0).needs_images == ()
    assert ImageAugmenter(flip=True, hue=0.1, mixup=1, test_flip=True).needs_images == (
        "flip",
        "hue",
        "test_flip",
    )


def drawn(seed, n, largest):
    """Return the numbers within +- largest that a generator of this seed gives first."""
    return ((2 * torch.rand(n, generator=seeded(seed)) - 1) * largest).tolist()


def close(ours, theirs, within=1):
    """Whether pixels differ by rounding only."""
    return (ours.int() - theirs.int()).abs().max() <= within


@pytest.mark.parametrize(("height", "width"), [(33, 48), (40, 40), (21, 15)])
def test_zoom_and_rotation_are_torchvisions(height, width):
    """Inside, each image is torchvision's affine map at the same factor and angle."""
    n, zoom, rotation = 12, 0.5, 40.0
    smooth = vision.gaussian_blur(images(n, height, width).permute(0, 3, 1, 2), [5, 5])
    generator = seeded(4)
    factors = torch.exp((2 * torch.rand(n, generator=generator) - 1) * math.log1p(zoom)).tolist()
    angles = ((2 * torch.rand(n, generator=generator) - 1) * rotation).tolist()
    ours = zoom_and_rotate(smooth.permute(0, 2, 3, 1), seeded(4), zoom, rotation)
    for mine, image, factor, angle in zip(ours, smooth, factors, angles, strict=True):
        options = {
            "angle": angle,
            "translate": [0, 0],
            "scale": factor,
            "shear": [0.0],
            "interpolation": InterpolationMode.BILINEAR,
        }
        theirs = vision.affine(image.float(), **options)
        inside = vision.affine(torch.ones(1, height, width), **options)[0] == 1
        assert inside.float().mean() > 0.3
        assert close(mine[inside], theirs.permute(1, 2, 0)[inside].round())


def test_zoom_repeats_the_border():
    """A constant image does not change, however far it is rotated or reduced."""
    pixels = images(20, 1, 1).expand(20, 9, 14, 3)
    assert torch.equal(zoom_and_rotate(pixels, seeded(0), 0.9, 180), pixels)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("brightness", vision.adjust_brightness),
        ("contrast", vision.adjust_contrast),
        ("saturation", vision.adjust_saturation),
    ],
)
def test_colors_are_torchvisions(name, function):
    """Alone, each change equals torchvision's function of the same factor."""
    pixels, strength = images(12), 0.8
    ours = ImageAugmenter(**{name: strength})(pixels, seeded(3))
    for mine, image, change in zip(ours, pixels, drawn(3, 12, strength), strict=True):
        theirs = function(image.permute(2, 0, 1), 1 + change).permute(1, 2, 0)
        assert close(mine, theirs, within=2)  # torchvision cuts where we round


@given(st.integers(0, 2**32), st.tuples(*[st.floats(0, 0.99)] * 3), st.floats(0, 0.5))
@settings(deadline=None, max_examples=40)
def test_colors_by_the_formula(seed, strengths, hue):
    """Together they are brightness, contrast and saturation in turn, then a rotation in YIQ."""
    pixels = images(3, 4, 5)
    ours = change_colors(pixels, seeded(seed), *strengths, hue).numpy()
    generator = seeded(seed)
    light, spread, vividness, turn = (
        (2 * torch.rand(3, generator=generator) - 1).double().numpy() * strength
        if strength
        else np.zeros(3)
        for strength in (*strengths, hue)
    )
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    for j in range(3):
        x = pixels[j].numpy() * (1 + light[j])
        mean = (x @ to_yiq[0]).mean()
        x = mean + (x - mean) * (1 + spread[j])
        gray = (x @ to_yiq[0])[..., None]
        x = gray + (x - gray) * (1 + vividness[j])
        y, i, q = np.moveaxis(x @ to_yiq.T, -1, 0)
        color = (i + 1j * q) * np.exp(2j * np.pi * turn[j])
        x = np.stack([y, color.real, color.imag], axis=-1) @ np.linalg.inv(to_yiq).T
        np.testing.assert_allclose(ours[j], np.clip(x, 0, 255), rtol=0, atol=0.51)


def test_hue_keeps_gray():
    """Gray pixels remain gray."""
    gray = images(10)[..., :1].expand(-1, -1, -1, 3)
    assert close(ImageAugmenter(hue=0.5)(gray, seeded(0)), gray, within=0)


def test_erase_paints_one_rectangle():
    """One rectangle is filled with the mean color; its sides are at most the given share."""
    pixels = torch.zeros(300, 20, 30, 3, dtype=torch.uint8)
    hidden = (erase(pixels, seeded(0), 0.5) != 0).all(dim=3).numpy()
    color = torch.tensor([round(255 * mean) for mean in IMAGENET_MEAN])
    assert (erase(pixels, seeded(0), 0.5)[torch.from_numpy(hidden)] == color).all()
    for mask in hidden:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert len(rows) <= 10
        assert len(columns) <= 15
        assert mask.sum() == len(rows) * len(columns)
        if len(rows):
            assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert hidden.any(axis=(0, 1)).all()
    assert hidden.any(axis=(0, 2)).all()
