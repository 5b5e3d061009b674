"""Tests of the gallery of images."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skattr import ImageReading
from skattr.exceptions import BadImageWarning, ImageReadError
from skattr.inspection import GalleryDisplay
from skattr.inspection._style import RIGHT, WRONG
from tests.tiny_models import tiny

Y = [[1, 0, 1], [0, 1, 0], [None, 0, 1], [None, None, None]]
PREDICTIONS = [[1, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 0]]
IMAGES = np.arange(4 * 6 * 5 * 3, dtype=np.uint8).reshape(4, 6, 5, 3)


@pytest.mark.parametrize(("order", "rows"), [("worst", [1, 2, 0]), ("best", [0, 2, 1])])
def test_rows_are_sorted_by_the_share_of_wrong_labels(order, rows):
    """Only known labels count, and an image without known labels is not shown."""
    display = GalleryDisplay.from_predictions(Y, PREDICTIONS, X=IMAGES, order=order)
    assert display.rows.tolist() == rows
    for image, row in zip(display.images, rows, strict=True):
        np.testing.assert_array_equal(image, IMAGES[row])
    assert len(display.ax_) == 3
    display.figure_.canvas.draw()


def test_random_rows_are_seeded():
    """The same seed selects the same images."""
    draw = GalleryDisplay.from_predictions
    options = {"X": IMAGES, "order": "random", "n_images": 2}
    first = draw(Y, PREDICTIONS, random_state=3, **options)
    second = draw(Y, PREDICTIONS, random_state=3, **options)
    assert first.rows.tolist() == second.rows.tolist() and len(first.rows) == 2


def test_captions_show_correct_and_wrong_predictions():
    """Captions have marks, colors and the true label of errors, but no missing labels."""
    y = pd.DataFrame({"hat": [True, None], "color": ["red", "blue"], "count": [2.0, 3.0]})
    predicted = pd.DataFrame({"hat": [False, True], "color": ["red", "green"], "count": [2, 3]})
    display = GalleryDisplay.from_predictions(y, predicted, X=IMAGES[:2])
    captions = dict(zip(display.rows.tolist(), display.captions, strict=True))
    assert captions[0] == [
        ("✗ hat: no (yes)", WRONG),
        ("✓ color: red", RIGHT),
        ("✓ count: 2", RIGHT),
    ]
    assert captions[1] == [("✗ color: green (blue)", WRONG), ("✓ count: 3", RIGHT)]
    texts = [text.get_text() for text in display.ax_[0].texts]
    assert texts == [text for text, _ in display.captions[0]]


def test_last_line_counts_the_attributes_that_do_not_fit():
    """Of 200 attributes the wrong ones come first, then the positive ones."""
    y = np.zeros((1, 200), dtype=int)
    y[0, 50] = 1
    predicted = y.copy()
    predicted[0, 7] = 1
    display = GalleryDisplay.from_predictions(y, predicted, X=IMAGES[:1], max_lines=4)
    texts = [text for text, _ in display.captions[0]]
    assert texts == ["✗ y7: yes (no)", "✓ y50: yes", "✓ y0: no", "and 197 ✓"]


def test_files_are_read_upright_with_their_aspect_ratio(tmp_path):
    """Only the images that are drawn are opened; boxes are cropped."""
    path = tmp_path / "wide.png"
    Image.fromarray(np.full((40, 80, 3), 9, dtype=np.uint8)).save(path)
    rotated = tmp_path / "rotated.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((800, 400, 3), dtype=np.uint8)).save(rotated, exif=exif)
    y, predicted = [[1], [1], [0]], [[0], [0], [0]]
    X = [str(path), rotated, tmp_path / "absent.png"]
    display = GalleryDisplay.from_predictions(y, predicted, X=X, n_images=2)
    assert [image.shape for image in display.images] == [(40, 80, 3), (160, 320, 3)]
    with pytest.raises(ImageReadError, match=r"absent\.png"):
        GalleryDisplay.from_predictions(y, predicted, X=X)
    boxes = pd.DataFrame({"path": [path] * 3, "xmin": 0, "ymin": 0, "xmax": 10, "ymax": 30})
    display = GalleryDisplay.from_predictions(y, predicted, X=boxes, n_images=1)
    assert display.images[0].shape == (30, 10, 3)


def test_from_estimator_equals_from_predictions(images, table):
    """The labels are those the estimator predicts, also for gray images and mixed tables."""
    model = tiny().fit(images, table)
    display = GalleryDisplay.from_estimator(model, images, table, n_images=5)
    expected = GalleryDisplay.from_predictions(table, model.predict(images), X=images, n_images=5)
    assert display.rows.tolist() == expected.rows.tolist()
    assert display.captions == expected.captions


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": "first"}, "`order` must be one of"),
        ({"n_images": 0}, "`n_images` must be 1 or more"),
        ({"X": IMAGES[:2]}, "X has 2 images, y has 4 rows"),
        ({"X": np.zeros((4, 3))}, "X contains features, not images"),
        ({"select": ["hut"]}, "`select` names 'hut'"),
    ],
)
def test_rejects_invalid_parameters(change, message):
    """The error names the parameter."""
    with pytest.raises(ValueError, match=message):
        GalleryDisplay.from_predictions(Y, PREDICTIONS, **{"X": IMAGES, **change})


def test_rejects_data_without_known_labels():
    """The selected attribute needs at least one known label."""
    with pytest.raises(ValueError, match="No image has a known label"):
        GalleryDisplay.from_predictions(
            [[None, 1], [None, 0]], [[1, 1], [1, 1]], X=IMAGES[:2], select=[0]
        )


def test_only_binary_labels_are_shown_as_yes_or_no():
    """The class 1 of several is shown as a number."""
    y = pd.DataFrame({"digit": [0, 1, 2], "loop": [1, 0, 0]})
    display = GalleryDisplay.from_predictions(
        y, y, X=np.zeros((3, 8, 8), dtype=np.uint8), order="best", n_images=3
    )
    texts = {text for caption in display.captions for text, _ in caption}
    assert {"✓ digit: 0", "✓ digit: 1", "✓ digit: 2", "✓ loop: yes", "✓ loop: no"} == texts


def test_unreadable_images_are_left_out(tmp_path):
    """With on_bad_image="warn" unreadable images are skipped; `rows` are positions in X."""
    paths = []
    for row in range(6):
        paths.append(str(tmp_path / f"{row}.png"))
        Image.fromarray(np.full((12, 10, 3), 40 * row, dtype=np.uint8)).save(paths[-1])
    y = np.array([[0, 1], [1, 0]] * 3)
    model = tiny(images=ImageReading(on_bad_image="warn")).fit(paths, y)
    (tmp_path / "2.png").write_bytes(b"broken")
    with pytest.warns(BadImageWarning, match="row 2 of X"):
        display = GalleryDisplay.from_estimator(model, paths, y)
    assert sorted(display.rows) == [0, 1, 3, 4, 5]
    with pytest.warns(BadImageWarning), pytest.raises(ImageReadError, match="All 2 rows"):
        GalleryDisplay.from_estimator(model, [paths[2]] * 2, y[:2])
