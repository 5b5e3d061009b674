"""Displays of what any multi-output classifier has learned, in scikit-learn's form.

Each makes its data from an estimator or from predictions, keeps them as attributes, and draws
them with `plot`; matplotlib is imported by `plot` only. Missing labels are left out.
"""

from skattr.inspection._attribute_scores import AttributeScoresDisplay as AttributeScoresDisplay
from skattr.inspection._cooccurrence import CooccurrenceDisplay as CooccurrenceDisplay
from skattr.inspection._cooccurrence import ErrorCorrelationDisplay as ErrorCorrelationDisplay
from skattr.inspection._gallery import GalleryDisplay as GalleryDisplay
from skattr.inspection._label_errors import suspected_label_errors as suspected_label_errors
from skattr.inspection._reliability import ReliabilityDisplay as ReliabilityDisplay
from skattr.inspection._similarity import SimilarityDisplay as SimilarityDisplay
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
