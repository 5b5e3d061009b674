"""Images in subfolders, against torchvision's ImageFolder."""

import numpy as np
import pandas as pd
import pytest
import torchvision
from PIL import Image

from skattr.datasets import check_images, load_image_folder
from skattr.exceptions import DatasetWarning
from tests.tiny_models import tiny


@pytest.fixture
def root(tmp_path, images):
    """Return a folder with three categories, one of which has subfolders, and other files."""
    names = ["b/2.png", "b/10.JPG", "a/x/1.png", "a/1.png", "a/y/z/3.tiff", "C/4.jpeg"]
    for name, image in zip(names, images, strict=False):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / name)
    for name in ("notes.txt", "b/Thumbs.db", "b/.hidden.png", ".cache/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


def test_it_equals_torchvision(root):
    """Paths, categories and their order are those of ImageFolder, without hidden files."""
    bunch = load_image_folder(root)
    (root / "b/.hidden.png").unlink()
    (root / ".cache/1.png").unlink()
    (root / ".cache").rmdir()
    expected = torchvision.datasets.ImageFolder(root)
    codes = bunch.target["category"].cat.codes.tolist()
    assert list(zip(bunch.data["path"], codes, strict=True)) == sorted(expected.samples)
    assert bunch.category_names == bunch.target["category"].cat.categories.tolist()
    assert bunch.category_names == expected.classes == ["C", "a", "b"]
    assert bunch.attribute_kinds == {"category": "categorical"}
    assert "rows" in bunch.DESCR


def test_a_classifier_takes_it(root):
    """The result goes to `fit`, `check_images` and `predict` as it is."""
    X, y = load_image_folder(str(root), return_X_y=True)
    assert check_images(X)["severity"].isin(["note"]).all()
    classifier = tiny().fit(X, y)
    assert classifier.classes_.tolist() == ["C", "a", "b"]
    assert classifier.output_names_ == ["category"]
    assert set(classifier.predict(X)) <= {"C", "a", "b"}


def test_two_categories_are_binary(root):
    """The kind of the attribute is that which `fit` infers."""
    for path in (root / "C").iterdir():
        path.unlink()
    (root / "C").rmdir()
    bunch = load_image_folder(root)
    assert bunch.attribute_kinds == {"category": "binary"}
    assert bunch.data.shape == (5, 1)


def test_what_has_no_category_is_named(root, images):
    """Images outside of subfolders and subfolders without images are left out with one warning."""
    Image.fromarray(images[0]).save(root / "loose.png")
    (root / "empty").mkdir()
    with pytest.warns(DatasetWarning, match=r"1 image.*'loose.png'; .*\['empty'\] have no") as one:
        bunch = load_image_folder(root)
    assert len(one) == 1
    assert one[0].filename == __file__
    assert bunch.category_names == ["C", "a", "b"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("none", FileNotFoundError, "there is no folder"),
        ("notes.txt", NotADirectoryError, "is not a folder. Layout: folder/category"),
        ("b", ValueError, r"no subfolder of .* has an image \(2 are directly in it"),
        (".cache", ValueError, r"no subfolder of .* \(1 are directly in it"),
    ],
)
def test_rejects_other_folders(root, name, error, message):
    """The error has the path and the layout."""
    with pytest.raises(error, match=message):
        load_image_folder(root / name)


def test_rejects_what_is_not_a_path():
    """The error names the parameter."""
    with pytest.raises(TypeError, match="folder must be a str or a path-like object, got 5"):
        load_image_folder(5)


def test_links_to_folders_are_followed(root, tmp_path_factory):
    """A category may be a link to a folder elsewhere."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(elsewhere / "1.png")
    (root / "linked").symlink_to(elsewhere)
    target = load_image_folder(root).target["category"]
    assert target.value_counts()["linked"] == 1
    assert isinstance(target.dtype, pd.CategoricalDtype)
