"""Unreadable rows: raised with their row, or recorded, counted and named in one warning."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skattr._inputs.unreadable import (
    check_any_readable,
    raise_or_record,
    readable_rows,
    unreadable_rows,
    warn_unreadable,
)
from skattr.exceptions import BadImageWarning, DatasetWarning, ImageReadError, InvalidBoxError


class Rows(SimpleNamespace):
    """Some rows of X."""

    doubtful = None

    def __len__(self):
        return self.n


@given(st.integers(1, 20), st.data())
def test_every_row_is_readable_or_unreadable(n, data):
    """Both lists are in order and share no row."""
    unreadable = data.draw(st.lists(st.integers(0, n - 1), unique=True))
    rows = Rows(n=n, unreadable=dict.fromkeys(unreadable, "why"))
    assert unreadable_rows(rows).tolist() == sorted(unreadable)
    assert readable_rows(rows).tolist() == [row for row in range(n) if row not in unreadable]
    assert readable_rows(rows).dtype == unreadable_rows(rows).dtype == np.intp


def test_without_a_record_every_row_is_readable():
    """`unreadable` is None where unreadable rows are errors."""
    rows = Rows(n=3, unreadable=None)
    assert readable_rows(rows).tolist() == [0, 1, 2]
    assert len(unreadable_rows(rows)) == 0
    warn_unreadable(rows, "never said")
    check_any_readable(rows)


@pytest.mark.parametrize("kind", [ImageReadError, InvalidBoxError])
def test_errors_are_raised_with_their_row_or_recorded(kind):
    """Class and cause of the error are kept; of several reasons of a row the first is."""
    error = kind("it is truncated.")
    error.__cause__ = cause = OSError("disk")
    with pytest.raises(kind, match=r"^row 7 of X: it is truncated\.$") as caught:
        raise_or_record(None, 7, error)
    assert caught.value.__cause__ is cause
    recorded = {}
    raise_or_record(recorded, 7, error)
    raise_or_record(recorded, 7, kind("it is empty."))
    assert recorded == {7: "it is truncated."}


def test_the_warning_counts_all_rows_and_names_three():
    """Rows are named in the order of X; rows of an earlier warning are not counted again."""
    rows = Rows(n=9, unreadable={8: "h", 2: "b.", 5: "e", 4: "d"})
    message = (
        r"^4 of 9 rows of X are unreadable; they are skipped\. row 2 of X: b; row 4 of X: d; "
        r"row 5 of X: e; and 1 more\.$"
    )
    with pytest.warns(BadImageWarning, match=message) as caught:
        warn_unreadable(rows, "they are skipped")
    assert caught[0].filename == __file__
    with pytest.warns(BadImageWarning, match=r"^1 of 9 .*; they broke\. row 4 of X: d\.$"):
        warn_unreadable(rows, "they broke", n_reported=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_unreadable(rows, "they broke", n_reported=4)


def test_rejects_x_without_a_readable_row():
    """If all rows are unreadable the error names the first ones."""
    rows = Rows(n=2, unreadable={1: "b", 0: "a"})
    with pytest.raises(ImageReadError, match=r"All 2 rows .* row 0 of X: a; row 1"):
        check_any_readable(rows)
    check_any_readable(Rows(n=3, unreadable=rows.unreadable))


def test_doubtful_rows_are_named_once():
    """Rows that are used although they are doubtful have a warning of their own, and only one."""
    rows = Rows(n=4, unreadable={3: "gone"}, doubtful={2: "the image 'b': odd EXIF data."})
    with pytest.warns() as caught:
        warn_unreadable(rows, "they are skipped")
    assert [one.category for one in caught] == [BadImageWarning, DatasetWarning]
    assert str(caught[1].message) == (
        "1 of 4 rows of X are doubtful, but used. row 2 of X: the image 'b': odd EXIF data."
    )
    with pytest.warns(BadImageWarning) as caught:
        warn_unreadable(rows, "they are skipped")
    assert len(caught) == 1
