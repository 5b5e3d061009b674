import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from PIL import Image
from sklearn.linear_model import RidgeClassifier

from skattr.datasets import make_attribute_images

LEVELS = {
    "color": ["red", "yellow", "green", "cyan", "blue", "magenta"],
    "shape": ["circle", "bar", "triangle", "cross"],
    "size": ["small", "medium", "large"],
    "striped": [False, True],
    "count": [1, 2, 3],
}
NAMES = list(LEVELS)


def make_table(n_samples: int, **options: object) -> pd.DataFrame:
    """Return a large table, with images of the minimal size."""
    return make_attribute_images(n_samples, image_size=8, **options).target


def ranks(target: pd.DataFrame) -> pd.DataFrame:
    """Return the code of each label."""
    return pd.DataFrame({name: target[name].map(LEVELS[name].index) for name in target})


@pytest.fixture(scope="module")
def most_correlated() -> pd.DataFrame:
    """Return the correlations of the ranks when all follow the latent."""
    return ranks(make_table(1000, correlation=1.0, random_state=1)).corr()


class TestReproducibility:
    """Reproducibility from a seed."""

    def test_same_seed_same_result(self):
        """The same int gives the same images and the same table, missing labels included."""
        first = make_attribute_images(20, missing=0.3, random_state=7)
        second = make_attribute_images(20, missing=0.3, random_state=7)
        np.testing.assert_array_equal(first.data, second.data)
        assert_frame_equal(first.target, second.target)

    @pytest.mark.parametrize("seeds", [(0, 1), (None, None)])
    def test_other_seed_other_result(self, seeds):
        """Two seeds, or fresh entropy twice, give other images and another table."""
        first, second = (make_attribute_images(20, random_state=seed) for seed in seeds)
        assert (first.data != second.data).any(axis=(1, 2, 3)).all()
        assert not first.target.equals(second.target)

    def test_random_state_instance_is_consumed(self):
        """A RandomState in the same state gives the same set, and another one when used on."""
        state = np.random.RandomState(3)
        first = make_attribute_images(5, random_state=state).data
        following = make_attribute_images(5, random_state=state).data
        again = make_attribute_images(5, random_state=np.random.RandomState(3)).data
        np.testing.assert_array_equal(first, again)
        assert (first != following).any()

    @pytest.mark.parametrize("random_state", [None, 0, np.random.RandomState(0)])
    def test_global_state_untouched(self, random_state):
        """NumPy's global state neither changes nor is read, whatever the random_state."""
        before = np.random.get_state()  # noqa: NPY002
        make_attribute_images(3, missing=0.5, random_state=random_state)
        after = np.random.get_state()  # noqa: NPY002
        np.testing.assert_array_equal(before[1], after[1])
        assert before[2:] == after[2:]

    @settings(deadline=None, max_examples=25)
    @given(n_samples=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
    def test_smaller_set_begins_larger_one(self, n_samples, seed):
        """With one seed, the rows of a smaller set are the first rows of a larger one."""
        small = make_attribute_images(n_samples, image_size=8, missing=0.5, random_state=seed)
        large = make_attribute_images(6, image_size=8, missing=0.5, random_state=seed)
        np.testing.assert_array_equal(small.data, large.data[:n_samples])
        assert_frame_equal(small.target, large.target[:n_samples])


class TestImages:
    """Pixels."""

    @pytest.mark.parametrize(
        ("image_size", "shape"),
        [(32, (32, 32)), ((16, 40), (16, 40)), ([9, 8], (9, 8)), (np.int64(8), (8, 8))],
    )
    def test_image_size(self, image_size, shape):
        """Images are uint8 RGB of the side or (height, width) asked for."""
        data = make_attribute_images(4, image_size=image_size, random_state=0).data
        assert data.shape == (4, *shape, 3)
        assert data.dtype == np.uint8

    def test_labels_do_not_depend_on_the_images(self):
        """Image size and noise do not change the table."""
        tables = [
            make_attribute_images(20, image_size=size, noise=noise, random_state=0).target
            for size, noise in [(8, 0.0), ((10, 20), 0.5)]
        ]
        assert_frame_equal(*tables)

    @pytest.mark.parametrize("noise", [0.02, 0.1])
    def test_noise_is_standard_deviation(self, noise):
        """Away from black and white, noisy minus clean pixels deviate by 255 times `noise`."""
        clean = make_attribute_images(30, noise=0, random_state=0).data.astype(float)
        noisy = make_attribute_images(30, noise=noise, random_state=0).data.astype(float)
        inner = abs(clean - 127.5) < 127.5 - 4 * 255 * noise
        assert (noisy - clean)[inner].std() == pytest.approx(255 * noise, rel=0.03)
        assert (noisy - clean)[inner].mean() == pytest.approx(0, abs=255 * noise * 0.03)

    def test_color_is_visible(self):
        """The strongest hue of a noise-free image's most vivid pixels is its color."""
        bunch = make_attribute_images(120, noise=0, image_size=48, random_state=0)
        plain = ~bunch.target["striped"].to_numpy(bool) & (bunch.target["size"] == "large")
        hits = []
        for image, color in zip(bunch.data[plain], bunch.target["color"][plain], strict=True):
            hue, saturation, _ = np.moveaxis(
                np.asarray(Image.fromarray(image).convert("HSV")), 2, 0
            )
            sector = np.rint(hue[saturation > 200] / 256 * 6).astype(int) % 6
            hits.append(np.bincount(sector, minlength=6).argmax() == LEVELS["color"].index(color))
        assert len(hits) > 10
        assert np.mean(hits) > 0.8

    def test_linear_model_fails(self):
        """A linear model on the pixels stays near chance for shape, striped, count and size."""
        data, target = make_attribute_images(900, image_size=16, return_X_y=True, random_state=0)
        pixels = data.reshape(900, -1) / 255
        for name in ("shape", "striped", "count", "size"):
            labels = ranks(target)[name].to_numpy(int)
            model = RidgeClassifier(alpha=100).fit(pixels[:600], labels[:600])
            chance = 1 / len(LEVELS[name])
            assert model.score(pixels[600:], labels[600:]) < chance + 0.1


class TestFolder:
    """PNG files instead of arrays."""

    def test_files_equal_arrays(self, tmp_path):
        """Pixels in the PNG files and labels equal those returned without a folder."""
        options = {"image_size": (10, 14), "missing": 0.4, "random_state": 0}
        arrays = make_attribute_images(12, **options)
        files = make_attribute_images(12, folder=tmp_path / "new" / "folder", **options)
        read = []
        for path in files.data["path"]:
            with Image.open(path) as image:
                assert (image.format, image.mode) == ("PNG", "RGB")
                read.append(np.asarray(image))
        np.testing.assert_array_equal(np.stack(read), arrays.data)
        assert_frame_equal(files.target, arrays.target)

    def test_table_of_paths(self, tmp_path):
        """Data has the one str column path, on the index of the target, named by row."""
        bunch = make_attribute_images(3, image_size=8, folder=str(tmp_path), random_state=0)
        names = ["00000.png", "00001.png", "00002.png"]
        assert list(bunch.data) == ["path"]
        assert bunch.data["path"].tolist() == [str(tmp_path / name) for name in names]
        assert bunch.data.index.equals(bunch.target.index)
        assert sorted(path.name for path in tmp_path.iterdir()) == names

    def test_files_are_replaced(self, tmp_path):
        """A second call replaces files of the same names and keeps others."""
        (tmp_path / "notes.txt").write_text("kept")
        make_attribute_images(1, image_size=8, folder=tmp_path, random_state=0)
        first = (tmp_path / "00000.png").read_bytes()
        make_attribute_images(1, image_size=8, folder=tmp_path, random_state=1)
        assert (tmp_path / "00000.png").read_bytes() != first
        assert (tmp_path / "notes.txt").read_text() == "kept"


class TestTable:
    """Levels, dtypes and kinds of the attributes."""

    @pytest.mark.parametrize("missing", [0.0, 0.5, 1.0])
    def test_dtypes_match_kinds(self, missing):
        """Column dtypes are str, boolean and Int64, whatever the share of missing labels."""
        bunch = make_attribute_images(10, image_size=8, missing=missing, random_state=0)
        text = pd.Series(["a"], dtype="str").dtype
        expected = {"striped": pd.BooleanDtype(), "count": pd.Int64Dtype()}
        assert list(bunch.target) == list(bunch.attribute_kinds) == NAMES
        for name in NAMES:
            assert bunch.target[name].dtype == expected.get(name, text)

    def test_kinds(self):
        """Kinds name each attribute binary, categorical or ordinal with its rising levels."""
        assert make_attribute_images(1, image_size=8).attribute_kinds == {
            "color": "categorical",
            "shape": "categorical",
            "size": ("ordinal", LEVELS["size"]),
            "striped": "binary",
            "count": ("ordinal", LEVELS["count"]),
        }

    def test_kinds_are_a_copy(self):
        """A caller may change the levels without changing those of the next call."""
        make_attribute_images(1, image_size=8).attribute_kinds["size"][1].clear()
        kinds = make_attribute_images(1, image_size=8).attribute_kinds
        assert kinds["size"] == ("ordinal", LEVELS["size"])

    def test_description_names_every_level(self):
        """DESCR mentions each attribute and each of its levels."""
        description = make_attribute_images(1, image_size=8).DESCR
        for name, levels in LEVELS.items():
            assert all(str(word) in description for word in [name, *levels]), name

    def test_return_X_y(self):
        """return_X_y gives the data and target of the Bunch."""
        bunch = make_attribute_images(4, random_state=0)
        data, target = make_attribute_images(4, random_state=0, return_X_y=True)
        np.testing.assert_array_equal(data, bunch.data)
        assert_frame_equal(target, bunch.target)

    @pytest.mark.parametrize(
        ("imbalance", "correlation"), [(0.0, 0.0), (0.4, 0.7), (0.9, 0.0), (1.0, 0.5)]
    )
    def test_imbalance(self, imbalance, correlation):
        """Level k has frequency proportional to (1 - imbalance)**k, at any correlation."""
        target = make_table(1000, imbalance=imbalance, correlation=correlation, random_state=0)
        for name, levels in LEVELS.items():
            weights = (1 - imbalance) ** np.arange(len(levels))
            expected = weights / weights.sum()
            counts = target[name].value_counts().reindex(levels, fill_value=0)
            tolerance = 4 * np.sqrt(expected / 1000) + 1e-9
            assert (abs(counts.to_numpy(float) / 1000 - expected) < tolerance).all()

    @pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
    def test_correlation(self, correlation, most_correlated):
        """Ranks of two attributes correlate by correlation**2 times what they can at most."""
        found = ranks(make_table(1000, correlation=correlation, random_state=0)).corr()
        np.fill_diagonal(expected := correlation**2 * most_correlated.to_numpy(), 1)
        np.testing.assert_allclose(found, expected, atol=0.13)

    def test_full_correlation_is_monotone(self):
        """At correlation 1, sorting by one attribute leaves every other one sorted too."""
        target = ranks(make_table(300, correlation=1.0, random_state=0))
        ordered = target.sort_values(NAMES)
        assert all(ordered[name].is_monotonic_increasing for name in NAMES)


class TestMissing:
    """Missing labels."""

    def test_default_has_no_missing_label(self):
        """By default no label is missing."""
        assert not make_table(100, random_state=0).isna().any(axis=None)

    @pytest.mark.parametrize("missing", [0.1, 0.6, 1.0])
    def test_share(self, missing):
        """The share of missing labels of each column is `missing`, up to sampling error."""
        share = make_table(1000, missing=missing, random_state=0).isna().mean()
        tolerance = 4 * math.sqrt(missing * (1 - missing) / 1000) + 1e-9
        assert (abs(share - missing) < tolerance).all()

    def test_independent_across_columns(self):
        """Whether a label is missing is independent of the other columns."""
        unknown = make_table(1000, missing=0.4, correlation=1.0, random_state=0).isna()
        assert (abs(unknown.corr() - np.eye(5)) < 0.13).all(axis=None)

    @settings(deadline=None, max_examples=25)
    @given(missing=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
    def test_images_and_known_entries_stay(self, missing, seed):
        """`missing` does not change images and known labels."""
        full = make_attribute_images(4, image_size=8, random_state=seed)
        holed = make_attribute_images(4, image_size=8, missing=missing, random_state=seed)
        np.testing.assert_array_equal(full.data, holed.data)
        assert_frame_equal(full.target.mask(holed.target.isna()), holed.target)


class TestErrors:
    """Invalid parameters."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("n_samples", 0),
            ("image_size", 7),
            ("image_size", (32, 7)),
            ("image_size", (32, 32, 3)),
            ("imbalance", 1.5),
            ("imbalance", -0.1),
            ("correlation", 1.01),
            ("noise", -0.5),
            ("noise", math.inf),
            ("missing", math.nan),
            ("random_state", -1),
        ],
    )
    def test_invalid_value(self, name, value):
        """An invalid value raises ValueError naming the parameter and the value."""
        with pytest.raises(ValueError, match=rf"{name}.* must be .*, got .*\.$"):
            make_attribute_images(**{name: value})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("n_samples", 2.0),
            ("n_samples", True),
            ("image_size", "32"),
            ("image_size", (32, 32.0)),
            ("imbalance", "much"),
            ("correlation", None),
            ("noise", [0.1]),
            ("missing", False),
            ("folder", 3),
            ("return_X_y", 1),
            ("random_state", 1.5),
            ("random_state", np.random),
        ],
    )
    def test_wrong_type(self, name, value):
        """A wrong type raises TypeError naming the parameter and the value."""
        with pytest.raises(TypeError, match=rf"{name}.* must be .*, got .*\.$"):
            make_attribute_images(**{name: value})

    def test_folder_is_a_file(self, tmp_path):
        """A folder that is a file is rejected before images are drawn."""
        path = tmp_path / "file"
        path.touch()
        with pytest.raises(ValueError, match=rf"folder must be .*{re.escape(path.name)}"):
            make_attribute_images(folder=path)

    def test_only_n_samples_is_positional(self):
        """All parameters after n_samples are keyword-only."""
        with pytest.raises(TypeError, match="positional"):
            make_attribute_images(10, 32)
