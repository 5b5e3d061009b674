import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_series_equal
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from skattr.datasets import make_category_images

NAMES = ["seal", "boat", "tuna", "herring", "buoy", "ball"]
ATTRIBUTES = ["blue", "striped", "large", "bright"]
USUAL = {"seal": "ice", "ball": "lawn"}  # of the others: the sea
# P(blue) and P(striped), as DESCR says in words.
SHARES = {
    "seal": (0.05, 0.05),
    "boat": (0.5, 0.2),
    "tuna": (0.4, 0.1),
    "herring": (0.2, 0.4),
    "buoy": (0.1, 0.5),
    "ball": (0.4, 0.5),
}


@pytest.fixture(scope="module")
def clean():
    """800 images without noise, large enough to measure."""
    return make_category_images(800, image_size=48, noise=0, random_state=0)


@pytest.fixture(scope="module")
def labels():
    """Return a set of many labels; its images are as small as they may be."""
    return make_category_images(4000, image_size=8, random_state=0)


def hsv(image):
    """Return hue in degrees, saturation and value of each pixel."""
    channels = np.asarray(Image.fromarray(image).convert("HSV"), dtype=float) / 255
    return channels[..., 0] * 360, channels[..., 1], channels[..., 2]


def place_of(image):
    """Return the place of each image, from the color of its border."""
    rim = np.ones(image.shape[:2], bool)
    rim[3:-3, 3:-3] = False
    hue, saturation, _ = (np.median(channel[rim]) for channel in hsv(image))
    if saturation < 0.25:
        return "ice"
    hues = {"sea": 225, "lawn": 110, "sand": 45}
    return min(hues, key=lambda name: abs(hues[name] - hue))


def is_round(bunch):
    """Return a mask of buoys and balls, which fill the middle of the image if they are large."""
    return bunch.category.isin(["buoy", "ball"]).to_numpy()


def is_not(bunch, attribute):
    """Return a mask of the objects without an attribute."""
    return ~bunch.target[attribute].to_numpy(bool)


class TestReproducibility:
    """Reproducibility from a seed."""

    def test_same_seed_same_result(self):
        """The same int gives the same images, categories and table."""
        first, second = (make_category_images(20, missing=0.3, random_state=7) for _ in range(2))
        np.testing.assert_array_equal(first.data, second.data)
        assert_series_equal(first.category, second.category)
        assert_frame_equal(first.target, second.target)

    @pytest.mark.parametrize("seeds", [(0, 1), (None, None)])
    def test_other_seed_other_result(self, seeds):
        """Two seeds, or fresh entropy twice, give other images and another table."""
        first, second = (make_category_images(20, random_state=seed) for seed in seeds)
        assert (first.data != second.data).any(axis=(1, 2, 3)).all()
        assert not first.target.equals(second.target)

    @pytest.mark.parametrize("random_state", [None, 0, np.random.RandomState(0)])
    def test_global_state_untouched(self, random_state):
        """NumPy's global state does not change, whatever the random_state."""
        before = np.random.get_state()  # noqa: NPY002
        make_category_images(3, missing=0.5, random_state=random_state)
        after = np.random.get_state()  # noqa: NPY002
        np.testing.assert_array_equal(before[1], after[1])
        assert before[2:] == after[2:]

    @settings(deadline=None, max_examples=25)
    @given(n_samples=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
    def test_smaller_set_begins_larger_one(self, n_samples, seed):
        """With one seed, the rows of a smaller set are the first rows of a larger one."""
        options = {"image_size": 8, "missing": 0.5, "random_state": seed}
        small = make_category_images(n_samples, **options)
        large = make_category_images(6, **options)
        np.testing.assert_array_equal(small.data, large.data[:n_samples])
        assert_series_equal(small.category, large.category[:n_samples])
        assert_frame_equal(small.target, large.target[:n_samples])


class TestLabels:
    """Categories and the table."""

    def test_form(self, labels):
        """Categories are strings, attributes boolean and binary, on one index."""
        assert labels.category_names == NAMES
        assert labels.category.name == "category"
        assert labels.category.dtype == pd.Series(["a"], dtype="str").dtype
        assert list(labels.target) == list(labels.attribute_kinds) == ATTRIBUTES
        assert set(labels.attribute_kinds.values()) == {"binary"}
        assert (labels.target.dtypes == pd.BooleanDtype()).all()
        assert labels.category.index.equals(labels.target.index)

    def test_names_are_a_copy(self):
        """A caller may change the names without changing those of the next call."""
        make_category_images(1, image_size=8).category_names.clear()
        assert make_category_images(1, image_size=8).category_names == NAMES

    def test_description_names_everything(self, labels):
        """DESCR mentions each category and each attribute."""
        assert all(word in labels.DESCR for word in [*NAMES, *ATTRIBUTES])

    def test_shares(self, labels):
        """Categories are equally frequent; what is blue or striped depends on them."""
        counts = labels.category.value_counts()
        assert (abs(counts / 4000 - 1 / 6) < 4 * math.sqrt(1 / 6 * 5 / 6 / 4000)).all()
        found = labels.target.astype(float).groupby(labels.category).mean()
        for name, (blue, striped) in SHARES.items():
            expected = np.array([blue, striped, 0.5, 0.5])
            tolerance = 4 * np.sqrt(expected * (1 - expected) / counts[name])
            assert (abs(found.loc[name, ATTRIBUTES] - expected) < tolerance).all(), name

    def test_attributes_of_one_category_are_independent(self, labels):
        """Within a category attributes are independent."""
        for _, part in labels.target.astype(float).groupby(labels.category):
            assert (abs(part.corr() - np.eye(4)) < 4 / math.sqrt(len(part))).all(axis=None)

    @settings(deadline=None, max_examples=25)
    @given(missing=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
    def test_missing_only_masks(self, missing, seed):
        """`missing` does not change images, categories and known labels."""
        full = make_category_images(4, image_size=8, random_state=seed)
        holed = make_category_images(4, image_size=8, missing=missing, random_state=seed)
        np.testing.assert_array_equal(full.data, holed.data)
        assert_series_equal(full.category, holed.category)
        assert_frame_equal(full.target.mask(holed.target.isna()), holed.target)

    @pytest.mark.parametrize("missing", [0.0, 0.3, 1.0])
    def test_share_of_unknown_entries(self, missing):
        """The share of missing labels of each column is `missing`, up to sampling error."""
        bunch = make_category_images(1000, image_size=8, missing=missing, random_state=0)
        tolerance = 4 * math.sqrt(missing * (1 - missing) / 1000) + 1e-9
        assert (abs(bunch.target.isna().mean() - missing) < tolerance).all()


class TestImages:
    """Pixels."""

    @pytest.mark.parametrize(
        ("image_size", "shape"),
        [(32, (32, 32)), ((16, 40), (16, 40)), ([9, 8], (9, 8)), (np.int64(8), (8, 8))],
    )
    def test_image_size(self, image_size, shape):
        """Images are uint8 RGB of the side or (height, width) asked for."""
        data = make_category_images(4, image_size=image_size, random_state=0).data
        assert data.shape == (4, *shape, 3)
        assert data.dtype == np.uint8

    def test_labels_do_not_depend_on_the_images(self):
        """Image size, noise and bias do not change categories and labels."""
        settings_ = [(8, 0.0, 0.0), ((10, 20), 0.5, 1.0)]
        first, second = (
            make_category_images(20, image_size=size, noise=noise, bias=bias, random_state=0)
            for size, noise, bias in settings_
        )
        assert_frame_equal(first.target, second.target)
        assert_series_equal(first.category, second.category)

    @pytest.mark.parametrize("noise", [0.02, 0.1])
    def test_noise_is_standard_deviation(self, noise):
        """Away from black and white, noisy minus clean pixels deviate by 255 times `noise`."""
        clean = make_category_images(30, noise=0, random_state=0).data.astype(float)
        noisy = make_category_images(30, noise=noise, random_state=0).data.astype(float)
        inner = abs(clean - 127.5) < 127.5 - 4 * 255 * noise
        assert (noisy - clean)[inner].std() == pytest.approx(255 * noise, rel=0.03)

    @pytest.mark.parametrize("bias", [0.0, 0.6, 1.0])
    def test_bias(self, bias):
        """A share bias + (1 - bias) / 4 of the objects stands in the usual place."""
        bunch = make_category_images(600, bias=bias, noise=0, random_state=0)
        usual = [
            place_of(image) == USUAL.get(category, "sea")
            for image, category in zip(bunch.data, bunch.category, strict=True)
        ]
        expected = bias + (1 - bias) / 4
        assert np.mean(usual) == pytest.approx(expected, abs=0.08)

    def test_bias_changes_the_place_alone(self):
        """The pixels of the object in front do not depend on the bias."""
        free, bound = (
            make_category_images(200, image_size=48, bias=bias, noise=0, random_state=0)
            for bias in (0.0, 1.0)
        )
        rows = is_round(free) & ~is_not(free, "large")
        np.testing.assert_array_equal(free.data[rows, 24, 24], bound.data[rows, 24, 24])
        assert (free.data[rows, 0, 0] != bound.data[rows, 0, 0]).any()

    def test_blue_is_the_object(self, clean):
        """An object is blue if and only if its label is, whatever the place."""
        rows = is_round(clean) & is_not(clean, "striped") & ~is_not(clean, "large")
        hues = np.array([hsv(image)[0][24, 24] for image in clean.data[rows]])
        blue = ~is_not(clean, "blue")[rows]
        assert ((abs(hues - 230) < 20) == blue).all()
        at_sea = np.array([place_of(image) == "sea" for image in clean.data[rows]])
        assert (at_sea & ~blue).sum() > 10

    def test_striped_is_the_object(self, clean):
        """The middle of a striped object has two tones, of a plain one a single tone."""
        rows = is_round(clean) & ~is_not(clean, "large")
        spread = clean.data[rows, 22:27, 22:27].max(axis=-1).std(axis=(1, 2))
        assert roc_auc_score(~is_not(clean, "striped")[rows], spread) > 0.9

    @pytest.mark.parametrize("attribute", ["large", "bright"])
    def test_relative_to_the_category(self, clean, attribute):
        """Pixels predict "large" and "bright" well given the category, and much worse without."""
        rows = is_round(clean) & is_not(clean, "striped")
        value = np.array([hsv(image)[2] for image in clean.data[rows]])
        inside = abs(value - value[:, 24:25, 24:25]) < 0.01
        seen = value[:, 24, 24] if attribute == "bright" else np.log(inside.sum(axis=(1, 2)))
        ball = (clean.category == "ball").to_numpy()[rows]
        label = ~is_not(clean, attribute)[rows]
        accuracy = [
            LogisticRegression(C=1e3).fit(features, label).score(features, label)
            for features in (seen[:, None], np.column_stack([seen, ball]))
        ]
        assert accuracy[0] < 0.8
        assert accuracy[1] > 0.9


class TestFolder:
    """PNG files instead of arrays."""

    def test_files_equal_arrays(self, tmp_path):
        """Pixels in the PNG files and labels equal those returned without a folder."""
        options = {"image_size": (10, 14), "missing": 0.4, "random_state": 0}
        arrays = make_category_images(12, **options)
        files = make_category_images(12, folder=tmp_path / "new" / "folder", **options)
        read = np.stack([np.asarray(Image.open(path)) for path in files.data["path"]])
        np.testing.assert_array_equal(read, arrays.data)
        assert_frame_equal(files.target, arrays.target)
        assert_series_equal(files.category, arrays.category)

    def test_table_of_paths_and_categories(self, tmp_path):
        """Data has the str columns path and category, on the index of the target."""
        bunch = make_category_images(3, image_size=8, folder=str(tmp_path), random_state=0)
        names = ["00000.png", "00001.png", "00002.png"]
        assert list(bunch.data) == ["path", "category"]
        assert bunch.data["path"].tolist() == [str(tmp_path / name) for name in names]
        assert_series_equal(bunch.data["category"], bunch.category)
        assert bunch.data.index.equals(bunch.target.index)


class TestErrors:
    """Invalid parameters."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("n_samples", 0),
            ("image_size", 7),
            ("image_size", (32, 32, 3)),
            ("bias", 1.5),
            ("bias", -0.1),
            ("noise", math.inf),
            ("missing", math.nan),
            ("random_state", -1),
        ],
    )
    def test_invalid_value(self, name, value):
        """An invalid value raises ValueError naming the parameter and the value."""
        with pytest.raises(ValueError, match=rf"{name}.* must be .*, got .*\.$"):
            make_category_images(**{name: value})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("n_samples", 2.0),
            ("image_size", "32"),
            ("bias", "much"),
            ("bias", True),
            ("noise", [0.1]),
            ("missing", None),
            ("folder", 3),
            ("random_state", 1.5),
        ],
    )
    def test_wrong_type(self, name, value):
        """A wrong type raises TypeError naming the parameter and the value."""
        with pytest.raises(TypeError, match=rf"{name}.* must be .*, got .*\.$"):
            make_category_images(**{name: value})

    def test_only_n_samples_is_positional(self):
        """All parameters after n_samples are keyword-only."""
        with pytest.raises(TypeError, match="positional"):
            make_category_images(10, 32)
