"""Find unusable and doubtful images of a dataset before training."""

import contextlib
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
from PIL import Image, ImageFile, UnidentifiedImageError
from tqdm.auto import tqdm

from skattr._inputs.boxes import box_faults
from skattr._inputs.checks import check_image_paths, infer_kind, reject_features
from skattr._inputs.damage import DamagedImageError
from skattr._inputs.decoding import open_source, orientation_of, read_image
from skattr._inputs.deep import FEW, ValueRange, check_value_range, is_deep, levels_used
from skattr._inputs.pillow_warnings import record_pillow_warnings
from skattr._inputs.rows import FileRows
from skattr._inputs.sources import Source, digest_source
from skattr._targets.alignment import align_rows
from skattr._targets.columns import read_labels
from skattr._utils.tables import as_pandas
from skattr.exceptions import ImageReadError

COLUMNS = ("row", "path", "problem", "severity", "detail")
SEVERITIES = {
    "missing": "error",
    "truncated": "error",
    "damaged": "error",
    "not an image": "error",
    "bomb": "error",
    "unreadable": "error",
    "malformed box": "error",
    "zero-area box": "error",
    "outside box": "error",
    "few levels": "warning",
    "doubtful": "warning",
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
    data: Any,
    *,
    target: Any = None,
    min_side: int = 8,
    value_range: ValueRange | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Find images of a dataset that are unusable or should be inspected.

    Every file is decoded once, as :class:`~skattr.AttributeClassifier` decodes it. Rows with a
    problem of severity "error" are the unreadable rows of the classifier.

    Parameters
    ----------
    data : DataFrame with a ``path`` column, Series, sequence or 1-D array of paths or images
        Images may be given in all forms that the classifier takes. If there are columns
        ``xmin ymin xmax ymax``, the boxes are checked, too.
    target : array-like of shape (n,) or (n, n_outputs), Series or DataFrame, default=None
        Labels, to find duplicates with conflicting labels.
    min_side : int, default=8
        Images, or crops, with fewer pixels on a side are "tiny".
    value_range : (float, float), default=None
        Values of black and white in images of more than 8 bits per sample, as in
        :class:`~skattr.ImageReading`.
    n_jobs : int, default=None
        Number of threads. None means 1 unless joblib is configured otherwise, -1 all cores.
    verbose : int, default=0
        From 1, a progress bar.

    Returns
    -------
    DataFrame
        One row per problem, in the order of `data`, with the columns ``row`` (position in `data`),
        ``path`` (None if it is missing or the image is an object), ``problem``, ``severity`` and
        ``detail`` (a sentence).
        The problems of each severity are

        - "error": "missing", "truncated", "damaged" (it can be decoded, but not without a complaint
          of the decoder), "not an image", "bomb" (more pixels than Pillow decodes), "unreadable"
          (for another reason), "zero-area box", "outside box" (it exceeds the bounds of its image),
          "malformed box";
        - "warning": "few levels" (an image of more than 8 bits per sample that uses less than a
          quarter of its range); "doubtful" (Pillow warned of the file, for example of its EXIF
          data); "tiny"; "duplicate" (file contents and box equal those of an earlier row);
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
    data = as_pandas(data)
    data, target = align_rows(data=data, target=target)
    reject_features(data, "data")
    if infer_kind(data) == "pixels":
        data = list(data)
    _check_side(min_side)
    check_value_range(value_range)
    # A size of one pixel makes the resize cheap; decoding finds all problems.
    rows = check_image_paths(data, (1, 1), "warn", value_range=value_range)
    labels = None if target is None else _labels(target, len(rows))
    inspections = _inspect_all(rows.sources, value_range, n_jobs, verbose)
    sizes = np.array([inspection.size for inspection in inspections])
    file_findings = list(_check_files(rows, inspections))
    box_findings = list(_check_boxes(rows, sizes))
    box_findings += _other_unreadable(rows, file_findings + box_findings)
    is_bad = np.zeros(len(rows), dtype=bool)
    is_bad[[row for row, _, _ in box_findings]] = True
    tiny = _tiny(rows, sizes, is_bad, min_side)
    duplicates = _duplicates(rows, inspections, is_bad, labels)
    paths = [source if isinstance(source, str) else "" for source in rows.sources]
    return _table([*file_findings, *box_findings, *tiny, *duplicates], paths)


def _check_side(min_side: Any) -> None:
    if isinstance(min_side, bool) or not isinstance(min_side, Integral) or int(min_side) < 1:
        raise ValueError(f"min_side must be an int of at least 1, got {min_side!r}.")


def _labels(target: Any, n_rows: int) -> pd.DataFrame:
    table = read_labels(target, what="target")
    if len(table) != n_rows:
        raise ValueError(f"target has {len(table)} row(s), data {n_rows}.")
    return table.to_frame()


def _inspect_all(
    sources: Sequence[Source], value_range: ValueRange | None, n_jobs: int | None, verbose: int
) -> list[_Inspection]:
    """Inspect each distinct file or object once; return one inspection per row."""
    names = [source if isinstance(source, str) else id(source) for source in sources]
    distinct = dict(zip(names, sources, strict=True))
    # Not scikit-learn's Parallel: it sets the warning filters, which threads share.
    inspections = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
        delayed(_inspect)(source, value_range) for source in distinct.values()
    )
    bar = tqdm(inspections, total=len(distinct), disable=verbose < 1, unit="image")
    by_name = dict(zip(distinct, bar, strict=True))
    return [by_name[name] for name in names]


def _inspect(source: Source, value_range: ValueRange | None) -> _Inspection:
    if isinstance(source, str) and not os.path.isfile(source):
        return _Inspection((("missing", _describe_missing(source)),))
    messages: list[str] = []
    try:
        with record_pillow_warnings(messages):
            pixels = read_image(source, None, value_range=value_range)
    except ImageReadError as error:
        return _Inspection(((_problem_of(error), str(error)),))
    height, width, _ = pixels.shape
    try:
        with record_pillow_warnings([]):
            notes = _notes(source, value_range)
            notes += [("doubtful", message) for message in dict.fromkeys(messages)]
            return _Inspection(tuple(notes), (width, height), digest_source(source))
    except Exception as error:  # the file changed since it was decoded
        return _Inspection((("unreadable", f"cannot read the image {source!r} again: {error}"),))


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
    if isinstance(cause, DamagedImageError):
        return "damaged"
    if isinstance(cause, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "bomb"
    if isinstance(cause, UnidentifiedImageError):
        return "not an image"
    if isinstance(cause, EOFError | struct.error) or "truncated" in str(cause).lower():
        return "truncated"
    return "missing" if isinstance(cause, FileNotFoundError) else "unreadable"


def _notes(source: Source, value_range: ValueRange | None) -> list[tuple[str, str]]:
    notes: list[tuple[str, str]] = []
    if isinstance(source, np.ndarray):
        return notes
    content, image = open_source(source)
    mode = image.mode
    if is_deep(image):
        notes += _deep_notes(image, content, value_range)
    elif image.has_transparency_data:
        notes.append(("converted", f"its transparency (mode {mode!r}) is composited on white."))
    elif mode in ("1", "L"):
        notes.append(("converted", f"it is gray (mode {mode!r})."))
    elif mode != "RGB":
        notes.append(("converted", f"its mode {mode!r} is converted to RGB."))
    if isinstance(image, ImageFile.ImageFile) and image.tile and content is not None:
        image.load()  # the EXIF data may follow the pixels
    orientation = orientation_of(image)
    if orientation != 1:
        turned = f"it is turned upright, by its EXIF orientation {orientation}."
        notes.append(("turned", turned))
    with contextlib.suppress(Exception):  # further frames, which are not read, may be broken
        if getattr(image, "is_animated", False):
            notes.append(("animated", "its first frame is used."))
    return notes


def _deep_notes(
    image: Image.Image, content: bytes | None, value_range: ValueRange | None
) -> Iterator[tuple[str, str]]:
    used = levels_used(image, content, value_range)
    (lowest, highest), (low, high), n_levels = used.values, used.scale, used.n_levels
    scaled = (
        f"its samples (mode {image.mode!r}) have more than 8 bits: values from {low:g} to {high:g} "
        f"are scaled to 0 to 255; {lowest:g} to {highest:g} are used, {n_levels} of 256 levels."
    )
    if used.is_transparent:
        scaled = f"{scaled[:-1]}; its transparency is composited on white."
    yield "converted", scaled
    if highest - lowest < FEW * (high - low):
        yield (
            "few levels",
            f"its values from {lowest:g} to {highest:g} become {n_levels} of 256 levels; if they "
            "are the range of the dataset, set value_range of ImageReading.",
        )


def _check_files(rows: FileRows, inspections: Sequence[_Inspection]) -> Iterator[Finding]:
    for row, (source, inspection) in enumerate(zip(rows.sources, inspections, strict=True)):
        for problem, detail in inspection.findings:
            if (
                isinstance(source, str) and not source and rows.unreadable
            ):  # the value of the row is not a path
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
    inspections: Sequence[_Inspection],
    is_bad: NDArray[np.bool_],
    labels: pd.DataFrame | None,
) -> Iterator[Finding]:
    # Two crops of a file are not duplicates, so the box is part of the key.
    groups: dict[tuple[bytes, bytes], list[int]] = {}
    for row, inspection in enumerate(inspections):
        digest = inspection.digest
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
