"""Fit, metrics, thresholds, splitters and reports read y in one way and reject it in one way."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import BaseEstimator, ClassifierMixin

from skattr import AttributeClassifier, AttributeEncoder, ImageEmbedder, metrics
from skattr.calibration import CalibratedMultiOutputCV
from skattr.exceptions import SkattrWarning
from skattr.inspection import GalleryDisplay, suspected_label_errors
from skattr.model_selection import (
    MultilabelStratifiedGroupKFold,
    MultilabelStratifiedKFold,
    OfficialSplit,
    cross_val_predict_proba,
)
from skattr.thresholds import ThresholdCalibrator, TunedThresholdMultiOutputCV, find_thresholds

RNG = np.random.default_rng(0)
SHAPE = (60, 3)
KNOWN = RNG.random(SHAPE) < 0.7
CODES = (RNG.random(SHAPE) < 0.4).astype(int)  # the labels under the mask are junk
SCORES = RNG.random(SHAPE)
PREDICTED = (SCORES > 0.5).astype(int)
READERS = {
    "fit": lambda y: AttributeEncoder().fit_transform(y),
    "f1_score": lambda y: metrics.f1_score(y, PREDICTED[: len_of(y)], average=None),
    "roc_auc_score": lambda y: metrics.roc_auc_score(y, SCORES[: len_of(y)], average=None),
    "find_thresholds": lambda y: find_thresholds(y, SCORES[: len_of(y)]).thresholds,
    "ThresholdCalibrator": lambda y: (
        ThresholdCalibrator().fit(SCORES[: len_of(y)], y).best_threshold_
    ),
    "split": lambda y: next(MultilabelStratifiedKFold(3).split(SCORES[: len_of(y)], y))[1],
    "attribute_report": lambda y: report(y, PREDICTED[: len_of(y)]),
    "consistency_score": lambda y: metrics.consistency_score(y, {"at_most_one": [[0, 1]]}),
    "pedestrian_metrics": lambda y: [*metrics.pedestrian_metrics(y, SCORES[: len_of(y)]).values()],
    "suspected_label_errors": lambda y: suspects(y, SCORES[: len_of(y)]),
}
KFOLD = MultilabelStratifiedGroupKFold(2)
ZERO_ONE_READERS = ["find_thresholds", "pedestrian_metrics"]


def len_of(y):
    """Return the number of rows of y, of any container."""
    return y.shape[0] if hasattr(y, "shape") and y.shape else len(y) if hasattr(y, "__len__") else 1


def report(y, predicted):
    """Return the numbers of a report."""
    table = metrics.attribute_report(y, predicted)
    return pd.DataFrame(table).select_dtypes("number").to_numpy(float)


def suspects(y, scores):
    """Return the numbers of the list of suspected labels."""
    return suspected_label_errors(y, scores).drop(columns="attribute").to_numpy(float)


def masked(data, known=KNOWN):
    """Return a masked array in which data under the mask are not the labels."""
    return np.ma.masked_array(data, ~known)


def with_gaps():
    """Return the labels in every container, dtype and notation of a missing label."""
    floats = np.where(KNOWN, CODES, np.nan)
    objects = np.where(KNOWN, CODES, None)
    frame = pd.DataFrame(floats)
    sparse = scipy.sparse.csr_array(floats)
    return {
        "float64": floats,
        "float32": floats.astype(np.float32),
        "float16": floats.astype(np.float16),
        "other byte order": floats.astype(">f8"),
        "Fortran order": np.asfortranarray(floats),
        "strided": np.repeat(floats, 2, axis=1)[:, ::2],
        "None": objects,
        "pandas.NA": np.where(KNOWN, CODES, pd.NA),
        "bools and None": np.where(KNOWN, CODES == 1, None),
        "lists": objects.tolist(),
        "tuples": tuple(map(tuple, floats.tolist())),
        "rows of arrays": list(floats),
        "masked int": masked(CODES),
        "masked int8": masked(CODES.astype(np.int8)),
        "masked float": masked(CODES.astype(float)),
        "masked bool": masked(CODES == 1),
        "masked object": masked(CODES.astype(object)),
        "masked and NaN": np.ma.masked_array(floats, ~KNOWN & (CODES == 1)),
        "masked junk": masked(np.where(KNOWN, CODES, 99)),
        "masked infinity": masked(np.where(KNOWN, CODES, np.inf)),
        "rows of masked arrays": list(masked(CODES)),
        "lists with masked": [
            [v if k else np.ma.masked for v, k in zip(row, known, strict=True)]
            for row, known in zip(CODES.tolist(), KNOWN, strict=True)
        ],
        "DataFrame": frame,
        "DataFrame of objects": pd.DataFrame(objects),
        "DataFrame with an index": frame.set_index(pd.Index(RNG.permutation(len(frame)))),
        "Int64": frame.astype("Int64"),
        "boolean": frame.astype("boolean"),
        "Float32": frame.astype("Float32"),
        "mixed dtypes": frame.astype({0: "Int64", 1: "boolean", 2: "float32"}),
        "categorical": frame.astype("Int64").astype("category"),
        "sparse columns": frame.astype(pd.SparseDtype(float, np.nan)),
        "sparse matrix": scipy.sparse.csc_matrix(floats),
        "sparse array": sparse,
    }


def without_gaps():
    """Return labels that are all known in the dtypes that have no missing value."""
    frame = pd.DataFrame(CODES)
    return {
        "int64": CODES,
        "int8": CODES.astype(np.int8),
        "uint8": CODES.astype(np.uint8),
        "uint64": CODES.astype(np.uint64),
        "other byte order": CODES.astype(">i4"),
        "bool": CODES == 1,
        "float": CODES.astype(float),
        "lists": CODES.tolist(),
        "lists of bools": (CODES == 1).tolist(),
        "DataFrame": frame,
        "DataFrame of bools": frame.astype(bool),
        "columns of dtypes": frame.astype({0: bool, 1: np.int8, 2: float}),
        "no mask": np.ma.masked_array(CODES),
        "sparse matrix": scipy.sparse.csr_matrix(CODES),
        "sparse bool array": scipy.sparse.coo_array(CODES == 1),
        "sparse columns": frame.astype(pd.SparseDtype(int, 0)),
    }


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("labels", [with_gaps, without_gaps])
def test_containers_and_dtypes_are_read_alike(reader, labels):
    """The result does not depend on how labels and missing labels are written."""
    read, forms = READERS[reader], labels()
    reference = forms.pop("float64" if labels is with_gaps else "int64")
    expected = read(reference)
    for name, y in forms.items():
        found = read(y)
        assert found is not None
        np.testing.assert_equal(np.asarray(found), np.asarray(expected), err_msg=name)
    if reader == "fit":
        truth = np.where(KNOWN, CODES, -1) if labels is with_gaps else CODES
        np.testing.assert_array_equal(expected, truth)


@pytest.mark.parametrize("reader", ["fit", "split", "f1_score", "attribute_report"])
def test_strings_are_read_alike(reader):
    """Strings and categories of any container give the codes of zeros and ones."""
    text = np.where(CODES == 1, "yes", "no")
    said = np.where(PREDICTED == 1, "yes", "no")
    read = {
        "fit": READERS["fit"],
        "split": READERS["split"],
        "f1_score": lambda y: metrics.f1_score(y, said, average=None),
        "attribute_report": lambda y: report(y, said),
    }[reader]
    objects = np.where(KNOWN, text, None)
    frame = pd.DataFrame(objects)
    expected = READERS[reader](np.where(KNOWN, CODES, np.nan))
    forms = [
        objects, objects.tolist(), masked(text), masked(text.astype(object)), list(masked(text)),
        frame, frame.astype("string"), frame.astype("category"), frame.astype("str"),
        frame.astype({0: "string", 1: "category"}),
    ]  # fmt: skip
    for y in forms:
        np.testing.assert_equal(np.asarray(read(y)), np.asarray(expected))


def invalid():
    """Return what no reader takes, with the message of all of them; {y} is the argument."""
    twice = pd.DataFrame(CODES[:, :2], columns=["a", "a"])
    infinite, named = CODES.astype(float), pd.DataFrame(CODES.astype(float), columns=list("abc"))
    infinite[4, 1] = named.loc[4, "b"] = np.inf
    tags = CODES.tolist()
    tags[3] = [1]
    data = CODES.astype(object)
    data[5, 2] = b"1"
    return [
        (None, "{y} to be passed, but the target {y} is None"),
        (3, r"{y} should be of shape \(n,\) or \(n, n_outputs\), got \(\)"),
        (np.zeros((60, 3, 1)), r"{y} should be of shape .*, got \(60, 3, 1\)"),
        (np.zeros((60, 0)), r"{y} should be of shape .*, got \(60, 0\)"),
        (pd.DataFrame(index=range(60)), "{y} has no column"),
        (np.zeros((0, 3)), r"{y} is empty: found 0 sample\(s\)"),
        (twice, r"{y} has the column names \['a'\] more than once"),
        (tags, r"{y} is ragged: row 0 has 3 label\(s\), row 3 has 1"),
        (infinite, r"Input {y} contains infinity .* in column 'y1', row 4"),
        (named, r"Input {y} contains infinity .* in column 'b', row 4"),
        (CODES * 1j, "Complex data not supported: {y} has the dtype complex128"),
        (CODES.astype("datetime64[s]"), "Unknown label type: {y} has the dtype datetime64"),
        (CODES.astype(str).astype(bytes), "{y}, column 'y0', row 0 holds .* bytes.* decode bytes"),
        (data, "Unknown label type: {y}, column 'y2', row 5 holds values of type bytes, int"),
        (np.where(np.arange(180).reshape(60, 3) == 7, "x", CODES.astype(object)),
         "Unknown label type: {y}, column 'y1', row 2 holds values of type int, str"),
        (CODES.astype(object) - [[0, 0, 1]] * 60 + np.eye(60, 3) * 0.5j, "complex"),
    ]  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", range(len(invalid())))
def test_invalid_labels_are_rejected_alike(reader, case):
    """Each reader raises the same error with the same words, except for the argument's name."""
    y, message = invalid()[case]
    name = (
        "y" if reader in ("fit", "split", "ThresholdCalibrator", "consistency_score") else "y_true"
    )
    if reader == "split" and (not hasattr(y, "__len__") or len(y) == 0):
        with pytest.raises((TypeError, ValueError)):  # scikit-learn's own check of lengths
            READERS[reader](y)
        return
    with pytest.raises(ValueError, match=message.replace("{y}", name)) as caught:
        READERS[reader](y)
    assert type(caught.value) is ValueError


@pytest.mark.parametrize("reader", sorted(READERS.keys() - {"find_thresholds"}))
def test_labels_that_are_all_missing_are_rejected_alike(reader):
    """Nothing can be read from labels of which none is known."""
    for y in (np.full(SHAPE, np.nan), np.ma.masked_all(SHAPE), np.full(SHAPE, None)):
        with pytest.raises(ValueError, match=r"Input y(_true)? contains NaN. None of its labels"):
            READERS[reader](y)


@pytest.mark.parametrize("reader", ZERO_ONE_READERS)
@pytest.mark.parametrize("label", [2, -1, 0.5, "1", "yes", 1e300])
def test_other_labels_than_zero_and_one(reader, label):
    """Where only zeros and ones have a meaning the row and the column of another are named."""
    for y in (CODES.astype(object), pd.DataFrame(CODES.astype(object), columns=list("abc"))):
        values = y if isinstance(y, np.ndarray) else y.to_numpy()
        values = values.copy()
        values[:, 1] = label
        table = values if isinstance(y, np.ndarray) else pd.DataFrame(values, columns=y.columns)
        column = "y1" if isinstance(y, np.ndarray) else "b"
        message = rf"y_true, column '{column}', row 0: the label {label!r} is neither 0 nor 1"
        with pytest.raises(ValueError, match=re.escape(message)):
            READERS[reader](table)


@pytest.mark.parametrize(
    "read",
    [
        lambda s: metrics.roc_auc_score(CODES, s),
        lambda s: metrics.log_loss(CODES, s),
        lambda s: metrics.attribute_report(CODES, None, s),
        lambda s: metrics.vaw_metrics(CODES, s),
        lambda s: metrics.chexpert_auc(CODES, s),
        lambda s: find_thresholds(CODES, s),
        lambda s: ThresholdCalibrator().fit(s, CODES),
        lambda s: ThresholdCalibrator().fit(SCORES, CODES).predict(s),
        lambda s: suspected_label_errors(CODES, s),
    ],
)
@pytest.mark.parametrize("is_list", [False, True])
@pytest.mark.parametrize("container", [masked, scipy.sparse.csr_array])
def test_masked_and_sparse_scores_are_rejected_alike(read, is_list, container):
    """A missing score of a known label has no meaning, and masks would be dropped silently."""
    scores = container(SCORES)
    if is_list:
        mask = [KNOWN[:, :2]] if container is masked else []
        scores = [container(np.stack([1 - s, s], axis=1), *mask) for s in SCORES.T]
    with pytest.raises(TypeError, match=r"(y_score|X) is (a masked array|sparse); pass a"):
        read(scores)


@pytest.mark.parametrize("name", ["sample_weight", "label_weight"])
def test_masked_weights_are_rejected_alike(name):
    """As scores are."""
    weight = masked(np.ones(SHAPE))[:, 0] if name == "sample_weight" else masked(np.ones(SHAPE))
    for read in (
        lambda w: metrics.f1_score(CODES, PREDICTED, **w),
        lambda w: ThresholdCalibrator().fit(SCORES, CODES, **w),
    ):
        with pytest.raises(TypeError, match=f"{name} is a masked array"):
            read({name: weight})


HIDDEN = np.ma.masked_array(np.arange(SHAPE[0]), np.arange(SHAPE[0]) % 2)
IMAGES = np.zeros((SHAPE[0], 4, 4), dtype=np.uint8)
BINARY = (CODES == 1).astype(int)


@pytest.fixture(scope="module")
def classifier():
    """Return a fitted classifier of features."""
    return AttributeClassifier(max_epochs=1, random_state=0).fit(SCORES, BINARY)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("X", lambda c: AttributeClassifier(max_epochs=1).fit(masked(SCORES), BINARY)),
        ("X", lambda c: AttributeClassifier(max_epochs=1).fit(list(masked(SCORES)), BINARY)),
        ("X", lambda c: AttributeClassifier().fit(np.ma.masked_array(IMAGES), BINARY)),
        ("X", lambda c: AttributeClassifier().fit(list(np.ma.masked_array(IMAGES)), BINARY)),
        ("X", lambda c: AttributeClassifier().partial_fit(masked(SCORES), BINARY)),
        ("X", lambda c: AttributeClassifier(cross_fit=2).fit_transform(masked(SCORES), BINARY)),
        ("X", lambda c: c.predict(masked(SCORES))),
        ("X", lambda c: c.predict_proba(masked(SCORES))),
        ("X", lambda c: c.transform(masked(SCORES))),
        ("X", lambda c: c.score(masked(SCORES), BINARY)),
        ("X", lambda c: ImageEmbedder("resnet18").fit(np.ma.masked_array(IMAGES))),
        ("X", lambda c: ThresholdCalibrator().fit(SCORES, BINARY).predict(masked(SCORES))),
        ("X", lambda c: GalleryDisplay.from_predictions(BINARY, BINARY, X=np.ma.array(IMAGES))),
        ("sample_weight", lambda c: c.score(SCORES, BINARY, HIDDEN)),
        ("sample_weight", lambda c: find_thresholds(CODES, SCORES, sample_weight=HIDDEN)),
        ("groups", lambda c: next(KFOLD.split(SCORES, BINARY, HIDDEN))),
        ("groups", lambda c: attribute_report(groups=HIDDEN, confidence=0.9)),
        ("slices", lambda c: attribute_report(slices=HIDDEN)),
        ("thresholds", lambda c: attribute_report(thresholds=HIDDEN[:3])),
        ("thresholds", lambda c: ThresholdCalibrator(thresholds=HIDDEN[:3]).fit(SCORES, BINARY)),
        ("split", lambda c: OfficialSplit(HIDDEN)),
    ],
)
def test_masks_are_rejected_where_nothing_may_be_missing(classifier, name, call):
    """The data under a mask are never read, whichever function is given them."""
    with pytest.raises(TypeError, match=f"^{name} is a masked array; pass a plain array"):
        call(classifier)


def attribute_report(**options):
    """Return a report of labels and scores with options of its rows."""
    return metrics.attribute_report(CODES, PREDICTED, SCORES, **options)


class Recorder(ClassifierMixin, BaseEstimator):
    """A classifier that checks the y it is given, and predicts its features."""

    def fit(self, X, y):
        """Check that no mask reaches a classifier that would ignore it."""
        assert not isinstance(y, np.ma.MaskedArray)
        assert np.isnan(y).any()
        self.classes_ = [np.array([0, 1])] * y.shape[1]
        return self

    def predict_proba(self, X):
        """Return the features as probabilities of the positive classes."""
        return [np.stack([1 - column, column], axis=1) for column in X.T]


def test_classifiers_are_given_no_masks():
    """scikit-learn's classifiers would read the data under a mask."""
    y = masked(CODES)
    assert len(cross_val_predict_proba(Recorder(), SCORES, y, cv=3)) == SHAPE[1]
    TunedThresholdMultiOutputCV(Recorder(), cv=3).fit(SCORES, y)
    with pytest.warns(SkattrWarning, match="too few known labels"):
        CalibratedMultiOutputCV(Recorder(), method="sigmoid", cv=3).fit(SCORES, y)


def test_names_and_rows_of_frames_are_kept():
    """The names of a DataFrame reach reports, and rows are those of the table, not its index."""
    y = pd.DataFrame(np.where(KNOWN, CODES, np.nan), columns=["hat", "bag", 7])
    y.index = y.index[::-1]
    assert metrics.attribute_report(y, PREDICTED).index.tolist()[:3] == ["hat", "bag", 7]
    assert AttributeEncoder().fit(y).output_names_ == ["hat", "bag", 7]
    np.testing.assert_array_equal(AttributeEncoder().fit_transform(y), np.where(KNOWN, CODES, -1))
