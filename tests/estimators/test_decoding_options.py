"""`decoding` and `decoded_cache` of the classifier, from files to predictions."""

import numpy as np
import pytest
from PIL import Image

from skattr import AttributeClassifier, ImageEmbedder
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
    """Whether two classifiers hold the same network to the bit."""
    states = [classifier.net_.module_.state_dict() for classifier in (one, other)]
    return all(bool((states[0][key] == states[1][key]).all()) for key in states[0])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_each_file_is_decoded_once(files, table, tmp_path, decoded, num_workers):
    """In all epochs and validations, by one fit in memory, by any with a folder."""
    params = {"validation_fraction": 0.25, "num_workers": num_workers}
    plain = tiny(**params).fit(files, table)
    n_plain = len(decoded)
    for where in ("memory", tmp_path / "cache", str(tmp_path / "cache")):
        decoded.clear()
        cached = tiny(**params, decoded_cache=where).fit(files, table)
        assert same(plain, cached)
        assert cached.history_[-1]["train_loss"] == plain.history_[-1]["train_loss"]
        if num_workers == 0:
            assert n_plain == 3 * 24
            assert sorted(decoded) == (sorted(files) if where != str(tmp_path / "cache") else [])
        expected = [np.asarray(one) for one in plain.predict_proba(files)]
        decoded.clear()
        for one, other in zip(cached.predict_proba(files), expected, strict=True):
            np.testing.assert_array_equal(one, other)
        if num_workers == 0:
            assert len(decoded) == (24 if where == "memory" else 0)


def test_the_reading_before_training_fills_the_cache(files, table, decoded):
    """With on_bad_image="warn" files are looked at beforehand, and then never again."""
    with open(files[5], "wb") as file:
        file.write(b"no image")
    with pytest.warns(BadImageWarning, match="row 5"):
        tiny(on_bad_image="warn", decoded_cache="memory").fit(files, table)
    assert sorted(decoded) == sorted(files)


def test_a_folder_that_is_none(files, table, tmp_path):
    """What cannot be a folder is an error that names the parameter."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="decoded_cache="):
        tiny(decoded_cache=tmp_path / "file").fit(files, table)
    with pytest.raises(ValueError, match="decoded_cache='' is no folder"):
        tiny(decoded_cache="").fit(files, table)


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


def test_scaled_decoding_is_close(photographs, tmp_path):
    """The classifier predicts nearly the same; its cache keeps both kinds apart."""
    y = np.arange(8) % 2
    exact = AttributeClassifier(
        tiny().backbone, image_size=16, max_epochs=2, random_state=0,
        decoded_cache=tmp_path / "cache",
    ).fit(photographs, y)  # fmt: skip
    expected = exact.predict_proba(photographs)
    for where in (tmp_path / "cache", None):
        exact.set_params(decoding="scaled", decoded_cache=where)
        scaled = exact.predict_proba(photographs)
        assert 0 < np.abs(scaled - expected).max() < 0.05


def test_embedder_keeps_the_two_kinds_apart(photographs, tmp_path):
    """Features of scaled images are rows of their own in the cache."""
    features = [
        ImageEmbedder(
            "resnet18", layer="layer1", image_size=32, decoding=decoding, cache=tmp_path / "cache"
        ).fit_transform(photographs)
        for decoding in ("exact", "scaled")
    ]
    assert np.abs(features[0] - features[1]).max() > 0
