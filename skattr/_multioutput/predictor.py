"""Prediction of labels by an estimator that predicts class codes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._multioutput.classes import public_classes
from skattr._multioutput.scores import exact_match
from skattr._targets.alignment import align_rows
from skattr._targets.encoder import AttributeEncoder


class LabelPredictorMixin:
    """Mixin with the fitted attributes of the outputs, `predict` and `score`.

    A subclass implements `_predict_codes`.
    """

    encoder_: AttributeEncoder
    n_outputs_: int
    output_names_: list[Any]

    def _predict_codes(self, X: Any) -> NDArray[np.int64]:
        """Return class codes (n, n_outputs), -1 where no label can be predicted."""
        raise NotImplementedError

    def _set_outputs(self, encoder: AttributeEncoder, estimator: object) -> None:
        """Set the fitted attributes of the outputs, and those of X that `estimator` has."""
        self.encoder_ = encoder
        self.classes_ = public_classes(encoder)
        self.n_outputs_ = encoder.n_outputs_
        self.output_names_ = encoder.output_names_
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)  # of an earlier fit
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : n rows of the kind given to `fit`

        Returns
        -------
        ndarray of shape (n,) for one output, else (n, n_outputs)
            In the dtype of y. The dtype is object if the outputs differ in it, or if a row is
            unreadable (with ``on_bad_image="warn"``): its labels are None.

        Raises
        ------
        ValueError
            If a score of a readable row is NaN.
        """
        codes = self._predict_codes(X)
        return self.encoder_.inverse_transform(codes)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows whose known labels are all predicted correctly.

        For one output this is the accuracy. Rows without a known label do not count, nor do
        unreadable rows (with ``on_bad_image="warn"``).

        Parameters
        ----------
        X : n rows of the kind given to `fit`
        y : array-like of shape (n,) or (n, n_outputs), or DataFrame
            Columns of a DataFrame are matched with those of `fit` by name.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
        """
        X, y, sample_weight = align_rows(X=X, y=y, sample_weight=sample_weight)
        predicted = self._predict_codes(X)
        return exact_match(self.encoder_.transform(y), predicted, sample_weight)
