"""skattr: pictures with many attributes each, as one scikit-learn classifier."""

from skattr import datasets as datasets
from skattr import exceptions as exceptions
from skattr._classifier import AttributeClassifier as AttributeClassifier
from skattr._targets import AttributeEncoder as AttributeEncoder

__version__ = "0.1.0"

__all__ = ["AttributeClassifier", "AttributeEncoder", "__version__", "datasets", "exceptions"]
