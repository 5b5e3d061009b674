"""What a fitted network answers: labels, probabilities, columns and a score."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skattr._estimators.data import category_for_prediction, check_finite, check_X
from skattr._estimators.probabilities import (
    binary_log_odds,
    predicted_codes,
    probabilities,
    transform_columns,
)
from skattr._inputs.rows import FeatureRows
from skattr._inputs.unreadable import check_any_readable, unreadable_rows, warn_unreadable
from skattr._multioutput.scores import column_names, exact_match
from skattr._targets.constraints import decode
from skattr._targets.encoder import UNKNOWN, AttributeEncoder
from skattr._training import predict_rows


class PredictionMixin(ClassifierMixin, TransformerMixin, BaseEstimator):
    """The half of :class:`AttributeClassifier` that only reads what `fit` has left."""

    net_: Any
    encoder_: AttributeEncoder
    output_names_: list[Any]
    attribute_kinds_: list[Any]
    n_outputs_: int
    batch_size: int
    num_workers: int
    verbose: int
    ordinal_predict: str
    transform_output: str
    _rules: Any

    def __sklearn_is_fitted__(self) -> bool:
        """Whether a fit has succeeded; one that failed may have left ``n_features_in_``."""
        return hasattr(self, "net_")

    @property
    def _network(self) -> Any:
        return self.net_.module_

    def _outputs(
        self, X: Any, output: Any = "logits", *, needs_some: bool = False
    ) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """Return outputs, and which rows could not be read: their outputs are zeros.

        With `needs_some` it is an error if none could.
        """
        check_is_fitted(self)
        rows, column = check_X(self, X, reset=False)
        values = predict_rows(
            self.net_,
            rows,
            output,
            category=category_for_prediction(self, column),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            verbose=int(self.verbose),
        )
        if isinstance(rows, FeatureRows) and rows.unreadable is None:
            check_finite(self, rows.array, values)  # if it has not been before
        if needs_some:
            check_any_readable(rows)
        warn_unreadable(rows, "their outputs are NaN, their labels unknown")
        return values, unreadable_rows(rows)

    def _predicted_codes(self, X: Any, *, needs_some: bool = False) -> NDArray[np.int64]:
        (logits, bad), layout = self._outputs(X, needs_some=needs_some), self._network.layout
        probas = probabilities(logits, layout)
        codes = predicted_codes(probas, self.attribute_kinds_, self.ordinal_predict)
        if self._rules is not None:
            odds = binary_log_odds(logits, layout, self._rules.columns)
            codes[:, self._rules.columns] = decode(odds, self._rules)
        codes[bad] = UNKNOWN
        return codes

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable label of each attribute.

        Of an ordinal attribute it is the median label with ``ordinal_predict="median"``. With
        `constraints`, binary attributes get the most probable labels that break none of them.

        Parameters
        ----------
        X : n rows of the kind `fit` was given

        Returns
        -------
        ndarray of shape (n,) for one attribute, else (n, n_outputs)
            In the dtype of y; object if the attributes differ in it, or a row could not be read
            (``on_bad_image="warn"``): its labels are None.
        """
        codes = self._predicted_codes(X)
        return self.encoder_.inverse_transform(codes)

    def predict_proba(self, X: Any) -> NDArray[Any] | list[NDArray[Any]]:
        """Predict the probability of each class of each attribute.

        Parameters
        ----------
        X : n rows of the kind `fit` was given

        Returns
        -------
        ndarray of shape (n, n_classes) for one attribute, else a list of them
            Columns in the order of `classes_`; NaN where a row could not be read
            (``on_bad_image="warn"``).
        """
        logits, bad = self._outputs(X)
        probas = probabilities(logits, self._network.layout)
        for proba in probas:
            proba[bad] = np.nan
        if self.n_outputs_ == 1:
            return probas[0][:, np.argsort(self.encoder_.classes_[0])]
        return probas

    def transform(self, X: Any) -> NDArray[Any]:
        """Return the outputs named by :meth:`get_feature_names_out`.

        Parameters
        ----------
        X : n rows of the kind `fit` was given

        Returns
        -------
        ndarray of shape (n, n_columns)
            One column per binary attribute (its positive class) and one per class of the
            others; or the shared features with ``transform_output="features"``. NaN where a row
            could not be read (``on_bad_image="warn"``).
        """
        is_features = self.transform_output == "features"
        values, bad = self._outputs(X, "features" if is_features else "logits")
        if not is_features:
            layout = self._network.layout
            values = transform_columns(values, layout, self.attribute_kinds_, self.transform_output)
        values[bad] = np.nan
        return values

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name the columns of `transform`: "hat", "color=red", or "feature0".

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of shape (n_columns,), object
        """
        check_is_fitted(self)
        if self.transform_output == "features":
            n_features = self._network.n_features
            return np.array([f"feature{j}" for j in range(n_features)], dtype=object)
        return column_names(self.output_names_, self.encoder_.classes_, self.attribute_kinds_)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows all of whose known labels are predicted.

        With one attribute this is the accuracy. Rows without a known label do not count, nor do
        those that cannot be read (``on_bad_image="warn"``): in `score`, as in `fit`, their
        labels are unknown.

        Parameters
        ----------
        X : n rows of the kind `fit` was given
        y : array-like of shape (n,) or (n, n_outputs)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
        """
        check_is_fitted(self)
        codes = self.encoder_.transform(y)
        predicted = self._predicted_codes(X, needs_some=True)
        return exact_match(codes, predicted, sample_weight)
