"""Damaged files: rejected, kept on request, and named by the image checks."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skattr import AttributeClassifier, ImageEmbedder, ImageReading
from skattr._inputs import decoding
from skattr._inputs.checks import check_image_paths
from skattr._inputs.damage import find_missing_scans, find_png_damage
from skattr._inputs.decoding import read_image
from skattr.datasets import check_images
from skattr.exceptions import BadImageWarning, ImageReadError, SkattrWarning
from tests.tiny_models import tiny

SIZE = (48, 64)
END = b"\xff\xd9"
IEND = b"\0\0\0\0IEND\xaeB`\x82"


def photograph(mode="RGB"):
    """Return smooth noise, in which a gray part differs from the rest."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize(SIZE[::-1], Image.Resampling.BICUBIC).convert(mode)


def encode(image, form="JPEG", **options):
    """Return the content of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def exif():
    """Return EXIF data with an orientation."""
    data = Image.Exif()
    data[0x0112] = 6
    return data


JPEGS = {
    "baseline 4:2:0": ("RGB", {}),
    "baseline 4:4:4": ("RGB", {"subsampling": "4:4:4"}),
    "progressive": ("RGB", {"progressive": True}),
    "gray": ("L", {}),
    "gray progressive": ("L", {"progressive": True}),
    "CMYK": ("CMYK", {"subsampling": "4:4:4"}),
    "CMYK progressive": ("CMYK", {"progressive": True, "subsampling": "4:4:4"}),
    "CMYK 4:2:0": ("CMYK", {"subsampling": "4:2:0"}),
    "RGB": ("RGB", {"keep_rgb": True}),
    "restart": ("RGB", {"restart_marker_blocks": 2}),
    "turned": ("RGB", {"exif": exif()}),
}


@pytest.fixture(params=JPEGS)
def jpeg(request):
    """Return the content of a JPEG file of each kind."""
    mode, options = JPEGS[request.param]
    return encode(photograph(mode), quality=90, **options)


def scan_of(content):
    """Return where the data of the first scan begins and the file ends."""
    return content.index(b"\xff\xda") + 14, len(content) - 2


@pytest.mark.parametrize("how", ["exact", "scaled"])
def test_a_jpeg_cut_anywhere_is_rejected(jpeg, how):
    """With and without an end marker put back; Pillow alone fills the rest with gray."""
    start, end = scan_of(jpeg)
    size = SIZE if how == "exact" else (12, 16)
    whole = read_image(jpeg, size, None, how)
    for position in np.linspace(start + 10, end - 24, 30).astype(int).tolist():
        for tail in (END, b""):
            damaged = jpeg[:position] + tail
            with pytest.raises(ImageReadError, match="is damaged: |truncated|broken"):
                read_image(damaged, size, None, how)
            if b"\xff\xc2" not in jpeg:  # a progressive file may be cut in a table, not in data
                kept = read_image(damaged, size, None, how, keep_damaged=True)
                assert kept.shape == whole.shape
    middle = jpeg.index(b"\xff\xda") + 24  # in the data of the first scan
    kept = read_image(jpeg[:middle], size, None, how, keep_damaged=True)
    assert (kept != whole).any()


def test_every_byte_of_a_progressive_file_is_needed():
    """Also if it is cut between two scans, which libjpeg takes for a complete image."""
    content = encode(photograph().resize((16, 16)), progressive=True)
    start, end = scan_of(content)
    silent = 0
    for position in range(start, end - 2):
        damaged = content[:position] + END
        with Image.open(io.BytesIO(damaged)) as opened:
            try:
                opened.load()
                silent += 1
            except OSError:
                pass
        with pytest.raises(ImageReadError):
            read_image(damaged, None)
    assert silent > 100
    scans = [k for k in range(start, end) if content[k : k + 2] in (b"\xff\xc4", b"\xff\xda")]
    assert all(find_missing_scans(content[:k] + END) for k in scans[:-1])
    assert find_missing_scans(content) is None


def test_other_damage_is_rejected(jpeg):
    """Missing restart markers, and lost or changed data of which libjpeg complains."""
    start, end = scan_of(jpeg)
    markers = [k for k in range(start, end) if jpeg[k] == 255 and 0xD0 <= jpeg[k + 1] <= 0xD7]
    for k in markers[:5]:
        with pytest.raises(ImageReadError, match="is damaged: "):
            read_image(jpeg[:k] + jpeg[k + 2 :], SIZE)
    with Image.open(io.BytesIO(jpeg)) as opened:
        is_subsampled_cmyk = opened.mode == "CMYK" and opened.layer[0][1] == 2
    if not is_subsampled_cmyk:  # of which simplejpeg decodes nothing
        with pytest.raises(ImageReadError, match="extraneous bytes before marker 0xd9"):
            read_image(jpeg[:-2] + bytes(range(1, 100)) + END, SIZE)


def test_what_follows_the_end_marker_is_harmless(jpeg):
    """Cameras append data to their files; it does not change the pixels."""
    np.testing.assert_array_equal(
        read_image(jpeg + b"garbage \xff\xd8\xff" * 9, SIZE), read_image(jpeg, SIZE)
    )


def test_thumbnails_do_not_end_an_image():
    """An EXIF thumbnail has an end marker of its own."""
    thumbnail = encode(photograph().resize((16, 12)))
    comment = b"\xff\xe2" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    content = encode(photograph(), progressive=True)
    content = content[:2] + comment + content[2:]
    expected = read_image(encode(photograph(), progressive=True), None)
    np.testing.assert_array_equal(read_image(content, None), expected)
    with pytest.raises(ImageReadError):
        read_image(content[: 3 * len(content) // 4] + END, None)


@pytest.mark.parametrize("position", [0.3, 0.6, 0.9])
def test_png_checksums_are_verified(position):
    """Pillow skips the checksums of the pixel data; parts after the end are not needed."""
    content = encode(photograph(), "PNG")
    assert find_png_damage(content) is None
    assert find_png_damage(content + b"more") is None
    place = int(position * len(content))
    changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    for damaged in (changed, content[:place], content[:place] + IEND, content[:-12]):
        with pytest.raises(ImageReadError):
            read_image(damaged, None)


def test_a_wrong_checksum_alone_is_damage():
    """The pixels may be right: the data decides, and the user may keep it."""
    content = encode(photograph(), "PNG")
    place = content.index(b"IEND") - 5  # the last byte of the checksum of the data
    damaged = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    with Image.open(io.BytesIO(damaged)) as opened:
        expected = np.asarray(opened)
    with pytest.raises(ImageReadError, match="checksum of its IDAT chunk is wrong.*'keep'"):
        read_image(damaged, None)
    np.testing.assert_array_equal(read_image(damaged, None, keep_damaged=True), expected)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "BMP", "TIFF", "PPM"])
def test_other_formats_cut_short_are_rejected(form):
    """A file of another format that lost its second half is an error."""
    content = encode(photograph().quantize(64) if form == "GIF" else photograph(), form)
    for damaged in (content[: len(content) // 2], content[: len(content) // 2] + b"\0;"):
        with pytest.raises(ImageReadError):
            read_image(damaged, None)


@pytest.fixture
def folder(tmp_path):
    """Return the paths of eight JPEG files, of which numbers 2 and 5 are damaged."""
    paths = []
    for number in range(8):
        content = encode(photograph().rotate(9 * number), quality=90)
        if number in (2, 5):
            content = content[: 2 * len(content) // 3] + END
        paths.append(str(tmp_path / f"{number}.jpg"))
        (tmp_path / f"{number}.jpg").write_bytes(content)
    return paths


def test_the_policy_of_the_classifier(folder):
    """An error with row and path, both rows skipped, or what Pillow decodes."""
    y = np.arange(8) % 2
    with pytest.raises(
        ImageReadError, match=r"^row 2 of X: the image .*2\.jpg' is damaged: .*keep"
    ):
        check_image_paths(folder, (9, 9)).take(np.arange(8))
    with pytest.raises(ImageReadError, match="row . of X: the image .*is damaged"):
        tiny(max_epochs=1).fit(folder, y)
    skipping = tiny(max_epochs=1, images=ImageReading(on_bad_image="warn"))
    with pytest.warns(BadImageWarning, match="2 of 8 rows .* is damaged"):
        skipping.fit(folder, y)
    with pytest.warns(BadImageWarning, match="2 of 8 rows"):
        proba = skipping.predict_proba(folder)
    assert np.flatnonzero(np.isnan(proba[:, 0])).tolist() == [2, 5]
    arrays = []
    for path in folder:
        with Image.open(path) as opened:
            arrays.append(np.asarray(opened))
    kept = tiny(max_epochs=1, images=ImageReading(on_bad_image="keep")).fit(folder, y)
    expected = tiny(max_epochs=1).fit(np.stack(arrays), y)
    np.testing.assert_array_equal(kept.predict_proba(folder), expected.predict_proba(arrays))
    with pytest.raises(ImageReadError, match="row 1 of X: there is no file"):
        kept.predict([folder[0], "none.jpg"])


def test_check_images_names_the_damage(folder):
    """Damaged files have their own problem, with the complaint of the decoder."""
    report = check_images(folder)
    assert report[["row", "problem", "severity"]].to_numpy().tolist() == [
        [2, "damaged", "error"],
        [5, "damaged", "error"],
    ]
    assert report["detail"].str.contains("Corrupt JPEG data: premature end").all()


def test_kept_features_are_not_those_of_other_policies(folder, tmp_path):
    """A cache filled with on_bad_image="keep" does not hide the damage from "raise"."""
    options = {"layer": "layer1", "image_size": 24, "cache": tmp_path / "cache"}
    keeping = ImageEmbedder("resnet18", images=ImageReading(on_bad_image="keep"), **options)
    assert np.isfinite(keeping.fit_transform(folder)).all()
    with pytest.raises(ImageReadError, match="is damaged"):
        ImageEmbedder("resnet18", **options).fit_transform(folder)


def test_without_simplejpeg(folder, monkeypatch):
    """Pillow alone notices missing data; one warning says that other damage is not found."""
    monkeypatch.setattr(decoding, "simplejpeg", None)
    with pytest.warns(SkattrWarning, match="simplejpeg is not installed") as caught:
        rows = check_image_paths(folder, (9, 9), "warn")
    assert len(caught) == 1
    assert sorted(rows.take_readable(np.arange(8))[2]) == [2, 5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_image_paths(folder, (9, 9), "keep").take(np.arange(8))
        check_image_paths([encode(photograph(), "PNG")], (9, 9)).take(np.arange(1))


def test_the_policy_has_three_values(folder):
    """The error names them."""
    with pytest.raises(ValueError, match="'on_bad_image' parameter .*'keep'"):
        AttributeClassifier(images=ImageReading(on_bad_image="ignore")).fit(
            folder, np.arange(8) % 2
        )


def test_boxes_of_damaged_images(folder):
    """A crop outside the gray part is damaged too: the data after it is not that of the image."""
    X = pd.DataFrame({"path": folder, "xmin": 0, "ymin": 0, "xmax": 5, "ymax": 5})
    with pytest.raises(ImageReadError, match="row 2 of X: .*is damaged"):
        check_image_paths(X, (9, 9)).take(np.arange(8))
