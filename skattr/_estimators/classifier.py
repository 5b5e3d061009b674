"""One multi-branch network as one scikit-learn classifier of many attributes."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.utils.validation import check_is_fitted

from skattr._estimators.add_attributes import (
    drop_rows,
    merge_encoders,
    name_new_attributes,
    new_attribute_params,
)
from skattr._estimators.cross_fit import cross_fit_transform
from skattr._estimators.data import Metadata, read_data, read_rules, warn_unknown_columns
from skattr._estimators.fitting import fit_net, partial_fit_net
from skattr._estimators.parameters import PARAMETER_CONSTRAINTS
from skattr._estimators.prediction import PredictionMixin
from skattr._targets.encoder import AttributeEncoder


class AttributeClassifier(PredictionMixin):
    """A neural network with one branch per attribute, as a multi-output classifier.

    A shared backbone (a torchvision network for images) feeds one branch per attribute. The
    branches are trained together on the sum over attributes of the mean cross-entropy over
    their known labels; a label that is unknown has no influence at all.

    Parameters
    ----------
    backbone : str or callable, default="auto"
        "auto": "resnet18" for images and no backbone (one linear map) for 2-D features. Any
        torchvision classification model for images, or an importable callable that returns a
        module mapping (n, 3, H, W) to features. For 2-D features also "mlp" (one layer of 256
        rectified units) or a callable that takes the number of columns.
    weights : str, default=None
        Pretrained weights of a torchvision backbone: None (random), "DEFAULT", the name of
        torchvision weights, or the path of a state dict.
    attributes : dict of {name: kind}, default=None
        Kinds that are not to be read from y; see :class:`AttributeEncoder`. Ordinal attributes
        of three levels or more have a cumulative link, whose probabilities keep the order.
    binary_head : {"sigmoid", "softmax"}, default="sigmoid"
        One logit for an attribute of two classes, or two.
    branch_hidden : int, default=None
        Units of a hidden layer of each branch; None for none.
    ordinal_predict : {"mode", "median"}, default="mode"
        Which level of an ordinal attribute is predicted: the most probable one, or the median,
        which makes the smallest absolute error in levels.
    category_prior : {"joint", "condition", "auxiliary"}, default=None
        What is made of the category of the object in each row, a column ``category`` of X or
        metadata of `fit`. "joint": a branch of two classes is over {absent} and all categories,
        and an attribute has the probability 1 - P(absent); the category is asked for in `fit`
        alone. "condition": the category scales and shifts the shared features (FiLM [1]_), also
        in prediction; None is a category that is unknown. "auxiliary": one more branch learns
        the category, in `fit` alone. None makes nothing of it.
    constraints : dict, default=None
        What `predict` may not contradict: ``{"at_most_one": [["young", "senior"]],
        "exactly_one": [...], "implies": [("goatee", "beard")]}``, of binary attributes. The
        most probable labels that obey are predicted; probabilities stay as they are.
        Meta-estimators of this package obey, too; :class:`ThresholdCalibrator`, which sees
        scores alone, does not.
    loss : str, loss object or callable, default="auto"
        "auto" (or "bce"; cross-entropy), "focal", "asymmetric", "partial_asymmetric", or an
        object of :mod:`skattr.losses`, whose parameters a grid reaches as ``loss__gamma_neg``
        and which has label smoothing and policies for missing labels. A callable makes a
        subclass of :class:`skattr.nn.SummedCrossEntropy`.
    pos_weight : float, str, dict or array-like, default=None
        What the loss of positives is multiplied by, as torch's `BCEWithLogitsLoss` does it:
        one number, one per attribute, a dict by attribute, or "balanced" (negatives / positives
        among the known labels, at most 1000; "balanced:20" at most 20). Only binary attributes
        have one. Predicted odds are that many times too high; see
        :class:`CalibratedMultiOutputCV` for the way back.
    class_weight : "balanced", dict or list, default=None
        Weight of the labels of each class, as torch's `CrossEntropyLoss` and scikit-learn have
        it: by attribute (a dict or a list) "balanced" or a dict from label to weight.
    attribute_weight : str, dict or array-like, default=None
        Importance of each attribute in the sum of losses: a dict by attribute, one number each,
        "balanced" (inverse to its number of known labels), or "uncertainty" (learned [2]_).
    classes : dict or list, default=None
        All labels each attribute may take; see :class:`AttributeEncoder`. Declare them when a
        label may be absent from a training fold.
    missing_label : scalar, default=None
        A value of y that means unknown, besides NaN, None and pandas.NA.
    image_size : int or (height, width), default=224
        Images are resized to this size, without regard to their aspect ratio.
    augment : str, Augmentation or callable, default=None
        Random changes of training images: "flip", "shift", "flip_shift", "light", "geometry",
        "strong", or an :class:`Augmentation` with strengths, mixup and flips in prediction; its
        documentation says which attributes each may destroy. A callable maps a uint8 tensor
        (n, H, W, 3) and a `torch.Generator` to a tensor like it.
    freeze : "backbone", "stages:N" or FineTuning, default=None
        What of the backbone is not trained: all, or its first N stages. :class:`FineTuning` can
        thaw it stage by stage and has earlier stages learn slower. 2-D features have a backbone
        only if `backbone` names one.
    optimizer : {"adamw", "adam", "sgd"} or callable, default="adamw"
        "sgd" has a Nesterov momentum of 0.9; a callable is a `torch.optim` class that takes
        `lr` and `weight_decay`.
    lr : float or "auto", default="auto"
        Learning rate (the peak of a schedule); "auto" is 1e-3 for images, 1e-2 for features.
    weight_decay : float, default=0.01
        Weight decay of the optimizer.
    lr_schedule : {"onecycle", "cosine"}, default="onecycle"
        How the learning rate changes over the whole fit, batch by batch; None keeps it.
        "onecycle" also moves the momentum (Adam's first beta), unless `net_params` sets it.
    ema_decay : float in (0, 1), default=None
        Validate and predict with an exponential moving average of the weights, to which each
        step adds ``1 - ema_decay`` (more in the first steps).
    batch_size : int, default=64
        Rows per training step.
    max_epochs : int, default=12
        Passes over the training rows.
    validation_fraction : float, default=None
        Share of rows held out of training to compute a validation loss after each epoch, of
        those with a label and of those without. None holds out 0.1 with `early_stopping`,
        nothing without.
    early_stopping : bool or int, default=False
        Stop when the validation loss has not improved for 5 epochs (True), or so many, and
        return to the best epoch.
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
        "auto" computes 2-D features in their own type, images in float32 on the CPU and with
        bfloat16 products on CUDA.
    num_workers : int, default=0
        Processes that decode image files. With 0 they are decoded between the steps, on as
        many threads as torch computes with.
    decoding : {"exact", "scaled"}, default="exact"
        "scaled" has JPEG files decoded at 1/2, 1/4 or 1/8 of their size, the smallest that is
        not below `image_size`, before they are resized. 640x480 pixels become 224x224 some 1.4
        times as fast, larger files faster still; levels differ by less than two on average
        (typically .6). Other formats and rows with a box are decoded in full either way.
    decoded_cache : {"memory"} or None, default=None
        If "memory", decoded images are kept in memory during `fit`, as uint8 of `image_size`
        (three bytes per pixel), so that each file is decoded once and not in every epoch. None
        keeps none.
    on_bad_image : {"raise", "warn"}, default="raise"
        What is done about images that cannot be read: the file is missing, truncated or no
        image, the box leaves it, ... "raise" names path and row. "warn" counts and names them
        in one :class:`~skattr.exceptions.BadImageWarning` per call; `fit` learns nothing from
        such rows, as if all their labels were unknown (it reads every file once beforehand), and
        what is predicted of them is missing: probabilities and outputs are NaN, labels None. A
        row of 2-D features that is NaN throughout, as :class:`ImageEmbedder` returns it for such
        an image, is one of them.
    net_params : dict, default=None
        Further parameters of the skorch net in its notation, none that the classifier has
        itself: ``{"callbacks": [...]}`` (skorch's, or your own), ``{"compile": True}``
        (`torch.compile`), ``{"clip_norm": 1.0}`` (largest norm of the gradient),
        ``{"accumulate": 4}`` (a batch passes in 4 parts, and needs less memory),
        ``{"module__dropout": 0.3}`` (of shared features and hidden units),
        ``{"optimizer__betas": (0.9, 0.99)}``.
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
    categories_ : ndarray
        The categories of objects; only with `category_prior`.
    n_features_in_ : int
        Columns of X; only for 2-D features.

    See Also
    --------
    AttributeEncoder : How kinds, classes and missing labels are read from y.
    skattr.losses : Losses with parameters of their own.
    Augmentation : Changes of training images.
    FineTuning : What of the backbone learns, and how fast.

    Notes
    -----
    The branches start at, or for images about, the class frequencies of the training labels;
    an attribute without a known label is predicted with equal probabilities. On the CPU two fits
    with the same `random_state`, data and number of threads are bit-identical. On CUDA that is not
    promised: cuDNN and cuBLAS choose among kernels, some of which add in an order that changes;
    `torch.use_deterministic_algorithms` is the user's to set. The branches and their losses, but
    for ``loss`` objects with label smoothing, use none that do.

    Networks that are trained whole on one GPU are searched with ``n_jobs=1``: several processes
    would share its time and its memory. What only the branches, the losses or thresholds differ
    in is searched on the features of an :class:`ImageEmbedder`, in one pass of the backbone.

    Prediction takes as many rows at once as are fastest, and goes on with half of them where
    memory runs out. What it computes of a row depends on the other rows by rounding only.

    References
    ----------
    .. [1] Perez, Strub, de Vries, Dumoulin & Courville (2018). FiLM: Visual reasoning with a
       general conditioning layer. AAAI.
    .. [2] Kendall, Gal & Cipolla (2018). Multi-task learning using uncertainty to weigh losses
       for scene geometry and semantics. CVPR.

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
        ordinal_predict: str = "mode",
        category_prior: str | None = None,
        constraints: Mapping[str, Any] | None = None,
        loss: Any = "auto",
        pos_weight: Any = None,
        class_weight: Any = None,
        attribute_weight: Any = None,
        classes: Any = None,
        missing_label: Any = None,
        image_size: int | tuple[int, int] = 224,
        augment: Any = None,
        freeze: Any = None,
        optimizer: str | Callable[..., Any] = "adamw",
        lr: float | str = "auto",
        weight_decay: float = 0.01,
        lr_schedule: str | None = "onecycle",
        ema_decay: float | None = None,
        batch_size: int = 64,
        max_epochs: int = 12,
        validation_fraction: float | None = None,
        early_stopping: bool | int = False,
        transform_output: str = "proba",
        cross_fit: Any = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int = 0,
        decoding: str = "exact",
        decoded_cache: str | None = None,
        on_bad_image: str = "raise",
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
        self.ordinal_predict = ordinal_predict
        self.category_prior = category_prior
        self.constraints = constraints
        self.loss = loss
        self.pos_weight = pos_weight
        self.class_weight = class_weight
        self.attribute_weight = attribute_weight
        self.classes = classes
        self.missing_label = missing_label
        self.image_size = image_size
        self.augment = augment
        self.freeze = freeze
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.ema_decay = ema_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.transform_output = transform_output
        self.cross_fit = cross_fit
        self.device = device
        self.precision = precision
        self.num_workers = num_workers
        self.decoding = decoding
        self.decoded_cache = decoded_cache
        self.on_bad_image = on_bad_image
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
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        label_weight: Any = None,
        category: Any = None,
    ) -> Self:
        """Train a new network.

        Parameters
        ----------
        X : ndarray, list, Series or DataFrame of n rows
            uint8 images (n, H, W, 3) or (n, H, W); paths of image files; a DataFrame with a
            ``path`` column and, for crops, the columns ``xmin ymin xmax ymax`` (0-based,
            half-open, in pixels of the upright image, all NaN for the whole image); or 2-D
            numeric features (n, n_features). A column ``category`` of a DataFrame is the
            category of the object, for `category_prior`, and never a feature.
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Labels; NaN, None and pandas.NA are unknown.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.
        label_weight : array-like of shape (n, n_outputs), default=None
            Weight of each label; multiplied with `sample_weight`. That of a missing label
            counts where `loss` takes it for a negative.
        category : array-like of shape (n,), default=None
            Category of the object in each row, None where unknown; for `category_prior`, if X
            has no such column.

        Returns
        -------
        AttributeClassifier

        Raises
        ------
        ValueError
            If a parameter, X, y or a weight is invalid, or no label is known.
        ImageReadError, InvalidBoxError
            If an image cannot be read or a box leaves it; path and row are named. With
            ``on_bad_image="warn"`` only if that is so of all images.
        """
        encoder, codes = self._encoded(y, self.classes)
        return self._fit(X, codes, (sample_weight, label_weight, category), encoder)

    def _encoded(self, y: Any, classes: Any) -> tuple[AttributeEncoder, NDArray[np.int64]]:
        encoder = AttributeEncoder(self.attributes, classes, self.missing_label)
        codes = encoder.fit_transform(y)
        warn_unknown_columns(encoder)
        return encoder, codes

    def _fit(
        self, X: Any, codes: NDArray[np.int64], metadata: Metadata, encoder: AttributeEncoder
    ) -> Self:
        rules = read_rules(self.constraints, encoder)
        rows, labels = read_data(self, X, codes, metadata, encoder, reset=True)
        net = fit_net(self, rows, labels, encoder)
        return self._keep(net, encoder, rules, labels.categories)

    def _keep(self, net: Any, encoder: AttributeEncoder, rules: Any, categories: Any) -> Self:
        self._rules = rules
        self.encoder_ = encoder
        self.net_ = net
        self.n_outputs_ = encoder.n_outputs_
        self.output_names_ = encoder.output_names_
        self.attribute_kinds_ = encoder.kinds_
        single = encoder.n_outputs_ == 1
        self.classes_ = np.sort(encoder.classes_[0]) if single else encoder.classes_
        self.history_ = [
            {key: row[key] for key in ("epoch", "train_loss", "valid_loss", "dur") if key in row}
            for row in net.history
        ]
        self.n_iter_ = len(self.history_)
        self.__dict__.pop("categories_", None)
        if categories is not None:
            self.categories_ = categories
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
        sample_weight: Any = None,
        label_weight: Any = None,
        category: Any = None,
    ) -> Self:
        """Train for one pass over some rows of a stream.

        The first call begins a network, or goes on from that of `fit`; the following ones go on
        from it with the optimizer as it stands; parameters changed in between have no effect on
        them. The learning rate is constant, and nothing is held out.

        Parameters
        ----------
        X, y, sample_weight, label_weight, category
            As for :meth:`fit`. All of y's labels must be known from the first call on.
        classes : dict or list, default=None
            All labels each attribute may take, in the first call; see
            :class:`AttributeEncoder`. None: those declared in the parameter `classes`, and else
            those in y.

        Returns
        -------
        AttributeClassifier

        Raises
        ------
        UnseenLabelError
            If y has a label the first call did not know of.
        ValueError
            As for :meth:`fit`, or if a weight is "balanced", which needs all labels at once.
        """
        is_first = not hasattr(self, "net_")
        if is_first:
            encoder, codes = self._encoded(y, self.classes if classes is None else classes)
        else:
            encoder, codes = self.encoder_, self.encoder_.transform(y)
        metadata = (sample_weight, label_weight, category)
        rules = read_rules(self.constraints, encoder)
        rows, labels = read_data(self, X, codes, metadata, encoder, reset=is_first)
        net = partial_fit_net(self, rows, labels, encoder)
        return self._keep(net, encoder, rules, labels.categories)

    def add_attributes(
        self,
        X: Any,
        y: Any,
        *,
        attributes: Mapping[Any, Any] | None = None,
        classes: Any = None,
        sample_weight: Any = None,
        label_weight: Any = None,
    ) -> Self:
        """Learn further attributes on the features of the fitted network.

        New branches are trained on the shared features, which stay as they are: what the
        classifier predicts for its old attributes does not change by a bit. The branches are
        trained as those of `fit` are, at the learning rate of features.

        Parameters
        ----------
        X : n rows of the kind `fit` was given
        y : array-like of shape (n,) or (n, n_new), Series or DataFrame
            Labels of the new attributes; columns of an array are named on from the old ones.
        attributes, classes
            As the parameters of the classifier, for the new attributes.
        sample_weight : array-like of shape (n,), default=None
        label_weight : array-like of shape (n, n_new), default=None

        Returns
        -------
        AttributeClassifier
            The outputs of the new attributes follow the old ones.

        Raises
        ------
        ValueError
            If an attribute of that name is there already, or for what :meth:`fit` raises it.
        """
        check_is_fitted(self)
        features, bad = self._outputs(X, "features", needs_some=True)
        y = name_new_attributes(y, self.output_names_)
        if len(bad):
            parts = (features, y, sample_weight, label_weight)
            features, y, sample_weight, label_weight = drop_rows(bad, *parts)
        params = new_attribute_params(self, y) | {"attributes": attributes, "classes": classes}
        head = type(self)(**params).fit(features, y, sample_weight, label_weight)
        encoder = merge_encoders(self.encoder_, head.encoder_)
        rules = read_rules(self.constraints, encoder)
        self._network.grow(head._network.branches)
        return self._keep(self.net_, encoder, rules, getattr(self, "categories_", None))

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        label_weight: Any = None,
        category: Any = None,
    ) -> NDArray[Any]:
        """Fit, and return outputs for the rows of X as `cross_fit` says.

        Parameters
        ----------
        X, y, sample_weight, label_weight, category
            As for :meth:`fit`.

        Returns
        -------
        ndarray of shape (n, n_columns)
            ``cross_fit=None``: outputs of the fitted network for the rows it was trained on,
            with a warning. An int or a splitter: each row's outputs come from a network that
            was not trained on it; the fitted network is trained on all rows. A float: outputs
            for that share of rows, held out from the only network trained, and NaN elsewhere.
        """
        encoder, codes = self._encoded(y, self.classes)
        metadata = (sample_weight, label_weight, category)
        return cross_fit_transform(self, X, y, codes, metadata, encoder)
