"""`decoding` and `cache` of ImageReading, from files to predictions."""

import numpy as np
import pytest
from PIL import Image

from skattr import AttributeClassifier, ImageEmbedder, ImageReading
from skattr._inputs import rows as images
from skattr.exceptions import BadImageWarning
from tests.tiny_models import tiny


@pytest.fixture
def decoded(monkeypatch):
    """Return the paths that are decoded in this process, as they are."""
    paths = []
    original = images.read_image

    def noted(path, *args, **kwargs):
        paths.append(path)
        return original(path, *args, **kwargs)

    monkeypatch.setattr(images, "read_image", noted)
    return paths


def same(one, other):
    """Whether the networks of two classifiers are bit-identical."""
    states = [classifier.net_.module_.state_dict() for classifier in (one, other)]
    return all(bool((states[0][key] == states[1][key]).all()) for key in states[0])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_each_file_is_decoded_once_per_fit(files, table, decoded, num_workers):
    """With cache="memory" all epochs and validations of a fit share the decoded images."""
    reading = ImageReading(num_workers=num_workers)
    params = {"validation_fraction": 0.25, "images": reading}
    plain = tiny(**params).fit(files, table)
    n_plain = len(decoded)
    decoded.clear()
    cached = tiny(**params).set_params(images__cache="memory").fit(files, table)
    assert same(plain, cached)
    assert cached.history_[-1]["train_loss"] == plain.history_[-1]["train_loss"]
    if num_workers == 0:  # workers decode in processes of their own
        assert n_plain == 3 * 24
        assert sorted(decoded) == sorted(files)
    expected = [np.asarray(one) for one in plain.predict_proba(files)]
    decoded.clear()
    for one, other in zip(cached.predict_proba(files), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    if num_workers == 0:
        assert len(decoded) == 24


def test_the_reading_before_training_fills_the_cache(files, table, decoded):
    """With on_bad_image="warn" files are read before training, and then never again."""
    with open(files[5], "wb") as file:
        file.write(b"no image")
    with pytest.warns(BadImageWarning, match="row 5"):
        tiny(images=ImageReading(on_bad_image="warn", cache="memory")).fit(files, table)
    assert sorted(decoded) == sorted(files)


@pytest.fixture
def photographs(tmp_path, rng):
    """Return the paths of 8 JPEG files of 96x80 pixels."""
    paths = []
    for number in range(8):
        noise = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(noise).resize((96, 80), Image.Resampling.BICUBIC).save(path, quality=92)
        paths.append(str(path))
    return paths


def test_scaled_decoding_is_close(photographs):
    """Predictions of networks that were trained with and without it differ little."""
    y = np.arange(8) % 2
    classifier = AttributeClassifier(
        tiny().backbone, image_size=16, max_epochs=2, random_state=0
    ).fit(photographs, y)
    expected = classifier.predict_proba(photographs)
    scaled = classifier.set_params(images="scaled").fit(photographs, y).predict_proba(photographs)
    assert 0 < np.abs(scaled - expected).max() < 0.05


def test_embedder_keeps_the_two_kinds_apart(photographs, tmp_path):
    """Features of scaled images are rows of their own in the cache."""
    features = [
        ImageEmbedder(
            "resnet18",
            layer="layer1",
            image_size=32,
            images=ImageReading(decoding),
            cache=tmp_path / "cache",
        ).fit_transform(photographs)
        for decoding in ("exact", "scaled")
    ]
    assert np.abs(features[0] - features[1]).max() > 0
