"""Images given as objects are read as the same image in a file, or rejected in a sentence."""

import collections.abc
import io
import pathlib
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageCms
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from skattr import ImageEmbedder, ImageReading
from skattr._inputs.checks import check_images, infer_kind
from skattr._inputs.sources import as_source, hint
from skattr.datasets import check_images as check_dataset
from skattr.exceptions import BadImageWarning, ImageReadError
from skattr.inspection import GalleryDisplay
from skattr.model_selection import cross_val_predict_proba
from tests.inputs.sample_images import HEIGHT, LEVELS, SIZE, WIDTH
from tests.tiny_models import tiny

COLOR = LEVELS[..., :3]


def encode(image, form="PNG", **options):
    """Return the content of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


PNG = encode(Image.fromarray(COLOR))


def take(X, **options):
    """Return all images of X as an array."""
    rows = check_images(X, SIZE, **options)
    return rows.take(np.arange(len(rows)))


def pillow_images():
    """Return an image of each mode, and the options to save it in a file of the same mode."""
    color, rgba = Image.fromarray(COLOR), Image.fromarray(LEVELS)
    palette = color.quantize(8)
    with_alpha = palette.convert("PA")
    with_alpha.putalpha(Image.fromarray(LEVELS[..., 3]))
    one, several = palette.copy(), palette.copy()
    one.info["transparency"] = 3
    several.info["transparency"] = bytes([0, 255, 128, 20, 255, 77, 9, 200])
    profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    gray = LEVELS[..., 0]
    return {
        "1": (color.convert("1"), "PNG"),
        "L": (Image.fromarray(gray), "PNG"),
        "LA": (Image.fromarray(LEVELS[..., 2:]), "PNG"),
        "P": (palette, "PNG"),
        "P, one transparent": (one, "PNG"),
        "P, several": (several, "PNG"),
        "PA": (with_alpha, "TIFF"),
        "RGB": (color, "PNG"),
        "RGBA": (rgba, "PNG"),
        "CMYK": (color.convert("CMYK"), "TIFF"),
        "YCbCr": (color.convert("YCbCr"), "TIFF"),
        "LAB": (ImageCms.profileToProfile(color, *profiles, outputMode="LAB"), "TIFF"),
        "I": (Image.fromarray(gray.astype(np.int32) * 257), "TIFF"),
        "I;16": (Image.fromarray(gray.astype(np.uint16) * 257), "PNG"),
        "I;16B": (Image.fromarray((gray.astype(np.uint16) * 257).astype(">u2")), "TIFF"),
    }


@pytest.mark.parametrize("name", pillow_images())
def test_pillow_modes_are_read_like_files(name, tmp_path):
    """An image in memory gives the pixels of the file that it is saved to, in every mode."""
    image, form = pillow_images()[name]
    content = encode(image, form)
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.mode == image.mode
    (tmp_path / "one").write_bytes(content)
    before = image.tobytes()
    assert infer_kind([image, image]) == "files"
    result = take([image])
    np.testing.assert_array_equal(result, take([str(tmp_path / "one")]))
    np.testing.assert_array_equal(result, take([content]))
    assert image.tobytes() == before


def test_modes_without_files():
    """Premultiplied transparency, HSV and RGBX: as Pillow converts them."""
    rgba = Image.fromarray(LEVELS)
    for image, expected in (
        (rgba.convert("RGBa"), rgba.convert("RGBa").convert("RGBA")),
        (Image.fromarray(LEVELS[..., 2:]).convert("La"), None),
        (Image.fromarray(COLOR).convert("HSV"), Image.fromarray(COLOR).convert("HSV")),
        (Image.fromarray(COLOR).convert("RGBX"), Image.fromarray(COLOR)),
    ):
        if expected is None:
            expected = image.convert("LA")
        if expected.mode == "HSV":
            expected = expected.convert("RGB")
        np.testing.assert_array_equal(take([image]), take([expected]))


def test_floats_are_rejected_in_a_sentence():
    """Pillow's mode F has no range of its own."""
    image = Image.fromarray(LEVELS[..., 0].astype(np.float32))
    with pytest.raises(ImageReadError, match=r"row 1 of X: .*mode 'F'.*set value_range"):
        take([Image.fromarray(COLOR), image])
    result = take([image], value_range=(0, 255))
    np.testing.assert_array_equal(result[0, ..., 0], LEVELS[..., 0])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_pillow_images_are_turned_like_files(orientation, form, tmp_path):
    """The EXIF orientation counts whether the image is a file, not loaded, or loaded."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(Image.fromarray(COLOR), form, exif=exif)
    (tmp_path / "one").write_bytes(content)
    lazy = Image.open(io.BytesIO(content))
    loaded = Image.open(io.BytesIO(content))
    loaded.load()
    expected = take([str(tmp_path / "one")])
    for image in (lazy, loaded, content):
        np.testing.assert_array_equal(take([image]), expected)
    assert lazy.getexif().get(0x0112) == orientation  # it is not changed


class Column(collections.abc.Sequence):
    """A sequence that is no list, such as the columns of datasets of Hugging Face."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, key):
        return self.values[key]


def as_objects(values):
    """Return a 1-D array of objects."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def one_of_each(path):
    """Return the same image in all forms."""
    return [
        path,
        pathlib.Path(path),
        Image.fromarray(COLOR),
        Image.open(io.BytesIO(PNG)),
        PNG,
        bytearray(PNG),
        memoryview(PNG),
        io.BytesIO(PNG),
        {"bytes": PNG, "path": "elsewhere.png"},
        {"bytes": None, "path": path},
        COLOR,
        torch.from_numpy(COLOR.copy()),
        np.asfortranarray(COLOR),
    ]


@pytest.mark.parametrize(
    "container",
    [
        list, tuple, as_objects, Column, collections.deque, pd.Series,
        lambda rows: pd.Series(as_objects(rows), index=range(len(rows), 0, -1)),
        lambda rows: pd.DataFrame({"path": as_objects(rows), "other": 1}),
        lambda rows: as_objects(rows)[:, np.newaxis],
    ],
)  # fmt: skip
def test_every_form_in_every_container(container, one_file):
    """Paths, images, contents, file objects, dicts, arrays and tensors may be mixed."""
    rows = one_of_each(one_file)
    result = take(container(rows))
    assert result.shape == (len(rows), *SIZE, 3)
    np.testing.assert_array_equal(result, np.broadcast_to(COLOR, result.shape))


def test_open_files_are_not_changed(one_file):
    """Files are read from their start, and their position stays."""
    with open(one_file, "rb") as file, Image.open(one_file) as image:
        file.seek(5)
        for _ in range(2):
            np.testing.assert_array_equal(take([file, image, image])[2], COLOR)
        assert file.tell() == 5
        assert image.tile


def test_the_current_frame_of_an_animation():
    """An image that was moved to another frame is read at this frame, a file at the first."""
    colors = ("#ff0000", "#00ff00", "#0000ff")
    frames = [Image.new("RGB", (WIDTH, HEIGHT), color) for color in colors]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    image = Image.open(io.BytesIO(content))
    image.seek(2)
    assert take([image, content])[:, 0, 0].tolist() == [[0, 0, 255], [255, 0, 0]]


def test_sizes_and_channels_may_differ():
    """Gray and color images of several sizes are resized like files; one channel is gray."""
    arrays = [COLOR, COLOR[:4], LEVELS[..., 0], LEVELS[..., :1], COLOR[:, :3]]
    images = [Image.fromarray(a[..., 0] if a.shape[2:] == (1,) else a) for a in arrays]
    expected = take([encode(image) for image in images])
    np.testing.assert_array_equal(take(arrays), expected)
    np.testing.assert_array_equal(take(images), expected)
    np.testing.assert_array_equal(
        take(LEVELS[np.newaxis, ..., :1]), take(LEVELS[np.newaxis, ..., 0])
    )


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, ImageReadError, "None is not a path .* or an image"),
        ({"bytes": None, "path": None}, ImageReadError, "None is not a path"),
        ({"image": PNG}, ImageReadError, r"the keys \['image'\] is not an image"),
        (b"text", ImageReadError, "given as 4 bytes: .*cannot identify the format"),
        (PNG[:60], ImageReadError, "given as 60 bytes: .*truncated"),
        (io.StringIO("text"), ImageReadError, "opened as text; open it as binary"),
        (io.BytesIO(b""), ImageReadError, "given as 0 bytes"),
        ("data:image/png;base64,AAAA", ImageReadError, "decode base64 to bytes"),
        (np.zeros(4, np.uint8), ImageReadError, "a value of type ndarray is not"),
        (COLOR / 255, TypeError, "dtype float64; images in memory must be uint8"),
        (COLOR > 9, TypeError, "dtype bool"),
        (LEVELS, ValueError, "4 channels do not say .* pass a list of Pillow images"),
        (COLOR.transpose(2, 0, 1), ValueError, "channels seem to come first.*np.moveaxis"),
        (torch.zeros((3, 5, 7), dtype=torch.uint8), ValueError, "channels seem to come first"),
        (COLOR[:0], ValueError, "holds no pixel"),
    ],
)
def test_other_objects_are_rejected_in_a_sentence(value, error, message, one_file):
    """The message has the row and what is valid."""
    with pytest.raises(error, match=f"row 1 of X: .*{message}"):
        take([one_file, value])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 5, 7), "channels seem to come first"),
        ((1, 5, 7), "channels seem to come first"),
        ((9, 3, 5, 7), "channels seem to come first"),
        ((9, 1, 5, 4), "channels seem to come first"),
        ((5, 7, 2), "2 channels do not say"),
        ((9, 5, 7, 4), "4 channels do not say"),
        *[(shape, None) for shape in ((2, 5, 7), (5, 7, 5), (3, 5, 7, 9), (3, 7), (5, 4), (4,))],
    ],
)
def test_hints_at_the_layout(shape, expected):
    """Channels that come first and those that may be transparency are told by the shape."""
    text = hint(np.zeros(shape, np.uint8))
    assert text == "." if expected is None else expected in text


def test_closed_images_are_rejected(one_file):
    """Also one that is closed by its context manager."""
    with Image.open(one_file) as image:
        pass
    with pytest.raises(ImageReadError, match="row 0 of X: the Pillow image was closed"):
        take([image])


def test_objects_that_cannot_be_read():
    """A file object that is closed, and a damaged image that is turned after it was opened."""
    closed = io.BytesIO(PNG)
    closed.close()
    with pytest.raises(ImageReadError, match="row 0 of X: cannot read .*closed file"):
        take([closed])
    buffer = io.BytesIO()
    frames = [Image.fromarray(COLOR), Image.fromarray(255 - COLOR)]
    frames[0].save(buffer, "TIFF", save_all=True, append_images=frames[1:])
    second = Image.open(buffer)
    second.seek(1)
    second.fp.truncate(second.tile[0].offset)
    with pytest.raises(ImageReadError, match="row 1 of X: cannot read the Pillow image: "):
        take([PNG, second])


def test_batches_of_objects_that_are_not_images():
    """Arrays of Python numbers have lost the mode of the images that they were made of."""
    with pytest.raises(TypeError, match="dtype object; images in memory must be uint8"):
        take(np.array([COLOR, COLOR], dtype=object))


def test_sources_can_be_pickled(one_file):
    """Every form can be sent to a worker process."""
    rows = check_images(one_of_each(one_file), SIZE)
    loaded = pickle.loads(pickle.dumps(rows))
    np.testing.assert_array_equal(loaded.take(np.arange(13)), rows.take(np.arange(13)))


@pytest.fixture
def forms(images, tmp_path):
    """Return the 24 images as paths, and in other forms."""
    paths = [str(tmp_path / f"{k}.png") for k in range(24)]
    for image, path in zip(images, paths, strict=True):
        Image.fromarray(image).save(path)
    contents = [pathlib.Path(path).read_bytes() for path in paths]
    return paths, {
        "Pillow": [Image.fromarray(image) for image in images],
        "bytes": contents,
        "dicts": pd.Series([{"bytes": content, "path": None} for content in contents]),
        "objects": as_objects(list(images)),
        "mixed": [*paths[:9], *images[9:12], *contents[12:]],
        "table": pd.DataFrame({"path": contents}),
    }


@pytest.mark.parametrize("num_workers", [0, 2])
def test_estimators_take_every_form(forms, table, num_workers):
    """`fit`, `predict` and `score` are those of paths."""
    paths, others = forms
    reading = ImageReading(num_workers=num_workers, cache="memory")
    of_paths = tiny(images=reading).fit(paths, table)
    expected = of_paths.predict_proba(paths)
    for X in others.values():
        classifier = tiny(images=reading).fit(X, table)
        for one, other in zip(classifier.predict_proba(X), expected, strict=True):
            np.testing.assert_array_equal(one, other)
        assert classifier.score(X, table) == of_paths.score(paths, table)


def test_tools_of_scikit_learn_take_every_form(forms):
    """Searches, cross-validation and pipelines slice all forms."""
    paths, others = forms
    y = np.arange(24) % 2
    embedder = ImageEmbedder("resnet18", layer="layer1", image_size=16)
    pipeline = make_pipeline(embedder, LogisticRegression())
    expected = cross_val_score(pipeline, paths, y, cv=2)
    probas = cross_val_predict_proba(tiny(), paths, y, cv=2)
    for X in others.values():
        np.testing.assert_array_equal(cross_val_score(pipeline, X, y, cv=2), expected)
        search = GridSearchCV(tiny(), {"images__decoding": ["exact", "scaled"]}, cv=2).fit(X, y)
        assert len(search.predict(X)) == 24
        np.testing.assert_array_equal(cross_val_predict_proba(tiny(), X, y, cv=2), probas)
        assert tiny(cross_fit=2).fit_transform(X, y).shape[0] == 24


@pytest.mark.parametrize("cache_key", ["content", "stat"])
def test_cached_features_of_objects(forms, tmp_path, cache_key):
    """Equal objects have equal keys, other pixels, palettes or orientations other ones."""
    paths, others = forms
    options = {"layer": "layer1", "image_size": 16, "cache": tmp_path / "cache"}
    embedder = ImageEmbedder("resnet18", cache_key=cache_key, **options).fit(paths)
    plain = ImageEmbedder("resnet18", layer="layer1", image_size=16)
    for X in others.values():
        for _ in range(2):
            np.testing.assert_array_equal(embedder.transform(X), plain.fit_transform(X))
    palette = Image.fromarray(COLOR).quantize(8)
    other = palette.copy()
    other.putpalette(palette.getpalette()[::-1])
    see_through = palette.copy()
    see_through.info["transparency"] = 2
    turned = Image.open(io.BytesIO(encode(palette, exif=orientation_6())))
    turned.load()
    X = [palette, other, see_through, turned, palette.convert("L"), LEVELS[..., 0], COLOR]
    features = embedder.transform(X)
    np.testing.assert_array_equal(features, plain.fit_transform(X))
    assert len(np.unique(features, axis=0)) == len(X)


def orientation_6():
    """Return EXIF data of an image on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_unreadable_objects_are_skipped(forms, table):
    """With "warn" missing and broken objects are unreadable rows."""
    X = [*forms[1]["Pillow"][:20], None, b"no image", {"bytes": PNG[:40], "path": None}, PNG]
    classifier = tiny(images=ImageReading(on_bad_image="warn"))
    with pytest.warns(BadImageWarning, match="3 of 24 rows .* row 20 of X: None is not"):
        classifier.fit(X, table)
    with pytest.warns(BadImageWarning):
        proba = classifier.predict_proba(X)[0]
    assert np.flatnonzero(np.isnan(proba[:, 0])).tolist() == [20, 21, 22]


def test_image_checks_of_objects(one_file):
    """`check_images` reads all forms; path is None for objects, and contents are compared."""
    X = [one_file, PNG, None, PNG[:60], Image.fromarray(LEVELS[..., 0]), COLOR[:2]]
    report = check_dataset(X, min_side=5)
    assert report[["row", "problem"]].to_numpy().tolist() == [
        [1, "duplicate"],
        [2, "missing"],
        [3, "truncated"],
        [4, "converted"],
        [5, "tiny"],
    ]
    assert report["path"].isna().all()
    assert check_dataset(np.stack([COLOR, COLOR]), min_side=1)["problem"].tolist() == ["duplicate"]


def test_galleries_show_objects(forms):
    """A gallery shows each form as it shows paths."""
    paths, others = forms
    y = np.arange(24) % 2
    expected = GalleryDisplay.from_predictions(y, 1 - y, X=paths, n_images=3).images
    for X in others.values():
        shown = GalleryDisplay.from_predictions(y, 1 - y, X=X, n_images=3).images
        for one, other in zip(shown, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_as_source_leaves_no_subclasses_of_str():
    """A path of NumPy becomes a str."""
    assert type(as_source(np.str_("a.png"))) is str
