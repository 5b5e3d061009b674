"""Synthetic datasets, loaders of published annotation formats, and checks of image files."""

from skattr.datasets._apascal import load_apascal as load_apascal
from skattr.datasets._attribute_images import make_attribute_images as make_attribute_images
from skattr.datasets._attribute_table import load_attribute_table as load_attribute_table
from skattr.datasets._category_images import make_category_images as make_category_images
from skattr.datasets._celeba import load_celeba as load_celeba
from skattr.datasets._chexpert import load_chexpert as load_chexpert
from skattr.datasets._image_checks import check_images as check_images
from skattr.datasets._image_folder import load_image_folder as load_image_folder
from skattr.datasets._maad_face import load_maad_face as load_maad_face
from skattr.datasets._pedestrian import load_pedestrian as load_pedestrian
from skattr.datasets._tags import tags_to_table as tags_to_table
from skattr.datasets._vaw import load_vaw as load_vaw

__all__ = [
    "check_images",
    "load_apascal",
    "load_attribute_table",
    "load_celeba",
    "load_chexpert",
    "load_image_folder",
    "load_maad_face",
    "load_pedestrian",
    "load_vaw",
    "make_attribute_images",
    "make_category_images",
    "tags_to_table",
]
