"""Augmentation by callables and by transforms of torchvision."""

import pickle
import random

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn
from torchvision import transforms as v1
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from skattr import AttributeClassifier
from skattr._training.user_augmentation import UserAugmentation
from tests.tiny_models import tiny


def batch(n=50, height=6, width=5):
    """Return uint8 images of noise."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator)


def changed(augment, pixels, seed=0):
    """Return what an augmentation makes of a batch."""
    return UserAugmentation(augment)(pixels, torch.Generator().manual_seed(seed), seed)


class Inverts(nn.Module):
    """A module of the user, for a batch."""

    def forward(self, pixels):
        """Invert all values."""
        return 255 - pixels


@pytest.mark.parametrize(
    "augment",
    [
        lambda pixels: 255 - pixels,
        lambda pixels, strength=255: strength - pixels,
        lambda pixels, generator: 255 - pixels + 0 * int(generator.initial_seed()),
        lambda pixels, generator=None: 255 - pixels + 0 * int(generator.initial_seed()),
        lambda pixels, *, generator: 255 - pixels + 0 * int(generator.initial_seed()),
        lambda *args: 255 - args[0] + 0 * int(args[1].initial_seed()),
        torch.bitwise_not,
        Inverts(),
        v2.RandomInvert(1.0),
        v1.RandomInvert(1.0),
        v2.Compose([v2.RandomInvert(1.0)]),
        v1.Compose([v1.RandomInvert(1.0)]),
        nn.Sequential(v2.RandomInvert(1.0)),
        v2.Compose([v2.ToImage(), v2.RandomInvert(1.0)]),
    ],
)
def test_callables_of_all_kinds(augment):
    """One argument or two, functions, modules, and torchvision's transforms: all invert."""
    pixels = batch()
    result = changed(augment, pixels)
    assert type(result) is torch.Tensor
    assert torch.equal(result, 255 - pixels)


@pytest.mark.parametrize("transform", [v2.RandomHorizontalFlip(), v1.RandomHorizontalFlip()])
def test_each_image_is_changed_by_itself(transform):
    """About half of the images are mirrored, as torchvision mirrors them."""
    pixels = batch(400)
    result = changed(transform, pixels)
    mirrored = F.horizontal_flip(pixels.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    is_mirrored = (result == mirrored).flatten(1).all(1)
    assert torch.equal(result[~is_mirrored], pixels[~is_mirrored])
    assert 160 < is_mirrored.sum() < 240


def draws_everywhere(pixels):
    """Draw from three global generators."""
    total = torch.randint(9, ()) + random.randrange(9) + np.random.randint(9)  # noqa: NPY002
    return (pixels // 2) + total.to(torch.uint8)


@pytest.mark.parametrize(
    "augment",
    [
        draws_everywhere,
        v2.RandomChoice([v2.GaussianBlur(3), v2.ColorJitter(0.5), v2.RandomRotation(30)]),
        v1.RandomChoice([v1.ColorJitter(0.5), v1.RandomRotation(30)]),
        v2.RandAugment(),
        v2.TrivialAugmentWide(),
        v2.AugMix(),
        v2.RandomResizedCrop((12, 10), antialias=True),
        v2.RandomErasing(1.0),
    ],
)
def test_random_numbers_follow_random_state(images, table, augment):
    """Fits of one seed are equal, those of another differ, and no global state moves."""
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    classifier = tiny(augment=augment, max_epochs=2)
    fits = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed + 5)
        states = (torch.get_rng_state(), *states[1:])
        fits.append(clone(classifier).set_params(random_state=seed).fit(images, table))
        assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])  # noqa: NPY002
    one, same, other = (fit.predict_proba(images)[1] for fit in fits)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    if augment is not draws_everywhere:
        again = pickle.loads(pickle.dumps(fits[0]))
        assert np.array_equal(again.predict_proba(images)[1], one)


DRAWS = {
    "torch": lambda: torch.rand(()).item(),
    "random": random.random,
    "numpy": lambda: np.random.random_sample(),  # noqa: NPY002
}


@pytest.mark.parametrize("name", DRAWS)
def test_numbers_follow_the_seed(name):
    """Each of the three global generators draws other numbers for another seed."""
    drawn = {}
    for seed in (0, 1, 2**32 - 1, 2**61 + 7, 2**62 - 5, 0):
        numbers = []

        def augment(pixels, numbers=numbers):
            numbers += [DRAWS[name](), DRAWS[name]()]
            return pixels

        changed(augment, batch(2), seed)
        assert drawn.setdefault(seed, numbers) == numbers
    assert len(set(map(tuple, drawn.values()))) == len(drawn) == 5


@pytest.mark.parametrize(("largest", "is_valid"), [(0, True), (1, True), (2, False), (255, False)])
def test_dark_images_are_no_error(largest, is_valid):
    """No value above 1 is an error only where one was given."""
    pixels = torch.full((3, 6, 5, 3), largest, dtype=torch.uint8)
    if is_valid:
        assert torch.equal(changed(torch.clone, pixels), pixels)
    else:
        with pytest.raises(ValueError, match="3 images in which no value is above 1"):
            changed(lambda pixels: pixels.clamp(max=1), pixels)
    assert torch.equal(changed(lambda pixels: pixels * 0 + 2, pixels), pixels * 0 + 2)


@pytest.mark.parametrize(
    ("augment", "found"),
    [
        (lambda pixels: pixels.float() / 255, r"float32 of shape \(8, 12, 10, 3\) on cpu"),
        (lambda pixels, generator: pixels.float(), r"float32 .*round\(\)\.clamp\(0, 255\)"),
        (lambda pixels: pixels.to(torch.int64), "int64"),
        (lambda pixels: pixels[:, ::2], r"shape \(8, 6, 10, 3\)"),
        (lambda pixels: pixels[:4], r"shape \(4, 12, 10, 3\)"),
        (lambda pixels: pixels.permute(0, 3, 1, 2), r"shape \(8, 3, 12, 10\)"),
        (lambda pixels: pixels.to("meta"), "on meta"),
        (lambda pixels: pixels.numpy(), "a ndarray"),
        (lambda pixels: None, "a NoneType"),
        (lambda pixels: (pixels.float() / 255).to(torch.uint8), "no value is above 1"),
        (v2.Compose([v2.ToDtype(torch.float32, scale=True)]), r"float32 of shape \(3, 12, 10\)"),
        (v2.RandomResizedCrop(8), r"uint8 of shape \(3, 8, 8\)"),
        (v2.Resize(20), "uint8 of shape"),
        (v1.Grayscale(), r"uint8 of shape \(1, 12, 10\)"),
    ],
)
def test_results_of_another_kind(images, table, augment, found):
    """The error says what was returned, and the shape, dtype, range and device to return."""
    shape = r" of shape \((8, )?(3, )?12, 10(, 3)?\) on cpu"
    expected = r"must return .*uint8 \(0 to 255\)" + ("" if "above 1" in found else shape)
    with pytest.raises(ValueError, match=rf"augment returned .*({found})") as error:
        tiny(augment=augment).fit(images, table)
    assert error.match(expected)


def test_transforms_of_pillow_images(images, table):
    """The error of a transform that takes no tensors says so."""
    with pytest.raises(ValueError, match=r"cannot change a uint8 tensor \(3, H, W\): pic should"):
        tiny(augment=v1.ToTensor()).fit(images, table)


def test_features(rng):
    """A callable may change features, whose type it keeps; a transform of images may not."""
    X, y = rng.normal(size=(30, 3)), np.arange(30) % 2
    noisy = AttributeClassifier(augment=lambda X: X + torch.randn_like(X), random_state=0)
    one, same = (clone(noisy).fit(X, y).predict_proba(X) for _ in range(2))
    assert np.array_equal(one, same)
    with pytest.raises(ValueError, match="augment returned float32 .* must return float64"):
        clone(noisy).set_params(augment=lambda X: X.float()).fit(X, y)
    with pytest.raises(ValueError, match="transform of torchvision, .* 2-D features"):
        clone(noisy).set_params(augment=v2.RandomHorizontalFlip()).fit(X, y)


@pytest.mark.parametrize(
    ("augment", "reason"),
    [
        (v2.ElasticTransform(), "Padding size"),
        (v2.MixUp(num_classes=2), "labels should be"),
        (v2.Normalize([0.5] * 3, [0.5] * 3), "float tensor"),
        (v2.Compose([v2.RandomInvert(), v2.Pad(-9)]), ""),
    ],
    ids=str,
)
def test_transforms_that_fail(augment, reason):
    """Errors of any type say that they are of the augmentation, and what it was given."""
    with pytest.raises(ValueError, match=rf"augment is .* cannot change a uint8 .*{reason}"):
        changed(augment, batch(4))


@pytest.mark.parametrize("augment", [v2.RandomRotation, Inverts])
def test_classes_are_not_called(augment):
    """A class in the place of an object is an error that says so."""
    images = batch(4).numpy()
    message = rf"augment is the class {augment.__name__}; pass an object, {augment.__name__}\("
    with pytest.raises(ValueError, match=message):
        tiny(augment=augment).fit(images, [0, 1, 0, 1])
