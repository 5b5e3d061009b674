"""Images of more than 8 bits per sample, against formulas on the values that were written."""

import io
import struct
import warnings
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image, TiffImagePlugin

from skattr import ImageEmbedder, ImageReading
from skattr._inputs.checks import check_image_paths
from skattr._inputs.decoding import read_image
from skattr._inputs.deep import check_value_range, levels_used
from skattr.datasets import check_images
from skattr.exceptions import DatasetWarning, ImageReadError
from tests.inputs.sample_images import repeat_channels
from tests.tiny_models import tiny

SHAPE = (9, 11)
RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 2**16, SHAPE)
COLOR = RNG.integers(0, 2**16, (*SHAPE, 3))
ALPHA = RNG.integers(0, 2**16, SHAPE)
GRAY_12, COLOR_12 = GRAY >> 4, COLOR >> 4


def full(values):
    """Scale 0 to 65535 to 0 to 255."""
    return np.rint(values / 257)


def of_bits(values, bits):
    """Scale numbers of so many bits to 0 to 255."""
    return np.rint(values * 255 / (2**bits - 1))


def on_white(levels, alpha):
    """Composite on white, in floating point."""
    share = (alpha >> 8)[..., np.newaxis] / 255
    levels = levels if levels.ndim == 3 else repeat_channels(levels)
    return share * levels + (1 - share) * 255


def png(values, color_type, **chunks):
    """Return a PNG file of 16 bits per sample, written by hand: Pillow writes gray only."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    parts = [("IHDR", header), *chunks.items(), ("IDAT", zlib.compress(rows)), ("IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in parts:
        body = name.encode() + data
        content += struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    return content


def tiff(values, order="<", compression=1, photometric=2, **tags):
    """Return a TIFF file of 16 bits per sample, written by hand."""
    height, width, n_samples = values.shape
    data = values.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if compression == 8 else data
    entries = {
        256: [width], 257: [height], 258: [16] * n_samples, 259: [compression],
        262: [photometric], 273: [0], 277: [n_samples], 278: [height], 279: [len(data)],
        **({338: [2]} if n_samples == 4 else {}), **{int(k[1:]): v for k, v in tags.items()},
    }  # fmt: skip
    start = 8 + 2 + 12 * len(entries) + 4
    more, records = b"", []
    for tag, numbers in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(packed) > 4:
            packed, more = struct.pack(f"{order}I", start + len(more)), more + packed
        records.append([tag, 4, len(numbers), packed])
    for record in records:
        if record[0] == 273:
            record[3] = struct.pack(f"{order}I", start + len(more))
    table = b"".join(struct.pack(f"{order}HHI", *record[:3]) + record[3] for record in records)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(records))
    return head + table + bytes(4) + more + data


def packed_tiff(values):
    """Return a gray TIFF file of 12 bits per sample, two samples in three bytes."""
    bits = values[..., np.newaxis].astype(int) >> np.arange(12)[::-1] & 1
    data = np.packbits(bits.reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()
    filled = data + bytes(-len(data) % 2)
    height, width = values.shape
    return tiff(
        np.frombuffer(filled, "<u2").reshape(1, -1, 1), photometric=1,
        t256=[width], t257=[height], t258=[12], t278=[height], t279=[len(data)],
    )  # fmt: skip


def by_pillow(array, form="TIFF", **tags):
    """Return a file that Pillow writes, with tags of numbers."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info.tagtype[int(tag[1:])] = 11 if isinstance(value, float) else 3
        info[int(tag[1:])] = value
    buffer = io.BytesIO()
    options = {"tiffinfo": info} if form == "TIFF" else {}
    Image.fromarray(array).save(buffer, form, **options)
    return buffer.getvalue()


KEY, COLOR_KEY = int(GRAY[2, 3]), COLOR[2, 3]
IS_KEY = (COLOR == COLOR_KEY).all(axis=2, keepdims=True)
# Name, file, expected levels, value_range.
CASES = [
    ("gray", png(GRAY, 0), full(GRAY), None),
    ("color", png(COLOR, 2), full(COLOR), None),
    ("gray and alpha", png(np.dstack([GRAY, ALPHA]), 4), on_white(full(GRAY), ALPHA), None),
    ("color and alpha", png(np.dstack([COLOR, ALPHA]), 6), on_white(full(COLOR), ALPHA), None),
    ("gray key", png(GRAY, 0, tRNS=struct.pack(">H", KEY)),
     np.where(GRAY == KEY, 255, full(GRAY)), None),
    ("color key", png(COLOR, 2, tRNS=struct.pack(">HHH", *COLOR_KEY.tolist())),
     np.where(IS_KEY, 255, full(COLOR)), None),
    ("12 bits", png(GRAY_12, 0), of_bits(GRAY_12, 12), (0, 4095)),
    ("12 bits, color", png(COLOR_12, 2), of_bits(COLOR_12, 12), (0, 4095)),
    ("12 bits, alpha", png(np.dstack([GRAY_12, ALPHA]), 4),
     on_white(of_bits(GRAY_12, 12), ALPHA), (0, 4095)),
    ("sBIT 12", png(GRAY_12, 0, sBIT=bytes([12])), of_bits(GRAY_12, 12), None),
    ("sBIT 10", png(GRAY >> 6, 0, sBIT=bytes([10])), of_bits(GRAY >> 6, 10), None),
    ("sBIT color", png(COLOR_12, 2, sBIT=bytes([12] * 3)), of_bits(COLOR_12, 12), None),
    # The PNG standard scales to 16 bits also where sBIT says how many bits there were.
    ("sBIT shifted", png(GRAY_12 << 4, 0, sBIT=bytes([12])), full(GRAY_12 << 4), None),
    ("sBIT dark", png((GRAY_12 // 20 * 65535 + 2047) // 4095, 0, sBIT=bytes([12])),
     full((GRAY_12 // 20 * 65535 + 2047) // 4095), None),
    ("TIFF", by_pillow(GRAY.astype(np.uint16)), full(GRAY), None),
    ("TIFF maximum", by_pillow(GRAY_12.astype(np.uint16), t281=4095), of_bits(GRAY_12, 12), None),
    ("TIFF big", by_pillow(GRAY_12.astype(">u2"), t281=4095), of_bits(GRAY_12, 12), None),
    ("TIFF setting wins", by_pillow(GRAY_12.astype(np.uint16), t281=1023),
     of_bits(GRAY_12, 12), (0, 4095)),
    ("TIFF signed", by_pillow(GRAY_12.astype(np.int32) - 1024), of_bits(GRAY_12, 12),
     (-1024, 3071)),
    ("TIFF clipped", by_pillow(GRAY.astype(np.uint16)), np.rint(np.clip(GRAY, 9, 999) * 255 / 990
     - 9 * 255 / 990), (9, 999)),
    ("TIFF float", by_pillow((GRAY_12 / 4095).astype(np.float32)), of_bits(GRAY_12, 12),
     (0.0, 1.0)),
    ("TIFF float maximum", by_pillow((GRAY_12 / 4095).astype(np.float32), t340=0.0, t341=1.0),
     of_bits(GRAY_12, 12), None),
    *((f"TIFF color {order}{compression}", tiff(COLOR, order, compression), full(COLOR), None)
      for order in "<>" for compression in (1, 8)),
    *((f"TIFF color of 12 bits {order}", tiff(COLOR_12, order, t281=[4095] * 3),
       of_bits(COLOR_12, 12), None) for order in "<>"),
    ("TIFF color and alpha", tiff(np.dstack([COLOR, ALPHA])), on_white(full(COLOR), ALPHA), None),
    ("TIFF turned", tiff(COLOR, t274=[6]), np.rot90(full(COLOR), -1), None),
    ("TIFF packed", packed_tiff(GRAY_12[:, :8]), of_bits(GRAY_12[:, :8], 12), None),
    ("TIFF white is zero", tiff(GRAY[..., np.newaxis], photometric=0), 255 - full(GRAY), None),
    ("PGM", b"P5 11 9 4095\n" + GRAY_12.astype(">u2").tobytes(), of_bits(GRAY_12, 12), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "expected", "value_range"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_samples_are_scaled(content, expected, value_range):
    """Each value becomes the nearest of 256 levels of its range; Pillow keeps the high byte."""
    result = read_image(content, None, value_range=value_range)
    assert result.dtype == np.uint8
    expected = expected if expected.ndim == 3 else repeat_channels(expected)
    # compositing rounds once more, and Pillow scales PGM by itself
    np.testing.assert_allclose(result, expected, rtol=0, atol=0.51)
    crop = read_image(content, None, (1, 2, 4, 6), value_range=value_range)
    np.testing.assert_array_equal(crop, result[2:6, 1:4])


def of_values(*values):
    """Return an array of 16 bits with two values, the others 0."""
    array = np.zeros((2, 3), dtype=np.uint16)
    array[1, : len(values)] = values
    return array


LIMITS = [
    ("sBIT reached", png(of_values(4095, 2), 0, sBIT=bytes([12])), 4095),
    ("sBIT exceeded", png(of_values(4096, 2), 0, sBIT=bytes([12])), 65535),
    ("sBIT 9", png(of_values(511, 2), 0, sBIT=bytes([9])), 511),
    ("sBIT 8", png(of_values(255, 2), 0, sBIT=bytes([8])), 65535),
    ("sBIT 14", png(of_values(16383, 2), 0, sBIT=bytes([14])), 16383),
    ("sBIT 16", png(of_values(65535, 2), 0, sBIT=bytes([16])), 65535),
    ("sBIT rounded", png(of_values(16, 33), 0, sBIT=bytes([12])), 65535),
    ("maximum", by_pillow(of_values(900, 1), t281=1000), 1000),
    ("no maximum", by_pillow(of_values(900, 1), t280=5), 65535),
    ("maximum 0", by_pillow(of_values(900, 1), t281=0), 65535),
    ("equal", by_pillow(of_values(900, 1), t280=7, t281=7), 65535),
]


@pytest.mark.parametrize(("content", "high"), [c[1:] for c in LIMITS], ids=[c[0] for c in LIMITS])
def test_limits_of_declared_ranges(content, high):
    """A range is used from 9 bits if the values fit, and if its ends differ."""
    with Image.open(io.BytesIO(content)) as image:
        values = np.asarray(image).astype(float)
        used = levels_used(image, content, None)
    assert used.scale == (0, high)
    assert used.values == (0, values.max())
    expected = np.rint(values * 255 / high)
    assert used.n_levels == len(np.unique(expected))
    assert not used.is_transparent
    np.testing.assert_array_equal(read_image(content, None), repeat_channels(expected))


def test_a_declared_minimum():
    """It becomes 0, and what is below it too."""
    result = read_image(by_pillow(of_values(99, 600, 1100), t280=100, t281=1100), None)
    assert result[..., 0].tolist() == [[0, 0, 0], [0, round(255 / 2 + 0.1), 255]]


@pytest.mark.parametrize(
    ("largest", "is_told"), [(0, False), (1, True), (16383, True), (16384, False), (65535, False)]
)
def test_few_levels_are_told(largest, is_told):
    """They are below a quarter of the range; an image of zeros is not doubtful."""
    messages = []
    read_image(png(of_values(largest), 0), None, messages=messages)
    assert len(messages) == is_told
    if is_told:
        n_levels = len({0, round(largest / 257)})
        assert f"up to {largest} of 65535 become {n_levels} of 256 levels" in messages[0]
    read_image(png(of_values(largest), 0), None, value_range=(0, 65535), messages=messages)
    assert len(messages) == is_told  # the range is known


@pytest.mark.parametrize(("value", "is_valid"), [(65535, True), (65536, False), (-1, False)])
def test_integers_of_16_bits_need_no_range(value, is_valid):
    """Larger and negative numbers do."""
    image = Image.fromarray(np.array([[0, value]], dtype=np.int32))
    if is_valid:
        assert levels_used(image, None, None).scale == (0, 65535)
    else:
        with pytest.raises(ValueError, match="are not gray levels of 8 or 16 bits"):
            levels_used(image, None, None)


def test_floats_need_a_range():
    """The error names the parameter; NaN is an error even with it."""
    values = RNG.random(SHAPE).astype(np.float32)
    with pytest.raises(ImageReadError, match=r"set value_range=\(low, high\) of ImageReading"):
        read_image(by_pillow(values), None)
    values[0, 0] = np.nan
    with pytest.raises(ImageReadError, match="NaN"):
        read_image(by_pillow(values), None, value_range=(0, 1))


def test_loaded_pillow_images_are_scaled_alike():
    """Modes I;16, I and F of images in memory have the same range."""
    for image in (
        Image.fromarray(GRAY_12.astype(np.uint16)),
        Image.fromarray(GRAY_12.astype(">u2")),
        Image.fromarray(GRAY_12.astype(np.int32)),
        Image.fromarray(GRAY_12.astype(np.float32)),
    ):
        rows = check_image_paths([image], SHAPE, value_range=(0, 4095))
        result = rows.take(np.array([0]))[0]
        np.testing.assert_array_equal(result, repeat_channels(of_bits(GRAY_12, 12)))


@pytest.fixture
def deep_files(tmp_path):
    """Return the paths of eight files of 12-bit data in 16 bits."""
    paths = []
    for number in range(8):
        paths.append(str(tmp_path / f"{number}.png"))
        (tmp_path / f"{number}.png").write_bytes(png(np.roll(GRAY_12, number), 0))
    return paths


def test_few_levels_are_warned_of_once(deep_files):
    """`fit` and `predict` name rows that use few levels, unless the range is known."""
    y = np.arange(8) % 2
    classifier = tiny(max_epochs=2)
    with pytest.warns(DatasetWarning, match=r"8 of 8 rows .* row 0 of X: .*set value_range") as one:
        classifier.fit(deep_files, y)
    with pytest.warns(DatasetWarning, match="levels") as other:
        classifier.predict(deep_files)
    assert len(one) == len(other) == 1
    classifier = tiny(max_epochs=2, images=ImageReading(value_range=(0, 4095)))
    arrays = [of_bits(np.roll(GRAY_12, k), 12).astype(np.uint8) for k in range(8)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proba = classifier.fit(deep_files, y).predict_proba(deep_files)
        np.testing.assert_array_equal(classifier.predict_proba(arrays), proba)


def test_features_are_cached_by_range(deep_files, tmp_path):
    """Features of another range are other rows of the cache."""
    options = {"layer": "layer1", "image_size": 24, "cache": tmp_path / "cache"}
    features = [
        ImageEmbedder("resnet18", images=ImageReading(value_range=limits), **options).fit_transform(
            deep_files
        )
        for limits in ((0, 4095), (0, 8191), (0, 4095))
    ]
    np.testing.assert_array_equal(features[0], features[2])
    assert (features[0] != features[1]).any()


def test_check_images_reports_levels():
    """The values that are used, the range, and the number of levels that remain."""
    key = png(GRAY, 0, tRNS=struct.pack(">H", KEY))
    report = check_images([png(GRAY_12, 0), png(GRAY_12, 0, sBIT=bytes([12])), key])
    assert report["problem"].tolist() == ["converted", "few levels", "converted", "converted"]
    few = len(np.unique(full(GRAY_12)))
    assert f"become {few} of 256 levels" in report["detail"][1]
    used = f"{GRAY_12.min()} to {GRAY_12.max()} are used"
    many = len(np.unique(of_bits(GRAY_12, 12)))
    assert f"from 0 to 65535 are scaled to 0 to 255; {used}, {few} of" in report["detail"][0]
    assert f"from 0 to 4095 are scaled to 0 to 255; {used}, {many} of" in report["detail"][2]
    assert "transparency is composited on white" in report["detail"][3]
    known = check_images([png(GRAY_12, 0)], value_range=(0, 4095))
    assert known["problem"].tolist() == ["converted"]


@pytest.mark.parametrize("bad", [(1,), (1, 1), (2, 1), (0, np.inf), ("0", "1"), (0, 1, 2), "ab"])
def test_rejects_invalid_ranges(deep_files, bad):
    """The error names the parameter and what is valid."""
    with pytest.raises(ValueError, match="value_range must be None or two finite numbers"):
        check_value_range(bad)
    with pytest.raises(ValueError, match="value_range"):
        tiny(images=ImageReading(value_range=bad)).fit(deep_files, np.arange(8) % 2)
    with pytest.raises(ValueError, match="value_range"):
        check_images(pd.DataFrame({"path": deep_files}), value_range=bad)
