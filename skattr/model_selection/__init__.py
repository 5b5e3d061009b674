"""Splitters for tables of labels, some of which are unknown."""

from skattr.model_selection._predict import FoldAnswer as FoldAnswer
from skattr.model_selection._predict import cross_val_predict_proba as cross_val_predict_proba
from skattr.model_selection._predict import fold_answers as fold_answers
from skattr.model_selection._predict import gather as gather
from skattr.model_selection._predict import make_splits as make_splits
from skattr.model_selection._predict import taught_both as taught_both
from skattr.model_selection._prescribed import PrescribedSplit as PrescribedSplit
from skattr.model_selection._split import (
    MultilabelStratifiedGroupKFold as MultilabelStratifiedGroupKFold,
)
from skattr.model_selection._split import MultilabelStratifiedKFold as MultilabelStratifiedKFold
from skattr.model_selection._split import (
    MultilabelStratifiedShuffleSplit as MultilabelStratifiedShuffleSplit,
)
from skattr.model_selection._split import (
    multilabel_train_test_split as multilabel_train_test_split,
)

__all__ = [
    "MultilabelStratifiedGroupKFold",
    "MultilabelStratifiedKFold",
    "MultilabelStratifiedShuffleSplit",
    "PrescribedSplit",
    "cross_val_predict_proba",
    "multilabel_train_test_split",
]
