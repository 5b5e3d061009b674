"""Splitters and out-of-fold predictions for label tables with missing labels."""

from skattr.model_selection._official_split import OfficialSplit as OfficialSplit
from skattr.model_selection._out_of_fold import cross_val_predict_proba as cross_val_predict_proba
from skattr.model_selection._split import (
    MultilabelStratifiedGroupKFold as MultilabelStratifiedGroupKFold,
)
from skattr.model_selection._split import MultilabelStratifiedKFold as MultilabelStratifiedKFold
from skattr.model_selection._split import (
    MultilabelStratifiedShuffleSplit as MultilabelStratifiedShuffleSplit,
)
from skattr.model_selection._split import multilabel_train_test_split as multilabel_train_test_split

__all__ = [
    "MultilabelStratifiedGroupKFold",
    "MultilabelStratifiedKFold",
    "MultilabelStratifiedShuffleSplit",
    "OfficialSplit",
    "cross_val_predict_proba",
    "multilabel_train_test_split",
]
