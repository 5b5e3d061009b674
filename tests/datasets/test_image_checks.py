"""Checks of image files, against what a classifier can read."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skattr._inputs.checks import check_image_paths
from skattr._inputs.unreadable import readable_rows
from skattr.datasets import check_images
from skattr.datasets._image_checks import COLUMNS, SEVERITIES
from tests.image_fixtures import HEIGHT, WIDTH, make_hostile_folder

BOXES = ["xmin", "ymin", "xmax", "ymax"]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Return the hostile folder."""
    return make_hostile_folder(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def report(hostile):
    """Return the report on the hostile folder."""
    return check_images(hostile.paths)


def problems(report, *severities):
    """Return (row, problem) of all findings of some severities."""
    chosen = report[report["severity"].isin(severities or set(SEVERITIES.values()))]
    return list(zip(chosen["row"].tolist(), chosen["problem"].tolist(), strict=True))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_every_bad_file_has_its_problem(hostile, n_jobs):
    """Each unreadable file is an error of its kind, and no readable one, in 1 or 2 threads."""
    report = check_images(pd.DataFrame({"path": hostile.paths}), n_jobs=n_jobs)
    errors = report[report["severity"] == "error"]
    assert dict(zip(errors["path"], errors["problem"], strict=True)) == hostile.problem_by_path
    assert errors["row"].tolist() == np.flatnonzero(hostile.is_bad).tolist()


def test_errors_are_the_unreadable_rows_of_fit(hostile, report):
    """The rows with errors are the unreadable rows of `fit`."""
    rows = check_image_paths(hostile.paths, (4, 4), "warn")
    _, _, reasons = rows.take_readable(readable_rows(rows))
    expected = sorted({**rows.unreadable, **reasons})
    assert [row for row, _ in problems(report, "error")] == expected


def test_odd_files_have_notes(hostile, report):
    """Images that are converted, turned, animated or tiny have a finding with a sentence."""
    by_attribute_name = {Path(path).name: group for path, group in report.groupby("path")}
    found = {
        name: dict(zip(group["problem"], group["detail"], strict=True))
        for name, group in by_attribute_name.items()
        if name in hostile.good
    }
    assert set(found) == {
        "gray.png",
        "rgba.png",
        "one pixel.png",
        "16 bit.png",
        "cmyk.jpg",
        "palette.png",
        "animated.gif",
        "turned.jpg",
    }
    assert found["gray.png"] == {"converted": "it is gray (mode 'L')."}
    assert "transparency (mode 'RGBA')" in found["rgba.png"]["converted"]
    assert found["one pixel.png"] == {"tiny": "the image is 1 pixels wide and 1 high."}
    assert "65535 are scaled to 0 to 255; 0 to 65535 are used" in found["16 bit.png"]["converted"]
    assert "mode 'CMYK'" in found["cmyk.jpg"]["converted"]
    assert "transparency (mode 'P')" in found["palette.png"]["converted"]
    assert "first" in found["animated.gif"]["animated"]
    assert "orientation 6" in found["turned.jpg"]["turned"]


def test_the_table(report):
    """Columns, types, order and severities are as documented."""
    assert tuple(report.columns) == COLUMNS
    assert report["row"].dtype == np.int64
    assert report["row"].is_monotonic_increasing
    assert report.index.equals(pd.RangeIndex(len(report)))
    assert (report["severity"] == report["problem"].map(SEVERITIES)).all()
    assert report["detail"].str.fullmatch(r".+[^.]\.").all()


def test_images_without_problems(files):
    """Images without problems give an empty table with the same columns."""
    report = check_images(files)
    assert tuple(report.columns) == COLUMNS
    assert len(report) == 0


@pytest.mark.parametrize("container", [list, tuple, np.array, pd.Series])
def test_containers_of_paths(hostile, report, container):
    """Every container of paths gives the same report."""
    pd.testing.assert_frame_equal(check_images(container(hostile.paths)), report)


def test_values_that_are_not_paths_are_missing(files):
    """None, NaN, numbers and empty strings are missing."""
    report = check_images(pd.DataFrame({"path": [files[0], None, np.nan, 3, ""]}))
    assert problems(report) == [(row, "missing") for row in (1, 2, 3, 4)]
    assert report["path"].isna().all()
    assert report["detail"][0].startswith("None is not a path")


# --- boxes -----------------------------------------------------------------------------------


def test_boxes(hostile):
    """Each invalid box has its name; whole images and valid crops have none."""
    cases = [
        ([0, 0, WIDTH, HEIGHT], None),
        ([np.nan] * 4, None),
        ([3, 3, 3, 20], "zero-area box"),
        ([9, 0, 3, 20], "zero-area box"),
        ([0, 0, WIDTH + 1, HEIGHT], "outside box"),
        ([0, 0, WIDTH, HEIGHT + 9], "outside box"),
        ([-1, 0, 9, 9], "outside box"),
        ([0, 0, np.nan, 9], "malformed box"),
        ([0, 0.5, 9, 9], "malformed box"),
        ([0, 0, np.inf, 9], "malformed box"),
        (["a", "b", "c", "d"], "malformed box"),
        ([0, "b", 9, 9], "malformed box"),
        ([0, 0, 7, 20], "tiny"),
        ([0, 0, 8, 8], None),
    ]
    path = hostile.good["plain.png"]
    data = pd.DataFrame([box for box, _ in cases], columns=BOXES).assign(path=path)
    expected = [(row, problem) for row, (_, problem) in enumerate(cases) if problem]
    report = check_images(data)
    # The first and the second row are the same image, but one has a box.
    assert problems(report) == expected
    assert f"exceeds the bounds of its image ({WIDTH} x {HEIGHT} pixels)" in report["detail"][2]
    assert report["detail"].iloc[-1] == "the crop is 7 pixels wide and 20 high."


def test_boxes_are_held_against_the_upright_image(hostile):
    """The size of a turned image is that of the upright one."""
    path = hostile.good["turned.jpg"]
    data = pd.DataFrame({"path": [path] * 2, "xmin": 0, "ymin": 0})
    data = data.assign(xmax=[HEIGHT, WIDTH], ymax=[WIDTH, HEIGHT])
    assert problems(check_images(data), "error") == [(1, "outside box")]


def test_boxes_of_missing_images_are_checked_too(hostile):
    """Annotations can be checked before the images are downloaded."""
    data = pd.DataFrame({"path": ["gone.jpg"] * 2, "xmin": 0, "ymin": 0, "xmax": [0, 5], "ymax": 9})
    assert problems(check_images(data)) == [
        (0, "missing"),
        (0, "zero-area box"),
        (1, "missing"),
        (1, "tiny"),
    ]


@pytest.mark.parametrize(("min_side", "expected"), [(1, []), (10, []), (11, [0]), (13, [0, 1])])
def test_min_side(files, tmp_path, min_side, expected):
    """An image is tiny if one of its sides is below `min_side`."""
    Image.new("RGB", (12, 40)).save(tmp_path / "other.png")
    report = check_images([files[0], str(tmp_path / "other.png")], min_side=min_side)
    assert problems(report) == [(row, "tiny") for row in expected]


# --- duplicates ------------------------------------------------------------------------------


def brute_force(keys, table):
    """Return the duplicates by comparing each row with each other."""
    n_rows = len(keys)
    result = []
    for row in range(n_rows):
        same = [other for other in range(n_rows) if keys[other] == keys[row]]
        conflicts = any(
            len({table[other][j] for other in same} - {None}) > 1 for j in range(len(table[0]))
        )
        if conflicts:
            result.append((row, "conflicting duplicate"))
        elif same[0] != row:
            result.append((row, "duplicate"))
    return result


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_duplicates_are_those_of_brute_force(tmp_path_factory, data):
    """Duplicates and conflicts of known labels equal a search over all pairs."""
    folder = tmp_path_factory.getbasetemp() / "colors"
    if not folder.exists():
        folder.mkdir()
        for number in range(3):
            Image.new("RGB", (20, 20), (number, 0, 0)).save(folder / f"{number}.png")
            shutil.copy(folder / f"{number}.png", folder / f"copy {number}.png")
    n_rows = data.draw(st.integers(1, 8))
    numbers = data.draw(st.lists(st.integers(0, 2), min_size=n_rows, max_size=n_rows))
    copies = data.draw(st.lists(st.sampled_from(["", "copy "]), min_size=n_rows, max_size=n_rows))
    edges = data.draw(st.lists(st.sampled_from([None, 10, 20]), min_size=n_rows, max_size=n_rows))
    label = st.sampled_from([None, "a", "b"])
    pair = st.tuples(label, label)
    table = data.draw(st.lists(pair, min_size=n_rows, max_size=n_rows))
    frame = pd.DataFrame({"path": [f"{folder}/{c}{n}.png" for c, n in zip(copies, numbers)]})  # noqa: B905
    for name, value in zip(BOXES, (0, 0, edges, edges), strict=True):
        frame[name] = pd.Series(value, index=frame.index, dtype=float)
    whole = [edge is None for edge in edges]
    frame.loc[whole, BOXES] = np.nan
    target = pd.DataFrame(table, columns=["one", "two"], dtype=object)
    report = check_images(frame, target=target)
    keys = list(zip(numbers, edges, strict=True))
    assert problems(report) == brute_force(keys, table)
    plain = check_images(frame)
    assert problems(plain) == brute_force(keys, [(None,)] * n_rows)


def test_conflicts_name_the_attributes(files):
    """The attributes that differ, and the other rows, are named; missing labels agree with all."""
    target = pd.DataFrame(
        {
            "hat": pd.array([True, None, False, True], dtype="boolean"),
            "color": pd.Categorical(["red", "red", None, "blue"]),
            "age": [1.0, np.nan, 1.0, 2.0],
        }
    )
    report = check_images([files[0], files[0], files[0], files[1]], target=target)
    assert problems(report) == [(row, "conflicting duplicate") for row in (0, 1, 2)]
    assert report["detail"][1] == (
        "known labels of ['hat'] differ from those of the same image in row(s) 0, 2."
    )
    agreeing = check_images([files[0], files[0], files[1], files[2]], target=target)
    assert problems(agreeing) == [(1, "duplicate")]
    assert agreeing["detail"][0] == "it is the same image as in row 0."


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
def test_one_attribute(files, kind):
    """The target may be one column."""
    report = check_images([files[0]] * 2, target=kind([0, 1]))
    assert problems(report) == [(0, "conflicting duplicate"), (1, "conflicting duplicate")]


# --- what a user may do wrong, and what must not happen ---------------------------------------


@pytest.mark.parametrize("data", [np.zeros((2, 3)), None, [], pd.DataFrame({"a": [1]})])
def test_data_without_images(data):
    """Features and tables without a column of paths are errors that name what is valid."""
    with pytest.raises(ValueError, match="data contains no images.*'path' column"):
        check_images(data)


def test_wrong_parameters(files):
    """The error names the valid values."""
    with pytest.raises(ValueError, match=r"target has 3 row\(s\), data 24"):
        check_images(files, target=[1, 0, 1])
    for value in (0, 2.5, True, "8"):
        with pytest.raises(ValueError, match="min_side must be an int of at least 1"):
            check_images(files, min_side=value)
    with pytest.raises(ValueError, match=r"but not \['ymax'\]"):
        check_images(pd.DataFrame({"path": files, "xmin": 0, "ymin": 0, "xmax": 5}))


def test_data_is_left_alone(hostile):
    """The table that is checked is not changed, nor are Pillow's settings."""
    data = pd.DataFrame({"path": hostile.paths, "xmin": 0, "ymin": 0, "xmax": 9, "ymax": 9})
    before, limit = data.copy(), Image.MAX_IMAGE_PIXELS
    check_images(data, n_jobs=2)
    pd.testing.assert_frame_equal(data, before)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_progress_bar(files, capsys):
    """The bar is shown only with verbose=1."""
    check_images(files[:3])
    assert capsys.readouterr().err == ""
    check_images(files[:3], verbose=1)
    assert "3/3" in capsys.readouterr().err


SCRIPT = """
import resource, sys
from skattr.datasets import check_images
report = check_images(sys.argv[1:])
assert report["problem"].tolist() == ["bomb"], report
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_bomb_is_not_decoded(hostile):
    """The check does not allocate memory for its 400 million pixels."""

    def peak(path, code):
        done = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
        )
        return int(done.stdout) * 1024

    plain = SCRIPT.replace('== ["bomb"]', "== []")
    least = peak(hostile.good["plain.png"], plain)
    assert peak(hostile.bad["bomb.png"], SCRIPT) < least + 25_000_000
