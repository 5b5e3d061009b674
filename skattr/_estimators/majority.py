"""Baseline that predicts the most frequent class of each attribute."""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils.validation import _num_samples, check_consistent_length, check_is_fitted

from skattr._multioutput.predictor import LabelPredictorMixin
from skattr._targets.encoder import AttributeEncoder
from skattr._targets.weights import check_label_weights
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import MissingLabelWarning

Floats = NDArray[np.float64]


class MajorityClassifier(LabelPredictorMixin, ClassifierMixin, BaseEstimator):
    """Predict the most frequent known class of each attribute, whatever X is.

    A model is worth its cost if it is better than this baseline. This is
    :class:`sklearn.dummy.DummyClassifier` with ``strategy="prior"`` for tables of attributes
    with missing labels.

    Parameters
    ----------
    attributes, missing_label : default=None
        How y is read; see :class:`skattr.AttributeEncoder`.

    Attributes
    ----------
    class_prior_ : ndarray of shape (n_classes,), or list of ndarray if there are several outputs
        Share of each class among the known labels, in the order of `classes_`. Equal shares for
        an attribute without a known label.
    classes_ : ndarray, or list of ndarray if there are several outputs
        Class labels.
    n_outputs_ : int
        Number of attributes.
    output_names_ : list
        Names of the attributes.
    encoder_ : AttributeEncoder
        Converts between the labels of y and class codes.

    See Also
    --------
    skattr.metrics.attribute_report : Its parameter `baseline` takes the predictions.

    Examples
    --------
    >>> import numpy as np
    >>> from skattr import MajorityClassifier
    >>> X, y = np.zeros((4, 1)), [[1, "red"], [1, None], [0, "blue"], [None, "red"]]
    >>> baseline = MajorityClassifier().fit(X, y)
    >>> baseline.class_prior_
    [array([0.33333333, 0.66666667]), array([0.33333333, 0.66666667])]
    >>> baseline.predict(X[:1])
    array([[1, 'red']], dtype=object)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "attributes": [Mapping, None],
        "missing_label": "no_validation",
    }

    def __init__(
        self, attributes: Mapping[Any, Any] | None = None, missing_label: Any = None
    ) -> None:
        self.attributes = attributes
        self.missing_label = missing_label

    def __sklearn_tags__(self) -> Tags:
        """Declare valid X and y."""
        tags = super().__sklearn_tags__()
        tags.no_validation = True
        tags.input_tags.sparse = tags.input_tags.allow_nan = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        tags.classifier_tags.multi_label = True
        tags.classifier_tags.poor_score = True
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, label_weight: Any = None) -> Self:
        """Count the known labels of each attribute.

        Parameters
        ----------
        X : n rows of any kind
            Only their number is read.
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Labels. NaN, None and pandas.NA are missing labels.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.
        label_weight : array-like of shape (n, n_outputs), default=None
            Weight of each label, multiplied with `sample_weight`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If y or a weight is invalid, or X has another number of rows.

        Warns
        -----
        MissingLabelWarning
            If no label of an attribute is known.
        """
        encoder = AttributeEncoder(self.attributes, self.missing_label)
        codes = encoder.fit_transform(y)
        check_consistent_length(X, codes)
        names = encoder.output_names_
        weights = check_label_weights(codes, codes, sample_weight, label_weight, names)
        priors: list[Floats] = []
        unknown = []
        for j, (name, classes) in enumerate(zip(names, encoder.classes_, strict=True)):
            known = codes[:, j] >= 0
            counted = np.bincount(codes[known, j], weights[known, j], len(classes))
            counts = counted.astype(np.float64)
            if not counts.any():
                unknown.append(name)
                counts = np.ones(len(classes))
            priors.append(counts / counts.sum())
        if unknown:
            warnings.warn(
                f"No label of {unknown} is known or has a weight above 0: all classes get the same "
                "probability.",
                MissingLabelWarning,
                stacklevel=find_stack_level(),
            )
        self._priors = priors
        self._set_outputs(encoder, self)
        self.class_prior_ = self._in_public_order(priors)
        return self

    def _in_public_order(self, parts: list[Any]) -> Any:
        """Return values per class as `predict_proba` does: sorted classes of a single output."""
        if self.n_outputs_ > 1:
            return parts
        return parts[0][..., np.argsort(self.encoder_.classes_[0])]

    def predict_proba(self, X: Any) -> Floats | list[Floats]:
        """Return the shares of the classes for every row.

        Parameters
        ----------
        X : n rows

        Returns
        -------
        ndarray of shape (n, n_classes) for one attribute, else a list of them
            Columns are in the order of `classes_`.
        """
        check_is_fitted(self)
        n = _num_samples(X)
        proba: Floats | list[Floats] = self._in_public_order(
            [np.tile(prior, (n, 1)) for prior in self._priors]
        )
        return proba

    def _predict_codes(self, X: Any) -> NDArray[np.int64]:
        check_is_fitted(self)
        # Of equally frequent classes the first in `classes_`, which is sorted for one output.
        order = [np.argsort(classes) if self.n_outputs_ == 1 else np.arange(len(classes))
                 for classes in self.encoder_.classes_]  # fmt: skip
        pairs = zip(self._priors, order, strict=True)
        codes = [int(places[np.argmax(prior[places])]) for prior, places in pairs]
        return np.tile(np.array(codes, dtype=np.int64), (_num_samples(X), 1))
