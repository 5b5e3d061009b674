"""Parameter objects: groups of constructor parameters with their own documentation."""

import re
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, TypeVar

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions

from skattr._inputs.deep import check_value_range
from skattr._utils.parameters import AT_LEAST_1, Number


class ParameterObject(BaseEstimator):
    """Base class of parameter objects, which are dataclasses for the constructor.

    The first parameter of a subclass is the one that a string sets, where a classifier takes the
    string as shorthand for the object.
    """

    _name: ClassVar[str]  # of the classifier's parameter that takes the object

    def settings(self) -> dict[str, Any]:
        """Check the parameters and return them.

        Returns
        -------
        dict of {str: value}

        Raises
        ------
        ValueError
            If a parameter is invalid; the valid values are named.
        """
        self._validate_params()
        return dict(self.get_params(deep=False))


Object = TypeVar("Object", bound=ParameterObject)


def as_object(kind: type[Object], value: Object | str | None) -> Object:
    """Return a parameter object for an object, its shorthand string, or None (the defaults).

    Raises
    ------
    ValueError
        If the value is something else, such as an object of another parameter.
    """
    if isinstance(value, kind):
        return value
    if value is not None and not isinstance(value, str):
        raise ValueError(
            f"{kind._name} must be an object of {kind.__name__}, a string or None; got {value!r}."
        )
    return kind() if value is None else kind(value)


def resolve(kind: type[Object], value: Object | str | None) -> Object:
    """Return a checked parameter object, as :func:`as_object` makes it.

    Raises
    ------
    ValueError
        If a parameter of the object is invalid.
    """
    result = as_object(kind, value)
    if value is not None:  # defaults are valid; the check takes as long as a small prediction
        result.settings()
    return result


@dataclass(eq=False, repr=False)
class Branches(ParameterObject):
    """Form of the branches, one of which predicts each attribute.

    Parameters
    ----------
    binary : {"sigmoid", "softmax"}, default="sigmoid"
        A binary attribute has one logit ("sigmoid") or two ("softmax").
    hidden : int, default=None
        Units of a hidden layer in each branch. None connects the branches to the shared features
        directly.
    dropout : float in [0, 1), default=0.0
        Probability to drop a shared feature, or a hidden unit of a branch, in training.
    ordinal_predict : {"mode", "median"}, default="mode"
        Level that is predicted for an ordinal attribute: the most probable one, or the median of
        the distribution, which minimizes the expected absolute error in levels.

    See Also
    --------
    AttributeClassifier : Takes the object, or a value of `binary`, as `branches`.

    Examples
    --------
    >>> from skattr import AttributeClassifier, Branches
    >>> AttributeClassifier(branches=Branches(hidden=32)).set_params(branches__dropout=0.2)
    AttributeClassifier(branches=Branches(dropout=0.2, hidden=32))
    """

    _name: ClassVar[str] = "branches"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "binary": [StrOptions({"sigmoid", "softmax"})],
        "hidden": [AT_LEAST_1, None],
        "dropout": [Number(Real, 0, 1, closed="left")],
        "ordinal_predict": [StrOptions({"median", "mode"})],
    }

    binary: str = "sigmoid"
    _: KW_ONLY
    hidden: int | None = None
    dropout: float = 0.0
    ordinal_predict: str = "mode"


@dataclass(eq=False, repr=False)
class ImageReading(ParameterObject):
    """How image files are read.

    Prediction decodes files as `fit` did. `on_bad_image` and `num_workers` may be changed after
    `fit`, for example on another machine.

    Parameters
    ----------
    decoding : {"exact", "scaled"}, default="exact"
        With "scaled", JPEG files are decoded at 1/2, 1/4 or 1/8 of their size, the smallest that
        is not below `image_size`, before they are resized. Reading 640x480 pixels as 224x224 is
        about 1.4 times as fast, larger files gain more; levels differ by less than two on average
        (typically 0.6). Other formats and rows with a box are decoded at full size in both modes.
    cache : "memory", default=None
        With "memory", the decoded and resized images (uint8) are held in memory during one `fit`,
        so that each file is decoded once and not once per epoch. They take three bytes per pixel.
    on_bad_image : {"raise", "warn", "keep"}, default="raise"
        How to handle images that cannot be read, because the file is missing, truncated, damaged or
        not an image, or the box exceeds the image. A JPEG file is damaged if libjpeg complains
        about its data or its last scans are missing, a PNG file if a checksum is wrong; parts of
        such an image are gray or shifted. If "raise", the error names path and row. If "warn",
        such rows are skipped with one :class:`~skattr.exceptions.BadImageWarning` per call, which
        counts and names them. `fit` reads every file once beforehand and treats all labels of
        these rows as missing. Predictions for them are missing: probabilities, features and
        `transform` outputs are NaN, labels are None. A row of 2-D features that is all NaN, as
        :class:`ImageEmbedder` returns it for such an image, is handled in the same way. With
        "keep", damaged images and truncated JPEG files are used as they are decoded; images that
        cannot be decoded are errors as with "raise".
    value_range : (float, float), default=None
        Values of black and white in images of more than 8 bits per sample, such as ``(0, 4095)``
        for files of 16 bits that contain 12-bit data; values outside the range are clipped. None
        takes the range that a file declares (MaxSampleValue or BitsPerSample of TIFF, sBIT of
        PNG), else 0 to 65535. Images of 8 bits do not change.
        :func:`~skattr.datasets.check_images` reports the values that are used.
    num_workers : int, default=0
        Number of processes that decode image files. With 0, files are decoded between the steps
        on the threads that torch uses; so they are, with a warning, in the worker processes and
        threads of joblib (``n_jobs``), which start no processes of their own.

    See Also
    --------
    AttributeClassifier, ImageEmbedder : Take the object, or a value of `decoding`, as `images`.

    Examples
    --------
    >>> from skattr import AttributeClassifier, ImageReading
    >>> classifier = AttributeClassifier(images=ImageReading("scaled", cache="memory"))
    >>> classifier.set_params(images__num_workers=4)
    AttributeClassifier(images=ImageReading(cache='memory', decoding='scaled',
                                            num_workers=4))
    """

    _name: ClassVar[str] = "images"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "decoding": [StrOptions({"exact", "scaled"})],
        "cache": [StrOptions({"memory"}), None],
        "on_bad_image": [StrOptions({"raise", "warn", "keep"})],
        "value_range": [tuple, list, None],
        "num_workers": [Number(Integral, 0, None, closed="left")],
    }

    decoding: Any = "exact"
    _: KW_ONLY
    cache: str | None = None
    on_bad_image: str = "raise"
    value_range: tuple[float, float] | None = None
    num_workers: int = 0

    def _validate_params(self) -> None:
        super()._validate_params()
        check_value_range(self.value_range)


@dataclass(eq=False, repr=False)
class TrainingOptions(ParameterObject):
    """Options of the training loop that are rarely changed.

    Parameters
    ----------
    lr_schedule : {"onecycle", "cosine"} or None, default="onecycle"
        Change of the learning rate over the whole fit, batch by batch; None keeps it constant.
        "onecycle" also changes the momentum (the first beta of Adam), unless `net_params` of the
        classifier sets it.
    ema_decay : float in (0, 1), default=None
        Validate and predict with an exponential moving average of the weights, to which each step
        adds ``1 - ema_decay`` (more in the first steps).
    clip_norm : float, default=None
        Largest norm of the gradient of all weights together. None does not clip it.
    accumulate : int, default=1
        Number of parts in which each batch passes through the network. More parts need less
        memory. The step is that of the whole batch, except for batch normalization and for losses
        that compare the rows of a batch.
    precision : {"auto", "float32", "float64", "bfloat16"}, default="auto"
        Type to compute in. "auto" computes 2-D features in their own type, and images in float32
        on the CPU and with bfloat16 products on GPUs that have bfloat16 (not those that emulate
        it). With bfloat16 the backbone computes in it; weights, branches, loss and outputs are
        float32. Prediction follows the device it runs on, not that of training.
    compile : bool, default=False
        Compile the network with `torch.compile`.

    See Also
    --------
    AttributeClassifier : Takes the object, or a value of `lr_schedule`, as `training`.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skattr import AttributeClassifier, TrainingOptions
    >>> classifier = AttributeClassifier(training=TrainingOptions("cosine", clip_norm=1.0))
    >>> search = GridSearchCV(classifier, {"training__ema_decay": [None, 0.99]})
    """

    _name: ClassVar[str] = "training"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "lr_schedule": [StrOptions({"onecycle", "cosine"}), None],
        "ema_decay": [Number(Real, 0, 1, closed="neither"), None],
        "clip_norm": [Number(Real, 0, None, closed="neither"), None],
        "accumulate": [AT_LEAST_1],
        "precision": [StrOptions({"auto", "float32", "float64", "bfloat16"})],
        "compile": ["boolean"],
    }

    lr_schedule: str | None = "onecycle"
    _: KW_ONLY
    ema_decay: float | None = None
    clip_norm: float | None = None
    accumulate: int = 1
    precision: str = "auto"
    compile: bool = False


@dataclass(eq=False, repr=False)
class FineTuning(ParameterObject):
    """Which parts of a backbone are trained, and at which learning rates.

    Parameters
    ----------
    freeze : {"backbone", "stages:N"} or None, default=None
        Part that is not trained: the whole backbone, or its first N stages. Frozen layers keep
        their weights and their BatchNorm statistics, and their dropout is off.
    unfreeze_every : int, default=None
        Number of epochs after which the last stage that is still frozen is unfrozen, and so on
        until the first. None keeps all of them frozen.
    layer_decay : float in (0, 1], default=1.0
        Factor of the learning rate from stage to stage. The last stage learns with ``lr *
        layer_decay``, the one before it with ``lr * layer_decay ** 2``, and so on; the branches
        learn with `lr` [1]_.

    See Also
    --------
    AttributeClassifier : Takes the object, or a value of `freeze`, as `fine_tuning`.

    Notes
    -----
    The stages of a ResNet are its four blocks of layers, the first together with the stem. The
    stages of a network whose layers are in a module ``features`` are the submodules of
    ``features`` that have weights. Any other network has one stage per submodule with weights.

    References
    ----------
    .. [1] Howard & Ruder (2018). Universal language model fine-tuning for text classification.
       ACL.

    Examples
    --------
    >>> from skattr import FineTuning
    >>> FineTuning(freeze="stages:3", unfreeze_every=2).settings()
    {'freeze': 'stages:3', 'layer_decay': 1.0, 'unfreeze_every': 2}
    """

    _name: ClassVar[str] = "fine_tuning"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "freeze": [str, None],
        "unfreeze_every": [AT_LEAST_1, None],
        "layer_decay": [Number(Real, 0, 1, closed="right")],
    }

    freeze: str | None = None
    _: KW_ONLY
    unfreeze_every: int | None = None
    layer_decay: float = 1.0

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.freeze is None and self.unfreeze_every is not None:
            raise ValueError(
                f"unfreeze_every={self.unfreeze_every} needs frozen stages, but freeze is None; "
                "set freeze='backbone' or 'stages:N'."
            )
        if self.freeze is not None and not re.fullmatch(r"backbone|stages:[1-9]\d*", self.freeze):
            raise ValueError(
                "freeze (of fine_tuning) must be None, 'backbone' or 'stages:N' with N >= 1; got "
                f"{self.freeze!r}."
            )
