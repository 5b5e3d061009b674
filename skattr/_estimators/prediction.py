"""Prediction methods of AttributeClassifier."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skattr._estimators.data import InputKind, category_for_prediction, check_finite, check_X
from skattr._estimators.options import ImageReading, as_object
from skattr._estimators.parameters import ClassifierParameters
from skattr._estimators.probabilities import (
    binary_log_odds,
    predicted_codes,
    probabilities,
    transform_columns,
)
from skattr._inputs.rows import FeatureRows
from skattr._inputs.unreadable import check_any_readable, unreadable_rows, warn_unreadable
from skattr._multioutput.scores import column_names, exact_match
from skattr._targets.alignment import align_rows
from skattr._targets.constraints import LogicalConstraints, decode
from skattr._targets.encoder import UNKNOWN, AttributeEncoder
from skattr._training.inference import predict_rows
from skattr._training.loader import warn_no_processes
from skattr._training.net import AttributeNet
from skattr._utils.parallel import sum_is_finite
from skattr.exceptions import DivergedError


# TransformerMixin is a base here because scikit-learn wraps `transform` for `set_output` only in
# the class that defines it.
class AttributePredictor(TransformerMixin, ClassifierParameters):
    """Prediction methods, which read what `fit` stored.

    Of the parameters they read only those that change no prediction: `verbose`,
    `transform_output`, and `on_bad_image` and `num_workers` of `images`.
    """

    net_: AttributeNet
    encoder_: AttributeEncoder
    output_names_: list[Any]
    attribute_kinds_: list[Any]
    n_outputs_: int
    categories_: NDArray[Any]
    _kind: InputKind
    # The order of an output's classes in classes_ and in the columns of predict_proba and
    # transform, None if it is that of the encoder.
    _class_orders: list[NDArray[np.intp] | None]
    _constraints: LogicalConstraints | None
    _ordinal_predict: str

    @property
    def _network(self) -> Any:
        return self.net_.module_

    def _outputs(
        self, X: Any, output: Any = "logits", *, needs_some: bool = False
    ) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """Return outputs, and the rows that could not be read: their outputs are zeros.

        With `needs_some` it is an error if no row could be read.
        """
        check_is_fitted(self)
        # A pass over X to search for NaN takes a sixth of the time of a linear prediction. A
        # linear network propagates NaN and infinities, so the search is deferred: its outputs are
        # checked, and X only if they are not finite.
        deferred = self._network.propagates_non_finite
        rows, column, _ = check_X(self, X, self._kind, defer_finite_check=deferred)
        category = None
        if self._network.n_conditions:
            category = category_for_prediction(column, self.categories_)
        num_workers = as_object(ImageReading, self.images).num_workers
        warn_no_processes(rows, num_workers)
        values = predict_rows(
            self.net_,
            rows,
            output,
            category=category,
            batch_size=self.net_.batch_size,
            num_workers=num_workers,
            verbose=int(self.verbose),
        )
        if isinstance(rows, FeatureRows) and rows.unreadable is None:
            check_finite(rows.array, values, self._kind)
        _check_outputs(values)
        if needs_some:
            check_any_readable(rows)
        warn_unreadable(rows, "their outputs are NaN, their labels are missing")
        return values, unreadable_rows(rows)

    def _predicted_codes(self, X: Any, *, needs_some: bool = False) -> NDArray[np.int64]:
        (logits, unreadable), layout = self._outputs(X, needs_some=needs_some), self._network.layout
        codes = predicted_codes(
            probabilities(logits, layout), self.attribute_kinds_, self._ordinal_predict
        )
        if self._constraints is not None:
            columns = self._constraints.columns
            odds = binary_log_odds(logits, layout, columns)
            codes[:, columns] = decode(odds, self._constraints)
        codes[unreadable] = UNKNOWN
        return codes

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable label of each attribute.

        For an ordinal attribute it is the median label with
        ``branches=Branches(ordinal_predict="median")``. With `constraints`, the binary attributes
        get the most probable combination of labels that satisfies all of them.

        Parameters
        ----------
        X : n rows of the kind `fit` was given

        Returns
        -------
        ndarray of shape (n,) for one attribute, else (n, n_outputs)
            Labels in the dtype of y. The dtype is object if those of the attributes differ, or if
            a row could not be read (``on_bad_image="warn"``): its labels are None.
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
            Columns in the order of `classes_`; NaN if a row could not be read
            (``on_bad_image="warn"``).
        """
        logits, unreadable = self._outputs(X)
        probas = probabilities(logits, self._network.layout)
        for proba in probas:
            proba[unreadable] = np.nan
        probas = [
            proba if order is None else proba[:, order]
            for proba, order in zip(probas, self._class_orders, strict=True)
        ]
        return probas[0] if self.n_outputs_ == 1 else probas

    def transform(self, X: Any) -> NDArray[Any]:
        """Return the outputs named by :meth:`get_feature_names_out`.

        Parameters
        ----------
        X : n rows of the kind `fit` was given

        Returns
        -------
        ndarray of shape (n, n_columns)
            One column per binary attribute (its positive class) and one per class of the other
            attributes, in the order of `classes_`; or the shared features with
            ``transform_output="features"``. NaN if a row could not be read
            (``on_bad_image="warn"``).
        """
        is_features = self.transform_output == "features"
        values, unreadable = self._outputs(X, "features" if is_features else "logits")
        if not is_features:
            layout = self._network.layout
            values = transform_columns(
                values, layout, self.attribute_kinds_, self.transform_output, self._class_orders
            )
        values[unreadable] = np.nan
        return values

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name the columns of `transform`: "hat", "gender=Women", "color=red", or "feature0".

        The column of a binary attribute has the name of its positive level, unless that is 1.

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
        classes = [
            levels if order is None or kind == "binary" else levels[order]
            for levels, order, kind in zip(
                self.encoder_.classes_, self._class_orders, self.attribute_kinds_, strict=True
            )
        ]
        return column_names(self.output_names_, classes, self.attribute_kinds_)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows whose known labels are all predicted.

        With one attribute this is the accuracy. Rows without a known label do not count, and
        neither do rows that cannot be read (``on_bad_image="warn"``), as in `fit`.

        Parameters
        ----------
        X : n rows of the kind `fit` was given
        y : array-like of shape (n,) or (n, n_outputs), or DataFrame
            Columns of a DataFrame are matched with those of `fit` by name.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float

        Raises
        ------
        UnseenLabelError
            If y has a label that is not among the classes of `fit`.
        ValueError
            If y has other columns than that of `fit`, or indexes are in another order.
        """
        check_is_fitted(self)
        X, y, sample_weight = align_rows(X=X, y=y, sample_weight=sample_weight)
        # A label that fit has not seen is a typing error or a level to be declared; counting it
        # as a wrong prediction would hide both.
        codes = self.encoder_.transform(y)
        predicted = self._predicted_codes(X, needs_some=True)
        return exact_match(codes, predicted, sample_weight)


def _check_outputs(values: NDArray[Any]) -> None:
    """Raise a DivergedError if a finite row of X has outputs that are not finite."""
    if sum_is_finite(values) or get_config()["assume_finite"]:  # then X may not be finite
        return
    is_bad = ~np.isfinite(values).all(axis=1)
    if is_bad.any():
        raise DivergedError(
            f"The network's outputs for row {int(is_bad.argmax())} of X and {int(is_bad.sum()) - 1}"
            " other row(s) are not finite, although X is: its values or the weights are too large."
        )
