"""Probability calibration of multi-output classifiers."""

from skattr.calibration._calibrated import CalibratedMultiOutputCV as CalibratedMultiOutputCV

__all__ = ["CalibratedMultiOutputCV"]
