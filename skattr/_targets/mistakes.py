"""Find labels that are probably mistakes of a table: each of them would become a class."""

import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from skattr._targets.codes import format_classes
from skattr._targets.positive import is_known_pair
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import LabelWarning

# How software writes a missing value. "none" in small letters and "unknown" are classes of many
# tables, and are not listed.
_MISSING = {"", "?", "-", "--", ".", "na", "n/a", "n.a.", "#n/a", "nan", "-nan", "null", "nil"}
_MISSING |= {"nat", "<na>", "<nan>", "<null>", "<none>", "#value!", "#null!", "(null)", "\\n"}
# Separators that hardly occur inside the name of a class, and those that do if it is compound.
_SEPARATORS, _LISTS = {"|", ";", "||", "\t", "\n"}, {",", "/", "+", "&"}
_LISTED, _FEW_ROWS, _MOST_SEPARATORS, _MOST_CLASSES = 10, 10, 10, 10_000


class Column(NamedTuple):
    """What is known of a column whose classes were read from y.

    Attributes
    ----------
    name : object
    classes : ndarray
        Sorted.
    n_known : int
        Number of known labels.
    n_seen : int
        Number of different ones. An attribute of zeros only has the two classes 0 and 1.
    """

    name: Any
    classes: NDArray[Any]
    n_known: int
    n_seen: int


# What mends each kind of mistake in the y of `fit`.
FIT_REMEDIES = {
    "missing": "pass one of them as `missing_label`, and replace others by None",
    "sentinel": "pass it as `missing_label` if it marks a missing label",
    "spelling": "write each level in one way",
    "tags": "make a table of them with skattr.datasets.tags_to_table(column, separator=...)",
    "rows": "leave the column out of y",
    "constant": "nothing can be learned for them; leave them out of y",
}
_DESCRIPTIONS = {
    "missing": "Missing labels written as text",
    "sentinel": "A negative number beside 0, 1, ...",
    "spelling": "Levels that differ in case, blanks or notation only",
    "tags": "Several labels in one cell",
    "rows": "About as many classes as rows",
    "constant": "A single label in all rows",
}


def warn_mistakes(
    columns: Sequence[Column],
    what: str,
    remedies: Mapping[str, str] = FIT_REMEDIES,
    declare: str = "declare the classes of their columns in `attributes`",
) -> None:
    """Warn once about labels that are probably mistakes.

    Parameters
    ----------
    columns : sequence of Column
        Columns whose classes are not declared.
    what : str
        The name of the argument, such as "y".
    remedies : mapping
        What mends each kind of mistake. Kinds that it does not have are not looked for.
    declare : str
        What is to be done if labels are right.

    Warns
    -----
    LabelWarning
    """
    found: dict[str, list[str]] = {kind: [] for kind in remedies}
    for column in columns:
        for kind, labels in _findings(column):
            if kind in found:
                found[kind].append(f"{column.name!r}{labels}")
    parts = [
        f"{_DESCRIPTIONS[kind]} in {_listed(places)}: {remedies[kind]}."
        for kind, places in found.items()
        if places
    ]
    if parts:
        warnings.warn(
            f"Labels of {what} may be mistakes that became classes. {' '.join(parts)} If they "
            f"are right, {declare}.",
            LabelWarning,
            stacklevel=find_stack_level(),
        )


def _listed(places: list[str]) -> str:
    more = f" and {len(places) - _LISTED} more columns" if len(places) > _LISTED else ""
    return ", ".join(places[:_LISTED]) + more


def _findings(column: Column) -> Iterator[tuple[str, str]]:
    """Yield kinds of mistakes of a column, and the labels in question as text."""
    classes: list[Any] = column.classes.tolist()
    if column.n_seen == 1 and column.n_known > 1:
        # Zeros only, or ones only, have both classes, which do not tell which of them was seen.
        yield "constant", _shown(classes) if len(classes) == 1 else ""
    if sentinel := _sentinel(classes):
        yield "sentinel", _shown(sentinel)
    tags = None
    if column.classes.dtype.kind == "U":
        missing = [label for label in classes if _is_missing(label)]
        if missing and not is_known_pair(column.classes):
            yield "missing", _shown(missing)
        if alike := _spelled_alike(classes):
            yield "spelling", _shown(alike)
        tags = find_tags(classes[:_MOST_CLASSES])
    if tags is not None:
        separator, cells = tags
        yield "tags", f"{_shown(cells)} (separator {separator!r})"
    elif column.n_seen >= _FEW_ROWS and column.n_seen > column.n_known / 2:
        yield "rows", _shown(classes)


def _shown(labels: list[Any]) -> str:
    return f" {format_classes(labels, 5)}"


def _is_missing(label: str) -> bool:
    text = " ".join(label.split())
    return text.casefold() in _MISSING or text in ("None", "NONE")


def _sentinel(classes: list[Any]) -> list[Any]:
    """Return the only negative number beside 0, 1, 2, ... (numbers, or strings of them)."""
    if len(classes) < 2 or isinstance(classes[0], bool):
        return []
    label_of = {number: label for label in classes if (number := _number(label)) is not None}
    codes = sorted(label_of)
    is_coded = len(codes) == len(classes) and codes[0] < 0
    return [label_of[codes[0]]] if is_coded and codes[1:] == list(range(len(codes) - 1)) else []


def _number(label: Any) -> float | None:
    """Return a number, or the number that a string is."""
    if not isinstance(label, str):
        return float(label)
    is_number = re.fullmatch(r"\s*[-+]?[0-9]{1,15}(\.[0-9]*)?\s*", label)
    return float(label) if is_number else None


def _spelled_alike(classes: list[str]) -> list[str]:
    """Return the strings that are equal but for case, blanks and the notation of numbers."""
    groups: dict[Any, list[str]] = {}
    for label in classes:
        number = _number(label)
        text = re.sub(r"[\s\u200b\ufeff]+", " ", unicodedata.normalize("NFKC", label)).strip()
        groups.setdefault(text.casefold() if number is None else number, []).append(label)
    return [label for group in groups.values() if len(group) > 1 for label in group]


def find_tags(classes: Sequence[str]) -> tuple[str, list[str]] | None:
    """Find a separator of several labels in one cell.

    Parameters
    ----------
    classes : sequence of str
        The distinct cells of a column.

    Returns
    -------
    (separator, cells) or None
        The cells that hold several labels. A character such as "|" separates labels wherever it
        stands. A comma, "/", "+" or "&" does so if each part of a cell also is a part of another
        one, a comma also if one part is a cell by itself, and any other run of characters if each
        part is.

    Examples
    --------
    >>> find_tags(["hat", "hat, tie", "tie"])
    (',', ['hat, tie'])
    >>> print(find_tags(["New York, NY", "Boston, MA"]))
    None
    """
    counts: Counter[str] = Counter()
    for label in classes:
        runs = {_separator(run) for run in re.findall(r"[^\w]+|_+", label)}
        words = set(re.findall(r" \w{1,3} ", label))  # such as " and "
        counts.update((runs | words) - {""})
    alone = {label for label in classes if _number(label) is None}
    for separator, _ in counts.most_common(_MOST_SEPARATORS):
        parts = {label: _parts(label, separator) for label in classes}
        cells = [label for label, labels in parts.items() if len(set(labels)) > 1]
        if separator not in _SEPARATORS:
            is_list = separator in _LISTS
            others = (labels for labels in parts.values() if is_list or len(labels) == 1)
            uses = Counter(part for labels in others for part in set(labels))
            cells = [
                label
                for label in cells
                if (
                    all(uses[part] > is_list for part in parts[label])
                    or (separator == "," and not alone.isdisjoint(parts[label]))
                )
                and not _is_of_numbers(label, parts[label], separator)
            ]
        if cells:
            return separator, cells
    return None


def _separator(run: str) -> str:
    """Return a run of other characters than letters without blanks, brackets and quotes."""
    return run.strip(" []{}()'\"") or (" " if " " in run else "")


def _parts(label: str, separator: str) -> list[str]:
    """Return the labels in a cell, without the brackets and quotes of a list as text."""
    parts = (part.strip(" '\"") for part in label.strip(" []{}()").split(separator))
    return [part for part in parts if part]


def _is_of_numbers(label: str, parts: list[str], separator: str) -> bool:
    """Whether a cell is an interval such as "(0, 10]", a date or a fraction, not a list."""
    is_interval = label.startswith("(") or label.endswith(")")
    return (separator != "," or is_interval) and all(_number(part) is not None for part in parts)
