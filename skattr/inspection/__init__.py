"""Displays for multi-output classifiers, with the interface of scikit-learn's displays.

A display computes its data from an estimator or from predictions, stores them as attributes and
draws them with `plot`. Only `plot` imports matplotlib. Missing labels are left out.
"""

from skattr.inspection._attribute_scores import AttributeScoresDisplay as AttributeScoresDisplay
from skattr.inspection._cooccurrence import CooccurrenceDisplay as CooccurrenceDisplay
from skattr.inspection._cooccurrence import ErrorCorrelationDisplay as ErrorCorrelationDisplay
from skattr.inspection._gallery import GalleryDisplay as GalleryDisplay
from skattr.inspection._heatmap import SimilarityDisplay as SimilarityDisplay
from skattr.inspection._label_errors import suspected_label_errors as suspected_label_errors
from skattr.inspection._reliability import ReliabilityDisplay as ReliabilityDisplay
from skattr.inspection._threshold_curve import ThresholdCurveDisplay as ThresholdCurveDisplay

__all__ = [
    "AttributeScoresDisplay",
    "CooccurrenceDisplay",
    "ErrorCorrelationDisplay",
    "GalleryDisplay",
    "ReliabilityDisplay",
    "SimilarityDisplay",
    "ThresholdCurveDisplay",
    "suspected_label_errors",
]
