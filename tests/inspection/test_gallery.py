"""Images with captions."""

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
GUESSES = [[1, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 0]]
IMAGES = np.arange(4 * 6 * 5 * 3, dtype=np.uint8).reshape(4, 6, 5, 3)


@pytest.mark.parametrize(("order", "rows"), [("worst", [1, 2, 0]), ("best", [0, 2, 1])])
def test_rows_are_sorted_by_the_share_that_is_wrong(order, rows):
    """Only known labels count, and an image without any is not shown."""
    display = GalleryDisplay.from_predictions(Y, GUESSES, X=IMAGES, order=order)
    assert display.rows.tolist() == rows
    for image, row in zip(display.images, rows, strict=True):
        np.testing.assert_array_equal(image, IMAGES[row])
    assert len(display.ax_) == 3
    display.figure_.canvas.draw()


def test_random_rows_are_seeded():
    """The same seed shows the same images."""
    draw = GalleryDisplay.from_predictions
    options = {"X": IMAGES, "order": "random", "n_images": 2}
    one = draw(Y, GUESSES, random_state=3, **options)
    two = draw(Y, GUESSES, random_state=3, **options)
    assert one.rows.tolist() == two.rows.tolist() and len(one.rows) == 2


def test_captions_tell_right_from_wrong_without_color(mixed):
    """Marks, colors, the true label of a wrong one; missing labels are not mentioned."""
    y = pd.DataFrame({"hat": [True, None], "color": ["red", "blue"], "count": [2.0, 3.0]})
    guess = pd.DataFrame({"hat": [False, True], "color": ["red", "green"], "count": [2, 3]})
    display = GalleryDisplay.from_predictions(y, guess, X=IMAGES[:2])
    captions = dict(zip(display.rows.tolist(), display.captions, strict=True))
    assert captions[0] == [
        ("✗ hat: no (yes)", WRONG),
        ("✓ color: red", RIGHT),
        ("✓ count: 2", RIGHT),
    ]
    assert captions[1] == [("✗ color: green (blue)", WRONG), ("✓ count: 3", RIGHT)]
    texts = [text.get_text() for text in display.ax_[0].texts]
    assert texts == [text for text, _ in display.captions[0]]


def test_what_does_not_fit_is_counted():
    """Of 200 attributes the wrong ones come first, then those that are there."""
    y = np.zeros((1, 200), dtype=int)
    y[0, 50] = 1
    guess = y.copy()
    guess[0, 7] = 1
    display = GalleryDisplay.from_predictions(y, guess, X=IMAGES[:1], max_lines=4)
    texts = [text for text, _ in display.captions[0]]
    assert texts == ["✗ y7: yes (no)", "✓ y50: yes", "✓ y0: no", "and 197 ✓"]


def test_files_are_read_upright_and_in_their_own_shape(tmp_path):
    """Only the images that are drawn are opened; boxes are cut out."""
    path = tmp_path / "wide.png"
    Image.fromarray(np.full((40, 80, 3), 9, dtype=np.uint8)).save(path)
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((800, 400, 3), dtype=np.uint8)).save(turned, exif=exif)
    y, guess = [[1], [1], [0]], [[0], [0], [0]]
    X = [str(path), turned, tmp_path / "absent.png"]
    display = GalleryDisplay.from_predictions(y, guess, X=X, n_images=2)
    assert [image.shape for image in display.images] == [(40, 80, 3), (160, 320, 3)]
    with pytest.raises(ImageReadError, match=r"absent\.png"):
        GalleryDisplay.from_predictions(y, guess, X=X)
    boxes = pd.DataFrame({"path": [path] * 3, "xmin": 0, "ymin": 0, "xmax": 10, "ymax": 30})
    display = GalleryDisplay.from_predictions(y, guess, X=boxes, n_images=1)
    assert display.images[0].shape == (30, 10, 3)


def test_a_classifier_of_images(images, table):
    """The labels are those it predicts; gray images and mixed tables are drawn."""
    model = tiny().fit(images, table)
    display = GalleryDisplay.from_estimator(model, images, table, n_images=5)
    other = GalleryDisplay.from_predictions(table, model.predict(images), X=images, n_images=5)
    assert display.rows.tolist() == other.rows.tolist()
    assert display.captions == other.captions


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": "first"}, "`order` must be one of"),
        ({"n_images": 0}, "`n_images` must be 1 or more"),
        ({"X": IMAGES[:2]}, "X has 2 images, y has 4 rows"),
        ({"X": np.zeros((4, 3))}, "X holds features, not images"),
        ({"select": ["hut"]}, "`select` names 'hut'"),
    ],
)
def test_bad_parameters_get_a_sentence(change, message):
    """The message names the parameter."""
    with pytest.raises(ValueError, match=message):
        GalleryDisplay.from_predictions(Y, GUESSES, **{"X": IMAGES, **change})


def test_no_known_label_at_all_is_refused():
    """There is nothing to be right or wrong about the selected attribute."""
    with pytest.raises(ValueError, match="No image has a known label"):
        GalleryDisplay.from_predictions(
            [[None, 1], [None, 0]], [[1, 1], [1, 1]], X=IMAGES[:2], select=[0]
        )


def test_a_number_is_no_yes_or_no():
    """The category 1 of many is shown as it is; only a binary attribute is said with yes."""
    y = pd.DataFrame({"digit": [0, 1, 2], "loop": [1, 0, 0]})
    display = GalleryDisplay.from_predictions(
        y, y, X=np.zeros((3, 8, 8), dtype=np.uint8), order="best", n_images=3
    )
    texts = {text for caption in display.captions for text, _ in caption}
    assert {"✓ digit: 0", "✓ digit: 1", "✓ digit: 2", "✓ loop: yes", "✓ loop: no"} == texts


def test_images_that_cannot_be_read_are_left_out(tmp_path):
    """If the estimator says that it leaves them out; `rows` are still positions in X."""
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
