"""The methods of a net that take X: predictions, and what skorch's scoring callbacks call."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skorch.callbacks import BatchScoring, PassthroughScoring
from skorch.callbacks.scoring import ScoringBase
from skorch.utils import to_device as skorch_to_device
from torch import Tensor

from skattr._training.dataset import AttributeDataset, Batch
from skattr._training.steps import TrainStepNet
from skattr.exceptions import SkattrError


class PredictingNet(TrainStepNet):
    """Methods of :class:`~skattr._training.net.AttributeNet` that take X as the classifier does.

    Attributes
    ----------
    interface : NetInterface or None
        Reads X and y, and decodes logits. A net without one takes datasets only.
    """

    interface: Any
    batch_history: bool
    callbacks_: Any

    @property
    def classes_(self) -> Any:
        """Classes, as those of the classifier."""
        if self.interface is None:
            raise AttributeError("This net was built without a classifier, and has no classes_.")
        return self.interface.classes

    @property
    def encoder_(self) -> Any:
        """Encoder of the labels, as that of the classifier."""
        if self.interface is None:
            raise AttributeError("This net was built without a classifier, and has no encoder_.")
        return self.interface.encoder

    def __sklearn_tags__(self) -> Any:
        """Say that the net is a classifier: scorers ask for it."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        return tags

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Return X as a dataset; X and y are those that the classifier takes."""
        if isinstance(X, AttributeDataset):
            return X
        if self.interface is None:
            raise SkattrError("A net that was built without a classifier takes only its datasets.")
        return self.interface.dataset(X, y)

    def forward_iter(self, X: Any, training: bool = False, device: Any = "cpu") -> Iterator[Tensor]:
        """Yield the logits of each batch of X, in order."""
        dataset = self.get_dataset(X)
        for batch in self.get_iterator(dataset, training=False):
            inputs = batch if dataset.codes is None else batch[0]
            logits = self.evaluation_step((inputs, None), training=training)
            yield skorch_to_device(logits, device=device)

    def _logits_of(self, X: Any) -> NDArray[Any]:
        return np.concatenate([part.detach().cpu().numpy() for part in self.forward_iter(X)])

    def predict_proba(self, X: Any) -> Any:
        """Return probabilities, in the form of the classifier's."""
        return self.interface.predict_proba(self._logits_of(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return labels, as the classifier without `constraints`."""
        labels: NDArray[Any] = self.interface.predict(self._logits_of(X))
        return labels

    def score(self, X: Any, y: Any) -> float:
        """Return the share of rows whose known labels are all predicted."""
        codes, found = self.encoder_.transform(y), self.encoder_.transform(self.predict(X))
        is_known = codes >= 0
        rows = is_known.any(axis=1)
        return float(((codes == found) | ~is_known)[rows].all(axis=1).mean())

    def _keeps_batches(self) -> bool:
        """Whether the history has a row for each batch, which some of skorch's callbacks read."""
        readers = (BatchScoring, PassthroughScoring)
        return bool(self.batch_history) or any(isinstance(c, readers) for _, c in self.callbacks_)

    def _for_callbacks(self, batch: Batch) -> Any:
        """Return a batch with labels in place of codes and weights, if a callback scores it."""
        scores = any(isinstance(callback, ScoringBase) for _, callback in self.callbacks_)
        if self.interface is None or not scores:
            return batch
        return batch[0], self.interface.labels(batch[1][0].numpy())
