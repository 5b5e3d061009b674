"""Rows that cannot be read: raised with their row, or kept, counted and named."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skattr._inputs.unreadable import (
    check_any_readable,
    raise_or_record,
    readable,
    unreadable_rows,
    warn_unreadable,
)
from skattr.exceptions import BadImageWarning, ImageReadError, InvalidBoxError


class Rows(SimpleNamespace):
    """Some rows of X."""

    def __len__(self):
        return self.n


@given(st.integers(1, 20), st.data())
def test_readable_and_unreadable_rows_are_all_rows(n, data):
    """Both are in order, and share no row."""
    bad = data.draw(st.lists(st.integers(0, n - 1), unique=True))
    rows = Rows(n=n, unreadable=dict.fromkeys(bad, "why"))
    assert unreadable_rows(rows).tolist() == sorted(bad)
    assert readable(rows).tolist() == [row for row in range(n) if row not in bad]
    assert readable(rows).dtype == unreadable_rows(rows).dtype == np.intp


def test_without_a_policy_every_row_is_readable():
    """None stands for no bad rows."""
    rows = Rows(n=3, unreadable=None)
    assert readable(rows).tolist() == [0, 1, 2]
    assert len(unreadable_rows(rows)) == 0
    warn_unreadable(rows, "never said")
    check_any_readable(rows)


@pytest.mark.parametrize("kind", [ImageReadError, InvalidBoxError])
def test_an_error_is_raised_with_its_row_or_kept(kind):
    """The kind and the cause are kept; of a row the first reason is."""
    error = kind("it is broken.")
    error.__cause__ = cause = OSError("disk")
    with pytest.raises(kind, match="^row 7 of X: it is broken.$") as caught:
        raise_or_record(None, 7, error)
    assert caught.value.__cause__ is cause
    kept = {}
    raise_or_record(kept, 7, error)
    raise_or_record(kept, 7, kind("it is empty."))
    assert kept == {7: "it is broken."}


def test_the_warning_counts_all_and_names_the_first():
    """Three rows are named in the order of X; those told of before are not counted again."""
    rows = Rows(n=9, unreadable={8: "h", 2: "b.", 5: "e", 4: "d"})
    message = (
        r"^4 of the 9 row\(s\) of X cannot be read; they are out. row 2 of X: b; row 4 of X: d; "
        r"row 5 of X: e; and 1 more.$"
    )
    with pytest.warns(BadImageWarning, match=message) as caught:
        warn_unreadable(rows, "they are out")
    assert caught[0].filename == __file__
    with pytest.warns(BadImageWarning, match=r"^1 of the 9 .*; they broke. row 4 of X: d.$"):
        warn_unreadable(rows, "they broke", n_told=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_unreadable(rows, "they broke", n_told=4)


def test_no_row_at_all():
    """If none can be read it is an error that names the first."""
    rows = Rows(n=2, unreadable={1: "b", 0: "a"})
    with pytest.raises(ImageReadError, match=r"None of the 2 row\(s\) .* row 0 of X: a; row 1"):
        check_any_readable(rows)
    check_any_readable(Rows(n=3, unreadable=rows.unreadable))
