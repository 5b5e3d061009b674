"""Modes and orientations of image files: all become upright RGB arrays."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skattr._inputs.boxes import BOX_COLUMNS
from skattr._inputs.checks import check_image_paths
from skattr._inputs.decoding import read_image
from skattr.exceptions import ImageReadError
from tests.inputs.sample_images import HEIGHT, LEVELS, SIZE, WIDTH, repeat_channels, save

DEEP = np.random.default_rng(1).integers(0, 2**16, SIZE).astype(np.uint16)


def on_white(color, alpha):
    """Composite colors on white, in floating point."""
    share = np.asarray(alpha, dtype=float)[..., np.newaxis] / 255
    return share * color + (1 - share) * 255


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


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp"])
def test_rgb_is_unchanged(tmp_path, suffix):
    """Pixels of a lossless RGB file are those that were saved."""
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(Image.fromarray(LEVELS[..., :3]), tmp_path / f"a.{suffix}", **options)
    np.testing.assert_array_equal(read(path), LEVELS[..., :3])


def test_jpeg_equals_pillow(tmp_path):
    """A JPEG file gives the pixels that Pillow decodes."""
    path = save(Image.fromarray(LEVELS[..., :3]), tmp_path / "a.jpg")
    with Image.open(path) as expected:
        np.testing.assert_array_equal(read(path), np.asarray(expected))


def test_gray_is_repeat_channels(tmp_path):
    """Mode L gives its levels on three channels."""
    path = save(Image.fromarray(LEVELS[..., 0]), tmp_path / "a.png")
    np.testing.assert_array_equal(read(path), repeat_channels(LEVELS[..., 0]))


def test_black_and_white(tmp_path):
    """Mode 1 gives 0 and 255."""
    bits = LEVELS[..., 0] > 128
    path = save(Image.fromarray(bits), tmp_path / "a.png")
    with Image.open(path) as opened:
        assert opened.mode == "1"
    np.testing.assert_array_equal(read(path), repeat_channels(255 * bits))


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_palette_is_looked_up(tmp_path, suffix):
    """Mode P gives the colors of its palette."""
    image, palette, index = palette_image()
    path = save(image, tmp_path / f"a.{suffix}")
    with Image.open(path) as opened:
        assert opened.mode == "P"
    np.testing.assert_array_equal(read(path), palette[index])


@pytest.mark.parametrize("transparency", [3, bytes([0, 255, 128, 20, 255, 77, 200])])
def test_a_transparent_palette_is_composited_on_white(tmp_path, transparency):
    """Palette entries with alpha, or one transparent entry, are composited on white."""
    image, palette, index = palette_image()
    path = save(image, tmp_path / "a.png", transparency=transparency)
    alpha = np.full(7, 255)
    if isinstance(transparency, int):
        alpha[transparency] = 0
    else:
        alpha[:] = list(transparency)
    np.testing.assert_allclose(read(path), on_white(palette, alpha)[index], atol=1)


def test_a_transparent_gif_is_composited_on_white(tmp_path):
    """The transparent color of a GIF is white, the others are themselves."""
    image, palette, index = palette_image()
    path = save(image, tmp_path / "a.gif", transparency=int(index[0, 0]))
    expected = np.where((index == index[0, 0])[..., np.newaxis], 255, palette[index])
    np.testing.assert_array_equal(read(path), expected)


def test_gray_and_color_with_alpha_are_composited_on_white(tmp_path):
    """LA and RGBA are composited on white."""
    gray = save(Image.fromarray(LEVELS[..., 2:]), tmp_path / "gray.png")
    with Image.open(gray) as opened:
        assert opened.mode == "LA"
    expected = on_white(repeat_channels(LEVELS[..., 2]), LEVELS[..., 3])
    np.testing.assert_allclose(read(gray), expected, atol=1)
    color = save(Image.fromarray(LEVELS), tmp_path / "color.png")
    np.testing.assert_allclose(read(color), on_white(LEVELS[..., :3], LEVELS[..., 3]), atol=1)


def test_a_palette_with_alpha_is_composited_on_white(tmp_path):
    """Mode PA, of TIFF and TGA files, is composited on white."""
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
    colors = repeat_channels(array) if mode == "L" else array
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
    np.testing.assert_array_equal(result, repeat_channels(np.rint(array / 257)))
    assert result[0, :2, 0].tolist() == [0, 255]


def test_16_bit_gray_is_cropped(tmp_path):
    """A box works on 16-bit gray, in either order of bytes."""
    for number, array in enumerate([DEEP, DEEP.astype(">u2")]):
        path = save(Image.fromarray(array), tmp_path / f"{number}.tiff")
        result = read_image(path, (3, 4), box=(2, 1, 6, 4))
        np.testing.assert_array_equal(result, repeat_channels(np.rint(DEEP[1:4, 2:6] / 257)))


@pytest.mark.parametrize(
    "array", [DEEP.astype(np.float32), -DEEP.astype(np.int32), DEEP.astype(np.int32) + 2**16]
)
def test_rejects_values_that_are_not_gray_levels(tmp_path, array):
    """Floats, negative numbers and numbers above 16 bits are rejected."""
    path = save(Image.fromarray(array), tmp_path / "a.tiff")
    with pytest.raises(ImageReadError, match="are not gray levels of 8 or 16 bits"):
        read_image(path, SIZE)


def test_an_animation_gives_its_first_frame(tmp_path):
    """The other frames of a GIF are ignored."""
    frames = [
        Image.new("RGB", (WIDTH, HEIGHT), color) for color in ("#ff0000", "#00ff00", "#0000ff")
    ]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)
    with Image.open(path) as opened:
        assert opened.n_frames == 3
    np.testing.assert_array_equal(read(path), np.broadcast_to([255, 0, 0], (*SIZE, 3)))


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
    """Return the path of LEVELS stored with an EXIF orientation."""
    exif = Image.Exif()
    orientation, suffix = request.param
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](LEVELS[..., :3]))
    return save(Image.fromarray(stored), tmp_path / f"turned.{suffix}", exif=exif)


def test_images_are_upright(turned):
    """Each of the 8 EXIF orientations gives the upright image."""
    np.testing.assert_array_equal(read(turned), LEVELS[..., :3])


def test_boxes_are_in_pixels_of_the_upright_image(turned):
    """A box refers to the upright image, not to the stored one."""
    frame = pd.DataFrame([[str(turned), 5, 1, 8, 3]], columns=["path", *BOX_COLUMNS])
    batch = check_image_paths(frame, (2, 3)).take(np.array([0]))
    np.testing.assert_array_equal(batch[0], LEVELS[1:3, 5:8, :3])


def test_errors_of_read_image_name_the_path(tmp_path):
    """A directory and a missing file are errors."""
    for path in (tmp_path, tmp_path / "none.png"):
        with pytest.raises(ImageReadError, match=str(path)):
            read_image(path, SIZE)
