"""Find unusable and doubtful images of a dataset before training."""

import contextlib
import hashlib
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from tqdm.auto import tqdm

from skattr._inputs.boxes import box_faults
from skattr._inputs.checks import check_image_paths, infer_kind
from skattr._inputs.decoding import read_image
from skattr._inputs.rows import FileRows
from skattr._targets.alignment import align_rows
from skattr._targets.columns import read_labels
from skattr.exceptions import ImageReadError

COLUMNS = ("row", "path", "problem", "severity", "detail")
SEVERITIES = {
    "missing": "error",
    "truncated": "error",
    "not an image": "error",
    "bomb": "error",
    "unreadable": "error",
    "malformed box": "error",
    "zero-area box": "error",
    "outside box": "error",
    "tiny": "warning",
    "conflicting duplicate": "warning",
    "duplicate": "warning",
    "converted": "note",
    "animated": "note",
    "turned": "note",
}
_EXCEEDS = "exceeds the bounds of its image"
_BOX_PROBLEMS = {"holds no pixel": "zero-area box", "starts outside its image": "outside box"}
_N_SHOWN = 5

Finding = tuple[int, str, str]  # row, problem, detail


@dataclass(frozen=True)
class _Inspection:
    """Findings on a file, the size of the upright image and a digest of its bytes."""

    findings: tuple[tuple[str, str], ...]
    size: tuple[float, float] = (np.nan, np.nan)  # width, height
    digest: bytes | None = None


def check_images(
    data: Any, *, target: Any = None, min_side: int = 8, n_jobs: int | None = None, verbose: int = 0
) -> pd.DataFrame:
    """Find images of a dataset that are unusable or should be inspected.

    Every file is decoded once, as :class:`~skattr.AttributeClassifier` decodes it. Rows with a
    problem of severity "error" are the unreadable rows of the classifier.

    Parameters
    ----------
    data : DataFrame with a ``path`` column, Series, sequence or 1-D array of paths
        If there are columns ``xmin ymin xmax ymax``, the boxes are checked, too.
    target : array-like of shape (n,) or (n, n_outputs), Series or DataFrame, default=None
        Labels, to find duplicates with conflicting labels.
    min_side : int, default=8
        Images, or crops, with fewer pixels on a side are "tiny".
    n_jobs : int, default=None
        Number of threads. None means 1 unless joblib is configured otherwise, -1 all cores.
    verbose : int, default=0
        From 1, a progress bar.

    Returns
    -------
    DataFrame
        One row per problem, in the order of `data`, with the columns ``row`` (position in `data`),
        ``path`` (None if it is missing), ``problem``, ``severity`` and ``detail`` (a sentence).
        The problems of each severity are

        - "error": "missing", "truncated", "not an image", "bomb" (more pixels than Pillow
          decodes), "unreadable" (for another reason), "zero-area box", "outside box" (it exceeds
          the bounds of its image), "malformed box";
        - "warning": "tiny"; "duplicate" (file contents and box equal those of an earlier row);
          "conflicting duplicate" (all rows with equal contents and box, if their known labels
          differ);
        - "note": "converted" (the mode is not RGB), "animated" (the first frame is used), "turned"
          (by the EXIF orientation).

    Raises
    ------
    ValueError
        If `data` has no paths, `target` has another number of rows, or `min_side` is invalid.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skattr.datasets import check_images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = [str(Path(folder, name)) for name in ("a.png", "b.png", "c.jpg", "d.png")]
    ...     for path in paths[:2]:
    ...         Image.new("RGB", (20, 30), "red").save(path)
    ...     _ = Path(paths[2]).write_text("not an image")
    ...     report = check_images(paths, target=["red", "blue", "red", "red"])
    >>> report[["row", "problem", "severity"]]
       row                problem severity
    0    0  conflicting duplicate  warning
    1    1  conflicting duplicate  warning
    2    2           not an image    error
    3    3                missing    error
    """
    data, target = align_rows(data=data, target=target)
    if infer_kind(data) != "files":
        raise ValueError(
            "data has no paths of images; valid are a DataFrame with a 'path' column and "
            "optional box columns xmin ymin xmax ymax, or a sequence of paths."
        )
    _check_side(min_side)
    # A size of one pixel makes the resize cheap; decoding finds all problems.
    rows = check_image_paths(data, (1, 1), "warn")
    labels = None if target is None else _labels(target, len(rows))
    inspections = _inspect_all(rows.paths, n_jobs, verbose)
    sizes = np.array([inspections[path].size for path in rows.paths])
    file_findings = list(_check_files(rows, inspections))
    box_findings = list(_check_boxes(rows, sizes))
    box_findings += _other_unreadable(rows, file_findings + box_findings)
    is_bad = np.zeros(len(rows), dtype=bool)
    is_bad[[row for row, _, _ in box_findings]] = True
    tiny = _tiny(rows, sizes, is_bad, min_side)
    duplicates = _duplicates(rows, inspections, is_bad, labels)
    return _table([*file_findings, *box_findings, *tiny, *duplicates], rows.paths)


def _check_side(min_side: Any) -> None:
    if isinstance(min_side, bool) or not isinstance(min_side, Integral) or int(min_side) < 1:
        raise ValueError(f"min_side must be an int of at least 1, got {min_side!r}.")


def _labels(target: Any, n_rows: int) -> pd.DataFrame:
    table = read_labels(target, what="target")
    if len(table) != n_rows:
        raise ValueError(f"target has {len(table)} row(s), data {n_rows}.")
    return table.to_frame()


def _inspect_all(paths: Sequence[str], n_jobs: int | None, verbose: int) -> dict[str, _Inspection]:
    """Inspect each distinct file once."""
    distinct = list(dict.fromkeys(paths))
    # Not scikit-learn's Parallel: it sets the warning filters, which threads share.
    inspections = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
        delayed(_inspect)(path) for path in distinct
    )
    bar = tqdm(inspections, total=len(distinct), disable=verbose < 1, unit="image")
    return dict(zip(distinct, bar, strict=True))


def _inspect(path: str) -> _Inspection:
    if not os.path.isfile(path):
        return _Inspection((("missing", _describe_missing(path)),))
    try:
        read_image(path, (1, 1))
    except ImageReadError as error:
        return _Inspection(((_problem_of(error), str(error)),))
    try:
        with Image.open(path) as opened:
            width, height = opened.size
            orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
            notes = tuple(_notes(opened, orientation))
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except Exception as error:  # the file changed since it was decoded
        return _Inspection((("unreadable", f"cannot read the image {path!r} again: {error}"),))
    size = (height, width) if orientation in (5, 6, 7, 8) else (width, height)
    return _Inspection(notes, size, digest)


def _describe_missing(path: str) -> str:
    if os.path.isdir(path):
        return f"{path!r} is a folder."
    if os.path.islink(path):
        return f"{path!r} is a broken link."
    if os.path.exists(path):
        return f"{path!r} is not a regular file."
    return f"there is no file {path!r}."


def _problem_of(error: ImageReadError) -> str:
    cause = error.__cause__
    if isinstance(cause, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "bomb"
    if isinstance(cause, UnidentifiedImageError):
        return "not an image"
    if isinstance(cause, EOFError | struct.error) or "truncated" in str(cause).lower():
        return "truncated"
    return "missing" if isinstance(cause, FileNotFoundError) else "unreadable"


def _notes(image: Image.Image, orientation: int) -> Iterator[tuple[str, str]]:
    mode = image.mode
    if image.has_transparency_data:
        yield "converted", f"its transparency (mode {mode!r}) is composited on white."
    elif mode.startswith("I"):
        yield "converted", f"its gray levels of 16 bits (mode {mode!r}) are scaled to 8."
    elif mode in ("1", "L"):
        yield "converted", f"it is gray (mode {mode!r})."
    elif mode != "RGB":
        yield "converted", f"its mode {mode!r} is converted to RGB."
    if orientation in range(2, 9):
        yield "turned", f"it is turned upright, by its EXIF orientation {orientation}."
    with contextlib.suppress(Exception):  # further frames, which are not read, may be broken
        if getattr(image, "is_animated", False):
            yield "animated", "its first frame is used."


def _check_files(rows: FileRows, inspections: dict[str, _Inspection]) -> Iterator[Finding]:
    for row, path in enumerate(rows.paths):
        for problem, detail in inspections[path].findings:
            if not path and rows.unreadable:  # the value of the row is not a path
                detail = rows.unreadable[row]
            yield row, problem, detail


def _check_boxes(rows: FileRows, sizes: NDArray[np.float64]) -> Iterator[Finding]:
    if rows.boxes is None:
        return
    is_named = np.zeros(len(rows), dtype=bool)
    faults = box_faults(rows.boxes)
    is_too_large = (rows.boxes[:, 2:] > sizes).any(axis=1)
    faults[_EXCEEDS] = np.asarray(is_too_large, dtype=bool)
    for reason, bad in faults.items():
        for row in np.flatnonzero(bad & ~is_named).tolist():
            detail = f"the box xmin, ymin, xmax, ymax = {rows.boxes[row].tolist()} {reason}"
            if reason == _EXCEEDS:
                width, height = sizes[row].astype(int).tolist()
                yield row, "outside box", f"{detail} ({width} x {height} pixels)."
            else:
                yield row, _BOX_PROBLEMS.get(reason, "malformed box"), f"{detail}."
        np.logical_or(is_named, bad, out=is_named)


def _other_unreadable(rows: FileRows, findings: Iterable[Finding]) -> list[Finding]:
    """Return unreadable rows without another error, such as rows with text in a box column."""
    seen = {row for row, problem, _ in findings if SEVERITIES[problem] == "error"}
    unreadable = rows.unreadable or {}
    return [(row, "malformed box", unreadable[row]) for row in unreadable if row not in seen]


def _tiny(
    rows: FileRows, sizes: NDArray[np.float64], is_bad: NDArray[np.bool_], min_side: int
) -> Iterator[Finding]:
    kind = np.full(len(rows), "image", dtype=object)
    if rows.boxes is not None:
        has_box = ~np.isnan(rows.boxes[:, 0])
        sizes = np.where(has_box[:, np.newaxis], rows.boxes[:, 2:] - rows.boxes[:, :2], sizes)
        kind[has_box] = "crop"
    for row in np.flatnonzero((sizes < min_side).any(axis=1) & ~is_bad).tolist():
        width, height = sizes[row].astype(int).tolist()
        yield row, "tiny", f"the {kind[row]} is {width} pixels wide and {height} high."


def _duplicates(
    rows: FileRows,
    inspections: dict[str, _Inspection],
    is_bad: NDArray[np.bool_],
    labels: pd.DataFrame | None,
) -> Iterator[Finding]:
    # Two crops of a file are not duplicates, so the box is part of the key.
    groups: dict[tuple[bytes, bytes], list[int]] = {}
    for row, path in enumerate(rows.paths):
        digest = inspections[path].digest
        if digest is not None and not is_bad[row]:
            is_whole = rows.boxes is None or np.isnan(rows.boxes[row, 0])
            box = b"" if is_whole or rows.boxes is None else rows.boxes[row].tobytes()
            groups.setdefault((digest, box), []).append(row)
    repeated = [group for group in groups.values() if len(group) > 1]
    for group, attributes in zip(repeated, _conflicts(repeated, labels), strict=True):
        if attributes:
            for row in group:
                others = _join_rows([other for other in group if other != row])
                detail = f"known labels of {attributes} differ from those of the same image in"
                yield row, "conflicting duplicate", f"{detail} row(s) {others}."
        else:
            for row in group[1:]:
                yield row, "duplicate", f"it is the same image as in row {group[0]}."


def _conflicts(groups: list[list[int]], labels: pd.DataFrame | None) -> list[list[Any]]:
    """Return the attributes whose known labels differ within each group of rows."""
    if labels is None or not groups:
        return [[] for _ in groups]
    number = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    # nunique ignores missing labels, which agree with every label.
    counts = labels.iloc[np.concatenate(groups)].groupby(number).nunique()
    names = labels.columns.tolist()
    return [[names[j] for j in np.flatnonzero(row > 1)] for row in counts.to_numpy()]


def _join_rows(rows: list[int]) -> str:
    more = f" and {len(rows) - _N_SHOWN} more" if len(rows) > _N_SHOWN else ""
    return ", ".join(map(str, rows[:_N_SHOWN])) + more


def _table(findings: Iterable[Finding], paths: Sequence[str]) -> pd.DataFrame:
    ordered = sorted(findings, key=lambda finding: finding[0])
    records = [
        (row, paths[row] or None, problem, SEVERITIES[problem], f"{detail.rstrip('.')}.")
        for row, problem, detail in ordered
    ]
    table = pd.DataFrame(records, columns=list(COLUMNS)).astype({"row": np.int64})
    shown = [record[1] for record in records]
    table["path"] = pd.Series(shown, index=table.index, dtype=object)  # None stays None
    return table
