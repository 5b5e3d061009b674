"""One multi-branch network as one scikit-learn classifier of many attributes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, _fit_context
from sklearn.utils.validation import check_is_fitted

from skattr._crossfit import cross_fit_transform
from skattr._fitting import open_rows, train_network, warn_of_unknown_columns
from skattr._multioutput import exact_match
from skattr._outputs import column_names, columns_of, probabilities
from skattr._targets import AttributeEncoder
from skattr._validation import PARAMETER_CONSTRAINTS, check_label_weights
from skattr.training import predict_rows


class AttributeClassifier(ClassifierMixin, TransformerMixin, BaseEstimator):
    """A neural network with one branch per attribute, as a multi-output classifier.

    A shared backbone (a torchvision network for pictures) feeds one branch per attribute. The
    branches are trained together on the sum over attributes of the mean cross-entropy over
    their known labels; a label that is unknown has no influence at all.

    Parameters
    ----------
    backbone : str or callable, default="auto"
        "auto": "resnet18" for pictures and no backbone (one linear map) for 2-D features. Any
        torchvision classification model for pictures, or an importable callable that returns a
        module mapping (n, 3, H, W) to features. For 2-D features also "mlp" (one layer of 256
        rectified units) or a callable that takes the number of columns.
    weights : str, default=None
        Pretrained weights of a torchvision backbone: None (random), "DEFAULT", the name of
        torchvision weights, or the path of a state dict.
    attributes : dict of {name: kind}, default=None
        Kinds that are not to be read from y; see :class:`AttributeEncoder`.
    binary_head : {"sigmoid", "softmax"}, default="sigmoid"
        One logit for an attribute of two classes, or two.
    branch_hidden : int, default=None
        Units of a hidden layer of each branch; None for none.
    classes : dict or list, default=None
        All labels each attribute may take; see :class:`AttributeEncoder`. Declare them when a
        label may be absent from a training fold.
    missing_label : scalar, default=None
        A value of y that means unknown, besides NaN, None and pandas.NA.
    image_size : int or (height, width), default=224
        Pictures are resized to this size, without regard to their aspect ratio.
    augment : {"flip", "shift", "flip_shift"} or callable, default=None
        Random changes of training pictures: mirrored left to right, moved by up to 1/16 of
        their sides, or both. A callable maps a uint8 tensor (n, H, W, 3) and a
        `torch.Generator` to a tensor like it.
    optimizer : {"adamw", "adam", "sgd"} or callable, default="adamw"
        "sgd" has a Nesterov momentum of 0.9; a callable is a `torch.optim` class that takes
        `lr` and `weight_decay`.
    lr : float or "auto", default="auto"
        Learning rate (the peak of a schedule); "auto" is 1e-3 for pictures, 1e-2 for features.
    weight_decay : float, default=0.01
        Weight decay of the optimizer.
    lr_schedule : {"onecycle", "cosine"}, default="onecycle"
        How the learning rate changes over the whole fit, batch by batch; None keeps it.
        "onecycle" also moves the momentum (Adam's first beta), unless `net_params` sets it.
    batch_size : int, default=64
        Rows per training step.
    max_epochs : int, default=12
        Passes over the training rows.
    validation_fraction : float, default=None
        Share of rows held out of training to compute a validation loss after each epoch. None
        holds out 0.1 with `early_stopping`, nothing without.
    early_stopping : bool, default=False
        Stop when the validation loss has not improved for `patience` epochs, and return to the
        best epoch.
    patience : int, default=5
        Epochs without improvement before stopping.
    transform_output : {"proba", "logit", "features"}, default="proba"
        What `transform` returns: probabilities, log odds (log probabilities for attributes
        that are not binary), or the shared features.
    cross_fit : int, float or splitter, default=None
        What `fit_transform` returns: out-of-fold outputs (int: that many shuffled folds), the
        outputs of a held-out share of rows with NaN elsewhere (float), or outputs for the rows
        trained on (None).
    device : str, default="auto"
        "auto" (CUDA if there is one, else the CPU) or a torch device such as "cuda:1".
    precision : {"auto", "float32", "float64", "bfloat16"}, default="auto"
        "auto" computes 2-D features in their own type, pictures in float32 on the CPU and with
        bfloat16 products on CUDA.
    compile : bool, default=False
        Compile the network with `torch.compile`.
    num_workers : int, default=0
        Processes that decode picture files.
    callbacks : list of skorch callbacks, default=None
        Added to those of the fit.
    net_params : dict, default=None
        Further parameters of the skorch net in its notation, such as
        ``{"optimizer__betas": (0.9, 0.99)}``; none that the classifier has itself.
    warm_start : bool, default=False
        Start from the network of the previous fit; the classes must be the same.
    random_state : int, RandomState or None, default=None
        Seeds initial weights, shuffling, augmentation and held-out rows. None draws fresh
        entropy; the global random states are never touched.
    verbose : int, default=0
        1 shows progress bars, 2 a line per epoch.

    Attributes
    ----------
    classes_ : ndarray, or list of ndarray if there are several attributes
        The classes, in the order of the columns of `predict_proba`.
    n_outputs_ : int
        Number of attributes.
    output_names_ : list
        Names of the attributes.
    attribute_kinds_ : list of str
        "binary", "categorical" or "ordinal".
    encoder_ : AttributeEncoder
        Between the labels of y and the network's classes.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the network.
    history_ : list of dict
        Per epoch: "epoch", "train_loss", "dur" (seconds), and "valid_loss" if there is one.
    n_iter_ : int
        Epochs trained.
    n_features_in_ : int
        Columns of X; only for 2-D features.

    See Also
    --------
    AttributeEncoder : How kinds, classes and unknown labels are read from y.

    Notes
    -----
    The branches start at the class frequencies of the training labels, so an attribute without
    a known label is predicted with equal probabilities. On the CPU two fits with the same
    `random_state`, data and number of threads are bit-identical.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skattr import AttributeClassifier
    >>> X, species = load_iris(return_X_y=True, as_frame=True)
    >>> large = (X["petal length (cm)"] > 4).astype("boolean")
    >>> y = species.to_frame().assign(large=large)
    >>> y.loc[::3, "large"] = None
    >>> classifier = AttributeClassifier(max_epochs=30, random_state=0).fit(X, y)
    >>> [proba.shape for proba in classifier.predict_proba(X)]
    [(150, 3), (150, 2)]
    >>> classifier.get_feature_names_out().tolist()
    ['target=0', 'target=1', 'target=2', 'large']
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = PARAMETER_CONSTRAINTS

    def __init__(
        self,
        backbone: str | Callable[..., Any] = "auto",
        *,
        weights: str | None = None,
        attributes: Mapping[Any, Any] | None = None,
        binary_head: str = "sigmoid",
        branch_hidden: int | None = None,
        classes: Any = None,
        missing_label: Any = None,
        image_size: int | tuple[int, int] = 224,
        augment: str | Callable[..., Any] | None = None,
        optimizer: str | Callable[..., Any] = "adamw",
        lr: float | str = "auto",
        weight_decay: float = 0.01,
        lr_schedule: str | None = "onecycle",
        batch_size: int = 64,
        max_epochs: int = 12,
        validation_fraction: float | None = None,
        early_stopping: bool = False,
        patience: int = 5,
        transform_output: str = "proba",
        cross_fit: Any = None,
        device: str = "auto",
        precision: str = "auto",
        compile: bool = False,
        num_workers: int = 0,
        callbacks: Sequence[Any] | None = None,
        net_params: Mapping[str, Any] | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.attributes = attributes
        self.binary_head = binary_head
        self.branch_hidden = branch_hidden
        self.classes = classes
        self.missing_label = missing_label
        self.image_size = image_size
        self.augment = augment
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.patience = patience
        self.transform_output = transform_output
        self.cross_fit = cross_fit
        self.device = device
        self.precision = precision
        self.compile = compile
        self.num_workers = num_workers
        self.callbacks = callbacks
        self.net_params = net_params
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Declare what X and y may be."""
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_class = True
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = []
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, label_weight: Any = None) -> Self:
        """Train a new network.

        Parameters
        ----------
        X : ndarray, list, Series or DataFrame of n rows
            uint8 pictures (n, H, W, 3) or (n, H, W); paths of picture files; a DataFrame with a
            ``path`` column and, for crops, the columns ``xmin ymin xmax ymax`` (0-based,
            half-open, in pixels of the upright picture, all NaN for the whole picture); or 2-D
            numeric features (n, n_features).
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Labels; NaN, None and pandas.NA are unknown.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.
        label_weight : array-like of shape (n, n_outputs), default=None
            Weight of each label; multiplied with `sample_weight`.

        Returns
        -------
        AttributeClassifier

        Raises
        ------
        ValueError
            If a parameter, X, y or a weight is illegal, or no label is known.
        ImageReadError, InvalidBoxError
            If a picture cannot be read or a box leaves it; path and row are named.
        """
        encoder = self._fitted_encoder(y)
        return self._fit(X, y, sample_weight, label_weight, encoder)

    def _fitted_encoder(self, y: Any) -> AttributeEncoder:
        encoder = AttributeEncoder(self.attributes, self.classes, self.missing_label).fit(y)
        warn_of_unknown_columns(encoder)
        return encoder

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, label_weight: Any, encoder: AttributeEncoder
    ) -> Self:
        rows = open_rows(self, X, reset=True)
        codes = encoder.transform(y)
        names = encoder.output_names_
        weights = check_label_weights(rows, codes, sample_weight, label_weight, names)
        net = train_network(self, rows, codes, weights, encoder)
        self.encoder_ = encoder
        self.net_ = net
        self.n_outputs_ = encoder.n_outputs_
        self.output_names_ = names
        self.attribute_kinds_ = encoder.kinds_
        single = encoder.n_outputs_ == 1
        self.classes_ = np.sort(encoder.classes_[0]) if single else encoder.classes_
        self.history_ = [
            {key: row[key] for key in ("epoch", "train_loss", "valid_loss", "dur") if key in row}
            for row in net.history
        ]
        self.n_iter_ = len(self.history_)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Whether a fit has succeeded; one that failed may have left ``n_features_in_``."""
        return hasattr(self, "net_")

    @property
    def _network(self) -> Any:
        return self.net_.module_

    def _outputs(self, X: Any, output: Any = "logits") -> NDArray[Any]:
        check_is_fitted(self)
        return predict_rows(
            self.net_,
            open_rows(self, X, reset=False),
            output,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            verbose=int(self.verbose),
        )

    def _probabilities(self, X: Any) -> list[NDArray[Any]]:
        return probabilities(self._outputs(X), self._network.layout)

    def _predicted_codes(self, X: Any) -> NDArray[np.int64]:
        return np.stack([proba.argmax(axis=1) for proba in self._probabilities(X)], axis=1)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable label of each attribute.

        Parameters
        ----------
        X : n rows of the kind `fit` was given

        Returns
        -------
        ndarray of shape (n,) for one attribute, else (n, n_outputs)
            In the dtype of y; object if the attributes differ in it.
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
            Columns in the order of `classes_`.
        """
        probas = self._probabilities(X)
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
            others; or the shared features with ``transform_output="features"``.
        """
        if self.transform_output == "features":
            return self._outputs(X, "features")
        logits = self._outputs(X)
        layout = self._network.layout
        return columns_of(logits, layout, self.attribute_kinds_, self.transform_output)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(
        self, X: Any, y: Any = None, *, sample_weight: Any = None, label_weight: Any = None
    ) -> NDArray[Any]:
        """Fit, and return outputs for the rows of X as `cross_fit` says.

        Parameters
        ----------
        X, y, sample_weight, label_weight
            As for :meth:`fit`.

        Returns
        -------
        ndarray of shape (n, n_columns)
            ``cross_fit=None``: outputs of the fitted network for the rows it was trained on,
            with a warning. An int or a splitter: each row's outputs come from a network that
            was not trained on it; the fitted network is trained on all rows. A float: outputs
            for that share of rows, held out from the only network trained, and NaN elsewhere.
        """
        encoder = self._fitted_encoder(y)
        return cross_fit_transform(self, X, y, sample_weight, label_weight, encoder)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name the columns of `transform`: "hat", "colour=red", or "feature0".

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

        With one attribute this is the accuracy. Rows without a known label do not count.

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
        return exact_match(codes, self._predicted_codes(X), sample_weight)
