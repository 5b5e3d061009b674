"""Data sets: made ones, and loaders of the field's own formats."""

from skattr.datasets._category import make_category_images as make_category_images
from skattr.datasets._synthetic import make_attribute_images as make_attribute_images

__all__ = [
    "make_attribute_images",
    "make_category_images",
]
