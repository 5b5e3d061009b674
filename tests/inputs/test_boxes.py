"""Columns of boxes: what is wrong is found, whether it is raised or recorded."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skattr._inputs.boxes import BOX_COLUMNS, box_faults, read_boxes
from skattr.exceptions import InvalidBoxError

EDGE = st.one_of(st.integers(-2, 5), st.sampled_from([np.nan, np.inf, -np.inf, 0.5]))


def is_valid(box):
    """Tell by the definition whether a box is valid in some image."""
    if all(np.isnan(edge) for edge in box):
        return True
    if not all(np.isfinite(edge) and edge == int(edge) for edge in box):
        return False
    xmin, ymin, xmax, ymax = box
    return 0 <= xmin < xmax and 0 <= ymin < ymax


@given(st.lists(st.tuples(EDGE, EDGE, EDGE, EDGE), min_size=1, max_size=5))
def test_faults_are_those_of_the_definition(boxes):
    """Some fault is found of a box, if and only if it is invalid."""
    faults = box_faults(np.array(boxes, dtype=float))
    found = np.any(list(faults.values()), axis=0)
    assert found.tolist() == [not is_valid(box) for box in boxes]
    for row, (xmin, ymin, xmax, ymax) in enumerate(boxes):
        edges = (xmin, ymin, xmax, ymax)
        n_missing = sum(map(np.isnan, edges))
        assert {reason: mask[row] for reason, mask in faults.items()} == {
            "has a missing edge": 0 < n_missing < 4,
            "has edges that are not whole pixels": n_missing < 4
            and not all(float(edge).is_integer() for edge in edges),
            "holds no pixel": xmax <= xmin or ymax <= ymin,
            "starts outside its image": xmin < 0 or ymin < 0,
        }


@given(st.lists(st.tuples(EDGE, EDGE, EDGE, EDGE), min_size=1, max_size=5))
def test_recorded_are_all_rows_that_would_be_raised(boxes):
    """All invalid rows are recorded; the raised error is that of one of them."""
    X = pd.DataFrame(boxes, columns=BOX_COLUMNS, dtype=float)
    paths = [f"{row}.png" for row in range(len(boxes))]
    recorded = {}
    np.testing.assert_array_equal(read_boxes(X, paths, recorded), X.to_numpy())
    assert sorted(recorded) == [row for row, box in enumerate(boxes) if not is_valid(box)]
    if recorded:
        with pytest.raises(InvalidBoxError) as caught:
            read_boxes(X, paths, None)
        assert str(caught.value) in {f"row {row} of X: {why}" for row, why in recorded.items()}


@pytest.mark.parametrize("text", ["left", [1], pd.Timestamp(0)])
def test_text_in_a_box(text):
    """Text is an error of the columns; if errors are recorded, it is one of its row only."""
    X = pd.DataFrame(
        [[0, 0, 2, 2], [0, text, 2, 2], [None] * 4, [text] * 4], columns=BOX_COLUMNS, dtype=object
    )
    with pytest.raises(InvalidBoxError, match="box columns of X must be numbers"):
        read_boxes(X, list("abcd"), None)
    recorded = {}
    boxes = read_boxes(X, list("abcd"), recorded)
    assert sorted(recorded) == [1, 3]
    assert "of 'b' is not numeric" in recorded[1]
    np.testing.assert_array_equal(boxes[[0, 2]], [[0, 0, 2, 2], [np.nan] * 4])


def test_x_without_box_columns():
    """Without the columns there are no boxes."""
    assert read_boxes(pd.DataFrame({"path": ["a"]}), ["a"], None) is None
