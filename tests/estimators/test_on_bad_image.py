"""Images that cannot be read: raised, or left out, counted and named; the others are unharmed."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, PredefinedSplit
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

from skattr import (
    AttributeClassifier,
    Branches,
    FineTuning,
    ImageEmbedder,
    ImageReading,
    TrainingOptions,
    TunedThresholdMultiOutputCV,
)
from skattr._cache.embeddings import EmbeddingStore
from skattr.exceptions import BadImageWarning, ImageReadError, InvalidBoxError, MissingLabelWarning
from skattr.losses import CrossEntropyLoss
from skattr.model_selection import MultilabelStratifiedKFold
from tests.image_fixtures import HEIGHT, WIDTH, make_hostile_folder
from tests.tiny_models import tiny, tiny_backbone

WORKERS = pytest.mark.parametrize("num_workers", [0, 2])
BOXES = ["xmin", "ymin", "xmax", "ymax"]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Return the hostile folder."""
    return make_hostile_folder(tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def X(hostile):
    """Every path of the folder, twice."""
    return pd.DataFrame({"path": hostile.paths * 2})


@pytest.fixture
def is_bad(hostile):
    """Whether each row of X cannot be read."""
    return np.tile(hostile.is_bad, 2)


@pytest.fixture
def y(X):
    """Return a binary, a categorical and an ordinal attribute, with missing labels."""
    number = np.arange(len(X))
    size = pd.Categorical(np.array(["s", "m", "l"])[number % 3], ["s", "m", "l"], ordered=True)
    y = pd.DataFrame({"hat": number % 2 == 1, "color": number % 5 % 3, "size": size})
    return y.astype({"hat": "boolean"}).mask(pd.Series(number % 7 == 3), other=None)


def warned(function, *args, **kwargs):
    """Call and return the result with the only BadImageWarning there is."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(*args, **kwargs)
    [warning] = [one for one in caught if issubclass(one.category, BadImageWarning)]
    assert warning.filename == __file__  # the line of the user
    return result, str(warning.message)


def transform_columns(probas):
    """Return the probabilities of all classes side by side."""
    return np.hstack(probas)


def assert_same(one, other, X):
    """Check that predictions of two networks are bit-identical."""
    np.testing.assert_array_equal(
        transform_columns(one.predict_proba(X)), transform_columns(other.predict_proba(X))
    )


# --- raise -----------------------------------------------------------------------------------


@WORKERS
def test_by_default_each_unreadable_file_is_an_error(hostile, num_workers):
    """`fit` and `predict` name row and path of every kind of bad file, also from workers."""
    good = list(hostile.good.values())
    y = np.arange(4) % 2
    fitted = tiny(images=ImageReading(num_workers=num_workers), max_epochs=1).fit(good[:4], y)
    for name, path in hostile.bad.items():
        for call in (lambda X: clone(fitted).fit(X, y), fitted.predict):
            with pytest.raises(ImageReadError, match="^row 2 of X") as caught:
                call([good[0], good[1], path, good[2]])
            assert name in str(caught.value)


@WORKERS
def test_unusual_files_are_readable(hostile, num_workers):
    """Gray, 16-bit, CMYK, palette, animated, turned, tiny and oddly named files just work."""
    good = list(hostile.good.values())
    classifier = tiny(images=ImageReading(num_workers=num_workers, on_bad_image="warn"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probas = classifier.fit(good, np.arange(len(good)) % 2).predict_proba(good)
    assert np.isfinite(probas).all()


# --- warn: fit -------------------------------------------------------------------------------


@WORKERS
def test_fit_learns_from_readable_rows_only(X, y, is_bad, num_workers):
    """The network is bit-identical to that of the readable rows; one warning names the others."""
    classifier = tiny(images=ImageReading(num_workers=num_workers, on_bad_image="warn"))
    fitted, message = warned(classifier.fit, X, y)
    alone = tiny().fit(X[~is_bad], y[~is_bad])
    assert_same(fitted, alone, X[~is_bad])
    first = int(np.argmax(is_bad))
    assert message.startswith(
        f"{is_bad.sum()} of {len(X)} rows of X are unreadable; their labels count as missing"
    )
    assert f"row {first} of X: " in message
    assert X["path"][first] in message
    assert f"and {is_bad.sum() - 3} more." in message


CONFIGURATIONS = [
    {"early_stopping": True},
    {"validation_fraction": 0.3, "batch_size": 2},
    {"loss": CrossEntropyLoss(unknown="negative")},
    {"loss": CrossEntropyLoss(unknown="selective")},
    {"loss": "asymmetric", "pos_weight": "balanced", "class_weight": "balanced"},
    {"attribute_weight": "balanced"},
    {"category_prior": "auxiliary"},
    {"category_prior": "joint"},
    {"category_prior": "condition", "loss": CrossEntropyLoss(unknown="negative")},
    {"augment": "strong", "training": TrainingOptions(accumulate=2)},
    {"fine_tuning": FineTuning("backbone"), "training": TrainingOptions(ema_decay=0.9)},
]


@pytest.mark.parametrize("params", CONFIGURATIONS, ids=str)
def test_nothing_is_learned_from_an_unreadable_row(X, y, is_bad, params):
    """No policy, weight, category, held-out row or augmentation lets a bad row in."""
    X["category"] = np.array(["seal", "boat"])[np.arange(len(X)) % 2]
    weight = np.linspace(1, 2, len(X))
    if params.get("fine_tuning") is not None:
        params = params | {"backbone": "resnet18", "image_size": 32, "max_epochs": 1}
    fitted, _ = warned(tiny(**params, images=ImageReading(on_bad_image="warn")).fit, X, y, weight)
    alone = tiny(**params).fit(X[~is_bad], y[~is_bad], weight[~is_bad])
    assert_same(fitted, alone, X[~is_bad])


def test_invalid_boxes_affect_one_row_only(hostile):
    """Invalid boxes, and those that leave their image, are bad; the image is not."""
    path = hostile.good["plain.png"]
    boxes = [
        [0, 0, WIDTH, HEIGHT],
        [0, 0, WIDTH + 1, HEIGHT],
        [np.nan] * 4,
        [3, 3, 3, 9],
        [0, 0, np.nan, 5],
        [-1, 0, 5, 5],
        [0.5, 0, 5, 5],
        ["left", 0, 5, 5],
        [2, 2, 9, 9],
    ]
    X = pd.DataFrame(boxes, columns=BOXES).assign(path=path)
    is_bad = np.array([False, True, False, True, True, True, True, True, False])
    y = np.arange(9) % 2
    fitted, message = warned(tiny(images=ImageReading(on_bad_image="warn")).fit, X, y)
    assert message.startswith("6 of 9 rows")
    assert f"row 1 of X: the box xmin, ymin, xmax, ymax = (0, 0, {WIDTH + 1}" in message
    proba, _ = warned(fitted.predict_proba, X)
    np.testing.assert_array_equal(np.isnan(proba).all(axis=1), is_bad)
    alone = tiny().fit(X[~is_bad], y[~is_bad])
    np.testing.assert_allclose(proba[~is_bad], alone.predict_proba(X[~is_bad]), rtol=1e-6)
    with pytest.raises(InvalidBoxError):
        tiny().fit(X, y)


def test_values_that_are_not_paths_are_unreadable(hostile):
    """None, NaN and numbers among paths are bad rows."""
    good = list(hostile.good.values())[:4]
    paths = [*good, None, np.nan, 3, pd.NA, ""]
    y = np.arange(9) % 2
    fitted, message = warned(
        tiny(images=ImageReading(on_bad_image="warn")).fit, pd.DataFrame({"path": paths}), y
    )
    assert "row 4 of X: None is not a path" in message
    labels, _ = warned(fitted.predict, paths)
    assert [label is None for label in labels] == [False] * 4 + [True] * 5


def test_all_images_unreadable(hostile, X, y, is_bad):
    """`fit`, `score` and `add_attributes` raise; all predictions are missing."""
    bad = X[is_bad]
    with pytest.raises(ImageReadError, match=f"All {len(bad)} rows of X are unreadable. row 0"):
        tiny(images=ImageReading(on_bad_image="warn")).fit(bad, y[is_bad])
    fitted = tiny(images=ImageReading(on_bad_image="warn"), max_epochs=1).fit(
        X[~is_bad], y[~is_bad]
    )
    for call in (
        lambda: fitted.score(bad, y[is_bad]),
        lambda: fitted.add_attributes(
            bad, pd.DataFrame({"new": np.arange(len(bad)) % 2}, bad.index)
        ),
    ):
        with pytest.raises(ImageReadError, match="^All [0-9]+ rows of X are unreadable"):
            call()
    for output, width in (("proba", 7), ("logit", 7), ("features", 8)):
        values, _ = warned(fitted.set_params(transform_output=output).transform, bad)
        assert values.shape == (len(bad), width)
        assert np.isnan(values).all()
    labels, _ = warned(fitted.predict, bad)
    assert (labels == None).all()  # noqa: E711, an array


def test_labels_in_unreadable_rows_only(X, y, is_bad):
    """An attribute without a label left is named; with none left at all nothing is fitted."""
    y = y.astype(object)
    y.loc[~is_bad, "hat"] = None
    with (
        pytest.warns(BadImageWarning),
        pytest.warns(MissingLabelWarning, match=r"No label of \['hat'\] is known in the rows"),
    ):
        fitted = tiny(images=ImageReading(on_bad_image="warn")).fit(X, y)
    np.testing.assert_allclose(fitted.predict_proba(X[~is_bad])[0], 0.5, atol=1e-6)
    y.loc[~is_bad] = None
    with (
        pytest.warns(BadImageWarning),
        pytest.raises(ValueError, match="No label is known in the rows"),
    ):
        tiny(images=ImageReading(on_bad_image="warn")).fit(X, y)


def test_one_readable_row_is_not_a_batch(hostile):
    """Batch normalisation cannot train on a single good row; the sentence says so."""
    paths = [hostile.good["plain.png"], hostile.bad["text.jpg"], hostile.bad["empty.jpg"]]
    with (
        pytest.warns(BadImageWarning),
        pytest.raises(ValueError, match=r"two rows or more per batch.* and 1 row\(s\)"),
    ):
        tiny(images=ImageReading(on_bad_image="warn")).fit(paths, [0, 1, 1])


class Vandal(Callback):
    """Break files when an epoch begins."""

    def __init__(self, paths, epoch):
        self.paths = paths
        self.epoch = epoch

    def on_epoch_begin(self, net, **_):
        """Break them."""
        if len(net.history) == self.epoch:
            for path in self.paths:
                Path(path).write_bytes(b"broken")


@WORKERS
@pytest.mark.parametrize("n_broken", [1, 7, 16])
def test_files_that_break_during_training(files, table, num_workers, n_broken):
    """They are left out and warned of, and so are batches of a single good row."""
    vandal = Vandal(files[:n_broken], epoch=2)
    classifier = tiny(
        images=ImageReading(on_bad_image="warn", num_workers=num_workers),
        batch_size=3,
        net_params={"callbacks": [vandal]},
    )
    fitted, message = warned(classifier.fit, files, table)
    assert message.startswith(f"{n_broken} of 24 rows of X are unreadable; they could be")
    assert np.isfinite(transform_columns(fitted.predict_proba(files[n_broken:]))).all()
    assert fitted.n_iter_ == 3


@pytest.mark.parametrize("n_broken", [23, 24])
def test_all_files_break_during_training(files, table, n_broken):
    """Nothing is left to train on: an error, not a network of nothing."""
    vandal = Vandal(files[:n_broken], epoch=2)
    classifier = tiny(images=ImageReading(on_bad_image="warn"), net_params={"callbacks": [vandal]})
    with pytest.raises(ImageReadError, match="All training batches became unreadable during fit"):
        classifier.fit(files, table)


# --- warn: predict ---------------------------------------------------------------------------


@pytest.fixture
def fitted(X, y, is_bad):
    """Return a classifier fitted on the good rows."""
    return tiny(images=ImageReading(on_bad_image="warn"), max_epochs=1, batch_size=5).fit(
        X[~is_bad], y[~is_bad]
    )


@WORKERS
def test_predictions_of_unreadable_rows_are_missing(fitted, X, is_bad, num_workers):
    """NaN, and None as a label; good rows are predicted as without the bad ones."""
    fitted.set_params(images__num_workers=num_workers)
    probas, message = warned(fitted.predict_proba, X)
    assert "their outputs are NaN, their labels are missing" in message
    for proba, alone in zip(probas, fitted.predict_proba(X[~is_bad]), strict=True):
        assert np.isnan(proba[is_bad]).all()
        np.testing.assert_allclose(proba[~is_bad], alone, rtol=1e-5)
    labels, _ = warned(fitted.predict, X)
    assert (labels[is_bad] == None).all()  # noqa: E711, an array
    np.testing.assert_array_equal(labels[~is_bad], fitted.predict(X[~is_bad]))


@pytest.mark.parametrize("output", ["proba", "logit", "features"])
@pytest.mark.parametrize(
    "params", [{}, {"branches": Branches("softmax")}, {"category_prior": "joint"}]
)
def test_outputs_of_unreadable_rows_are_missing(X, y, is_bad, output, params):
    """Every output of `transform` is NaN in bad rows, also of an attribute of one class."""
    X["category"] = "seal"
    y = y.assign(only="one")
    classifier = tiny(
        **params, transform_output=output, images=ImageReading(on_bad_image="warn"), max_epochs=1
    )
    fitted = classifier.fit(X[~is_bad], y[~is_bad])
    values, _ = warned(fitted.transform, X)
    np.testing.assert_array_equal(np.isnan(values), np.repeat(is_bad[:, None], values.shape[1], 1))
    np.testing.assert_allclose(values[~is_bad], fitted.transform(X[~is_bad]), rtol=1e-4, atol=1e-6)


def test_one_attribute(X, y, is_bad):
    """With one attribute labels are an object array, of the dtype of y if all can be read."""
    labels = np.arange(len(X)) % 2
    classifier, _ = warned(tiny(images=ImageReading(on_bad_image="warn")).fit, X, labels)
    predicted, _ = warned(classifier.predict, X)
    assert predicted.dtype == object
    assert [label is None for label in predicted] == is_bad.tolist()
    assert classifier.predict(X[~is_bad]).dtype == labels.dtype


@pytest.mark.parametrize("unseen", ["rules", "median"])
def test_decoding_of_unreadable_rows(X, y, is_bad, unseen):
    """Logical constraints and medians are decoded for good rows as without the bad ones."""
    params = {"rules": {"constraints": {"at_most_one": [["hat", "bag"]]}}}.get(
        unseen, {"branches": Branches(ordinal_predict="median")}
    )
    y["bag"] = y["hat"]
    classifier = tiny(**params, images=ImageReading(on_bad_image="warn"), max_epochs=1).fit(
        X[~is_bad], y[~is_bad]
    )
    predicted, _ = warned(classifier.predict, X)
    assert (predicted[is_bad] == None).all()  # noqa: E711, an array
    np.testing.assert_array_equal(predicted[~is_bad], classifier.predict(X[~is_bad]))


def test_score_skips_unreadable_rows(fitted, X, y, is_bad):
    """The score is that of the good rows, weighted too."""
    weight = np.linspace(1, 3, len(X))
    score, _ = warned(fitted.score, X, y, weight)
    assert score == pytest.approx(fitted.score(X[~is_bad], y[~is_bad], weight[~is_bad]))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        warned(fitted.score, X, y[:-1])


def test_the_policy_may_change_after_fit(fitted, X):
    """It is a parameter of each call, and survives pickling."""
    with pytest.raises(ImageReadError, match="row "):
        fitted.set_params(images__on_bad_image="raise").predict(X)
    copy = pickle.loads(pickle.dumps(fitted.set_params(images__on_bad_image="warn")))
    warned(copy.predict, X)


# --- warn: all the other ways ----------------------------------------------------------------


def test_partial_fit_learns_from_readable_rows_only(X, y, is_bad):
    """Chunks with bad rows train as the same chunks without."""
    classifier, alone = tiny(images=ImageReading(on_bad_image="warn")), tiny()
    half = len(X) // 2
    for chunk in (slice(None, half), slice(half, None)):
        warned(classifier.partial_fit, X[chunk], y[chunk])
        good = ~is_bad[chunk]
        alone.partial_fit(X[chunk][good], y[chunk][good])
    assert_same(classifier, alone, X[~is_bad])


def test_added_attributes_learn_from_readable_rows_only(X, y, is_bad):
    """New branches are those of the good rows; one warning."""
    fitted = tiny(images=ImageReading(on_bad_image="warn")).fit(X[~is_bad], y[~is_bad])
    alone = pickle.loads(pickle.dumps(fitted))
    new = pd.DataFrame({"bag": np.arange(len(X)) % 2})
    weight = np.linspace(1, 2, len(X))
    warned(fitted.add_attributes, X, new, sample_weight=weight)
    alone.add_attributes(X[~is_bad], new[~is_bad], sample_weight=weight[~is_bad])
    # The features of a row may differ by rounding with the batch it is in.
    np.testing.assert_allclose(
        transform_columns(fitted.predict_proba(X[~is_bad])),
        transform_columns(alone.predict_proba(X[~is_bad])),
        rtol=1e-3,
    )


@pytest.mark.parametrize(
    "cross_fit", [2, 0.4, KFold(2), PredefinedSplit(np.arange(6) % 2), None], ids=str
)
def test_out_of_fold_outputs_of_unreadable_rows_are_missing(hostile, cross_fit):
    """One warning for all fits of `fit_transform`; splitters see all rows."""
    good = list(hostile.good.values())
    X = [good[0], good[1], hostile.bad["text.jpg"], good[2], good[3], "nowhere.png"]
    if isinstance(cross_fit, int):
        X, y = X * 2, np.arange(12) % 2
    else:
        y = np.array([0, 1, 0, 1, 0, 1])
    is_bad = np.isin(X, [X[2], X[5]])
    classifier = tiny(images=ImageReading(on_bad_image="warn"), cross_fit=cross_fit)
    values, message = warned(classifier.fit_transform, X, y)
    assert "row 2 of X: cannot read" in message
    assert values.shape == (len(X), 1)
    assert np.isnan(values[is_bad]).all()
    if not isinstance(cross_fit, float):
        assert np.isfinite(values[~is_bad]).all()
    if cross_fit is not None:
        alone = tiny().fit(np.array(X)[~is_bad], y[~is_bad])
        if isinstance(cross_fit, int | KFold):
            assert_same(classifier, alone, np.array(X)[~is_bad])


@pytest.mark.filterwarnings("ignore::skattr.exceptions.BadImageWarning")
def test_thresholds_and_grids_around_it(X, y, is_bad):
    """Thresholds are tuned on the good rows; a grid search scores them."""
    y = y[["hat"]].assign(bag=y["hat"]).fillna(False).astype(int)
    classifier = tiny(images=ImageReading(on_bad_image="warn"), max_epochs=1)
    tuned = TunedThresholdMultiOutputCV(
        classifier, cv=MultilabelStratifiedKFold(2, shuffle=True, random_state=0)
    ).fit(X, y)
    assert np.isfinite(tuned.best_threshold_).all()
    labels = tuned.predict(X)
    assert (labels[is_bad] == None).all()  # noqa: E711, an array
    np.testing.assert_array_equal(labels[~is_bad], tuned.predict(X[~is_bad]))
    assert tuned.score(X, y) == pytest.approx(tuned.score(X[~is_bad], y[~is_bad]))
    grid = GridSearchCV(classifier, {"lr": [1e-3, 1e-2]}, cv=KFold(2)).fit(X, y)
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()


# --- features --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_nan_are_unreadable_images(rng, dtype):
    """A 2-D row that is NaN throughout is left out; the others are learned from as without it."""
    features = rng.normal(size=(30, 4)).astype(dtype)
    y = pd.DataFrame({"hat": np.arange(30) % 2, "bag": features[:, 0] > 0})
    is_bad = np.arange(30) % 7 == 2
    features[is_bad] = np.nan
    params = {"max_epochs": 4, "random_state": 0, "early_stopping": True}
    fitted, message = warned(
        AttributeClassifier(**params, images=ImageReading(on_bad_image="warn")).fit, features, y
    )
    assert "row 2 of X: all its features are NaN" in message
    alone = AttributeClassifier(**params).fit(features[~is_bad], y[~is_bad])
    assert_same(fitted, alone, features[~is_bad])
    probas, _ = warned(fitted.predict_proba, features)
    np.testing.assert_array_equal(np.isnan(probas[0]).all(axis=1), is_bad)
    labels, _ = warned(fitted.predict, pd.DataFrame(features))
    assert (labels[is_bad] == None).all()  # noqa: E711, an array


def test_rejects_other_missing_features(rng):
    """Both policies reject NaN in part of a row, and infinity."""
    features = rng.normal(size=(12, 3))
    features[5] = np.nan
    y = np.arange(12) % 2
    with pytest.raises(ValueError, match="All of row 5 is NaN.*='warn'.* skips such rows"):
        AttributeClassifier().fit(features, y)
    for value, text in ((np.nan, "NaN"), (np.inf, "infinity")):
        features[7, 1] = value
        for policy in ("raise", "warn"):
            with pytest.raises(ValueError, match=f"Input X contains (NaN|{text})"):
                AttributeClassifier(images=ImageReading(on_bad_image=policy)).fit(features, y)
        with pytest.raises(ValueError, match=rf"{text}.* The first is in row 7, column 1\.$"):
            AttributeClassifier(images=ImageReading(on_bad_image="warn")).fit(features, y)


def embedder(**params):
    """Return an embedder of a tiny network."""
    defaults = {"image_size": (12, 10), "batch_size": 4, "random_state": 0}
    return ImageEmbedder(
        tiny_backbone, **{**defaults, "images": ImageReading(on_bad_image="warn"), **params}
    )


@WORKERS
@pytest.mark.parametrize("cache_key", [None, "content", "stat"])
def test_embeddings_of_unreadable_images_are_nan(hostile, tmp_path, num_workers, cache_key):
    """They are never cached; the features of the others are those they have alone."""
    X, is_bad = np.array(hostile.paths), hostile.is_bad
    cache = {} if cache_key is None else {"cache": tmp_path / "cache", "cache_key": cache_key}
    reading = ImageReading(num_workers=num_workers, on_bad_image="warn")
    one = embedder(images=reading, **cache)
    features, message = warned(one.fit_transform, X)
    assert message.startswith(f"{is_bad.sum()} of {len(X)} rows")
    assert "their features are NaN" in message
    np.testing.assert_array_equal(np.isnan(features).all(axis=1), is_bad)
    alone = embedder().fit_transform(X[~is_bad])
    np.testing.assert_allclose(features[~is_bad], alone, rtol=1e-5, atol=1e-6)
    if cache:
        assert len(EmbeddingStore(tmp_path / "cache")) == (~is_bad).sum()
        again, _ = warned(one.transform, X)
        np.testing.assert_array_equal(again, features)
    with pytest.raises(ImageReadError, match="row 1 of X"):
        embedder(images=ImageReading(on_bad_image="raise"), **cache).fit_transform(X)


def test_bad_copies_of_a_bad_image(files, tmp_path):
    """Rows of equal bytes each have their own reason; a repaired file is embedded."""
    for row in (2, 5, 9):
        Path(files[row]).write_bytes(b"broken")
    one = embedder(cache=tmp_path / "cache")
    features, message = warned(one.fit_transform, files)
    for row in (2, 5, 9):
        assert f"row {row} of X: cannot read the image {files[row]!r}" in message
    assert np.isnan(features[[2, 5, 9]]).all()
    for row in (2, 5, 9):
        Path(files[row]).write_bytes(Path(files[0]).read_bytes())
    repaired = one.transform(files)
    np.testing.assert_array_equal(repaired[[2, 5, 9]], features[[0, 0, 0]])


def test_an_embedder_before_a_classifier(X, y, is_bad):
    """Bad images pass the pipeline as NaN, and come out as missing labels."""
    pipeline = make_pipeline(
        embedder(),
        AttributeClassifier(images=ImageReading(on_bad_image="warn"), max_epochs=2, random_state=0),
    )
    with pytest.warns(BadImageWarning):
        labels = pipeline.fit(X, y).predict(X)
    assert (labels[is_bad] == None).all()  # noqa: E711, an array
    assert not (labels[~is_bad] == None).any()  # noqa: E711, an array
