"""Images in a folder with one subfolder per category."""

import os
import warnings
from typing import Any

import pandas as pd
from sklearn.utils import Bunch

from skattr.datasets._annotation_files import Folder, check_choice
from skattr.datasets._bunch import About, describe_counts
from skattr.exceptions import DatasetWarning

# fmt: off
_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
    ".tga", ".tif", ".tiff", ".webp",
)
# fmt: on
_LAYOUT = "folder/category/image.jpg, or deeper: folder/category/more/image.jpg"


def load_image_folder(folder: Folder, *, return_X_y: bool = False) -> Any:
    """Load the paths of images that are sorted into one subfolder per category.

    This is the layout of torchvision's ``ImageFolder``. Files are found by their suffixes
    (.avif, .bmp, .gif, .jp2, .jpeg, .jpg, .pbm, .pgm, .png, .pnm, .ppm, .tga, .tif, .tiff, .webp,
    in any case) and not opened. Names that begin with a dot are skipped.

    Parameters
    ----------
    folder : str or path-like
        Its subfolders are the categories. The images of a category may be in further subfolders.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    sklearn.utils.Bunch
        With these entries:

        data : DataFrame of shape (n_images, 1)
            The column ``path``, sorted by category and then by path.
        target : DataFrame of shape (n_images, 1)
            The column ``category``, a Categorical with the names of the subfolders.
        attribute_kinds : dict
            ``{"category": "categorical"}``; "binary" if there are two categories.
        category_names : list of str
            The names of the subfolders that have images, sorted.
        DESCR : str
            Layout and counts.

    Raises
    ------
    TypeError, FileNotFoundError, NotADirectoryError
        If `folder` is not the path of a folder.
    ValueError
        If no subfolder has an image.

    Warns
    -----
    DatasetWarning
        If images are directly in `folder`, without a category, or a subfolder has no image. They
        are left out.

    See Also
    --------
    load_attribute_table : Labels in a table with a column of file names.
    check_images : Find unreadable images.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skattr.datasets import load_image_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         Image.new("RGB", (8, 8)).save(Path(folder, name))
    ...     X, y = load_image_folder(folder, return_X_y=True)
    >>> y["category"].tolist()
    ['cat', 'cat', 'dog']
    >>> Path(X["path"][2]).parts[-2:]
    ('dog', '1.png')
    """
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder must be a str or a path-like object, got {folder!r}.")
    root = os.fspath(folder)
    if not os.path.exists(root):
        raise FileNotFoundError(f"there is no folder {root!r}.")
    if not os.path.isdir(root):
        raise NotADirectoryError(f"{root!r} is not a folder. Layout: {_LAYOUT}.")
    entries = sorted(entry for entry in os.listdir(root) if not entry.startswith("."))
    categories = [entry for entry in entries if os.path.isdir(os.path.join(root, entry))]
    loose = [entry for entry in entries if entry not in categories and _is_image(entry)]
    found = {name: _find_images(os.path.join(root, name)) for name in categories}
    empty = [name for name, paths in found.items() if not paths]
    names = [name for name, paths in found.items() if paths]
    if not names:
        raise ValueError(
            f"no subfolder of {root!r} has an image ({len(loose)} are directly in it, without a "
            f"category). Layout: {_LAYOUT}."
        )
    _warn_left_out(root, loose, empty)
    paths = [path for name in names for path in found[name]]
    labels = [name for name in names for _ in found[name]]
    target = pd.DataFrame({"category": pd.Categorical(labels, categories=names)})
    about = About(
        title="Images in subfolders",
        source=os.path.abspath(root),
        citation="none",
        license="that of the images",
        layout=_LAYOUT,
    )
    check_choice("return_X_y", return_X_y, (True, False))
    data = pd.DataFrame({"path": pd.Series(paths, dtype="str")})
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        attribute_kinds={"category": "binary" if len(names) == 2 else "categorical"},
        category_names=names,
        DESCR=f"{about}\n{describe_counts(target)}",
    )


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _SUFFIXES


def _find_images(folder: str) -> list[str]:
    """Return the paths of all images in a folder and its subfolders, sorted."""
    paths = []
    for base, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        images = (name for name in files if _is_image(name) and not name.startswith("."))
        paths += [os.path.join(base, name) for name in images]
    return sorted(paths)


def _warn_left_out(root: str, loose: list[str], empty: list[str]) -> None:
    parts = []
    if loose:
        parts.append(f"{len(loose)} image(s) directly in it have no category, such as {loose[0]!r}")
    if empty:
        parts.append(f"the subfolder(s) {empty[:5]} have no image")
    if parts:
        warnings.warn(
            f"{root!r}: {'; '.join(parts)}. They are left out.", DatasetWarning, stacklevel=3
        )
