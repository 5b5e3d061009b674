"""ImageEmbedder: its features, and a cache that embeds each image once."""

import copy
import hashlib
import multiprocessing
import os
import pickle
import signal
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from torch import nn
from torchvision.transforms import v2

from skattr import AttributeClassifier, ImageEmbedder, ImageReading
from skattr._cache.embeddings import FILE_NAME, EmbeddingStore
from skattr._inputs.decoding import read_image
from skattr.exceptions import ImageReadError, InvalidBoxError
from skattr.nn._backbones.torchvision import IMAGENET_MEAN, IMAGENET_STD
from skattr.nn._embedding import EmbeddingNetwork
from tests.tiny_models import tiny_backbone

SIZE = (12, 10)
BOXES = ["xmin", "ymin", "xmax", "ymax"]
FORK = multiprocessing.get_context("fork")


class Noting(nn.Module):
    """Pass images on, and note in a file a digest of each; the blank ones of a dry run not."""

    def __init__(self, log, delay):
        super().__init__()
        self.log = log
        self.delay = delay

    def forward(self, x):
        """Note the rows of x."""
        if x.any():
            rows = [hashlib.sha256(one.contiguous().numpy()).hexdigest() for one in x]
            with open(self.log, "a") as file:
                file.write("".join(f"{row}\n" for row in rows))
            time.sleep(self.delay)
        return x


class NotedBackbone:
    """A tiny backbone that records the images it sees."""

    def __init__(self, log, delay=0.0):
        self.log = str(log)
        self.delay = delay

    def __call__(self):
        """Build it."""
        return nn.Sequential(Noting(self.log, self.delay), tiny_backbone())

    def seen(self):
        """Count how often each image was embedded."""
        path = Path(self.log)
        return Counter(path.read_text().split()) if path.exists() else Counter()


def tiny(**params):
    """Return an embedder of a tiny network."""
    defaults = {"backbone": tiny_backbone, "image_size": SIZE, "batch_size": 5, "random_state": 0}
    return ImageEmbedder(**{**defaults, **params})


@pytest.fixture
def noted(tmp_path):
    """Return a backbone that records the images it embeds."""
    return NotedBackbone(tmp_path / "log")


@pytest.fixture
def cache(tmp_path):
    """Return the path of a folder that is not there yet."""
    return tmp_path / "a cache" / "of features"


@pytest.fixture
def crops(files):
    """Return a table of files, some with a box, and with columns that the embedder ignores."""
    table = pd.DataFrame({"path": files, "category": "seal"}, index=np.arange(24) + 100)
    return table.assign(xmin=1, ymin=2, xmax=9, ymax=np.where(np.arange(24) % 2, 8, 12))


# --- what features are ---------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["pool", "layer2"])
def test_features_are_torchvisions(crops, tmp_path, layer):
    """Crops by Pillow through torchvision's transforms and model give the same features."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torchvision.models.resnet18().eval()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    weights = str(tmp_path / "weights.pt")
    embedder = ImageEmbedder("resnet18", weights=weights, layer=layer, image_size=(40, 32))
    result = embedder.set_params(batch_size=7).fit_transform(crops)
    to_tensor = v2.Compose(
        [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    images = []
    for path, *box in crops[["path", *BOXES]].itertuples(index=False):
        with Image.open(path) as image:
            images.append(to_tensor(image.crop(box).resize((32, 40), Image.Resampling.BILINEAR)))
    maps = []
    model.layer2.register_forward_hook(lambda *args: maps.append(args[-1]))
    model.fc = nn.Identity()
    with torch.no_grad():
        pooled = model(torch.stack(images))
    expected = pooled if layer == "pool" else maps[0].mean((2, 3))
    np.testing.assert_allclose(result, expected.numpy(), rtol=1e-4, atol=1e-4)
    assert result.dtype == np.float32
    assert embedder.n_features_out_ == result.shape[1] == {"pool": 512, "layer2": 128}[layer]


def test_all_kinds_of_x_give_the_same(images, files):
    """Arrays, lists, paths, Series and tables of the same images have the same features."""
    expected = tiny().fit_transform(images)
    kinds = [
        list(images), files, np.array(files), np.array(files, object)[:, None], pd.Series(files),
        pd.DataFrame({"path": files}), [Path(path) for path in files],
    ]  # fmt: skip
    for X in kinds:
        np.testing.assert_array_equal(tiny().fit_transform(X), expected)
    gray = images[..., 0]
    repeated = np.repeat(gray[..., np.newaxis], 3, axis=-1)
    np.testing.assert_array_equal(tiny().fit_transform(gray), tiny().fit_transform(repeated))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_order_and_batches_matter_up_to_rounding(images, files, num_workers):
    """Any order, batch size and number of workers gives each image's own features."""
    expected = tiny(batch_size=1).fit_transform(images)
    order = np.random.default_rng(0).permutation(24)
    for batch_size in (1, 7, 100):
        embedder = tiny(batch_size=batch_size, images=ImageReading(num_workers=num_workers))
        result = embedder.fit_transform(np.array(files)[order])
        np.testing.assert_allclose(result, expected[order], rtol=1e-5, atol=1e-6)


def test_cached_features_are_bit_identical(crops, cache):
    """Features are bit-identical without a cache, with a new one and with a full one."""
    expected = tiny().fit_transform(crops)
    for _ in range(2):
        result = tiny(cache=cache).fit_transform(crops)
        np.testing.assert_array_equal(result, expected)
        assert result.flags.writeable


# --- once ------------------------------------------------------------------------------------


def search(X, y, embedder, n_jobs):
    """Run a grid of 20 candidates and 5 folds over images, features and branches."""
    pipeline = make_pipeline(embedder, AttributeClassifier(max_epochs=1, random_state=0))
    grid = {
        "attributeclassifier__lr": [1e-3, 3e-3, 1e-2, 3e-2, 1e-1],
        "attributeclassifier__weight_decay": [0.0, 0.01],
        "attributeclassifier__batch_size": [8, 16],
    }
    found = GridSearchCV(pipeline, grid, cv=KFold(5), n_jobs=n_jobs, error_score="raise").fit(X, y)
    assert len(found.cv_results_["params"]) == 20
    return found


@pytest.mark.parametrize("cache_key", ["content", "stat"])
def test_a_grid_embeds_each_image_once(files, table, noted, cache, cache_key):
    """20 candidates x 5 folds and the refit embed each image once, a second run none."""
    embedder = tiny(backbone=noted, cache=cache, cache_key=cache_key)
    search(files, table["hat"], embedder, n_jobs=None)
    assert sorted(noted.seen().values()) == [1] * 24
    search(files, table["hat"], embedder, n_jobs=None)
    assert noted.seen().total() == 24
    assert len(EmbeddingStore(cache)) == 24


@pytest.mark.slow
def test_a_grid_of_two_processes_shares_a_cache(images, table, noted, cache):
    """Two processes embed all images, some twice at most, and store each once; then none.

    An image is embedded twice only if a process has nothing else left to do while the other one
    is at work on it: at most one batch of five for each time that both reach the end.
    """
    embedder = tiny(backbone=noted, cache=cache)
    first = search(images, table, embedder, n_jobs=2)
    assert len(noted.seen()) == len(EmbeddingStore(cache)) == 24
    assert max(noted.seen().values()) <= 2
    n_seen = noted.seen().total()
    second = search(images, table, embedder, n_jobs=2)
    assert noted.seen().total() == n_seen
    np.testing.assert_array_equal(
        first.cv_results_["mean_test_score"], second.cv_results_["mean_test_score"]
    )


def test_equal_images_are_embedded_once(images, noted, cache):
    """An image that comes several times in X is embedded once, and comes back at every place."""
    twice = np.concatenate([images, images[::-1], images[:3]])
    result = tiny(backbone=noted, cache=cache).fit_transform(twice)
    assert sorted(noted.seen().values()) == [1] * 24
    np.testing.assert_array_equal(result[24:48], result[:24][::-1])
    expected = tiny(backbone=noted).fit_transform(twice)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_a_full_cache_builds_no_network(files, cache, monkeypatch):
    """The second time, neither fit nor transform nor the names of the columns need a network."""
    embedder = ImageEmbedder("resnet18", image_size=32, cache=cache, random_state=0)
    expected = embedder.fit_transform(files)
    monkeypatch.setattr(EmbeddingNetwork, "__init__", None)
    again = clone(embedder).fit(files)
    np.testing.assert_array_equal(again.transform(files), expected)
    assert again.get_feature_names_out()[-1] == "resnet18_pool_511"


@pytest.mark.parametrize("cache_key", ["content", "stat"])
def test_a_changed_file_is_embedded_again(files, noted, cache, cache_key):
    """A file of other pixels, though as long, has its own features; the others are kept."""
    files = [f"{path}.bmp" for path in files]  # of one length, whatever it shows
    rng = np.random.default_rng(0)
    for path in files:
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)).save(path)
    embedder = tiny(backbone=noted, cache=cache, cache_key=cache_key)
    before = embedder.fit_transform(files)
    size = os.path.getsize(files[3])
    Image.fromarray(rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)).save(files[3])
    assert os.path.getsize(files[3]) == size
    after = embedder.transform(files)
    assert noted.seen().total() == 25
    changed = np.any(before != after, axis=1)
    assert changed.tolist() == [row == 3 for row in range(24)]
    np.testing.assert_allclose(after, tiny().fit_transform(files), rtol=1e-5, atol=1e-6)


def test_a_moved_file(files, noted, cache):
    """It is identified by its content, not by its path."""
    for cache_key, n_embedded in (("content", 24), ("stat", 25)):
        embedder = tiny(backbone=noted, cache=cache, cache_key=cache_key).fit(files)
        Path(noted.log).unlink(missing_ok=True)
        embedder.transform(files)
        os.rename(files[0], f"{files[0]}.moved.png")
        files[0] = f"{files[0]}.moved.png"
        embedder.transform(files)
        assert noted.seen().total() == n_embedded


def larger_backbone():
    """Return the tiny backbone with one layer more."""
    return nn.Sequential(tiny_backbone(), nn.Conv2d(8, 8, 3))


def test_another_network_makes_other_rows(files, cache, tmp_path):
    """Each of layer, size, backbone, seed, weights and precision has rows of its own."""
    torch.save(tiny_backbone().state_dict(), tmp_path / "weights.pt")
    changes = [
        {}, {"layer": "3"}, {"image_size": (10, 12)}, {"backbone": larger_backbone},
        {"random_state": 1}, {"weights": str(tmp_path / "weights.pt")}, {"precision": "bfloat16"},
        {"precision": "float64"}, {"backbone": "resnet18"},
        {"backbone": "resnet18", "random_state": 1},
    ]  # fmt: skip
    results = []
    for number, change in enumerate(changes):
        results.append(tiny(cache=cache, **change).fit_transform(files))
        assert len(EmbeddingStore(cache)) == 24 * (number + 1)
        np.testing.assert_array_equal(results[-1], tiny(**change).fit_transform(files))
    for change, result in zip(changes, results, strict=True):
        np.testing.assert_array_equal(tiny(cache=cache, **change).fit_transform(files), result)
    assert len(EmbeddingStore(cache)) == 24 * len(changes)


def test_batches_and_workers_share_cached_rows(files, cache):
    """Batches, workers and the precision by another name share rows; so does the same file."""
    weights = cache.parent / "weights.pt"
    weights.parent.mkdir()
    torch.save(torchvision.models.resnet18().state_dict(), weights)
    base = {"backbone": "resnet18", "image_size": 32, "cache": cache, "weights": str(weights)}
    expected = tiny(**base).fit_transform(files)
    (weights.parent / "copy.pt").write_bytes(weights.read_bytes())
    changes = [
        {"batch_size": 9}, {"images": ImageReading(num_workers=2)}, {"precision": "float32"},
        {"random_state": 7}, {"random_state": None}, {"device": "cpu"},
        {"weights": str(weights.parent / "copy.pt")}, {"image_size": (32, 32)},
    ]  # fmt: skip
    for change in changes:
        np.testing.assert_array_equal(tiny(**{**base, **change}).fit_transform(files), expected)
    assert len(EmbeddingStore(cache)) == 24


def test_another_box_is_another_row(crops, noted, cache):
    """One file with several boxes has a row for each; the same box again has none."""
    embedder = tiny(backbone=noted, cache=cache).fit(crops)
    embedder.transform(crops)
    embedder.transform(crops.drop(columns=BOXES))
    assert noted.seen().total() == 48
    embedder.transform(pd.concat([crops, crops.assign(xmin=0), crops.drop(columns=BOXES)]))
    assert noted.seen().total() == 72
    single = read_image(crops["path"].iloc[1], SIZE, (0, 2, 9, 8))
    result = embedder.transform(crops.assign(xmin=0))
    np.testing.assert_allclose(
        result[1], tiny().fit_transform(single[np.newaxis])[0], rtol=1e-5, atol=1e-6
    )


# --- several processes ---------------------------------------------------------------------------


def embed(files, backbone, cache):
    """Embed files in a process."""
    torch.set_num_threads(1)
    tiny(backbone=backbone, cache=cache, batch_size=4).fit_transform(files)


@pytest.mark.parametrize("n_processes", [2, 4])
def test_processes_at_once_share_the_work(files, tmp_path, cache, n_processes):
    """Processes that start together store each image once and embed few images twice.

    Each process may embed again the last batch, of four, of each other process.
    """
    backbone = NotedBackbone(tmp_path / "log", delay=0.01)
    orders = [np.random.default_rng(seed).permutation(24) for seed in range(n_processes)]
    workers = [
        FORK.Process(target=embed, args=(np.array(files)[order], backbone, cache))
        for order in orders
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * n_processes
    assert len(backbone.seen()) == len(EmbeddingStore(cache)) == 24
    n_seen = backbone.seen().total()
    assert n_seen <= 24 + 4 * n_processes * (n_processes - 1)
    expected = tiny().fit_transform(files)
    result = tiny(backbone=backbone, cache=cache).fit_transform(files)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    assert backbone.seen().total() == n_seen


def test_a_cache_can_be_used_after_its_process_is_killed(files, tmp_path, cache):
    """After kill -9 in the middle no more than the batch at work is embedded again."""
    backbone = NotedBackbone(tmp_path / "log", delay=0.3)
    worker = FORK.Process(target=embed, args=(files, backbone, cache))
    worker.start()
    while worker.is_alive() and backbone.seen().total() < 12:
        time.sleep(0.01)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    n_seen, n_kept = backbone.seen().total(), len(EmbeddingStore(cache))
    assert 8 <= n_kept < 24
    assert n_kept % 4 == 0
    assert n_seen - n_kept in (0, 4)
    backbone.delay = 0
    result = tiny(backbone=backbone, cache=cache).fit_transform(files)
    assert len(backbone.seen()) == 24
    assert backbone.seen().total() == 24 + n_seen - n_kept
    np.testing.assert_allclose(result, tiny().fit_transform(files), rtol=1e-5, atol=1e-6)


def test_an_unreadable_image_keeps_what_came_before(files, noted, cache):
    """The image is named with its row, and the batches before it are not embedded again."""
    Path(files[12]).write_bytes(b"no image")
    for num_workers in (0, 2):
        with pytest.raises(ImageReadError, match=r"^row 12 of X: cannot read the image"):
            tiny(
                backbone=noted, cache=cache, images=ImageReading(num_workers=num_workers)
            ).fit_transform(files)
    assert noted.seen().total() == len(EmbeddingStore(cache)) == 10
    with pytest.raises(ImageReadError, match="^row 12 of X"):
        tiny(images=ImageReading(num_workers=2)).fit_transform(files)


def test_a_file_that_changes_while_it_is_read(files, cache, monkeypatch):
    """No features are kept under the key of pixels they were not computed from."""

    def take(self, indices):
        Path(files[indices[-1]]).write_bytes(Path(files[0]).read_bytes())
        return np.zeros((len(indices), *SIZE, 3), np.uint8)

    monkeypatch.setattr("skattr._inputs.rows.FileRows.take", take)
    with pytest.raises(ImageReadError, match="^row 4 of X: the file changed while it was read"):
        tiny(cache=cache).fit_transform(files)
    assert len(EmbeddingStore(cache)) == 0


# --- the contract --------------------------------------------------------------------------------


CHECKS_WITHOUT_DATA = [
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_mixin_order,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_set_params,
    estimator_checks.check_valid_tag_types,
]


@pytest.mark.parametrize("check", CHECKS_WITHOUT_DATA, ids=lambda check: check.__name__)
def test_scikit_learn_contract(check):
    """The checks of scikit-learn's suite that need no 2-D numbers as X pass."""
    check("ImageEmbedder", ImageEmbedder())


@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_scikit_learns_own_selection():
    """The checks selected by tags pass too; the tags exclude tables of numbers."""
    for estimator, check in estimator_checks.estimator_checks_generator(ImageEmbedder()):
        assert check(estimator) is None


@pytest.mark.parametrize("with_cache", [False, True])
def test_fit_and_transform_change_nothing(files, cache, with_cache):
    """Parameters, X, the fitted embedder and the global states are as they were."""

    def state():
        numpy_state = np.random.get_state()  # noqa: NPY002  (the user's global state)
        return (
            torch.get_rng_state().tolist(), numpy_state[1].tolist(), torch.get_num_threads(),
            list(warnings.filters), torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
        )  # fmt: skip

    X = list(files)
    embedder = tiny(cache=cache if with_cache else None)
    params, before = embedder.get_params(), state()
    embedder.fit(X)
    attributes = dict(vars(embedder))
    embedder.transform(X)
    assert vars(embedder) == attributes
    assert embedder.get_params() == params
    assert files == X
    assert state() == before


def test_random_weights(images):
    """An int and a RandomState seed them; None is fresh at every fit, and kept by pickles."""
    results = [tiny(random_state=np.random.RandomState(3)).fit_transform(images) for _ in range(2)]
    np.testing.assert_array_equal(*results)
    fresh = tiny(random_state=None)
    first = fresh.fit(images).transform(images)
    for other in (fresh, pickle.loads(pickle.dumps(fresh)), copy.deepcopy(fresh)):
        np.testing.assert_array_equal(other.transform(images), first)
    assert not np.allclose(fresh.fit_transform(images), first)


def test_pandas_out_and_names(crops):
    """A table keeps its index and has named columns; clones name theirs."""
    embedder = tiny().set_output(transform="pandas")
    result = embedder.fit_transform(crops)
    assert result.columns.tolist() == [f"tiny_backbone_pool_{j}" for j in range(8)]
    assert result.index.tolist() == crops.index.tolist()
    names = clone(embedder).set_params(backbone="resnet18", layer="layer1.0").fit(crops)
    assert names.get_feature_names_out()[63] == "resnet18_layer1.0_63"


def test_before_any_classifier(crops, table, cache):
    """It feeds branches for several attributes, and a classifier of scikit-learn."""
    pipeline = make_pipeline(tiny(cache=cache), AttributeClassifier(max_epochs=20, random_state=0))
    predicted = pipeline.fit(crops, table).predict(crops)
    assert predicted.shape == table.shape
    plain = make_pipeline(tiny(cache=cache, layer="2"), LogisticRegression(max_iter=5000))
    assert plain.fit(crops, np.arange(24) % 2).score(crops, np.arange(24) % 2) > 0.9
    grid = {"imageembedder__layer": ["pool", "0", "2"], "logisticregression__C": [1, 100]}
    found = GridSearchCV(plain, grid, cv=3, error_score="raise").fit(crops, np.arange(24) % 2)
    assert len(EmbeddingStore(cache)) == 3 * 24
    assert found.best_score_ > 0.8


def test_parameters_of_a_fitted_embedder(images, cache):
    """After fit the network is fixed; how it is run, and the cache, may be set."""
    embedder = tiny().fit(images)
    expected = embedder.transform(images)
    embedder.set_params(image_size=3, layer="2", backbone="resnet18", batch_size=24, cache=cache)
    np.testing.assert_allclose(embedder.transform(images), expected, rtol=1e-5, atol=1e-6)
    assert len(EmbeddingStore(cache)) == 24


def test_progress(images, cache, capsys):
    """The bar counts distinct images, begins with those in the cache, and is silent at 0."""
    embedder = tiny(cache=cache, verbose=1).fit(images)
    embedder.transform(images[:8])
    assert "8/8" in capsys.readouterr().err
    embedder.transform(np.concatenate([images, images]))
    shown = capsys.readouterr().err
    assert "8/24" in shown
    assert "24/24" in shown
    embedder.set_params(verbose=0, cache=None).transform(images)
    assert capsys.readouterr().err == ""


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((4, 3)),
        pd.DataFrame({"a": [1, 2]}),
        [[1.0, 2.0]],
        [],
        None,
        np.zeros(4),
        "file.png",
    ],
)
def test_x_without_images(X):
    """`fit` and `transform` reject features and invalid X; the error lists the valid kinds."""
    with pytest.raises(ValueError, match="X contains no images, but is of type .*; valid"):
        tiny().fit(X)
    fitted = tiny().fit(np.zeros((2, *SIZE, 3), np.uint8))
    with pytest.raises(ValueError, match="X contains no images"):
        fitted.transform(X)


def test_x_of_wrong_images(files, crops):
    """Wrong dtypes and shapes, missing files and bad boxes are named."""
    fitted = tiny().fit(crops)
    cases = [
        (np.zeros((2, *SIZE, 3)), TypeError, "must be uint8"),
        (np.zeros((2, 3, *SIZE), np.uint8), ValueError, "valid are"),
        (np.zeros((0, *SIZE, 3), np.uint8), ValueError, "holds no image"),
        ([*files, "none.png"], ImageReadError, "row 24 of X: there is no file 'none.png'"),
        (crops.assign(xmin=9), InvalidBoxError, "row 0 of X: .* holds no pixel"),
        (crops.assign(ymax=[12] * 20 + [13] * 4), InvalidBoxError, "row 20 of X: .* exceeds"),
    ]
    for X, error, message in cases:
        with pytest.raises(error, match=message):
            fitted.transform(X)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (
            {"backbone": "auto"},
            ValueError,
            "backbone='auto' is unknown; for images it must be a callable",
        ),
        ({"backbone": 3}, ValueError, "'backbone' parameter"),
        ({"layer": "layer9"}, ValueError, "layer='layer9' is unknown; valid are pool, conv1"),
        ({"layer": None}, ValueError, "'layer' parameter"),
        ({"weights": "imagenet"}, ValueError, "neither a file nor weights of 'resnet18'"),
        ({"weights": "no/such/file.pt"}, ValueError, "neither a file nor weights of 'resnet18'"),
        ({"image_size": (3, 0)}, ValueError, "image_size must be a positive int or a pair"),
        ({"batch_size": 0}, ValueError, "'batch_size' parameter"),
        ({"precision": "int8"}, ValueError, "'precision' parameter"),
        ({"device": "abacus"}, ValueError, "device='abacus' cannot be used"),
        ({"cache_key": "path"}, ValueError, "'cache_key' parameter .* must be a str among"),
        ({"cache": 3}, ValueError, "'cache' parameter"),
        ({"images": "fast"}, ValueError, "'images' parameter .*'exact'"),
        ({"images__num_workers": -1}, ValueError, "'num_workers' parameter of ImageReading"),
        ({"images__cache": "memory"}, ValueError, "images has cache='memory'"),
    ],
)
def test_invalid_parameters(images, params, error, message):
    """`fit` rejects each of them; the error names the parameter and its valid values."""
    embedder = ImageEmbedder("resnet18", image_size=32, random_state=0).set_params(**params)
    with pytest.raises(error, match=message):
        embedder.fit_transform(images)
    assert not hasattr(embedder, "n_features_out_")


@pytest.mark.parametrize("layer", ["pool", "features.12"])
@pytest.mark.parametrize("is_cached", [False, True])
def test_images_too_small_for_the_backbone(images, cache, layer, is_cached):
    """`backbone` and `image_size` are named before torch's own words; earlier layers are free."""
    params = {"image_size": 8, "random_state": 0, "cache": cache if is_cached else None}
    with pytest.raises(
        ValueError, match=r"'squeezenet1_1' cannot .* image_size=\(8, 8\).* too small"
    ):
        ImageEmbedder("squeezenet1_1", layer=layer, **params).fit_transform(images)
    early = ImageEmbedder("squeezenet1_1", layer="features.0", **params).fit_transform(images)
    assert early.shape == (24, 64)


def test_a_cache_of_fresh_weights(images, cache):
    """Weights that nobody can draw again are not cached, from fit on or afterwards."""
    message = "cache needs features that can be computed again: set random_state to an int"
    with pytest.raises(ValueError, match=message):
        tiny(cache=cache, random_state=None).fit(images)
    fitted = tiny(random_state=None).fit(images)
    with pytest.raises(ValueError, match=message):
        fitted.set_params(cache=cache).transform(images)
    assert not cache.exists()


def test_a_cache_that_cannot_be_used(images, tmp_path):
    """A file for a folder, and a foreign file in it, are named."""
    (tmp_path / FILE_NAME).write_bytes(b"something else" * 100)
    with pytest.raises(
        OSError, match=r"embeddings\.sqlite' cannot be used: file is not a database"
    ):
        tiny(cache=tmp_path).fit(images)
    with pytest.raises(OSError, match=r"cache='.*' is not a folder and cannot be created"):
        tiny(cache=tmp_path / FILE_NAME).fit(images)


def test_weights_that_cannot_be_fetched(images, cache, monkeypatch):
    """Offline, the sentence says which file to bring; the cache is left to the next attempt."""

    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", offline)
    with pytest.raises(OSError, match=r"Download .*resnet18.*\.pth elsewhere, and put"):
        ImageEmbedder("resnet18", weights="DEFAULT", image_size=32, cache=cache).fit(images)
    assert len(EmbeddingStore(cache)) == 0


def test_not_fitted(images):
    """Nothing but fit fixes the network."""
    for method in ("transform", "get_feature_names_out"):
        with pytest.raises(NotFittedError):
            getattr(tiny(), method)(images)
