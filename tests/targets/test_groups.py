"""Groups have the same meaning in fit, thresholds, splitters and intervals."""

import numpy as np
import pandas as pd
import pytest
import torch

from skattr import AttributeClassifier
from skattr._targets.groups import read_groups
from skattr.metrics import attribute_report
from skattr.model_selection import MultilabelStratifiedGroupKFold
from skattr.thresholds import ThresholdCalibrator, find_thresholds

N = 60
NUMBERS = np.arange(N) // 3
NAMES = [int(k) if k % 2 else f"p{k}" for k in NUMBERS]


def uses(y, scores):
    """Return functions of groups: each place that takes them."""
    guarantee = {"objective": "precision", "constraint": ("recall", 0.6), "confidence": 0.6}
    classifier = AttributeClassifier(max_epochs=1, validation_fraction=0.3, random_state=0)
    splitter = MultilabelStratifiedGroupKFold(3)
    interval = {"confidence": 0.9, "n_bootstrap": 5, "random_state": 0}
    return {
        "fit": lambda g: classifier.fit(scores, y, groups=g).history_[0]["valid_loss"],
        "calibrator": lambda g: ThresholdCalibrator(**guarantee).fit(scores, y, groups=g),
        "find": lambda g: find_thresholds(y, scores, groups=g, **guarantee).thresholds,
        "split": lambda g: np.concatenate([test for _, test in splitter.split(scores, y, g)]),
        "report": lambda g: attribute_report(y, None, scores, groups=g, **interval).filter(
            like="_low"
        ),
    }


def data():
    """Return the uses of groups, for random labels and scores that depend on them."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (N, 2))
    return uses(y, np.clip(y * 0.3 + rng.random(y.shape) * 0.6, 0, 1))


@pytest.mark.parametrize("use", ["fit", "calibrator", "find", "split", "report"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: NUMBERS.tolist(),
        lambda: NUMBERS[:, np.newaxis],
        lambda: pd.DataFrame({"person": NUMBERS}),
        lambda: pd.Series(NUMBERS).astype("category"),
        lambda: pd.Series(NUMBERS).astype("Int64"),
        lambda: pytest.importorskip("polars").Series(NUMBERS),
        lambda: torch.tensor(NUMBERS),
        lambda: tuple(f"p{k:02}" for k in NUMBERS),
    ],
)
def test_groups_of_any_container(use, make):
    """Numbers, names, and columns of tables are the same groups everywhere."""
    groups = make()
    expected, found = (data()[use](g) for g in (NUMBERS, groups))
    if use == "calibrator":
        expected, found = expected.best_threshold_, found.best_threshold_
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("use", ["fit", "calibrator", "find", "split", "report"])
def test_masked_groups_and_other_shapes_are_errors(use):
    """The data under a mask are not read, and two columns are no groups."""
    with pytest.raises(TypeError, match="groups is a masked array"):
        data()[use](np.ma.masked_equal(NUMBERS, 3))
    for groups in (np.c_[NUMBERS, NUMBERS], NUMBERS[:7]):
        with pytest.raises(ValueError, match="groups|inconsistent numbers"):
            data()[use](groups)


def test_names_of_several_types_make_folds():
    """Numbers among names are other groups than names of the same digits."""
    splitter = MultilabelStratifiedGroupKFold(3)
    for train, test in splitter.split(np.zeros(N), np.arange(N) % 2, NAMES):
        assert not set(NUMBERS[train]) & set(NUMBERS[test])
    assert read_groups([1, "1", 1], 3).tolist() == [0, 1, 0]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("use", ["fit", "split"])
def test_missing_groups_are_an_error_where_rows_are_held_out(use, missing):
    """The message names the first row without a group."""
    names = [missing if k == 2 else f"p{k}" for k in NUMBERS]
    with pytest.raises(ValueError, match="groups is missing in row 6"):
        data()[use](names)
