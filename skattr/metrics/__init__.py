"""Metrics of attributes, with support for missing labels."""

from skattr.metrics._averages import UndefinedAttributeWarning as UndefinedAttributeWarning
from skattr.metrics._classification import accuracy_score as accuracy_score
from skattr.metrics._classification import balanced_accuracy_score as balanced_accuracy_score
from skattr.metrics._classification import confusion_counts as confusion_counts
from skattr.metrics._classification import f1_score as f1_score
from skattr.metrics._classification import fbeta_score as fbeta_score
from skattr.metrics._classification import hamming_accuracy as hamming_accuracy
from skattr.metrics._classification import hamming_loss as hamming_loss
from skattr.metrics._classification import jaccard_score as jaccard_score
from skattr.metrics._classification import matthews_corrcoef as matthews_corrcoef
from skattr.metrics._classification import precision_score as precision_score
from skattr.metrics._classification import recall_score as recall_score
from skattr.metrics._classification import subset_accuracy as subset_accuracy
from skattr.metrics._consistency import consistency_score as consistency_score
from skattr.metrics._ordinal import mean_absolute_error as mean_absolute_error
from skattr.metrics._ordinal import quadratic_kappa as quadratic_kappa
from skattr.metrics._probabilistic import brier_score_loss as brier_score_loss
from skattr.metrics._probabilistic import calibration_error as calibration_error
from skattr.metrics._probabilistic import log_loss as log_loss
from skattr.metrics._protocols.chexpert import chexpert_auc as chexpert_auc
from skattr.metrics._protocols.coco import coco_metrics as coco_metrics
from skattr.metrics._protocols.pedestrian import pedestrian_metrics as pedestrian_metrics
from skattr.metrics._protocols.vaw import vaw_metrics as vaw_metrics
from skattr.metrics._ranking import average_precision_score as average_precision_score
from skattr.metrics._ranking import roc_auc_score as roc_auc_score
from skattr.metrics._report import AttributeReport as AttributeReport
from skattr.metrics._report import attribute_report as attribute_report
from skattr.metrics._scorers import AttributeScorer as AttributeScorer
from skattr.metrics._scorers import get_scorer as get_scorer
from skattr.metrics._scorers import get_scorer_names as get_scorer_names
from skattr.metrics._scorers import make_attribute_scorer as make_attribute_scorer
from skattr.metrics._similarity import attribute_profiles as attribute_profiles
from skattr.metrics._similarity import embedding_similarity as embedding_similarity
from skattr.metrics._similarity import profile_similarity as profile_similarity

__all__ = [
    "AttributeReport",
    "AttributeScorer",
    "UndefinedAttributeWarning",
    "accuracy_score",
    "attribute_profiles",
    "attribute_report",
    "average_precision_score",
    "balanced_accuracy_score",
    "brier_score_loss",
    "calibration_error",
    "chexpert_auc",
    "coco_metrics",
    "confusion_counts",
    "consistency_score",
    "embedding_similarity",
    "f1_score",
    "get_scorer",
    "get_scorer_names",
    "fbeta_score",
    "hamming_accuracy",
    "hamming_loss",
    "jaccard_score",
    "log_loss",
    "make_attribute_scorer",
    "matthews_corrcoef",
    "mean_absolute_error",
    "pedestrian_metrics",
    "precision_score",
    "profile_similarity",
    "quadratic_kappa",
    "recall_score",
    "roc_auc_score",
    "subset_accuracy",
    "vaw_metrics",
]
