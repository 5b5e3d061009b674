"""Invalid input of AttributeClassifier and the errors that it raises."""

import inspect
import multiprocessing
import pathlib
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from PIL import Image
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

from skattr import AttributeClassifier, Branches, FineTuning, ImageReading, TrainingOptions
from skattr._inputs.decoding import resize
from skattr.exceptions import (
    ImageReadError,
    InvalidBoxError,
    MissingLabelWarning,
    UnseenLabelError,
)
from tests.tiny_models import tiny_backbone

BOXES = ["xmin", "ymin", "xmax", "ymax"]


def tiny(**params):
    """Return an unfitted classifier of a tiny network."""
    defaults = {"backbone": tiny_backbone, "image_size": (12, 10), "max_epochs": 1}
    return AttributeClassifier(**{**defaults, "random_state": 0, **params})


@pytest.fixture
def features(rng):
    """24 rows of four features."""
    return rng.normal(size=(24, 4))


@pytest.fixture
def fitted(images, table):
    """Return a classifier fitted on images."""
    return tiny().fit(images, table)


@pytest.fixture
def fitted_on_features(features, table):
    """Return a classifier fitted on features."""
    return tiny(backbone="auto").fit(features, table)


METHODS = ("predict", "predict_proba", "transform")


# --- X ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_images_where_features_were_fitted(fitted_on_features, images, files, method):
    """An estimator fitted on features rejects images and paths."""
    for X in (images, files, pd.DataFrame({"path": files})):
        with pytest.raises(
            ValueError, match="X contains images, but the estimator was fitted on 2-D features"
        ):
            getattr(fitted_on_features, method)(X)


@pytest.mark.parametrize("method", METHODS)
def test_features_where_images_were_fitted(fitted, features, method):
    """An estimator fitted on images rejects features."""
    for X in (features, pd.DataFrame(features), features.tolist()):
        with pytest.raises(ValueError, match=r"fitted on images, but X is .*; valid are uint8"):
            getattr(fitted, method)(X)


def objects(rows):
    """Return a 1-D array of objects."""
    array = np.empty(len(rows), dtype=object)
    array[:] = list(rows)
    return array


ALONE = ["/folder", b"/folder", pathlib.Path("/folder"), 3, {"path": []}, Image.new("RGB", (9, 9))]


@pytest.mark.parametrize("X", ALONE, ids=lambda X: type(X).__name__)
def test_rejects_a_single_row_as_X(X, fitted, fitted_on_features, table):
    """`fit` and `predict` reject a single path, number or image, and list the valid kinds of X."""
    words = f"X is of type {type(X).__name__}(: .*pass.*)?; valid are .*1-D array of images of any"
    for call in (lambda X: tiny().fit(X, table), fitted.predict, fitted_on_features.predict):
        with pytest.raises(ValueError, match=words):
            call(X)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (lambda p, f: pd.DataFrame({"image": f}), r"columns \['image'\], none of which is 'path'"),
        (lambda p, f: pd.DataFrame({"n": 1}, index=f), r"columns \['n'\], none of which is"),
        (lambda p, f: pd.DataFrame(np.eye(24)), r"columns \[0, 1, .*, 9, ...\], none of which is"),
        (lambda p, f: objects(p[:, 0, 0]), r"ndarray with 24 row\(s\) of type ndarray"),
        (lambda p, f: pd.Series(list(p[:, 0, 0])), r"Series with 24 row\(s\) of type ndarray"),
        (lambda p, f: np.array([b"a", b"b"]), r"ndarray with 2 row\(s\) of type bytes_"),
        (lambda p, f: [3, 4, 5], r"list with 3 row\(s\) of type int"),
        (lambda p, f: np.zeros((24, 4)), r"ndarray and shape \(24, 4\)"),
    ],
)
def test_predict_rejects_X_without_images(form, words, fitted, images, files):
    """The error describes X, without its values, and lists the valid kinds of images."""
    with pytest.raises(ValueError, match=f"X is of type .*{words}.*a 'path' column") as caught:
        fitted.predict(form(images, files))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("form", [objects, lambda p: pd.Series(list(p)), lambda p: [b"a.png"] * 24])
def test_rejects_objects_that_are_not_features(form, images, table):
    """Neither arrays of one dimension nor bytes are taken for features or images."""
    with pytest.raises((ValueError, ImageReadError), match="X is of type|cannot read the image"):
        tiny().fit(form(images[:, 0, 0]), table)


def test_images_of_different_sizes(images, files, fitted):
    """Images of different sizes are read like files that contain them, alone and among paths."""
    unequal = [*images[:9], images[9][1:], *images[10:]]
    expected = fitted.predict_proba([*images[:9], resize(images[9][1:], (12, 10)), *images[10:]])
    mixed = [*files[:9], images[9][1:], *files[10:]]
    for X in (unequal, [Image.fromarray(one) for one in unequal], mixed):
        for one, other in zip(fitted.predict_proba(X), expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_score_checks_the_kind_of_x(fitted, fitted_on_features, features, images, table):
    """`score` rejects the wrong kind of X like `predict`."""
    with pytest.raises(ValueError, match="fitted on images"):
        fitted.score(features, table)
    with pytest.raises(ValueError, match="fitted on 2-D features"):
        fitted_on_features.score(images, table)


@pytest.mark.parametrize("method", METHODS)
def test_another_number_of_features(fitted_on_features, features, method):
    """The message is scikit-learn's and names both numbers."""
    with pytest.raises(ValueError, match="X has 3 features, but .* is expecting 4 features"):
        getattr(fitted_on_features, method)(features[:, :3])


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros((24, 12, 10, 3)), TypeError, "dtype float64; .* must be uint8, 0 to 255"),
        (np.zeros((24, 12, 10, 3), np.float32), TypeError, "dtype float32"),
        (np.zeros((24, 12, 10, 4), np.uint8), ValueError, r"shape \(24, 12, 10, 4\); valid are"),
        (np.zeros((24, 3, 12, 10), np.uint8), ValueError, r"shape \(24, 3, 12, 10\); valid are"),
        (np.zeros((0, 12, 10, 3), np.uint8), ValueError, "holds no image"),
        (pd.DataFrame({"path": []}), ValueError, r"0 sample\(s\)"),
        (np.empty((0, 4)), ValueError, r"0 sample\(s\)"),
        ([], ValueError, "Reshape your data"),
        (np.zeros(24), ValueError, "Reshape your data"),
        (np.zeros((24, 1, 1, 1, 3), np.uint8), ValueError, "dim 5"),
        (np.full((24, 2), np.nan), ValueError, "Input X contains NaN"),
        (np.full((24, 2), np.inf), ValueError, "Input X contains infinity"),
        (np.array([["a", "b"]] * 24), ValueError, "could not convert string to float"),
        (scipy.sparse.csr_array((24, 3)), TypeError, "[Ss]parse"),
        (None, ValueError, "NoneType|array"),
    ],
)
def test_invalid_x_at_fit(X, error, message, table):
    """`fit` rejects wrong dtypes, shapes, numbers of rows and values."""
    with pytest.raises(error, match=message):
        tiny(backbone="auto").fit(X, table)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros((2, 12, 10, 3)), TypeError, "must be uint8"),
        (np.zeros((2, 12, 10, 4), np.uint8), ValueError, "valid are"),
        (np.zeros((0, 12, 10, 3), np.uint8), ValueError, "holds no image"),
        ([], ValueError, "fitted on images"),
        (None, ValueError, "fitted on images"),
        (["gone.png"], ImageReadError, "row 0 of X: there is no file 'gone.png'"),
    ],
)
def test_invalid_x_at_predict(X, error, message, fitted):
    """`predict` rejects them too."""
    with pytest.raises(error, match=message):
        fitted.predict(X)


def test_a_table_of_text_without_paths(files, table):
    """The error names the text columns and the valid kinds of X."""
    X = pd.DataFrame({"file": files, "who": "me", "n": 1.0})
    with pytest.raises(ValueError, match=r"columns \['file', 'who'\].*'path' column"):
        tiny().fit(X, table)


@pytest.mark.parametrize(
    ("n_rows", "batch_size"), [(1, 64), (24, 1)], ids=["one row", "batches of one row"]
)
def test_batch_normalisation_needs_two_rows(images, table, n_rows, batch_size):
    """A single image, or batches of one, cannot be trained on."""
    with pytest.raises(ValueError, match="two rows or more per batch"):
        tiny(batch_size=batch_size).fit(images[-n_rows:], table[-n_rows:])


# --- files -----------------------------------------------------------------------------------


@pytest.fixture
def with_broken(files, tmp_path):
    """Return the paths of the images, the one of row 9 no image."""
    path = tmp_path / "broken.jpg"
    path.write_text("not an image")
    return [*files[:9], str(path), *files[10:]]


BROKEN = r"row 9 of X: cannot read the image '.*broken.jpg': UnidentifiedImageError"


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_unreadable_image_at_fit_and_predict(with_broken, files, table, num_workers):
    """Row and path are named, also from a worker process, and later fits are unharmed."""
    classifier = tiny(images=ImageReading(num_workers=num_workers), batch_size=8)
    with pytest.raises(ImageReadError, match=BROKEN):
        classifier.fit(with_broken, table)
    classifier.fit(files, table)
    with pytest.raises(ImageReadError, match=BROKEN):
        classifier.predict(with_broken)
    assert classifier.predict(files[:3]).shape == (3, 3)


def test_an_unreadable_image_leaves_no_worker_process(with_broken, table):
    """Workers end with the error, while its traceback is still held: they would break the next."""
    before = set(multiprocessing.active_children())
    with pytest.raises(ImageReadError, match=BROKEN) as caught:
        tiny(images=ImageReading(num_workers=2), batch_size=8).fit(with_broken, table)
    assert set(multiprocessing.active_children()) <= before
    assert caught.value.__traceback__ is not None


def test_the_row_is_that_of_x_where_rows_are_held_out(with_broken, table):
    """Shuffling, batches and held-out rows do not change which row is named."""
    for seed in range(3):
        classifier = tiny(batch_size=5, early_stopping=True, random_state=seed)
        with pytest.raises(ImageReadError, match=BROKEN):
            classifier.fit(with_broken, table)


def test_a_missing_image(files, table):
    """A path without a file is named before anything is trained."""
    with pytest.raises(ImageReadError, match="row 4 of X: there is no file '/nowhere.png'"):
        tiny().fit([*files[:4], "/nowhere.png", *files[5:]], table)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_box_outside_its_image(files, table, num_workers):
    """Row, box, path and size of the image are named."""
    X = pd.DataFrame({"path": files}).assign(xmin=0, ymin=0, xmax=10, ymax=12)
    classifier = tiny(images=ImageReading(num_workers=num_workers)).fit(X, table)
    X.loc[6, "xmax"] = 11
    message = r"row 6 of X: the box .*\(0, 0, 11, 12\).*image 6.png' \(10 x 12 pixels\)"
    with pytest.raises(InvalidBoxError, match=message):
        classifier.predict(X)
    with pytest.raises(InvalidBoxError, match=message):
        classifier.fit(X, table)


def test_a_malformed_box(files, table):
    """An empty box is named before anything is trained."""
    X = pd.DataFrame({"path": files}).assign(xmin=3, ymin=0, xmax=10, ymax=12)
    X.loc[8, "xmax"] = 3
    with pytest.raises(InvalidBoxError, match="row 8 of X: .* holds no pixel"):
        tiny().fit(X, table)
    with pytest.raises(ValueError, match=r"but not \['ymin'\]"):
        tiny().fit(X.drop(columns="ymin"), table)


# --- y ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, ValueError, "requires y to be passed"),
        ([None] * 24, ValueError, "Input y contains NaN.*None of its labels is known"),
        (np.full((24, 2), np.nan), ValueError, "Input y contains NaN"),
        (np.full(24, np.inf), ValueError, "Input y contains infinity"),
        (np.linspace(0, 1, 24), ValueError, "Unknown label type: .* continuous"),
        ([1, "a"] * 12, ValueError, "values of type int, str"),
        (np.zeros((24, 2, 2)), ValueError, "y should be of shape"),
        ([], ValueError, r"0 sample\(s\)"),
        (np.arange(23) % 2, ValueError, r"inconsistent numbers of samples: \[24, 23\]"),
    ],
)
def test_invalid_y(images, y, error, message):
    """`fit` and `fit_transform` reject invalid y."""
    with pytest.raises(error, match=message):
        tiny().fit(images, y)
    with pytest.raises(error, match=message):
        tiny(cross_fit=2).fit_transform(images, y)


def test_warns_once_about_columns_without_labels(images, table):
    """One warning names all attributes without a known label; complete tables give none."""
    y = table.assign(color=None, count=np.nan)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tiny().fit(images, y)
    caught = [one for one in caught if issubclass(one.category, MissingLabelWarning)]
    assert len(caught) == 1
    assert "['color', 'count']" in str(caught[0].message)
    assert caught[0].filename == __file__  # the user's line, not one of ours
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny().fit(images, table)


def test_rejects_an_unseen_label(fitted, images, table):
    """`score` names the column, the row and the label."""
    y = table.astype({"color": object})
    y.loc[3, "color"] = "mauve"
    with pytest.raises(UnseenLabelError, match="y, column 'color', row 3: the label 'mauve'"):
        fitted.score(images, y)


def test_labels_outside_the_declared_classes(images, table):
    """A label that is not declared is an error of fit."""
    with pytest.raises(UnseenLabelError, match=r"'color' .* \['red'\], which are not among"):
        tiny(attributes={"color": ("categorical", ["blue", "green"])}).fit(images, table)


def test_columns_of_y_in_another_order(fitted, images, table):
    """`score` matches columns by name, and rejects another number or name."""
    assert fitted.score(images, table[["color", "hat", "count"]]) == fitted.score(images, table)
    with pytest.raises(ValueError, match=r"y lacks \['hat'\] and also has \['bag'\]"):
        fitted.score(images, table.rename(columns={"hat": "bag"}))
    with pytest.raises(ValueError, match=r"y lacks \['count'\]"):
        fitted.score(images, table[["hat", "color"]])
    with pytest.raises(ValueError, match=r"2 column\(s\), but 3 were fitted"):
        fitted.score(images, table[["hat", "color"]].to_numpy())


@pytest.mark.parametrize("n_rows", [1, 23])
def test_score_checks_lengths(fitted, images, table, n_rows):
    """X, y and weights of different lengths are rejected; a single row is not repeated."""
    with pytest.raises(ValueError, match=rf"inconsistent numbers of samples: \[24, {n_rows}\]"):
        fitted.score(images, table[:n_rows])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.score(images[:n_rows], table)
    with pytest.raises(ValueError, match=rf"inconsistent .*: \[24, 24, {n_rows}\]"):
        fitted.score(images, table, sample_weight=np.ones(n_rows))


def test_score_needs_a_known_label(fitted, images, table):
    """`score` raises without any known label."""
    y = pd.DataFrame(None, index=table.index, columns=table.columns)
    with pytest.raises(ValueError, match="None of its labels is known"):
        fitted.score(images, y)


# --- weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_an_invalid_label_weight(images, table, weight):
    """Row and attribute are named."""
    weights = np.ones((24, 3))
    weights[11, 1] = weight
    with pytest.raises(ValueError, match=r"label_weight of row 11, attribute 'color', is"):
        tiny().fit(images, table, label_weight=weights)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"sample_weight": np.ones(23)}, r"\(23,\), expected \(24,\)"),
        ({"sample_weight": np.ones((24, 3))}, "must be 1D"),
        ({"sample_weight": -np.ones(24)}, "Negative values"),
        ({"sample_weight": np.full(24, np.nan)}, "contains NaN"),
        ({"label_weight": np.ones(24)}, r"shape \(24,\), but y has shape \(24, 3\)"),
        ({"label_weight": np.ones((24, 2))}, r"shape \(24, 2\), but y has shape \(24, 3\)"),
        ({"label_weight": np.ones((23, 3))}, r"shape \(23, 3\), but y has shape \(24, 3\)"),
    ],
)
def test_weights_that_do_not_fit(images, table, weights, message):
    """Shapes and values of weights are checked before anything is trained."""
    with pytest.raises(ValueError, match=message):
        tiny().fit(images, table, **weights)


# --- parameters ------------------------------------------------------------------------------

INVALID = {
    "backbone": [
        ("resnet19", "it must be a callable or one of .* resnet18, "),
        (3, "str.*callable"),
    ],
    "weights": [("nope", "weights='nope' is not a file"), (3, "'str' or None")],
    "image_size": [
        (0, r"int in the range \[1, inf\)"),
        ("big", "an int"),
        ((12,), "positive int or a pair"),
        ((12, 0), "positive int or a pair"),
        ((12, 10, 3), "positive int or a pair"),
        ((12.5, 10), "positive int or a pair"),
    ],
    "augment": [("spin", "'flip'"), ("spin", "'shift'"), (3, "callable")],
    "max_epochs": [(0, r"range \[1, inf\)"), ("many", "int")],
    "random_state": [("x", "RandomState"), (-1, r"range \[0, ")],
    "attributes": [
        (3, "Mapping.* or None"),
        ({"hat": "nominal"}, "'hat' must be 'binary', .*'categorical'"),
    ],
    "missing_label": [([-1, 0], "must be one value")],
    "constraints": [
        (3, "Mapping.* or None"),
        ({"xor": []}, "'at_most_one', 'exactly_one'.*'implies'"),
        ({"implies": [("hat", "color")]}, "'color', which is categorical"),
    ],
    "category_prior": [("film", "'auxiliary'"), ("film", "'condition'"), (3, "'joint'.* or None")],
    "branches": [
        ("tanh", "'sigmoid'"),
        ("tanh", "'softmax'"),
        (3, "Branches"),
        (Branches("tanh"), "'binary' parameter of Branches.*'sigmoid'"),
        (Branches(None), "'binary' parameter of Branches.*'sigmoid'"),
        (Branches(hidden=0), r"'hidden' parameter of Branches.*range \[1, inf\) or None"),
        (Branches(hidden=2.5), "'hidden' parameter of Branches.*int"),
        (Branches(hidden="big"), "'hidden' parameter of Branches.*int"),
        (Branches(dropout=1.0), r"'dropout' parameter of Branches.*range \[0.0, 1.0\)"),
        (Branches(ordinal_predict="mean"), "'ordinal_predict' parameter of Branches.*'median'"),
        (Branches(ordinal_predict=None), "'ordinal_predict' parameter of Branches.*'mode'"),
    ],
    "loss": [("hinge", "'focal'"), ("hinge", "'asymmetric'"), (3, "callable")],
    "pos_weight": [
        (0, "'balanced'|range"),
        (-1, "range"),
        ("even", "'balanced:CAP'"),
        ({"color": 3}, r"no binary attribute; those are \['hat'\]"),
        ({"hat": -1}, "above 0"),
        ([1, 2], "one number for each"),
    ],
    "class_weight": [
        ("even", "'balanced' or a dict"),
        (3, "list"),
        ({"zz": "balanced"}, "'zz', which is no"),
        ({"color": {"pink": 2}}, "'pink', which is not among"),
        ({"color": {"red": -1}}, "at least 0"),
    ],
    "attribute_weight": [
        ("even", "'uncertainty'"),
        ({"zz": 1}, "'zz', which is no attribute"),
        ({"hat": -1}, "at least 0"),
        ([1, 2], r"2 number\(s\), y 3 attribute"),
        ([0, 0, 0], "one must be above 0"),
    ],
    "optimizer": [("lion", "'adamw'"), ("lion", "'sgd'"), (None, "callable")],
    "lr": [(-1, r"range \(0.0, inf\)"), (0, r"range \(0.0"), ("fast", "'auto'"), (np.nan, "float")],
    "weight_decay": [(-1, r"range \[0.0, inf\)"), (None, "float")],
    "batch_size": [(0, r"range \[1, inf\)"), (2.5, "int")],
    "validation_fraction": [
        (0, r"range \(0.0, 1.0\) or None"),
        (1.0, r"range \(0.0, 1.0\)"),
        (0.99, "leaves none to train on"),
    ],
    "early_stopping": [("yes", "bool"), (None, "bool"), (0, r"range \[1, inf\)")],
    "fine_tuning": [
        ("all", "'backbone'"),
        ("stages:0", "'stages:N'"),
        ("stages:9", "stages:1"),
        (3, "str"),
        (FineTuning(layer_decay=0), "'layer_decay' parameter of FineTuning"),
    ],
    "training": [
        ("x", "'onecycle'"),
        ("x", "'cosine'"),
        (3, "None"),
        (TrainingOptions("x"), "'lr_schedule' parameter of TrainingOptions.*'cosine'.* or None"),
        (TrainingOptions(ema_decay=1.0), r"'ema_decay' parameter .*range \(0.0, 1.0\) or None"),
        (TrainingOptions(ema_decay="slow"), "'ema_decay' parameter of TrainingOptions.*float"),
        (TrainingOptions(clip_norm=0), r"'clip_norm' parameter .*range \(0.0, inf\) or None"),
        (TrainingOptions(accumulate=0), r"'accumulate' parameter .*range \[1, inf\)"),
        (TrainingOptions(precision="int8"), "'precision' parameter of Train.*'bfloat16'"),
        (TrainingOptions(precision=32), "'precision' parameter of TrainingOptions.*'float32'"),
        (TrainingOptions(precision=None), "'precision' parameter of TrainingOptions.*'auto'"),
        (TrainingOptions(compile="no"), "'compile' parameter of TrainingOptions.*bool"),
    ],
    "net_params": [
        (3, "Mapping.* or None"),
        ({"nope": 3}, r"sets \['nope'\].*no effect; valid are"),
        ({"callback": []}, r"sets \['callback'\]"),
        ({"module__dropuot": 0.3}, r"sets \['module__dropuot'\], .* keyword argument 'dropuot'"),
        ({"module__dropout": 2}, r"sets 'module__dropout', .*branches=Branches\(dropout=\.\.\.\)"),
        ({"clip_norm": 1.0}, r"sets 'clip_norm', .*training=TrainingOptions\(clip_norm=\.\.\.\)"),
        ({"optimizer__beta": 0.3}, r"sets \['optimizer__beta'\], .* keyword argument 'beta'"),
    ],
    "warm_start": [("no", "bool")],
    "images": [
        ("fast", "'exact'"),
        ("fast", "'scaled'"),
        (True, "ImageReading"),
        (ImageReading("fast"), "'decoding' parameter of ImageReading.*'scaled'"),
        (ImageReading(None), "'decoding' parameter of ImageReading.*'scaled'"),
        (ImageReading(cache=3), "'cache' parameter of ImageReading.*'memory'.* or None"),
        (ImageReading(cache="folder"), "'cache' parameter of ImageReading.*'memory'.* or None"),
        (ImageReading(on_bad_image="skip"), "'on_bad_image' parameter .*'raise'"),
        (ImageReading(on_bad_image=None), "'on_bad_image' parameter .*'warn'"),
        (ImageReading(num_workers=-1), r"'num_workers' parameter .*range \[0, inf\)"),
        (ImageReading(num_workers=None), "'num_workers' parameter of ImageReading.*int"),
    ],
    "transform_output": [("x", "'features'"), ("x", "'logit'"), (None, "'proba'")],
    "cross_fit": [(1, r"range \[2, inf\)"), (1.5, r"range \(0.0, 1.0\)"), ("five", "'split'")],
    "device": [("nope", "'auto', 'cpu' or another"), ("", "'auto', 'cpu' or"), (0, "'str'")],
    "verbose": [(-1, r"range \[0, inf\)"), ("loud", "bool")],
}


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [(name, value, valid) for name, cases in INVALID.items() for value, valid in cases],
)
def test_invalid_parameters(images, table, name, value, valid):
    """`fit` names the parameter and its valid values, with a ValueError."""
    classifier = tiny(**{name: value})  # no error yet: scikit-learn's clone needs that
    with pytest.raises(ValueError, match=valid) as caught:
        classifier.fit(images, table)
    if hasattr(value, "settings"):
        return  # the error names the parameter of the object
    inner = "freeze" if name == "fine_tuning" else name  # what training calls it
    assert name in str(caught.value) or inner in str(caught.value)


def test_every_parameter_is_tested():
    """The table above holds all parameters."""
    assert list(INVALID) == list(inspect.signature(AttributeClassifier).parameters)


def test_errors_list_the_valid_backbones_and_weights(images, table):
    """The errors list all models, and the names of a model's weights."""
    with pytest.raises(ValueError, match="backbone='resnet19' is unknown") as caught:
        tiny(backbone="resnet19").fit(images, table)
    for name in ("alexnet", "resnet18", "resnet50", "vit_b_16"):
        assert re.search(rf"\b{name}\b", str(caught.value))
    with pytest.raises(ValueError, match="weights='nope' is neither.*'DEFAULT', 'IMAGENET1K_V1'"):
        tiny(backbone="resnet18", weights="nope").fit(images, table)


def test_parameters_for_images_with_features(features, table):
    """Backbones and weights for images are rejected if X contains features."""
    with pytest.raises(ValueError, match="'resnet18' is a network for images.*'auto', 'mlp'"):
        tiny(backbone="resnet18").fit(features, table)
    with pytest.raises(ValueError, match="weights='DEFAULT' needs images"):
        tiny(backbone="auto", weights="DEFAULT").fit(features, table)
    for freeze, given in (
        ("backbone", "freeze='backbone'"),
        ("stages:1", "freeze='stages:1'"),
        (FineTuning(layer_decay=0.5), "layer_decay=0.5"),
        (FineTuning("backbone", layer_decay=0.5), "freeze='backbone' and layer_decay=0.5"),
    ):
        # only what the user has set is named
        with pytest.raises(ValueError, match=f"^fine_tuning has {given}, for the .* 2-D features"):
            tiny(backbone="auto", fine_tuning=freeze).fit(features, table)
        tiny(backbone="mlp", fine_tuning=freeze).fit(features, table)
    tiny(backbone="auto", fine_tuning=FineTuning()).fit(features, table)


@pytest.mark.parametrize(
    ("backbone", "side", "words"),
    [
        ("squeezenet1_1", 8, r"Output size is too small"),
        ("squeezenet1_1", 2, r"Kernel size can't be greater"),
        ("maxvit_t", 48, r"is not divisible by partition size 7"),
        ("vit_b_32", 48, r"indivisible by patch size"),
    ],
)
def test_images_too_small_for_the_backbone(images, table, backbone, side, words):
    """`backbone` and `image_size` are named before torch's own words."""
    size = rf"backbone='{backbone}' cannot take images of image_size=\({side}, {side}\)"
    for params in ({"cross_fit": 2}, {"cross_fit": 0.2}):
        classifier = tiny(backbone=backbone, image_size=side, **params)
        for call in (classifier.fit, classifier.fit_transform, classifier.partial_fit):
            with pytest.raises(ValueError, match=rf"{size}.* {words}") as caught:
                call(images, table)
            assert caught.value.__cause__ is not None


def test_images_too_small_at_predict(images, table):
    """A smaller `image_size` after `fit` is named by the next fit, and harms nothing."""
    classifier = tiny(backbone="squeezenet1_1", image_size=24).fit(images, table)
    before = classifier.predict_proba(images)
    with pytest.raises(ValueError, match=r"'squeezenet1_1' cannot .* image_size=\(8, 8\)"):
        classifier.set_params(image_size=8).fit(images, table)
    for one, other in zip(before, classifier.predict_proba(images), strict=True):
        np.testing.assert_array_equal(one, other)


class _Stumbling(Callback):
    def on_epoch_end(self, net, **kwargs):
        raise RuntimeError("mine")


@pytest.mark.parametrize("backbone", ["auto", "squeezenet1_1"])
def test_other_errors_in_training_are_not_changed(images, features, table, backbone):
    """Only where the size is at fault is torch's error replaced."""
    params = {"backbone": backbone, "image_size": 24, "net_params": {"callbacks": [_Stumbling()]}}
    with pytest.raises(RuntimeError, match="^mine$"):
        tiny(**params).fit(features if backbone == "auto" else images, table)


def test_parameters_for_features_with_images(images, table):
    """An "mlp" takes no images."""
    with pytest.raises(ValueError, match="backbone='mlp' is unknown; for images"):
        tiny(backbone="mlp").fit(images, table)


def test_warm_start_with_other_classes(images, table):
    """Other attributes or classes than before cannot be gone on with."""
    classifier = tiny(warm_start=True).fit(images, table)
    with pytest.raises(ValueError, match="the classes of y, its categories"):
        classifier.fit(images, table.assign(color=table["color"].replace("red", "pink")))
    with pytest.raises(
        ValueError, match=r"warm_start=True .* columns of y are \['hat'\] and those"
    ):
        classifier.fit(images, table[["hat"]])


# --- order of calls ---------------------------------------------------------------------------


def test_nothing_works_before_fit(images, table):
    """Every method that needs a fit says so."""
    classifier = tiny()
    for method in METHODS:
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(classifier, method)(images)
    with pytest.raises(NotFittedError):
        classifier.score(images, table)
    with pytest.raises(NotFittedError):
        classifier.get_feature_names_out()


def test_not_fitted_after_a_failed_first_fit(features, table):
    """After a fit that failed late, `predict` still says that nothing is fitted."""
    classifier = tiny(backbone="auto")
    with pytest.raises(ValueError, match="label_weight"):
        classifier.fit(features, table, label_weight=-np.ones((24, 3)))
    with pytest.raises(NotFittedError):
        classifier.predict(features)


@pytest.mark.parametrize("net_params", [{"lr": 0.1}, {"max_epochs": 2}, {"iterator_train__x": 1}])
def test_rejects_net_params_that_have_a_parameter(images, table, net_params):
    """Parameters of the classifier cannot be set a second time through `net_params`."""
    with pytest.raises(ValueError, match=f"net_params sets .*{next(iter(net_params))}") as caught:
        tiny(net_params=net_params).fit(images, table)
    own = re.search(r"own parameters \((.*), \.\.\.\)", str(caught.value)).group(1).split(", ")
    assert set(own) < set(inspect.signature(AttributeClassifier).parameters)


def test_the_cause_of_an_error_in_net_params_is_kept(features, table):
    """The TypeError of the network, and of the optimizer, is chained."""
    for key in ("module__dropuot", "optimizer__beta"):
        with pytest.raises(ValueError, match=key) as caught:
            tiny(backbone="auto", net_params={key: 0.3}).fit(features, table)
        assert isinstance(caught.value.__cause__, TypeError)


def test_one_image_is_not_a_batch_of_gray_ones(images, table):
    """A single color image is rejected, not read as many narrow gray ones."""
    classifier = tiny().fit(images, table)
    with pytest.raises(ValueError, match="looks like one color image"):
        classifier.predict(images[0])


def test_label_weight_columns_must_be_those_of_y(images, table):
    """Weights in a DataFrame are not matched by position to other columns."""
    weight = pd.DataFrame(1.0, index=table.index, columns=[*table.columns[:-1], "other"])
    with pytest.raises(ValueError, match=r"columns of label_weight and y .* has \['other'\]"):
        tiny().fit(images, table, label_weight=weight)


def test_warm_start_needs_the_same_features(rng):
    """A warm start with another number of features raises."""
    classifier = AttributeClassifier(warm_start=True, max_epochs=1)
    classifier.fit(rng.normal(size=(20, 3)), np.arange(20) % 2)
    with pytest.raises(ValueError, match="another number of features"):
        classifier.fit(rng.normal(size=(20, 4)), np.arange(20) % 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "params", [{}, {"backbone": "mlp"}, {"branches": Branches(hidden=3)}], ids=str
)
def test_features_that_are_not_finite(rng, value, params):
    """One such number anywhere is an error of every method, of linear networks and of others."""
    X = rng.normal(size=(40, 5))
    y = np.stack([X[:, 0] > 0, rng.integers(0, 3, 40)], axis=1)
    classifier = AttributeClassifier(max_epochs=1, random_state=0, **params).partial_fit(X, y)
    bad = X.copy()
    bad[17, 3] = value
    text = "NaN" if np.isnan(value) else r"infinity or a value too large for dtype\('float64'\)"
    text += r"\. The first is in row 17, column 3\.$"
    calls = [classifier.predict, classifier.predict_proba, classifier.transform]
    for call in (*calls, lambda Z: classifier.score(Z, y), lambda Z: classifier.partial_fit(Z, y)):
        with pytest.raises(ValueError, match=f"Input X contains {text}"):
            call(bad)
    large = X * 1e300  # finite, but not its sum
    if not params:
        assert classifier.predict(large).shape == (40, 2)


@pytest.mark.parametrize("names", [None, ["a", "b", "c", "d"], [5, 6, 7, 8]])
def test_the_column_that_is_not_finite(features, table, names):
    """It is named if scikit-learn knows its name, and numbered otherwise."""
    X = features if names is None else pd.DataFrame(features, columns=names)
    classifier = tiny(backbone="auto").fit(X, table)
    bad = X.copy()
    if names is None:
        bad[[4, 9], 2] = np.nan
    else:
        bad.iloc[[4, 9], 2] = np.nan
    column = "'c'" if names == ["a", "b", "c", "d"] else "2"
    for call in (classifier.predict, lambda X: tiny(backbone="auto").fit(X, table)):
        with pytest.raises(ValueError, match=rf"contains NaN\. .* row 4, column {column}\.$"):
            call(bad)
    with sklearn.config_context(assume_finite=True):
        assert classifier.predict(bad).shape == (24, 3)
