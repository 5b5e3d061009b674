"""Readers of annotation files: accepted input and the error for each fault."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skattr.datasets import _annotation_files
from skattr.datasets._annotation_files import (
    check_choice,
    check_order,
    check_unique,
    read_codes,
    read_csv,
    read_header,
    read_json,
    read_names,
    read_numbers,
    read_rows,
)
from skattr.exceptions import DatasetFormatError, SkattrError

CODING = {"1": 1, "-1": 0, "0": -1}


def written(folder, content):
    """Return the path of a file with this text or these bytes."""
    path = folder / "file.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_codes_survive_any_harmless_way_of_writing(tmp_path, monkeypatch, data):
    """Line ends, byte order mark, blanks and chunk size do not change the result."""
    monkeypatch.setattr(_annotation_files, "_CHUNK_SIZE", data.draw(st.sampled_from([2, 3, 65536])))
    n, k = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 4))
    cells = data.draw(
        st.lists(
            st.lists(st.sampled_from(["1", "-1", "0"]), min_size=k, max_size=k),
            min_size=n,
            max_size=n,
        )
    )
    separator = data.draw(st.sampled_from([None, ",", ";"]))
    gaps = [" ", "  ", "\t"] if separator is None else [separator]
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    lines = [
        f"bild {i}.jpg".replace(" ", "ä")
        + "".join(data.draw(st.sampled_from(gaps)) + cell for cell in row)
        + (data.draw(st.sampled_from(["", " "])) if separator is None else "")
        for i, row in enumerate(cells)
    ]
    text = "header" + end + end.join(lines) + end * data.draw(st.integers(0, 3))
    mark = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    path = written(tmp_path, mark + text.encode())
    rows, place = read_rows(path, k + 1, separator=separator, first=2)
    assert rows[0].tolist() == [f"bildä{i}.jpg" for i in range(n)]
    codes = read_codes(rows.iloc[:, 1:], [str(j) for j in range(k)], CODING, place)
    expected = np.array([[CODING[cell] for cell in row] for row in cells])
    np.testing.assert_array_equal(codes, expected)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=st.integers(0, 38), separator=st.sampled_from([",", " "]))
def test_a_truncated_file_is_rejected_or_gives_its_first_rows(tmp_path, cut, separator):
    """A file that is cut short anywhere has no label that the complete file lacks."""
    whole = [["1", "-1", "0", "-1"], ["-1", "1", "1", "0"], ["0", "0", "-1", "1"]]
    text = "".join(separator.join(row) + "\n" for row in whole)
    path = written(tmp_path, text[:cut])
    try:
        separator = None if separator == " " else separator
        rows, place = read_rows(path, 4, separator=separator, n_text=0)
        codes = read_codes(rows, list("abcd"), CODING, place)
    except DatasetFormatError:
        return
    expected = np.array([[CODING[cell] for cell in row] for row in whole])
    np.testing.assert_array_equal(codes, expected[: len(codes)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a 1\nb\n", "line 2: expected 2 fields, got 1; the file may be cut short."),
        ("a 1\nb 1 1\nc 1\n", "line 2: expected 2 fields, got 3."),
        ("a 1\n\nc 1\n", "line 2: expected 2 fields, got 0."),
        ("", "contains no row; rows are expected from line 1 on"),
        ("\r\n\r\n", "contains no row"),
        (b"a 1\nb\xe9 1\n", "line 2: the byte 0xe9 is not UTF-8"),
        (b"\xff\xfea\x00 \x001\x00", "line 1: the byte 0xff is not UTF-8"),
        ("a 1\rb 1\r", "line 1: the line contains a carriage return or a NUL"),
        (b"a 1\nb 1\n\0\0\0\0", "line 3: the line contains a carriage return or a NUL"),
    ],
)
def test_faults_of_lines_are_named(tmp_path, content, message):
    """The error names file and line, and says what was expected."""
    path = written(tmp_path, content)
    with pytest.raises(DatasetFormatError, match=re.escape(message)) as caught:
        read_rows(path, 2)
    assert str(caught.value).startswith(path)
    assert isinstance(caught.value, ValueError | SkattrError)


def test_a_cell_outside_the_coding_is_named_with_line_and_attribute(tmp_path):
    """The first wrong row of the first wrong column is named, with all valid cells."""
    path = written(tmp_path, "a 1 0\nb 0 01\nc 2 1\n")
    rows, place = read_rows(path, 3)
    with pytest.raises(DatasetFormatError) as caught:
        read_codes(rows[[1, 2]], ["hat", "coat"], {"0": 0, "1": 1}, place)
    assert str(caught.value) == (
        f"{path}, line 3: attribute 'hat' is '2', but must be '0' (negative) or '1' (positive)."
    )
    # "01" is not 1: cells are compared as text.
    with pytest.raises(DatasetFormatError, match="line 2: attribute 'coat' is '01'"):
        read_codes(rows[[2]], ["coat"], {"0": 0, "1": 1}, place)


@pytest.mark.parametrize("blank", ["\xa0", "\u3000", "\x0b"])
def test_a_blank_that_does_not_separate_is_no_label(tmp_path, blank):
    """A field that pandas does not find is rejected."""
    path = written(tmp_path, f"a 1 0\nb 0{blank}1\n")
    rows, place = read_rows(path, 3)
    with pytest.raises(DatasetFormatError, match="line 2: attribute 'hat' is '0.*1', but must be"):
        read_codes(rows[[1]], ["hat"], {"0": 0, "1": 1}, place)
    with pytest.raises(DatasetFormatError, match="line 2: attribute 'coat' is '', but must be"):
        read_codes(rows[[2]], ["coat"], {"0": 0, "1": 1}, place)


@pytest.mark.parametrize("cell", ["", "1.5", "x", "1e3", "١", "12345678901234567890", "- 1"])
def test_numbers_must_be_whole(tmp_path, cell):
    """Numbers that only int() or float() accepts are rejected."""
    path = written(tmp_path, f"7,-3\n5,{cell}\n")
    rows, place = read_rows(path, 2, separator=",", n_text=0)
    with pytest.raises(DatasetFormatError, match="line 2: y is .* but must be a whole number"):
        read_numbers(rows, ["x", "y"], place)


def test_numbers_are_read(tmp_path):
    """Whole numbers of either sign give a matrix of int64."""
    path = written(tmp_path, "7,-3\n05,123456789\n")
    rows, place = read_rows(path, 2, separator=",", n_text=0)
    found = read_numbers(rows, ["x", "y"], place)
    assert found.dtype == np.int64
    assert found.tolist() == [[7, -3], [5, 123456789]]


def test_names_are_read_with_blanks_and_windows_ends(tmp_path):
    """Names may contain blanks; blank lines at the end are ignored."""
    path = written(tmp_path, "\ufeffFurn. Leg\r\nStem/Trunk\r\n\r\n")
    assert read_names(path) == ["Furn. Leg", "Stem/Trunk"]
    for content, message in [
        ("a\nb\na\n", "line 3: expected a new name, got 'a'"),
        ("a\n\nb\n", "line 2: expected a new name, got ''"),
        ("\n", "contains no name"),
    ]:
        with pytest.raises(DatasetFormatError, match=message):
            read_names(written(tmp_path, content))


@given(st.permutations(["a", "b", "c", "x", "y"]))
def test_known_names_must_be_in_their_order(names):
    """Known names must be in official order; others may be anywhere."""
    known = [name for name in names if name in "abc"]
    if known == sorted(known):
        check_order(names, "a,b,c", "file")
    else:
        with pytest.raises(DatasetFormatError, match="file: the attribute '.' comes after '.'"):
            check_order(names, "a,b,c", "file")


def test_json_that_is_cut_is_named(tmp_path):
    """The error names the line and column in which JSON ends."""
    assert read_json(written(tmp_path, b'\xef\xbb\xbf[{"a": 1}]\r\n')) == [{"a": 1}]
    with pytest.raises(DatasetFormatError, match=r"line 2, column 8: this is not JSON .*cut short"):
        read_json(written(tmp_path, '[\n{"a": 1'))
    with pytest.raises(DatasetFormatError, match="line 3: the byte 0xe9"):
        read_json(written(tmp_path, b'[\n\n"\xe9"]'))


def test_twice_is_named_with_both_lines():
    """The error for a repeated value names both places."""
    places = ["line 3", "line 4", "line 5"]
    check_unique(pd.Series(["a", "b"]), "the image", places.__getitem__)
    with pytest.raises(DatasetFormatError) as caught:
        check_unique(pd.Series(["a", "b", "a"]), "the image", places.__getitem__)
    assert str(caught.value) == "line 5: the image 'a' occurs twice, first in line 3."


@pytest.mark.parametrize("first", [1, 2, 3])
def test_place_is_the_line_of_a_row(tmp_path, first):
    """The function returned with the rows counts the lines above them."""
    path = written(tmp_path, "above 0\n" * (first - 1) + "a 1\nb 0\n")
    rows, place = read_rows(path, 2, first=first)
    lines = (tmp_path / "file.txt").read_text().splitlines()
    for row in range(2):
        number = int(place(row).removeprefix(f"{path}, line "))
        assert lines[number - 1].split() == rows.loc[row].tolist()


def test_columns_of_a_csv_file(tmp_path):
    """The first line must name the columns in their order; the text columns are str."""
    path = written(tmp_path, "\ufeffimage,who,hat\r\na.jpg,7,1\r\n")
    rows, place = read_csv(path, ["image", "who", "hat"], n_text=2)
    assert rows.loc[0].tolist() == ["a.jpg", "7", "1"]
    assert [isinstance(kind, pd.CategoricalDtype) for kind in rows.dtypes] == [False, False, True]
    assert place(0) == f"{path}, line 2"
    for columns in (["image", "hat", "who"], ["image", "who"], ["image", "who", "hat", "x"]):
        expected = re.escape(f"line 1: expected the columns {','.join(columns)!r} in this order")
        with pytest.raises(DatasetFormatError, match=f"{expected}, got 'image,who,hat'"):
            read_csv(path, columns)


@pytest.mark.parametrize(
    ("content", "separator", "line", "names"),
    [
        ("a,b c\n", ",", 1, ["a", "b c"]),
        ("2\na b  c \n", None, 2, ["a", "b", "c"]),
        ("a,b,\n", ",", 1, None),  # a comma at the end
        ("a,b,a\n", ",", 1, None),
        ("", ",", 1, None),
        ("", None, 2, None),
        ("2\n \n", None, 2, None),
    ],
)
def test_header(tmp_path, content, separator, line, names):
    """Names of columns must be distinct and not empty."""
    path = written(tmp_path, content)
    if names:
        assert read_header(path, separator, line) == names
    else:
        message = f"file.txt, line {line}: expected the distinct names of the columns, got"
        with pytest.raises(DatasetFormatError, match=message):
            read_header(path, separator, line)


@pytest.mark.parametrize("value", ["tran", 1, True, ["train"], np.array(["train", "test"])])
def test_choices(value):
    """Only the valid values are accepted, whatever the type."""
    check_choice("subset", None, (None, "train"))
    with pytest.raises(ValueError, match=r"subset must be one of \[None, 'train'\], got"):
        check_choice("subset", value, (None, "train"))
