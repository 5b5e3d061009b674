"""How images are changed and what of the backbone is trained, as parameter objects."""

from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

_SHARE = Interval(Real, 0, 0.5, closed="both")
_FACTOR = Interval(Real, 0, 1, closed="left")


class Augmentation(BaseEstimator):
    """Random changes of training images, each of a strength of its own.

    What a change destroys cannot be learned: images that are mirrored do not teach left from
    right, images whose hue is turned teach no color. :meth:`changes` says in words what the
    parts that are on do.

    Parameters
    ----------
    flip : bool, default=False
        Mirror half of the images left to right.
    shift : float in [0, 0.5], default=0.0
        Largest move, as a share of the sides; the border is repeated.
    zoom : float in [0, 1), default=0.0
        Enlarge or reduce by a factor in [1 / (1 + zoom), 1 + zoom].
    rotation : float in [0, 180], default=0.0
        Largest angle, in degrees.
    brightness : float in [0, 1), default=0.0
        Multiply by a factor in [1 - brightness, 1 + brightness].
    contrast : float in [0, 1), default=0.0
        Multiply what differs from the mean gray by a factor in [1 - contrast, 1 + contrast].
    saturation : float in [0, 1), default=0.0
        Multiply what differs from each pixel's gray likewise.
    hue : float in [0, 0.5], default=0.0
        Largest turn of the color circle, as a share of it.
    erase : float in [0, 1), default=0.0
        Paint a rectangle gray whose sides are up to this share of the image's.
    mixup : float, default=0.0
        Mix each row of a batch with another, and the losses of their labels alike: the share is
        drawn from Beta(mixup, mixup) for each batch [1]_. Where the label of one of the two is
        unknown, that of the other counts alone, with its share. Also for 2-D features; 0 is off.
    test_flip : bool, default=False
        Predict the average of the logits (or features) of an image and its mirror image.

    See Also
    --------
    AttributeClassifier : Takes it, or the name of a preset, as `augment`.

    Notes
    -----
    The presets, which a string as `augment` names:

    ============ ======================================== ====================================
    preset       what is on                               may destroy
    ============ ======================================== ====================================
    "flip"       flip                                     left and right, writing
    "shift"      shift=1/16                               position, what stands at the border
    "flip_shift" both                                     both
    "light"      brightness=0.2, contrast=0.2             bright and dark; colors stay
    "geometry"   flip, shift=1/16, zoom=0.15, rotation=10 left and right, position, size, tilt;
                                                          colors stay exactly
    "strong"     flip, shift=0.1, zoom=0.25, rotation=15, all of these, pale and vivid, small
                 brightness=0.3, contrast=0.3,            things; hues stay
                 saturation=0.3, erase=0.3
    ============ ======================================== ====================================

    References
    ----------
    .. [1] Zhang, Cisse, Dauphin & Lopez-Paz (2018). mixup: Beyond empirical risk minimization.
       ICLR.

    Examples
    --------
    >>> from skattr import Augmentation
    >>> for change in Augmentation(flip=True, hue=0.1).changes():
    ...     print(change)
    flip: swaps left and right, mirrors writing
    hue: changes colors
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "flip": ["boolean"],
        "shift": [_SHARE],
        "zoom": [_FACTOR],
        "rotation": [Interval(Real, 0, 180, closed="both")],
        "brightness": [_FACTOR],
        "contrast": [_FACTOR],
        "saturation": [_FACTOR],
        "hue": [_SHARE],
        "erase": [_FACTOR],
        "mixup": [Interval(Real, 0, None, closed="left")],
        "test_flip": ["boolean"],
    }

    def __init__(
        self,
        *,
        flip: bool = False,
        shift: float = 0.0,
        zoom: float = 0.0,
        rotation: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
        erase: float = 0.0,
        mixup: float = 0.0,
        test_flip: bool = False,
    ) -> None:
        self.flip = flip
        self.shift = shift
        self.zoom = zoom
        self.rotation = rotation
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.erase = erase
        self.mixup = mixup
        self.test_flip = test_flip

    def changes(self) -> list[str]:
        """Name what each part that is on changes: the attributes it may destroy."""
        return [f"{name}: {effect}" for name, effect in _EFFECTS.items() if getattr(self, name)]

    def settings(self) -> dict[str, Any]:
        """Check the parameters and return them.

        Raises
        ------
        ValueError
            If one is invalid; the valid values are named.
        """
        self._validate_params()
        return dict(self.get_params(deep=False))


_EFFECTS = {
    "flip": "swaps left and right, mirrors writing",
    "shift": "moves, and cuts what stands at the border",
    "zoom": "changes sizes, and cuts what stands at the border",
    "rotation": "tilts, and cuts the corners",
    "brightness": "changes bright and dark",
    "contrast": "changes how bright and dark differ",
    "saturation": "changes pale and vivid",
    "hue": "changes colors",
    "erase": "hides a part of the image",
    "mixup": "blends two rows with the labels of both",
    "test_flip": "predicts alike for an image and its mirror image",
}

AUGMENTATION_PRESETS: dict[str, Augmentation] = {
    "flip": Augmentation(flip=True),
    "shift": Augmentation(shift=1 / 16),
    "flip_shift": Augmentation(flip=True, shift=1 / 16),
    "light": Augmentation(brightness=0.2, contrast=0.2),
    "geometry": Augmentation(flip=True, shift=1 / 16, zoom=0.15, rotation=10),
    "strong": Augmentation(
        flip=True,
        shift=0.1,
        zoom=0.25,
        rotation=15,
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        erase=0.3,
    ),
}


def augmentation_settings(augment: Any) -> dict[str, Any] | Callable[..., Any] | None:
    """Return the checked settings of a preset or an :class:`Augmentation`.

    None and other callables are returned as they are.

    Raises
    ------
    ValueError
        If it is none of them, or a setting is invalid.
    """
    if isinstance(augment, str) and augment in AUGMENTATION_PRESETS:
        augment = AUGMENTATION_PRESETS[augment]
    if isinstance(augment, Augmentation):
        return augment.settings()
    if augment is None or callable(augment):
        result: Callable[..., Any] | None = augment
        return result
    names = ", ".join(map(repr, AUGMENTATION_PRESETS))
    raise ValueError(
        f"augment={augment!r} is no augmentation; valid are {names}, an Augmentation, a callable "
        "and None."
    )
