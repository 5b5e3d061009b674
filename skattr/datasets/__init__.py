"""Data sets for examples, tests and benchmarks."""

from skattr.datasets._synthetic import make_attribute_images as make_attribute_images

__all__ = ["make_attribute_images"]
