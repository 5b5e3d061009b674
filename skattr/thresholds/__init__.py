"""Threshold search and meta-estimators that tune thresholds of multi-output classifiers."""

from skattr.thresholds._calibrator import ThresholdCalibrator as ThresholdCalibrator
from skattr.thresholds._search import Thresholds as Thresholds
from skattr.thresholds._search import find_thresholds as find_thresholds
from skattr.thresholds._tuned import TunedThresholdMultiOutputCV as TunedThresholdMultiOutputCV

__all__ = [
    "ThresholdCalibrator",
    "Thresholds",
    "TunedThresholdMultiOutputCV",
    "find_thresholds",
]
