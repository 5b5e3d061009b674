"""Warnings of Pillow: named with row and file, and never errors of good images."""

import io
import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from skattr import ImageEmbedder, ImageReading
from skattr._inputs.checks import check_image_paths
from skattr._inputs.decoding import read_image
from skattr._inputs.pillow_warnings import record_pillow_warnings
from skattr.datasets import check_images
from skattr.exceptions import DatasetWarning
from tests.tiny_models import tiny

# An EXIF directory with an orientation, and a text that is longer than the data.
BROKEN_EXIF = (
    b"Exif\0\0II*\0\x08\0\0\0\x02\0"
    b"\x0e\x01\x02\0\xff\0\0\0\x30\0\0\0"
    b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0abc"
)


@pytest.fixture
def doubtful(tmp_path, images):
    """Return the paths of eight images, of which numbers 1 and 6 have broken EXIF data."""
    paths = []
    for number, image in enumerate(images[:8]):
        paths.append(str(tmp_path / f"{number}.jpg"))
        options = {"exif": BROKEN_EXIF} if number in (1, 6) else {}
        Image.fromarray(image).save(paths[-1], **options)
    with pytest.warns(UserWarning, match="tag 270") as caught, Image.open(paths[1]) as opened:
        opened.getexif()
    assert str(paths[1]) not in str(caught[0].message)
    return paths


MESSAGE = r"2 of 8 rows of X are doubtful, but used\. row 1 of X: the image '.*1\.jpg': .*tag 270"


@pytest.mark.parametrize("policy", ["raise", "warn", "keep"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_rows_and_files_are_named_once_per_call(doubtful, policy, num_workers):
    """One warning in `fit`, over all epochs and worker processes, and one in `predict`."""
    reading = ImageReading(on_bad_image=policy, num_workers=num_workers)
    classifier = tiny(images=reading, max_epochs=2, batch_size=3)
    for call in (
        lambda: classifier.fit(doubtful, np.arange(8) % 2),
        lambda: classifier.predict(doubtful),
    ):
        with pytest.warns(DatasetWarning, match=MESSAGE) as caught:
            call()
        assert len(caught) == 1
        assert caught[0].filename == __file__


def test_the_embedder_names_them(doubtful):
    """Also ImageEmbedder."""
    embedder = ImageEmbedder("resnet18", layer="layer1", image_size=16)
    with pytest.warns(DatasetWarning, match=MESSAGE):
        embedder.fit_transform(doubtful)


def test_good_images_are_read_where_warnings_are_errors(doubtful):
    """They are neither unreadable rows nor errors; the EXIF orientation is still used."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = check_image_paths(doubtful, (12, 10), "warn")
        batch, found, reasons = rows.take_readable(np.arange(8))
        report = check_images(doubtful)
    assert (len(batch), found.tolist(), reasons) == (8, list(range(8)), {})
    assert sorted(rows.doubtful) == [1, 6]
    assert report.loc[report["problem"] != "turned", "problem"].tolist() == ["doubtful"] * 2
    assert report["row"].tolist() == [1, 1, 6, 6]


def test_large_images_are_read(monkeypatch, tmp_path):
    """An image between the two limits of Pillow is read; it is doubtful, not a bomb."""
    path = str(tmp_path / "large.png")
    Image.new("RGB", (60, 50)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        messages = []
        assert read_image(path, (4, 4), messages=messages).shape == (4, 4, 3)
        assert check_images([path])["problem"].tolist() == ["doubtful"]
    assert "3000 pixels" in messages[0]


def test_other_warnings_pass(recwarn):
    """Warnings of other modules and threads are shown; filters and hooks are restored."""
    before = list(warnings.filters), warnings.showwarning
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "JPEG", exif=BROKEN_EXIF)
    messages, inside, done = [], threading.Event(), threading.Event()

    def decode():
        with record_pillow_warnings(messages):
            inside.set()
            done.wait(30)
            Image.open(io.BytesIO(buffer.getvalue())).getexif()
            warnings.warn("from the same thread", stacklevel=1)

    thread = threading.Thread(target=decode)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        thread.start()
        inside.wait(30)
        warnings.warn("from another thread", stacklevel=1)
        Image.open(io.BytesIO(buffer.getvalue())).getexif()
        done.set()
        thread.join()
    assert len(messages) == 2
    assert "tag 270" in messages[0]
    assert ["another" in str(one.message) for one in shown] == [True, False]
    assert "tag 270" in str(shown[1].message)
    assert (list(warnings.filters), warnings.showwarning) == before


def test_many_threads_restore_the_filters():
    """The last thread that decodes removes the filter, whatever the order."""
    before = list(warnings.filters), warnings.showwarning

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(200):
            with record_pillow_warnings([]):
                if rng.random() < 0.1:
                    threading.Event().wait(0.0005)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (list(warnings.filters), warnings.showwarning) == before
