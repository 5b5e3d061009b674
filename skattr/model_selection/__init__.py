"""Splitters for tables of labels, some of which are unknown."""

from skattr.model_selection._out_of_fold import FoldPrediction as FoldPrediction
from skattr.model_selection._out_of_fold import cross_val_predict_proba as cross_val_predict_proba
from skattr.model_selection._out_of_fold import gather as gather
from skattr.model_selection._out_of_fold import make_splits as make_splits
from skattr.model_selection._out_of_fold import predict_folds as predict_folds
from skattr.model_selection._out_of_fold import saw_both_classes as saw_both_classes
from skattr.model_selection._prescribed import OfficialSplit as OfficialSplit
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
