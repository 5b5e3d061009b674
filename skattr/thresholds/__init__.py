"""Thresholds from scores, for any multi-output classifier."""

from skattr.thresholds.calibrator import ThresholdCalibrator as ThresholdCalibrator
from skattr.thresholds.search import Thresholds as Thresholds
from skattr.thresholds.search import find_thresholds as find_thresholds
from skattr.thresholds.tuned import TunedThresholdMultiOutputCV as TunedThresholdMultiOutputCV

__all__ = [
    "ThresholdCalibrator",
    "Thresholds",
    "TunedThresholdMultiOutputCV",
    "find_thresholds",
]
