"""Multi-attribute image classification with missing labels, as one scikit-learn classifier."""

from skattr import calibration as calibration
from skattr import datasets as datasets
from skattr import exceptions as exceptions
from skattr import inspection as inspection
from skattr import losses as losses
from skattr import metrics as metrics
from skattr import model_selection as model_selection
from skattr import thresholds as thresholds
from skattr._estimators.augmentation import Augmentation as Augmentation
from skattr._estimators.classifier import AttributeClassifier as AttributeClassifier
from skattr._estimators.embedder import ImageEmbedder as ImageEmbedder
from skattr._estimators.majority import MajorityClassifier as MajorityClassifier
from skattr._estimators.options import Branches as Branches
from skattr._estimators.options import FineTuning as FineTuning
from skattr._estimators.options import ImageReading as ImageReading
from skattr._estimators.options import TrainingOptions as TrainingOptions
from skattr._targets.encoder import AttributeEncoder as AttributeEncoder
from skattr.calibration import CalibratedMultiOutputCV as CalibratedMultiOutputCV
from skattr.thresholds import ThresholdCalibrator as ThresholdCalibrator
from skattr.thresholds import TunedThresholdMultiOutputCV as TunedThresholdMultiOutputCV

__version__ = "0.1.0"

__all__ = [
    "AttributeClassifier",
    "AttributeEncoder",
    "Augmentation",
    "Branches",
    "CalibratedMultiOutputCV",
    "FineTuning",
    "ImageEmbedder",
    "ImageReading",
    "MajorityClassifier",
    "ThresholdCalibrator",
    "TrainingOptions",
    "TunedThresholdMultiOutputCV",
    "__version__",
    "calibration",
    "datasets",
    "exceptions",
    "inspection",
    "losses",
    "metrics",
    "model_selection",
    "thresholds",
]
