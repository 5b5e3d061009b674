"""AttributeClassifier: one multi-branch network as one scikit-learn classifier."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skattr._estimators.add_attributes import (
    merge_encoders,
    name_new_attributes,
    new_attribute_params,
)
from skattr._estimators.cross_fit import cross_fit_transform
from skattr._estimators.data import (
    Codes,
    Metadata,
    TrainingData,
    check_same_classes,
    read_data,
    select_rows,
    warn_no_label,
)
from skattr._estimators.fitting import fit_net, partial_fit_net
from skattr._estimators.options import Branches, resolve
from skattr._estimators.parameters import ClassifierParameters
from skattr._estimators.prediction import AttributePredictor
from skattr._multioutput.classes import class_orders, score_names
from skattr._multioutput.constraints import get_constraints
from skattr._targets.alignment import align_rows
from skattr._targets.columns import read_labels
from skattr._targets.constraints import LogicalConstraints
from skattr._targets.declarations import with_classes
from skattr._targets.encoder import AttributeEncoder, sorted_positives, warn_labels
from skattr._targets.positive import warn_sorted_positives
from skattr._training.net import AttributeNet


class AttributeClassifier(AttributePredictor, ClassifierMixin, ClassifierParameters):
    """Multi-output classifier: a neural network with one branch per attribute.

    A shared backbone (a torchvision network for images) feeds one branch per attribute. The
    branches are trained together. The loss is the sum over attributes of the mean cross-entropy
    over their known labels; a missing label has no influence.

    The parameters are listed by group:

    - start here: `backbone`, `weights`, `image_size`, `augment`, `max_epochs`, `random_state`;
    - labels: `attributes`, `missing_label`, `constraints`, `category_prior`;
    - branches and loss: `branches`, `loss`, `pos_weight`, `class_weight`, `attribute_weight`;
    - training: `optimizer`, `lr`, `weight_decay`, `batch_size`, `validation_fraction`,
      `early_stopping`, `fine_tuning`, `training`, `net_params`, `warm_start`;
    - reading and output: `images`, `transform_output`, `cross_fit`, `device`, `verbose`.

    `augment`, `branches`, `loss`, `fine_tuning`, `training` and `images` take objects with
    parameters of their own, or a string as shorthand. A grid search reaches their parameters by
    names such as ``branches__hidden`` or ``training__ema_decay``.

    Parameters
    ----------
    backbone : str or callable, default="auto"
        "auto" is "resnet18" for images, and no backbone (one linear map) for 2-D features. For
        images: the name of a torchvision classification model, or an importable callable that
        returns a module mapping (n, 3, H, W) to features. For 2-D features: "mlp" (one layer of
        256 ReLU units), or a callable that takes the number of columns.
    weights : str, default=None
        Pretrained weights of a torchvision backbone: None (random), "DEFAULT", the name of
        torchvision weights, or the path of a state dict (of `torch.save` or safetensors), whose
        entries must be those of the backbone; a classifier in it is ignored. Pixels are
        normalized as named weights expect it, otherwise by ImageNet's mean and deviation.
    image_size : int or (height, width), default=224
        Size that images are resized to, without regard to their aspect ratio.
    augment : str, Augmentation or callable, default=None
        Random changes of training images: "flip", "shift", "flip_shift", "light", "geometry",
        "strong", or an :class:`Augmentation` with strengths, mixup and flips in prediction; its
        documentation says which attributes each may destroy. Or a transform of torchvision that
        changes uint8 tensors, such as ``v2.Compose([v2.RandomRotation(10)])``, which is called
        with each image; in a grid single transforms must be in a Compose, as scikit-learn takes
        their `get_params` for its own. Or a callable that maps a uint8 tensor (n, H, W, 3), and a
        `torch.Generator` if it takes two arguments, to one of the same shape, dtype and scale.
    max_epochs : int, default=12
        Passes over the training rows.
    random_state : int, RandomState or None, default=None
        Seed of initial weights, shuffling, augmentation and held-out rows. None draws fresh
        entropy; the global random states are never used.
    attributes : dict of {name: declaration}, default=None
        Kinds, classes and positive levels that are not inferred from y, such as
        ``{"hat": ("binary", "hat"), "neck": "categorical", "age": ("ordinal", [levels])}``; see
        :class:`AttributeEncoder`. Declare the classes if a label may be absent from a training
        fold. Ordinal attributes of three or more levels have a cumulative link, whose
        probabilities respect the order.
    missing_label : scalar, default=None
        Value of y that marks a missing label, in addition to NaN, None and pandas.NA.
    constraints : dict, default=None
        Logical constraints on the predicted labels of binary attributes: ``{"at_most_one":
        [["young", "senior"]], "exactly_one": [...], "implies": [("goatee", "beard")]}``. The most
        probable labels that satisfy them are predicted; probabilities do not change. The
        constraints are also enforced by :class:`TunedThresholdMultiOutputCV` and
        :class:`CalibratedMultiOutputCV`, but not by :class:`ThresholdCalibrator`, which only sees
        scores.
    category_prior : {"joint", "condition", "auxiliary"}, default=None
        How to use the category of the object in each row, which is a column ``category`` of X or
        metadata of `fit`. "joint": a binary branch predicts {absent} and all categories, and the
        probability of the attribute is 1 - P(absent); the category is needed in `fit` only.
        "condition": the category scales and shifts the shared features (FiLM [1]_), also in
        prediction, where None is an unknown category. "auxiliary": one more branch learns the
        category, which is needed in `fit` only. None ignores the category.
    branches : Branches or {"sigmoid", "softmax"}, default=None
        Form of the branches: hidden layer, dropout, logits of binary attributes and prediction of
        ordinal ones. A string is the `binary` of :class:`Branches`; None uses its defaults.
    loss : str, loss object or callable, default="auto"
        "auto" (or "bce"; cross-entropy), "focal", "asymmetric", "partial_asymmetric", or an
        object of :mod:`skattr.losses`, which has label smoothing and policies for missing labels.
        A callable makes a subclass of :class:`skattr.nn.SummedCrossEntropy`.
    pos_weight : float, str, dict or array-like, default=None
        Factor applied to the loss of positive labels, as in `torch.nn.BCEWithLogitsLoss`: one
        number, one per attribute, a dict by attribute, or "balanced" (negatives / positives among
        the known labels, at most 1000; "balanced:20" at most 20). It applies to binary attributes
        only. Predicted odds are inflated by this factor; use
        ``CalibratedMultiOutputCV(method="prior")`` to correct them.
    class_weight : "balanced", dict or list, default=None
        Weight of the labels of each class, as in `torch.nn.CrossEntropyLoss` and scikit-learn: by
        attribute (a dict or a list) "balanced" or a dict from label to weight.
    attribute_weight : str, dict or array-like, default=None
        Weight of each attribute in the sum of losses: a dict by attribute, one number each,
        "balanced" (inverse to its number of known labels), or "uncertainty" (learned [2]_).
    optimizer : {"adamw", "adam", "sgd"} or callable, default="adamw"
        "sgd" has a Nesterov momentum of 0.9; a callable is a `torch.optim` class that takes
        `lr` and `weight_decay`.
    lr : float or "auto", default="auto"
        Learning rate (the peak of a schedule); "auto" is 1e-3 for images, 1e-2 for features.
    weight_decay : float, default=0.01
        Weight decay of the optimizer.
    batch_size : int, default=64
        Rows per training step.
    validation_fraction : float, default=None
        Share of rows held out of training to compute a validation loss after each epoch. They
        are stratified: each label has about this share of its rows held out, and a label that one
        row alone has stays in training where possible, else a warning names it. Rows without any
        label are divided separately. `groups` of `fit` are not divided. None holds out 0.1 with
        `early_stopping`, and nothing without.
    early_stopping : bool or int, default=False
        Stop when the validation loss has not improved for 5 epochs (True) or for the given number
        of epochs, and return to the best epoch.
    fine_tuning : FineTuning, "backbone" or "stages:N", default=None
        Stages of the backbone that are frozen, when they are unfrozen, and the learning rates of
        the others. A string is the `freeze` of :class:`FineTuning`; None trains all stages alike.
        2-D features have a backbone only if `backbone` names one.
    training : TrainingOptions or {"onecycle", "cosine"}, default=None
        Learning rate schedule, averaging of weights, gradient clipping and accumulation,
        precision and compilation. A string is the `lr_schedule` of :class:`TrainingOptions`; None
        uses its defaults.
    net_params : dict, default=None
        Further parameters of the skorch net, in its notation, other than those that the
        classifier sets itself: ``{"callbacks": [...]}``, ``{"optimizer__betas": (0.9, 0.99)}``,
        ``{"batch_history": True}``. Scoring callbacks need held-out rows (`validation_fraction`),
        or ``on_train=True``; a callback that raises KeyboardInterrupt ends the training. With an
        LRScheduler, set ``training=TrainingOptions(None)``.
    warm_start : bool, default=False
        Start from the network of the previous fit; the classes must be the same.
    images : ImageReading or {"exact", "scaled"}, default=None
        Decoding of image files: speed, cache, worker processes, and unreadable images. A string
        is the `decoding` of :class:`ImageReading`; None uses its defaults.
    transform_output : {"proba", "logit", "features"}, default="proba"
        What `transform` returns: probabilities, log odds (log probabilities for attributes
        that are not binary), or the shared features.
    cross_fit : int, float or splitter, default=None
        What `fit_transform` returns: out-of-fold outputs (int: number of shuffled folds), outputs
        of a held-out share of rows with NaN elsewhere (float), or outputs for the rows trained on
        (None). Folds and shares are stratified, like `validation_fraction`.
    device : str, default="auto"
        "auto" (CUDA if available, else the CPU) or a torch device such as "cuda:1".
    verbose : int, default=0
        1 shows progress bars, 2 a line per epoch.

    Attributes
    ----------
    classes_ : ndarray, or list of ndarray for several attributes
        Classes, in the order of the columns of `predict_proba` and of `transform`. Those of a
        single attribute are sorted, as scikit-learn's metrics assume that columns of scores are
        in the sorted order of y; :meth:`add_attributes` leaves them so. With several attributes,
        the classes of an ordinal one are in the order of its levels, and the positive level of a
        binary one is the second class.
    n_outputs_ : int
        Number of attributes.
    output_names_ : list
        Names of the attributes.
    attribute_kinds_ : list of str
        "binary", "categorical" or "ordinal".
    encoder_ : AttributeEncoder
        Encoder between the labels of y and the classes of the network.
    net_ : skorch.NeuralNet
        Trained net; ``net_.module_`` is the network.
    history_ : list of dict
        Per epoch: "epoch", "train_loss", "dur" (seconds), and "valid_loss" if rows are held out.
    n_iter_ : int
        Number of epochs trained.
    categories_ : ndarray
        Categories of objects. Only exists with `category_prior`.
    n_features_in_ : int
        Number of columns of X. Only exists for 2-D features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X. Only exists for 2-D features with string column names.

    See Also
    --------
    AttributeEncoder : How kinds, classes and missing labels are read from y.
    Augmentation : Random changes of training images.
    Branches : Form of the branches.
    FineTuning : Frozen stages and learning rates of the backbone.
    ImageReading : Decoding of image files.
    TrainingOptions : Options of the training loop.
    skattr.losses : Losses with parameters.

    Notes
    -----
    The branches start at the class frequencies of the training labels (for images
    approximately); an attribute without a known label is predicted with equal probabilities.

    On the CPU two fits with the same `random_state`, data and number of threads are
    bit-identical. On CUDA they need not be: cuDNN and cuBLAS choose among kernels, some of which
    add in varying order. Call `torch.use_deterministic_algorithms` for determinism; branches and
    losses use only deterministic operations, except label smoothing.

    Use ``n_jobs=1`` to search over networks that are trained whole on one GPU: several processes
    would share its time and memory. Branches, losses and thresholds are searched on the features
    of an :class:`ImageEmbedder`, with one pass through the backbone. scikit-learn's
    `HalvingGridSearchCV` tries many candidates on few rows or epochs, and fewer on more:
    ``HalvingGridSearchCV(classifier, grid, resource="max_epochs", max_resources=16)``.

    Prediction uses the batch size that is fastest, and halves it where memory runs out.
    Predictions of a row do not depend on the other rows, up to rounding. Parameters that are
    changed after `fit` do not change predictions. `transform_output`, `verbose` and, of `images`,
    `on_bad_image` and `num_workers` take effect without another `fit`.

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

    def __sklearn_tags__(self) -> Any:
        """Declare the valid kinds of X and y."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = []  # outputs have the type of the network
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
        groups: Any = None,
    ) -> Self:
        """Train a new network.

        Parameters
        ----------
        X : ndarray, list, Series or DataFrame of n rows
            uint8 images (n, H, W, 3) or (n, H, W); a sequence of images of any sizes, each a path,
            a Pillow image of any mode, a uint8 array or tensor, or the content of a file (bytes, a
            binary file object, a dict ``{"bytes": ..., "path": ...}``); a DataFrame (also of
            polars or pyarrow) with a ``path`` column and, for crops, the columns ``xmin ymin xmax
            ymax`` (0-based, half-open, in pixels of the upright image, all NaN for the whole
            image); or 2-D numeric features (n, n_features). A column ``category`` of a DataFrame
            is the category of the object, for `category_prior`, and never a feature.
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Labels; NaN, None and pandas.NA are missing labels. Rows belong to those of X by
            position; the indexes of pandas objects are compared.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.
        label_weight : array-like of shape (n, n_outputs) or DataFrame, default=None
            Weight of each label, multiplied with `sample_weight`. Columns of a DataFrame are
            matched with those of y by name. The weight of a missing label
            counts only if `loss` treats it as a negative.
        category : array-like of shape (n,), default=None
            Category of the object in each row, None if unknown; for `category_prior`, if X has
            no such column.
        groups : array-like of shape (n,), default=None
            Group of each row, such as a person. The rows of a group are held out together where
            `validation_fraction` or `early_stopping` holds out rows.

        Returns
        -------
        AttributeClassifier

        Raises
        ------
        ValueError
            If a parameter, X, y or a weight is invalid, no label is known, or the indexes of two
            pandas objects have the same labels in another order.
        ImageReadError, InvalidBoxError
            If an image cannot be read or a box exceeds it; path and row are named. With
            ``on_bad_image="warn"`` only if no image can be read.

        Warns
        -----
        LabelWarning
            If labels that are not declared look like mistakes of the table, such as "" or "nan",
            -1 beside 0 and 1, "Yes" beside "yes", or "A|B".
        PositiveLevelWarning
            If the positive one of two strings was chosen by sorting.
        RowIndexWarning
            If the indexes of two pandas objects have different labels.
        """
        X, y, *metadata = align_rows(
            X=X,
            y=y,
            sample_weight=sample_weight,
            label_weight=label_weight,
            category=category,
            groups=groups,
        )
        encoder, codes = self._encode(y)
        return self._fit(X, codes, tuple(metadata), encoder)

    def _encode(
        self, y: Any, classes: Any = None, *, partial: bool = False
    ) -> tuple[AttributeEncoder, Codes]:
        table = read_labels(y, self.missing_label)
        attributes = with_classes(self.attributes, classes, table.names)
        encoder = AttributeEncoder(attributes, self.missing_label)
        codes = encoder.fit_small_codes(table)
        score_names(encoder)  # raises an error if two columns have one name
        details = "; their classes are predicted with equal probabilities."
        warn_no_label(encoder, encoder.known_ == 0, details)
        # A first batch of a stream may well have a single label of a rare attribute.
        warn_labels(encoder, constant=not partial, positive=False)
        warn_sorted_positives(sorted_positives(encoder, self.attributes))
        return encoder, codes

    def _fit(self, X: Any, codes: Codes, metadata: Metadata, encoder: AttributeEncoder) -> Self:
        constraints = get_constraints(self, encoder)
        data = read_data(self, X, codes, metadata, encoder)
        return self._store(fit_net(self, data), data, constraints)

    def _store(
        self,
        net: AttributeNet,
        data: TrainingData,
        constraints: LogicalConstraints | None,
        orders: list[NDArray[np.intp] | None] | None = None,
    ) -> Self:
        """Set all fitted attributes.

        It is called last and cannot fail, so that a fit that fails leaves the last one whole.
        """
        history = [
            {key: row[key] for key in ("epoch", "train_loss", "valid_loss", "dur") if key in row}
            for row in net.history
        ]
        fitted = {
            "_kind": data.kind,
            "_ordinal_predict": resolve(Branches, self.branches).ordinal_predict,
            "history_": history,
            "n_iter_": len(history),
            "n_features_in_": data.kind.n_features,
            "feature_names_in_": data.kind.feature_names,
            "categories_": data.categories,
        }
        fitted["_class_orders"] = class_orders(data.encoder) if orders is None else orders
        return self._store_outputs(net, data.encoder, constraints, fitted)

    def _store_outputs(
        self,
        net: AttributeNet,
        encoder: AttributeEncoder,
        constraints: LogicalConstraints | None,
        others: Mapping[str, Any],
    ) -> Self:
        classes = [
            levels if order is None else levels[order]
            for levels, order in zip(encoder.classes_, others["_class_orders"], strict=True)
        ]
        state = {
            **self.__dict__,
            **others,
            "net_": net,
            "_constraints": constraints,
            "encoder_": encoder,
            "n_outputs_": encoder.n_outputs_,
            "output_names_": encoder.output_names_,
            "attribute_kinds_": encoder.kinds_,
            "classes_": classes[0] if encoder.n_outputs_ == 1 else classes,
        }
        absent = [name for name in others if state[name] is None]
        # One assignment: Ctrl-C cannot leave the attributes of two fits.
        self.__dict__ = {name: value for name, value in state.items() if name not in absent}
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

        The first call creates a network, or continues from the network of `fit`. The following
        calls continue from it and keep the optimizer state; parameters that are changed in
        between have no effect on them. The learning rate is constant, and no rows are held out.

        Parameters
        ----------
        X, y, sample_weight, label_weight, category
            As for :meth:`fit`. The first call must know the classes of all later ones, in which
            the columns of a DataFrame y may be in any order.
        classes : array-like, or list of array-like, default=None
            In the first call, all labels of the only attribute, or those of each of several, as
            in scikit-learn. Labels that neither `attributes` nor `classes` declare are read from
            y. In later calls they may be left out.

        Returns
        -------
        AttributeClassifier

        Raises
        ------
        UnseenLabelError
            If y has a label that is not among the classes of the first call.
        ValueError
            As for :meth:`fit`, if `classes` are not those of the first call, or if a weight is
            "balanced", which needs all labels at once.
        """
        state: tuple[Any, ...] = ()
        orders = None
        X, y, sample_weight, label_weight, category = align_rows(
            X=X, y=y, sample_weight=sample_weight, label_weight=label_weight, category=category
        )
        encoder: AttributeEncoder
        codes: Codes
        if hasattr(self, "net_"):
            check_same_classes(classes, y, self.encoder_)
            y, label_weight = self.encoder_.match_columns(y, label_weight)
            encoder, codes = self.encoder_, self.encoder_.transform(y)
            state = (self._kind, getattr(self, "categories_", None))
            orders = self._class_orders  # of added attributes, those of `fit` differ
        else:
            encoder, codes = self._encode(y, classes, partial=True)
        metadata = (sample_weight, label_weight, category, None)
        constraints = get_constraints(self, encoder)
        data = read_data(self, X, codes, metadata, encoder, *state)
        return self._store(partial_fit_net(self, data), data, constraints, orders)

    def add_attributes(
        self,
        X: Any,
        y: Any,
        *,
        attributes: Mapping[Any, Any] | None = None,
        sample_weight: Any = None,
        label_weight: Any = None,
    ) -> Self:
        """Learn further attributes on the features of the fitted network.

        New branches are trained on the shared features, which do not change: predictions for the
        old attributes are bit-identical. The branches are trained as those of `fit`, at the
        learning rate of features.

        Parameters
        ----------
        X : n rows of the kind `fit` was given
        y : array-like of shape (n,) or (n, n_new), Series or DataFrame
            Labels of the new attributes. Names of the columns of an array continue those of the
            old attributes.
        attributes : dict, default=None
            Like the parameter of the classifier, for the new attributes.
        sample_weight : array-like of shape (n,), default=None
        label_weight : array-like of shape (n, n_new), default=None

        Returns
        -------
        AttributeClassifier
            The outputs of the new attributes follow the old ones.

        Raises
        ------
        ValueError
            If the classifier has an attribute of that name, or as for :meth:`fit`.
        """
        check_is_fitted(self)
        X, y, sample_weight, label_weight = align_rows(
            X=X, y=y, sample_weight=sample_weight, label_weight=label_weight
        )
        features, unreadable = self._outputs(X, "features", needs_some=True)
        y = name_new_attributes(y, self.output_names_)
        if len(unreadable):
            parts = (features, y, sample_weight, label_weight)
            check_consistent_length(*parts)
            readable = np.delete(np.arange(len(features)), unreadable)
            features, y, sample_weight, label_weight = select_rows(readable, *parts)
        params = new_attribute_params(self.get_params(deep=False), y) | {"attributes": attributes}
        # New branches are trained in a classifier of features and then appended as a group of
        # their own: one matrix product over old and new branches could round differently, and the
        # old predictions would no longer be bit-identical.
        new = type(self)(**params).fit(features, y, sample_weight, label_weight)
        encoder = merge_encoders(self.encoder_, new.encoder_)
        score_names(encoder)  # raises an error if two columns have one name
        constraints = get_constraints(self, encoder)
        net = self.net_.with_branches(new._network.branches)
        # The columns of the old attributes stay as they are, those of a single one sorted.
        orders = self._class_orders + [None] * new.n_outputs_
        return self._store_outputs(net, encoder, constraints, {"_class_orders": orders})

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        label_weight: Any = None,
        category: Any = None,
        groups: Any = None,
    ) -> NDArray[Any]:
        """Fit, and return outputs for the rows of X that depend on `cross_fit`.

        Parameters
        ----------
        X, y, sample_weight, label_weight, category, groups
            As for :meth:`fit`. `cross_fit` holds out whole groups too.

        Returns
        -------
        ndarray of shape (n, n_columns)
            ``cross_fit=None``: outputs of the fitted network for the rows it was trained on,
            with a warning. An int or a splitter: outputs of each row from a network that was not
            trained on it; the fitted network is trained on all rows. A float: outputs for this
            share of rows, held out from the only network that is trained, and NaN elsewhere.
        """
        X, y, *metadata = align_rows(
            X=X,
            y=y,
            sample_weight=sample_weight,
            label_weight=label_weight,
            category=category,
            groups=groups,
        )
        encoder, codes = self._encode(y)
        return cross_fit_transform(self, X, y, codes, tuple(metadata), encoder)
