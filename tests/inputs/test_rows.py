"""What X may be, and how image files become upright RGB arrays."""

import pathlib
import re
import struct
import tracemalloc
import zlib

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skattr._inputs.checks import (
    check_container,
    check_image_array,
    check_image_paths,
    check_numeric_columns,
    describe,
    infer_kind,
)
from skattr._inputs.rows import BOX_COLUMNS, FeatureRows, read_image
from skattr.exceptions import ImageReadError, InvalidBoxError

HEIGHT, WIDTH = SIZE = (6, 8)
LEVELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)
DEEP = np.random.default_rng(1).integers(0, 2**16, SIZE).astype(np.uint16)


def on_white(color, alpha):
    """Lay colors of some opacity on white, in floating point."""
    share = np.asarray(alpha, dtype=float)[..., np.newaxis] / 255
    return share * color + (1 - share) * 255


def repeated(gray):
    """Gray levels on three channels."""
    return np.repeat(np.asarray(gray)[..., np.newaxis], 3, axis=-1)


def save(image, path, **options):
    """Save an image and return its path."""
    image.save(path, **options)
    return path


def assert_resized(result, array, size):
    """Assert that this is, to within a level, the array resized by Pillow."""
    image = Image.fromarray(array).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(result, np.asarray(image), rtol=0, atol=1)


def palette_image():
    """Return an image of 7 colors, and its palette and indices."""
    palette = np.random.default_rng(2).integers(0, 256, (7, 3)).astype(np.uint8)
    index = np.random.default_rng(3).integers(0, 7, SIZE).astype(np.uint8)
    image = Image.fromarray(index)
    image = image.convert("P")
    image.putdata(index.ravel().tolist())
    image.putpalette(palette.ravel().tolist())
    return image, palette, index


def read(path):
    """Read a file at its own size."""
    result = read_image(path, SIZE)
    assert result.dtype == np.uint8
    assert result.shape == (*SIZE, 3)
    return result


# --- modes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp"])
def test_rgb_comes_back_as_it_is(tmp_path, suffix):
    """Pixels of a lossless RGB file are those that were saved."""
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(Image.fromarray(LEVELS[..., :3]), tmp_path / f"a.{suffix}", **options)
    np.testing.assert_array_equal(read(path), LEVELS[..., :3])


def test_a_jpeg_is_what_pillow_decodes(tmp_path):
    """A JPEG gives Pillow's own pixels."""
    path = save(Image.fromarray(LEVELS[..., :3]), tmp_path / "a.jpg")
    with Image.open(path) as expected:
        np.testing.assert_array_equal(read(path), np.asarray(expected))


def test_gray_is_repeated(tmp_path):
    """Mode L gives its levels on three channels."""
    path = save(Image.fromarray(LEVELS[..., 0]), tmp_path / "a.png")
    np.testing.assert_array_equal(read(path), repeated(LEVELS[..., 0]))


def test_black_and_white(tmp_path):
    """Mode 1 gives 0 and 255."""
    bits = LEVELS[..., 0] > 128
    path = save(Image.fromarray(bits), tmp_path / "a.png")
    with Image.open(path) as opened:
        assert opened.mode == "1"
    np.testing.assert_array_equal(read(path), repeated(255 * bits))


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_palette_is_looked_up(tmp_path, suffix):
    """Mode P gives the colors of its palette."""
    image, palette, index = palette_image()
    path = save(image, tmp_path / f"a.{suffix}")
    with Image.open(path) as opened:
        assert opened.mode == "P"
    np.testing.assert_array_equal(read(path), palette[index])


@pytest.mark.parametrize("transparency", [3, bytes([0, 255, 128, 20, 255, 77, 200])])
def test_a_transparent_palette_is_laid_on_white(tmp_path, transparency):
    """Palette entries of some opacity, or one transparent entry, are laid on white."""
    image, palette, index = palette_image()
    path = save(image, tmp_path / "a.png", transparency=transparency)
    alpha = np.full(7, 255)
    if isinstance(transparency, int):
        alpha[transparency] = 0
    else:
        alpha[:] = list(transparency)
    np.testing.assert_allclose(read(path), on_white(palette, alpha)[index], atol=1)


def test_a_transparent_gif_is_laid_on_white(tmp_path):
    """The transparent color of a GIF is white, the others are themselves."""
    image, palette, index = palette_image()
    path = save(image, tmp_path / "a.gif", transparency=int(index[0, 0]))
    expected = np.where((index == index[0, 0])[..., np.newaxis], 255, palette[index])
    np.testing.assert_array_equal(read(path), expected)


def test_opacity_of_gray_and_color_is_laid_on_white(tmp_path):
    """LA and RGBA are laid on white."""
    gray = save(Image.fromarray(LEVELS[..., 2:]), tmp_path / "gray.png")
    with Image.open(gray) as opened:
        assert opened.mode == "LA"
    expected = on_white(repeated(LEVELS[..., 2]), LEVELS[..., 3])
    np.testing.assert_allclose(read(gray), expected, atol=1)
    color = save(Image.fromarray(LEVELS), tmp_path / "color.png")
    np.testing.assert_allclose(read(color), on_white(LEVELS[..., :3], LEVELS[..., 3]), atol=1)


def test_a_palette_with_opacity_is_laid_on_white(tmp_path):
    """Mode PA, which TIFF and TGA files hold, is laid on white."""
    image, palette, index = palette_image()
    image = image.convert("PA")
    image.putalpha(Image.fromarray(LEVELS[..., 3]))
    path = save(image, tmp_path / "a.tiff")
    with Image.open(path) as opened:
        assert opened.mode == "PA"
    np.testing.assert_allclose(read(path), on_white(palette[index], LEVELS[..., 3]), atol=1)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_one_transparent_color_is_white(tmp_path, mode):
    """A gray or color PNG may name one transparent color; it becomes white."""
    array = LEVELS[..., 0] if mode == "L" else LEVELS[..., :3]
    key = array[2, 3].tolist()
    path = save(
        Image.fromarray(array), tmp_path / "a.png", transparency=key if mode == "L" else tuple(key)
    )
    colors = repeated(array) if mode == "L" else array
    is_key = (colors == colors[2, 3]).all(axis=-1, keepdims=True)
    np.testing.assert_array_equal(read(path), np.where(is_key, 255, colors))


@pytest.mark.parametrize("suffix", ["jpg", "tiff"])
def test_cmyk_is_converted(tmp_path, suffix):
    """CMYK gives (255 - ink) (255 - black) / 255, also where a JPEG stores it inverted."""
    image = Image.fromarray(np.full((*SIZE, 4), (200, 30, 0, 60), dtype=np.uint8), "CMYK")
    options = {"quality": 100} if suffix == "jpg" else {}
    path = save(image, tmp_path / f"a.{suffix}", **options)
    with Image.open(path) as opened:
        assert opened.mode == "CMYK"
    expected = np.array([55, 225, 255]) * (195 / 255)
    np.testing.assert_allclose(read(path), np.broadcast_to(expected, (*SIZE, 3)), atol=3)


@pytest.mark.parametrize(
    ("array", "suffix", "mode"),
    [
        (DEEP, "png", "I;16"),
        (DEEP, "tiff", "I;16"),
        (DEEP.astype(">u2"), "tiff", "I;16B"),
        (DEEP.astype(np.int32), "tiff", "I"),
    ],
)
def test_16_bit_gray_is_scaled(tmp_path, array, suffix, mode):
    """16-bit gray is divided by 257 and rounded: 0 stays black, 65535 becomes 255."""
    array = array.copy()
    array[0, :2] = 0, 65535
    path = save(Image.fromarray(array), tmp_path / f"a.{suffix}")
    with Image.open(path) as opened:
        assert opened.mode in (mode, "I")  # as Pillow before 10.3 has 16 bits of PNG
    result = read(path)
    np.testing.assert_array_equal(result, repeated(np.rint(array / 257)))
    assert result[0, :2, 0].tolist() == [0, 255]


def test_16_bit_gray_is_cropped(tmp_path):
    """A box works on 16-bit gray, in either order of bytes."""
    for number, array in enumerate([DEEP, DEEP.astype(">u2")]):
        path = save(Image.fromarray(array), tmp_path / f"{number}.tiff")
        result = read_image(path, (3, 4), box=(2, 1, 6, 4))
        np.testing.assert_array_equal(result, repeated(np.rint(DEEP[1:4, 2:6] / 257)))


@pytest.mark.parametrize(
    "array", [DEEP.astype(np.float32), -DEEP.astype(np.int32), DEEP.astype(np.int32) + 2**16]
)
def test_what_is_no_gray_level_is_refused(tmp_path, array):
    """Floats, negative numbers and numbers past 16 bits are refused in a sentence."""
    path = save(Image.fromarray(array), tmp_path / "a.tiff")
    with pytest.raises(ImageReadError, match="are not gray levels of 8 or 16 bits"):
        read_image(path, SIZE)


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    """An animated GIF gives its first frame."""
    frames = [
        Image.new("RGB", (WIDTH, HEIGHT), color) for color in ("#ff0000", "#00ff00", "#0000ff")
    ]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)
    with Image.open(path) as opened:
        assert opened.n_frames == 3
    np.testing.assert_array_equal(read(path), np.broadcast_to([255, 0, 0], (*SIZE, 3)))


# --- orientation ---------------------------------------------------------------------------

# How an upright array is stored under each orientation, by the EXIF standard's own words: the
# side of the image that the stored row 0 and column 0 show.
STORED = {
    1: lambda upright: upright,  # top, left
    2: lambda upright: upright[:, ::-1],  # top, right
    3: lambda upright: upright[::-1, ::-1],  # bottom, right
    4: lambda upright: upright[::-1],  # bottom, left
    5: lambda upright: upright.swapaxes(0, 1),  # left, top
    6: lambda upright: upright[:, ::-1].swapaxes(0, 1),  # right, top
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda upright: upright[::-1].swapaxes(0, 1),  # left, bottom
}


@pytest.fixture(
    params=[(orientation, suffix) for orientation in STORED for suffix in ("png", "tiff")]
)
def turned(request, tmp_path):
    """Path of LEVELS stored under an EXIF orientation."""
    exif = Image.Exif()
    orientation, suffix = request.param
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](LEVELS[..., :3]))
    return save(Image.fromarray(stored), tmp_path / f"turned.{suffix}", exif=exif)


def test_images_are_upright(turned):
    """Each of the 8 EXIF orientations gives the upright image."""
    np.testing.assert_array_equal(read(turned), LEVELS[..., :3])


def test_boxes_are_in_pixels_of_the_upright_image(turned):
    """A box is cut from the upright image, whatever the stored one looks like."""
    frame = pd.DataFrame([[str(turned), 5, 1, 8, 3]], columns=["path", *BOX_COLUMNS])
    batch = check_image_paths(frame, (2, 3)).take(np.array([0]))
    np.testing.assert_array_equal(batch[0], LEVELS[1:3, 5:8, :3])


# --- boxes ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_file(tmp_path_factory):
    """Path of LEVELS as an RGB file."""
    path = tmp_path_factory.mktemp("one") / "one.png"
    return str(save(Image.fromarray(LEVELS[..., :3]), path))


def boxed(path, *edges, **columns):
    """Return a DataFrame of one path and box."""
    return pd.DataFrame([[path, *edges]], columns=["path", *BOX_COLUMNS]).assign(**columns)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_box_is_a_slice(one_file, data):
    """Any box cuts the pixels array slicing cuts, whatever it is resized to."""
    xmin = data.draw(st.integers(0, WIDTH - 1))
    ymin = data.draw(st.integers(0, HEIGHT - 1))
    xmax = data.draw(st.integers(xmin + 1, WIDTH))
    ymax = data.draw(st.integers(ymin + 1, HEIGHT))
    frame = boxed(one_file, xmin, ymin, xmax, ymax)
    cut = LEVELS[ymin:ymax, xmin:xmax, :3]
    whole = check_image_paths(frame, cut.shape[:2]).take(np.array([0]))
    np.testing.assert_array_equal(whole[0], cut)
    assert_resized(check_image_paths(frame, (5, 7)).take(np.array([0]))[0], cut, (5, 7))


@pytest.mark.parametrize(
    ("dtype", "missing"), [(float, np.nan), ("Float64", pd.NA), ("Int64", pd.NA), (object, None)]
)
def test_a_row_without_a_box_is_the_whole_image(one_file, dtype, missing):
    """A row of four missing edges means the whole image, in any dtype."""
    frame = pd.DataFrame({"path": [one_file] * 2})
    for name, edge in zip(BOX_COLUMNS, (1, 0, 5, 2), strict=True):
        frame[name] = pd.Series([missing, edge], dtype=dtype)
    rows = check_image_paths(frame, SIZE)
    whole, cut = rows.take(np.array([0, 1]))
    np.testing.assert_array_equal(whole, LEVELS[..., :3])
    assert_resized(cut, LEVELS[0:2, 1:5, :3], SIZE)


@pytest.mark.parametrize(
    ("edges", "reason"),
    [
        ((np.nan, 0, 5, 5), "has a missing edge"),
        ((0, 0, 5, np.nan), "has a missing edge"),
        ((0.5, 0, 5, 5), "not whole pixels"),
        ((0, 0, np.inf, 5), "not whole pixels"),
        ((-np.inf, 0, 5, 5), "not whole pixels"),
        ((3, 0, 3, 5), "holds no pixel"),
        ((0, 4, 3, 4), "holds no pixel"),
        ((5, 0, 3, 5), "holds no pixel"),
        ((-1, 0, 3, 5), "starts outside its image"),
        ((0, -2, 3, 5), "starts outside its image"),
    ],
)
def test_malformed_boxes_are_named_before_any_file_is_opened(one_file, edges, reason):
    """The row, the path, the box and what is wrong stand in the message."""
    good = boxed(one_file, 0, 0, 2, 2)
    frame = pd.concat([good, boxed(one_file, *edges)], ignore_index=True)
    with pytest.raises(InvalidBoxError, match=f"row 1 of X.*one.png.*{reason}"):
        check_image_paths(frame, SIZE)


@pytest.mark.parametrize("edges", [(0, 0, 9, 6), (0, 0, 8, 7), (8, 0, 9, 3), (0, 100, 3, 103)])
def test_a_box_that_leaves_its_image_is_named(one_file, edges):
    """The row, the path, the box and the image's size stand in the message."""
    frame = pd.concat([boxed(one_file, 0, 0, 8, 6), boxed(one_file, *edges)], ignore_index=True)
    rows = check_image_paths(frame, SIZE)
    message = r"row 1 of X: the box .* leaves the image .*one.png', which is 8 pixels wide and 6"
    with pytest.raises(InvalidBoxError, match=message):
        rows.take(np.array([0, 1]))


def test_all_four_columns_of_boxes_are_needed(one_file):
    """Some of the columns are an error that names the absent ones."""
    with pytest.raises(ValueError, match=r"but not \['ymin', 'ymax'\]"):
        check_image_paths(boxed(one_file, 0, 0, 2, 2).drop(columns=["ymin", "ymax"]), SIZE)


def test_boxes_are_numbers(one_file):
    """Text in a box column is an error."""
    with pytest.raises(InvalidBoxError, match="must be numbers"):
        check_image_paths(boxed(one_file, "left", 0, 2, 2), SIZE)


@pytest.mark.parametrize("column", ["path", "ymax"])
def test_a_column_there_twice_is_named(one_file, column):
    """Two columns of one name are an error, not a guess."""
    frame = boxed(one_file, 0, 0, 2, 2)
    frame = pd.concat([frame, frame[[column]]], axis=1)
    with pytest.raises(ValueError, match=rf"\['{column}'\] more than once"):
        check_image_paths(frame, SIZE)


# --- sizes, arrays and files -----------------------------------------------------------------


@pytest.mark.parametrize("size", [(12, 10), (3, 5), (24, 20), (1, 1)])
def test_files_and_arrays_give_equal_batches_of_any_size(images, files, size):
    """Both are the same to the bit, and within a level of Pillow's bilinear filter."""
    indices = np.array([3, 0, 3, 23])
    from_files = check_image_paths(files, size).take(indices)
    from_arrays = check_image_array(images, size).take(indices)
    np.testing.assert_array_equal(from_files, from_arrays)
    for place, row in enumerate(indices):
        assert_resized(from_files[place], images[row], size)
    assert from_files.dtype == from_arrays.dtype == np.uint8
    assert from_files.flags.writeable
    assert from_arrays.flags.writeable  # torch warns of tensors that share read-only memory


@pytest.mark.parametrize("size", [(12, 10), (5, 7)])
def test_gray_arrays_equal_their_rgb_repetition(images, size):
    """(n, H, W) gives the batch of the same images repeated over three channels."""
    gray = images[..., 0]
    indices = np.arange(0, 24, 5)
    np.testing.assert_array_equal(
        check_image_array(gray, size).take(indices),
        check_image_array(repeated(gray), size).take(indices),
    )


def test_a_list_of_images_is_an_array(images):
    """Lists of arrays and of Pillow's images give the batch of the stacked array."""
    indices = np.array([1, 4])
    for X in (list(images), tuple(images), [Image.fromarray(one) for one in images]):
        assert infer_kind(X) == "pixels"
        np.testing.assert_array_equal(check_image_array(X, (12, 10)).take(indices), images[indices])


def test_images_of_one_size_only(images):
    """Of a list the first row of another shape, or that is no image, is named."""
    odd = {
        r"is of shape \(11, 10, 3\)": images[4][1:],
        r"is of shape \(12, 10\)": images[4][..., 0],
        "is of type NoneType": None,
        "is of type str": "a.png",
    }
    for words, one in odd.items():
        X = [*images[:4], one, images[5][2:]]
        with pytest.raises(ValueError, match=rf"row 4 of X {words}, row 0 of shape \(12, 10, 3\)"):
            check_image_array(X, (12, 10))


def test_read_only_arrays_and_memmaps(images, tmp_path):
    """Arrays that cannot be written, and arrays on disk, are read and left as they are."""
    np.save(tmp_path / "x.npy", images)
    frozen = images.copy()
    frozen.setflags(write=False)
    for array in (frozen, np.load(tmp_path / "x.npy", mmap_mode="r")):
        batch = check_image_array(array, (12, 10)).take(np.array([2, 5]))
        np.testing.assert_array_equal(batch, images[[2, 5]])
        assert type(batch) is np.ndarray
        batch[:] = 0
        np.testing.assert_array_equal(array, images)


def test_pixels_are_not_copied_when_opened(images):
    """Opening an array keeps a view of it."""
    assert np.shares_memory(check_image_array(images, (12, 10)).array, images)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros((2, 4, 4, 3)), TypeError, "dtype float64.*must be uint8"),
        (np.zeros((2, 4, 4, 3), np.uint16), TypeError, "dtype uint16.*must be uint8"),
        (np.zeros((2, 4, 5), bool), TypeError, "dtype bool.*must be uint8"),
        (np.zeros((2, 4, 4, 4), np.uint8), ValueError, r"shape \(2, 4, 4, 4\); valid are"),
        (np.zeros((2, 3, 4, 4), np.uint8), ValueError, r"shape \(2, 3, 4, 4\); valid are"),
        (np.zeros((2, 4, 4, 1), np.uint8), ValueError, r"shape \(2, 4, 4, 1\); valid are"),
        (np.zeros((0, 4, 4, 3), np.uint8), ValueError, "holds no image"),
        (np.zeros((2, 0, 4, 3), np.uint8), ValueError, "holds no image"),
        (np.zeros((2, 4, 0), np.uint8), ValueError, "holds no image"),
    ],
)
def test_invalid_arrays_of_images(X, error, message):
    """Shape and dtype stand in the message."""
    with pytest.raises(error, match=message):
        check_image_array(X, (4, 4))


def test_features_are_taken_by_row(rng):
    """Feature rows come in the order asked for and as a copy."""
    array = rng.normal(size=(5, 2))
    rows = FeatureRows(array)
    batch = rows.take(np.array([4, 0, 4]))
    np.testing.assert_array_equal(batch, array[[4, 0, 4]])
    assert not np.shares_memory(batch, array)
    assert len(rows) == 5


# --- which kind of X -------------------------------------------------------------------------

PATHS = ["a.png", "b c.png", "ä/b.png"]


@pytest.mark.parametrize(
    "X",
    [
        PATHS,
        tuple(PATHS),
        [pathlib.Path(path) for path in PATHS],
        [None, "a.png"],
        np.array(PATHS),
        np.array(PATHS, dtype=object),
        np.array(PATHS, dtype=np.dtypes.StringDType()),
        np.array([pathlib.Path(path) for path in PATHS], dtype=object),
        np.array(PATHS)[:, np.newaxis],
        np.array(PATHS, dtype=object)[:, np.newaxis],
        pd.Series(PATHS),
        pd.Series(PATHS, dtype=object),
        pd.Series(PATHS, dtype="str"),
        pd.Series(PATHS, dtype="string"),
        pd.Series(PATHS, dtype="category"),
        pd.Series(PATHS, index=[7, 7, 3]),
        pd.Series([pathlib.Path(path) for path in PATHS]),
        pd.DataFrame({"path": PATHS}),
        pd.DataFrame({"path": pd.Series(PATHS, dtype="string"), "id": [1, 2, 3], "who": PATHS}),
        pd.DataFrame({"path": PATHS, "xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1}),
    ],
    ids=lambda X: type(X).__name__,
)
def test_paths_are_files_in_every_container(X, tmp_path, monkeypatch):
    """Every container of paths is read alike; further columns are left alone."""
    assert infer_kind(X) == "files"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ä").mkdir()
    for path in PATHS:
        save(Image.fromarray(LEVELS[..., :3]), tmp_path / path)
    if len(X) == 3:
        rows = check_image_paths(X, SIZE)
        assert list(rows.paths) == PATHS
        assert len(rows) == 3
    else:
        with pytest.raises(ImageReadError, match="row 0 of X: None is not a path"):
            check_image_paths(X, SIZE)


@pytest.mark.parametrize(
    ("X", "kind"),
    [
        (np.zeros((2, 4, 4, 3), np.uint8), "pixels"),
        (np.zeros((2, 4, 4), np.uint8), "pixels"),
        (np.zeros((2, 4, 4, 3)), "pixels"),
        ([np.zeros((4, 4, 3), np.uint8)] * 2, "pixels"),
        (np.zeros((2, 4)), "features"),
        (np.zeros((2, 4), np.uint8), "features"),
        (np.zeros(4), "features"),
        (np.zeros((2, 1), object), "features"),
        (np.array([["a", "b"]]), "features"),
        ([[1.0, 2.0], [3.0, 4.0]], "features"),
        ([1.0, 2.0], "features"),
        ([], "features"),
        (None, "features"),
        (3, "features"),
        ("a.png", "features"),
        (np.array("a.png"), "features"),
        (pd.DataFrame({"a": [1.0]}), "features"),
        (pd.DataFrame({"file": ["a.png"]}), "features"),
        (pd.Series([1.0, 2.0]), "features"),
        (np.zeros((1, 1, 1, 1, 3)), "features"),
    ],
)
def test_what_else_x_may_be(X, kind):
    """Images are known by their dimensions; all else is left to scikit-learn's validation."""
    assert infer_kind(X) == kind


def test_text_columns_are_named():
    """A table without paths but with text is an error that names the columns."""
    with pytest.raises(ValueError, match=r"columns \['file', 'when'\], which are not numeric"):
        check_numeric_columns(
            pd.DataFrame({"file": ["a"], "n": [1], "ok": [True], "when": [pd.Timestamp(0)]})
        )
    check_numeric_columns(pd.DataFrame({"n": [1], "m": pd.Series([1.5], dtype="Float32")}))


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((2, 4)),
        np.zeros(4),
        [],
        [1.0, 2.0],
        [[1.0], [2.0]],
        pd.Series([1.0]),
        pd.DataFrame({"a": [1.0]}),
        scipy.sparse.csr_array((2, 3)),
        np.zeros((1, 1, 1, 1, 3)),
    ],
    ids=lambda X: type(X).__name__,
)
def test_what_may_be_features_is_left_to_scikit_learn(X):
    """Only what it has no good words for is refused beforehand."""
    check_container(X)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        ("a.png", "type str$"),
        (None, "type NoneType$"),
        (pd.Index(PATHS), r"type Index with 3 row\(s\) of type str$"),
        (np.array([b"a.png"]), r"type ndarray with 1 row\(s\) of type bytes_$"),
        (
            pd.DataFrame(index=PATHS),
            r"type DataFrame with the columns \[\], none of which is 'path'$",
        ),
    ],
)
def test_what_x_is_in_words(X, words):
    """Its type, and what is inside; not its values."""
    assert re.search(words, describe(X))
    with pytest.raises(ValueError, match="X is of .*; valid are .*, or 2-D numeric features"):
        check_container(X)


# --- files on disk ---------------------------------------------------------------------------


def test_files_are_opened_by_take_only(files, tmp_path):
    """A file deleted after opening X is an error of `take` that names row and path."""
    rows = check_image_paths(files, (12, 10))
    (tmp_path / "image 5.png").unlink()
    assert rows.take(np.array([4, 6])).shape == (2, 12, 10, 3)
    with pytest.raises(ImageReadError, match=r"row 5 of X: there is no file '.*image 5.png'"):
        rows.take(np.array([4, 5]))


@pytest.mark.parametrize(
    "container", [list, np.array, pd.Series, lambda p: pd.DataFrame({"path": p})]
)
def test_a_row_of_x_costs_bytes_not_images(tmp_path, container):
    """Memory of an opened X does not depend on the images: at most 200 bytes a row."""
    path = str(save(Image.new("RGB", (400, 400)), tmp_path / "large.bmp"))
    n_rows = 5000
    X = container([path] * n_rows)
    tracemalloc.start()
    rows = check_image_paths(X, (8, 8))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(rows) == n_rows
    assert peak < 200 * n_rows + 100_000


def test_memory_of_a_batch_is_one_decoded_image(tmp_path):
    """Decoding many large files needs no more Python memory than decoding a few."""
    path = str(save(Image.new("RGB", (600, 600)), tmp_path / "large.png"))
    rows = check_image_paths([path] * 24, (4, 4))

    def peak(n_rows):
        tracemalloc.start()
        rows.take(np.arange(n_rows))
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    peak(1)
    assert peak(24) < peak(2) + 50_000


def png_header(width, height):
    """Return the start of a PNG that claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = (
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, data, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.fixture
def hostile(tmp_path):
    """Names and bytes of files that are no images."""
    whole = save(
        Image.fromarray(np.kron(LEVELS[..., :3], np.ones((40, 40, 1), np.uint8))),
        tmp_path / "w.jpg",
    )
    contents = whole.read_bytes()
    return {
        "truncated.jpg": contents[: len(contents) // 2],
        "text.jpg": b"This is not an image.",
        "empty.png": b"",
        "header.png": contents[:10],
        "bomb.png": png_header(60_000, 60_000),
        "short.png": png_header(100, 100),
        "zeros.bmp": b"BM" + b"\0" * 200,
    }


@pytest.mark.parametrize(
    "name",
    ["truncated.jpg", "text.jpg", "empty.png", "header.png", "bomb.png", "short.png", "zeros.bmp"],
)
def test_what_is_no_image_is_named(files, hostile, tmp_path, name):
    """Broken, mislabelled, empty and oversized files name path, row and what Pillow says."""
    (tmp_path / name).write_bytes(hostile[name])
    rows = check_image_paths([files[0], str(tmp_path / name)], (12, 10))
    message = rf"row 1 of X: cannot read the image '.*{name}': \w+: "
    with pytest.raises(ImageReadError, match=message) as caught:
        rows.take(np.array([0, 1]))
    assert isinstance(caught.value, OSError)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("bad", ["", "missing.png", "x" * 5000, "nul\0.png", "."])
def test_what_is_no_file_is_named_when_x_is_opened(files, bad):
    """Missing files, directories and impossible names are errors before anything is read."""
    with pytest.raises(ImageReadError, match="row 2 of X: there is no file"):
        check_image_paths([files[0], files[1], bad], SIZE)


@pytest.mark.parametrize("bad", [None, np.nan, pd.NA, 3, b"a.png"])
def test_what_is_no_path_is_named(files, bad):
    """A missing path, a number or bytes name the row."""
    for X in ([files[0], bad], pd.DataFrame({"path": [files[0], bad]})):
        with pytest.raises(ImageReadError, match="row 1 of X: .* is not a path"):
            check_image_paths(X, SIZE)


def test_what_is_no_path_is_not_printed_whole(files):
    """Images and contents of files among paths give a short message."""
    for bad in (LEVELS, Image.fromarray(LEVELS), bytes(10_000), [1] * 10_000):
        with pytest.raises(ImageReadError, match="row 1 of X: .* is not a path") as caught:
            check_image_paths(pd.Series([files[0], bad]), SIZE)
        assert len(str(caught.value)) < 120


def test_bad_rows_that_are_put_up_with(files, hostile, tmp_path):
    """With "warn" nothing is raised: good rows are decoded, of bad ones there is a reason."""
    (tmp_path / "text.jpg").write_bytes(hostile["text.jpg"])
    paths = [files[0], None, str(tmp_path / "text.jpg"), "missing.png", files[1], files[2]]
    edges = [(0, 0, 10, 12), (0, 0, 1, 1), (0, 0, 1, 1), (0, 0, 1, 1), (3, 3, 3, 3), (0, 0, 11, 9)]
    frame = pd.DataFrame(edges, columns=BOX_COLUMNS).assign(path=paths)
    rows = check_image_paths(frame, (12, 10), "warn")
    assert sorted(rows.unreadable) == [1, 3, 4]
    assert "is not a path" in rows.unreadable[1]
    assert "holds no pixel" in rows.unreadable[4]
    batch, found, reasons = rows.take_readable(np.array([5, 0, 2, 0]))
    assert found.tolist() == [0, 0]
    np.testing.assert_array_equal(batch, check_image_paths(files, (12, 10)).take(np.array([0, 0])))
    assert sorted(reasons) == [2, 5]
    assert "UnidentifiedImageError" in reasons[2]
    assert "leaves the image" in reasons[5]
    assert check_image_paths(files, (12, 10)).unreadable is None


def test_no_path_at_all():
    """An empty column of paths is an error."""
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        check_image_paths(pd.DataFrame({"path": []}), SIZE)


def test_an_unreadable_file_read_alone_is_named(tmp_path):
    """`read_image` names the path, of a directory too."""
    for path in (tmp_path, tmp_path / "none.png"):
        with pytest.raises(ImageReadError, match=str(path)):
            read_image(path, SIZE)


def test_files_are_closed(one_file, hostile, tmp_path):
    """No file stays open, after an image or after an error (else a ResourceWarning is raised)."""
    (tmp_path / "truncated.jpg").write_bytes(hostile["truncated.jpg"])
    descriptors = pathlib.Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs /proc")
    before = len(list(descriptors.iterdir()))
    for _ in range(5):
        read_image(one_file, SIZE)
        with pytest.raises(ImageReadError):
            read_image(tmp_path / "truncated.jpg", SIZE)
    assert len(list(descriptors.iterdir())) <= before
