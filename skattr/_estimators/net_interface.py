"""What a fitted skorch net needs to take X and y, and to return labels and probabilities."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._estimators.data import InputKind, TrainingData, category_for_prediction, check_X
from skattr._estimators.options import Branches, resolve
from skattr._estimators.parameters import ClassifierParameters
from skattr._estimators.probabilities import predicted_codes, probabilities
from skattr._multioutput.classes import public_classes
from skattr._targets.encoder import UNKNOWN, AttributeEncoder
from skattr._training.dataset import AttributeDataset


@dataclass(frozen=True)
class NetInterface:
    """Reads X and y for a net as the classifier does, and decodes its logits.

    skorch's scoring callbacks call the net as they would call a classifier.

    Attributes
    ----------
    kind : InputKind
    encoder : AttributeEncoder
    layout : BranchLayout
    ordinal_predict : {"mode", "median"}
    categories : ndarray or None
        Categories that are an input of the network.
    has_category_targets : bool
        Whether the category is part of the targets.
    """

    kind: InputKind
    encoder: AttributeEncoder
    layout: Any
    ordinal_predict: str
    categories: NDArray[Any] | None
    has_category_targets: bool

    @classmethod
    def of(
        cls, classifier: ClassifierParameters, data: TrainingData, layout: Any
    ) -> "NetInterface":
        """Return the interface of a net that is trained on `data`."""
        prior = classifier.category_prior
        return cls(
            data.kind,
            data.encoder,
            layout,
            resolve(Branches, classifier.branches).ordinal_predict,
            data.categories if prior == "condition" else None,
            prior in ("joint", "auxiliary"),
        )

    @property
    def classes(self) -> Any:
        """Classes in the form of the `classes_` of the classifier."""
        return public_classes(self.encoder)

    def dataset(self, X: Any, y: Any = None) -> AttributeDataset:
        """Return the rows of X, with the labels of y if they are given."""
        reader: Any = ClassifierParameters()
        reader.n_features_in_ = self.kind.n_features
        if self.kind.feature_names is not None:
            reader.feature_names_in_ = self.kind.feature_names
        rows, column, _ = check_X(reader, X, self.kind)
        indices = np.arange(len(rows))
        category = None
        if self.categories is not None:
            category = category_for_prediction(column, self.categories)
        if y is None:
            return AttributeDataset(rows, indices, category=category)
        if self.has_category_targets:
            raise ValueError(
                "The category of the objects is part of the targets of this net; use partial_fit "
                "of the classifier."
            )
        codes = self.encoder.transform(y)
        if len(codes) != len(rows):
            raise ValueError(f"X has {len(rows)} rows, but y has {len(codes)}.")
        dtype = self.kind.dtype or np.float32
        return AttributeDataset(rows, indices, codes, (codes >= 0).astype(dtype), category)

    def labels(self, codes: NDArray[np.int64]) -> NDArray[Any]:
        """Return the labels for targets; those of auxiliary attributes are left out."""
        n_outputs = self.encoder.n_outputs_
        outputs = codes[:, :n_outputs]
        if self.has_category_targets:  # of a joint branch: absent, present with each category
            is_joint = np.array([form == "joint" for form in self.layout.forms[:n_outputs]])
            outputs = np.where(is_joint, np.minimum(outputs, 1), outputs)
        if (outputs == UNKNOWN).any() and not self._has_text:
            return self._floats(outputs)
        return self.encoder.inverse_transform(outputs)

    @property
    def _has_text(self) -> bool:
        return any(classes.dtype.kind not in "biuf" for classes in self.encoder.classes_)

    def _floats(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return numeric labels with NaN where they are missing, as scikit-learn's metrics do."""
        columns = [
            np.where(column == UNKNOWN, np.nan, classes[column].astype(np.float64))
            for column, classes in zip(codes.T, self.encoder.classes_, strict=True)
        ]
        return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)

    def predict(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Return the predicted labels for logits, without regard to constraints."""
        codes = predicted_codes(
            probabilities(logits, self.layout), self.encoder.kinds_, self.ordinal_predict
        )
        return self.encoder.inverse_transform(codes)

    def predict_proba(self, logits: NDArray[Any]) -> Any:
        """Return probabilities for logits, in the form of the classifier's."""
        probas = probabilities(logits, self.layout)
        if self.encoder.n_outputs_ == 1:
            return probas[0][:, np.argsort(self.encoder.classes_[0])]
        return probas
