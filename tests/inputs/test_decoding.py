"""Decoding and resizing against Pillow, with and without simplejpeg, on several threads."""

import importlib.util
import io
import os
import signal
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
import simplejpeg
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from skattr import AttributeClassifier, ImageEmbedder, ImageReading
from skattr._inputs import decoding as _decoding
from skattr._inputs.checks import check_image_array, check_image_paths
from skattr._inputs.decoding import read_image, resize
from skattr._utils.parallel import thread_map
from skattr.exceptions import ImageReadError, InvalidBoxError
from tests.image_fixtures import make_hostile_folder
from tests.tiny_models import tiny

DECODINGS = ("exact", "scaled")
ORIENTATION = 0x0112
SIDES = st.one_of(st.integers(1, 18), st.integers(19, 150))


class Spy:
    """A decoder that counts the images simplejpeg decodes."""

    def __init__(self):
        self.n_decoded = 0

    def decode_jpeg(self, *args, **kwargs):
        """Decode and count if decoding succeeds."""
        pixels = simplejpeg.decode_jpeg(*args, **kwargs)
        self.n_decoded += 1
        return pixels


def read_with(decoder, *args, **kwargs):
    """Read with a decoder in place of simplejpeg; return an array or the error."""
    before = _decoding.simplejpeg
    _decoding.simplejpeg = decoder
    try:
        return read_image(*args, **kwargs)
    except (ImageReadError, InvalidBoxError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        _decoding.simplejpeg = before


def assert_same_outcome(*args):
    """Assert equal results with and without simplejpeg; return the result and its use."""
    spy = Spy()
    fast, slow = read_with(spy, *args), read_with(None, *args)
    assert isinstance(fast, str) == isinstance(slow, str), (fast, slow)
    if isinstance(fast, str):
        assert fast == slow
    else:
        np.testing.assert_array_equal(fast, slow)
    return fast, spy.n_decoded


def by_pillow(path, size, box=None, decoding="exact"):
    """Decode, rotate, crop and resize with Pillow only; return the image and its scale."""
    height, width = size
    with Image.open(path) as opened:
        turned = opened.getexif().get(ORIENTATION, 1) >= 5
        full = opened.size[::-1] if turned else opened.size
        scale = 1
        is_scaled = decoding == "scaled" and box is None and max(full) >= 8
        if is_scaled and opened.format == "JPEG":
            fitting = [s for s in (1, 2, 4, 8) if width * s <= full[0] and height * s <= full[1]]
            scale = max(fitting, default=1)
            opened.draft(None, (opened.width // scale, opened.height // scale))
        image = ImageOps.exif_transpose(opened).convert("RGB")
    if box is not None:
        image = image.crop(box)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)), scale


def assert_near(result, expected):
    """Assert that two resizes differ by one level, or two at a few pixels of pure noise."""
    difference = np.abs(result.astype(int) - expected)
    assert difference.max(initial=0) <= 2
    assert (difference > 1).sum() <= 3 + difference.size / 1000


@st.composite
def jpegs(draw):
    """Draw the bytes of a JPEG file, its size and EXIF orientation."""
    height, width = draw(SIDES), draw(SIDES)
    mode = draw(st.sampled_from(["RGB", "RGB", "L", "CMYK"]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    channels = {"RGB": (3,), "L": (), "CMYK": (4,)}[mode]
    levels = rng.integers(0, 256, (height, width, *channels)).astype(np.uint8)
    subsampling = draw(st.sampled_from(["4:4:4", "4:2:2", "4:2:0", "keep RGB"]))
    is_rgb = subsampling == "keep RGB"
    options = {
        "quality": draw(st.integers(1, 100)),
        "subsampling": "4:4:4" if is_rgb else subsampling,
        "progressive": draw(st.booleans()),
        "restart_marker_blocks": draw(st.sampled_from([0, 1, 3])),
        "keep_rgb": is_rgb,
    }
    orientation = draw(st.sampled_from([1, 1, 1, 3, 5, 6, 8]))
    if orientation != 1:
        options["exif"] = Image.Exif()
        options["exif"][ORIENTATION] = orientation
    buffer = io.BytesIO()
    try:
        Image.fromarray(levels, mode).save(buffer, "JPEG", **options)
    except OSError:  # of noise, Pillow's buffer may be too small for what it encodes
        reject()
    is_unusual = mode == "CMYK" and options["subsampling"] != "4:4:4"  # not for simplejpeg
    return buffer.getvalue(), (height, width), is_unusual, orientation


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return the path of a file that every example overwrites."""
    return str(tmp_path_factory.mktemp("decoding") / "one.jpg")


def write(path, contents):
    """Write bytes to a file."""
    with open(path, "wb") as file:
        file.write(contents)


# --- simplejpeg ------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(jpegs(), SIDES, SIDES, st.sampled_from(DECODINGS), st.data())
def test_simplejpeg_makes_no_difference(path, jpeg, height, width, decoding, data):
    """Pixels are bit-identical and resized as by Pillow; simplejpeg decodes each file once."""
    contents, (full_height, full_width), is_unusual, orientation = jpeg
    if orientation >= 5:
        full_height, full_width = full_width, full_height
    box = None
    if data.draw(st.booleans()):
        xmin, ymin = (data.draw(st.integers(0, side - 1)) for side in (full_width, full_height))
        xmax = data.draw(st.integers(xmin + 1, full_width))
        ymax = data.draw(st.integers(ymin + 1, full_height))
        box = (xmin, ymin, xmax, ymax)
    write(path, contents)
    result, n_decoded = assert_same_outcome(path, (height, width), box, decoding)
    expected, _ = by_pillow(path, (height, width), box, decoding)
    assert_near(result, expected)
    assert result.flags.writeable
    assert n_decoded <= 1  # for the pixels of a plain file, else for its complaints only
    assert n_decoded == 1 or is_unusual


@settings(max_examples=200, deadline=None)
@given(jpegs(), st.sampled_from(DECODINGS), st.data())
def test_broken_files_have_one_outcome(path, jpeg, decoding, data):
    """For truncated, changed or inserted bytes, pixels and errors are Pillow's, or damage."""
    contents = bytearray(jpeg[0])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(2, len(contents)))
        how = data.draw(st.sampled_from(["cut", "change", "insert"]))
        if how == "cut":
            del contents[place:]
        elif how == "insert":
            contents[place:place] = data.draw(st.binary(min_size=1, max_size=4))
        elif place < len(contents):
            contents[place] = data.draw(st.integers(0, 255))
    write(path, contents)
    fast, slow = (read_with(decoder, path, (9, 7), None, decoding) for decoder in (Spy(), None))
    if "is damaged" not in str(fast):
        assert_same_outcome(path, (9, 7), None, decoding)
    kept = [
        read_with(decoder, path, (9, 7), None, decoding, keep_damaged=True)
        for decoder in (Spy(), None)
    ]
    np.testing.assert_array_equal(*kept)
    if not isinstance(slow, str):
        np.testing.assert_array_equal(kept[0], slow)


def test_hostile_files_have_one_outcome(tmp_path):
    """Files of many kinds are read or rejected in the same way with and without simplejpeg."""
    folder = make_hostile_folder(tmp_path)
    del folder.bad["pipe.jpg"]  # only its name is looked at, when X is opened
    for decoding in DECODINGS:
        for bad in folder.bad.values():
            assert isinstance(assert_same_outcome(bad, (5, 6), None, decoding)[0], str)
        for name, good in folder.good.items():
            _, n_decoded = assert_same_outcome(good, (5, 6), None, decoding)
            assert n_decoded == name.endswith(".jpg")


def test_mpo_gives_its_first_frame(tmp_path):
    """Some cameras write JPEG files with several frames (MPO)."""
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (64, 48, 3)).astype(np.uint8)) for _ in "ab"]
    frames[0].save(tmp_path / "two.mpo", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "one.jpg")
    with Image.open(tmp_path / "two.mpo") as opened:
        assert opened.format == "MPO"
    for decoding in DECODINGS:
        result, n_decoded = assert_same_outcome(tmp_path / "two.mpo", (24, 20), None, decoding)
        alone = read_image(tmp_path / "one.jpg", (24, 20), None, decoding)
        np.testing.assert_array_equal(result, alone)
        assert n_decoded == 1


def test_without_simplejpeg(monkeypatch):
    """The module can be imported if simplejpeg is not installed."""
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    spec = importlib.util.spec_from_file_location("without", _decoding.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.simplejpeg is None
    assert _decoding.simplejpeg is simplejpeg


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_scale_is_that_of_the_upright_image(tmp_path, orientation):
    """The scale of a rotated image follows its upright sides: here 1/4, not 1/8."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    rng = np.random.default_rng(orientation)
    sides = (240, 130) if orientation < 5 else (130, 240)
    image = Image.fromarray(rng.integers(0, 256, (*sides, 3)).astype(np.uint8))
    image.save(tmp_path / "a.jpg", exif=exif)
    expected, scale = by_pillow(tmp_path / "a.jpg", (60, 16), decoding="scaled")
    assert scale == 4
    result, _ = assert_same_outcome(tmp_path / "a.jpg", (60, 16), None, "scaled")
    assert_near(result, expected)


def photograph(rng, height=480, width=640):
    """Return noise with more energy at coarser scales, as in photographs."""
    levels = np.full((height, width, 3), 128.0)
    for side, strength in ((6, 40), (24, 20), (96, 10)):
        noise = Image.fromarray(rng.integers(0, 256, (side, side, 3)).astype(np.uint8))
        levels += strength * (np.asarray(noise.resize((width, height))) / 128.0 - 1)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def test_scaled_decoding_is_close_to_exact(rng, tmp_path):
    """Photographs differ by less than two levels on average, PNG files and crops not at all."""
    image = photograph(rng)
    image.save(tmp_path / "a.jpg", quality=90)
    image.save(tmp_path / "a.png")
    size = (224, 224)
    boxes = {"a.jpg": (10, 20, 630, 470), "a.png": None}
    for name, box in boxes.items():
        exact, scaled = (read_image(tmp_path / name, size, box, how) for how in DECODINGS)
        np.testing.assert_array_equal(exact, scaled)
    exact, scaled = (read_image(tmp_path / "a.jpg", size, None, how) for how in DECODINGS)
    difference = np.abs(exact.astype(int) - scaled)
    assert 0 < difference.mean() < 2


# --- the resize ------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 3), st.integers(0, 99))
def test_resize_equals_pillow(height, width, new_height, new_width, n, seed):
    """For all sizes the result is that of Pillow, for a batch and for single images."""
    batch = np.random.default_rng(seed).integers(0, 256, (n, height, width, 3)).astype(np.uint8)
    before = batch.copy()
    result = resize(batch, (new_height, new_width))
    assert result.shape == (n, new_height, new_width, 3)
    assert result.dtype == np.uint8
    for image, resized in zip(batch, result, strict=True):
        alone = Image.fromarray(image).resize((new_width, new_height), Image.Resampling.BILINEAR)
        assert_near(resized, np.asarray(alone))
        np.testing.assert_array_equal(resize(image, (new_height, new_width)), resized)
    np.testing.assert_array_equal(batch, before)


def test_views_and_copies_have_equal_results(rng):
    """Cropped, mirrored and transposed views are resized like their copies."""
    batch = rng.integers(0, 256, (2, 30, 40, 3)).astype(np.uint8)
    for view in (batch[:, 3:20, 5:33], batch[:, ::-1], batch.swapaxes(1, 2), batch[..., ::-1]):
        np.testing.assert_array_equal(resize(view, (9, 11)), resize(view.copy(), (9, 11)))


# --- threads ---------------------------------------------------------------------------------


@pytest.fixture(params=[1, 2, 5])
def n_threads(request):
    """Set the number of torch's threads during a test."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_thread_map_uses_torchs_number_of_threads(n_threads):
    """Results are in the order of the numbers; a single thread is that of the caller."""
    barrier = threading.Barrier(n_threads, timeout=30)  # passed only by so many at once

    def call(number):
        if number < n_threads:
            barrier.wait()
        return number, threading.get_ident()

    before = threading.active_count()
    results = thread_map(call, 40)
    assert [number for number, _ in results] == list(range(40))
    threads = {ident for _, ident in results}
    assert len(threads) == n_threads
    assert (threading.get_ident() in threads) == (n_threads == 1)
    assert threading.active_count() == before
    assert thread_map(call, 0) == []


def test_the_first_error_is_raised(n_threads):
    """Of several errors that of the lowest number is raised, even if it comes last."""

    def call(number):
        if number == 1:
            time.sleep(0.1)
        if number in (1, 2, 4):
            raise RuntimeError(number)

    with pytest.raises(RuntimeError, match="1"):
        thread_map(call, 6)


def test_thread_map_can_be_interrupted(n_threads):
    """Ctrl-C is raised, calls that have not started are canceled, and all threads end."""
    called = []

    def call(number):
        called.append(number)
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        thread_map(call, 500)
    assert len(called) < 400
    deadline = time.monotonic() + 30
    while threading.active_count() > before:  # one that was being started may end later
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("decoding", DECODINGS)
def test_batches_do_not_depend_on_threads(rng, tmp_path, n_threads, decoding):
    """Images, unreadable rows, reasons and errors equal those of reading one by one."""
    paths = []
    for number in range(12):
        paths.append(str(tmp_path / f"{number}.jpg"))
        photograph(rng, 60, 80).save(paths[-1])
    for number in (4, 9):
        write(paths[number], b"no image")
    frame = pd.DataFrame({"path": paths, "xmin": np.nan, "ymin": 0.0, "xmax": 30.0, "ymax": 20.0})
    frame.loc[:5, ["ymin", "xmax", "ymax"]] = np.nan
    frame.loc[6:, "xmin"] = 0.0
    frame.loc[7, "xmax"] = 81.0
    indices = np.array([11, 4, 0, 7, 9, 5, 0, 6])
    rows = check_image_paths(frame, (20, 26), "warn", decoding)
    batch, found, reasons = rows.take_readable(indices)
    assert found.tolist() == [11, 0, 5, 0, 6]
    assert found.dtype == np.intp
    for row, image in zip(found.tolist(), batch, strict=True):
        box = (0, 0, 30, 20) if row >= 6 else None
        np.testing.assert_array_equal(image, read_image(paths[row], (20, 26), box, decoding))
    assert sorted(reasons) == [4, 7, 9]
    assert "exceeds the bounds" in reasons[7]
    strict = check_image_paths(frame, (20, 26), "raise", decoding)
    np.testing.assert_array_equal(strict.take(found), batch)
    with pytest.raises(ImageReadError, match="row 4 of X: cannot read the image .*4.jpg"):
        strict.take(indices)
    with pytest.raises(InvalidBoxError, match="row 7 of X"):
        strict.take(indices[2:])
    empty = strict.take(indices[:0])
    assert empty.shape == (0, 20, 26, 3)


# --- the parameter ---------------------------------------------------------------------------


@pytest.fixture
def photographs(rng, tmp_path):
    """Return the paths of eight JPEG files of 80x60 pixels."""
    paths = [str(tmp_path / f"{number}.jpg") for number in range(8)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)).save(path)
    return paths


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_classifier_uses_the_decoding(photographs, num_workers):
    """Files give the same network and predictions as arrays of the same decoding."""
    y = np.arange(8) % 2
    arrays = {
        decoding: check_image_paths(photographs, (12, 10), decoding=decoding).take(np.arange(8))
        for decoding in DECODINGS
    }
    assert (arrays["exact"] != arrays["scaled"]).any()
    for decoding, array in arrays.items():
        params = {"images": ImageReading(decoding, num_workers=num_workers), "max_epochs": 1}
        of_files = tiny(**params).fit(photographs, y)
        of_arrays = tiny(**params).fit(array, y)
        np.testing.assert_array_equal(
            of_files.predict_proba(photographs), of_arrays.predict_proba(array)
        )


def test_embeddings_are_cached_by_decoding(photographs, tmp_path):
    """Features of different decodings are different rows of the cache."""
    features = []
    for decoding in (*DECODINGS, *DECODINGS):
        embedder = ImageEmbedder(
            "resnet18",
            layer="layer1",
            image_size=24,
            images=ImageReading(decoding),
            cache=tmp_path / "cache",
        )
        features.append(embedder.fit_transform(photographs))
    assert (features[0] != features[1]).any()
    np.testing.assert_array_equal(features[0], features[2])
    np.testing.assert_array_equal(features[1], features[3])
    images = check_image_paths(photographs, (24, 24), decoding="scaled").take(np.arange(8))
    alone = ImageEmbedder("resnet18", layer="layer1", image_size=24).fit_transform(images)
    np.testing.assert_allclose(features[1], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("estimator", [AttributeClassifier, ImageEmbedder])
@pytest.mark.parametrize("decoding", ["fast", None, 2])
def test_rejects_invalid_decodings(photographs, estimator, decoding):
    """The error names the valid values."""
    with pytest.raises(ValueError, match="'decoding' parameter .* must be a str among"):
        estimator(images=ImageReading(decoding)).fit(photographs, np.arange(8) % 2)


def test_decoding_does_not_apply_to_arrays(images):
    """Images in memory give the same predictions for both values."""
    y = np.arange(24) % 2
    one, other = (
        tiny(images=ImageReading(decoding), image_size=(7, 9), max_epochs=1).fit(images, y)
        for decoding in DECODINGS
    )
    np.testing.assert_array_equal(one.predict_proba(images), other.predict_proba(images))
    rows = check_image_array(images, (7, 9))
    np.testing.assert_array_equal(rows.take(np.array([3]))[0], resize(images[3], (7, 9)))
