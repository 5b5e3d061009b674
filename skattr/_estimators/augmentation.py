"""Parameter object for the augmentation of training images, and its presets."""

from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any, ClassVar

from sklearn.base import clone

from skattr._estimators.options import ParameterObject
from skattr._utils.parameters import Number

_SHARE = Number(Real, 0, 0.5, closed="both")
_FACTOR = Number(Real, 0, 1, closed="left")


@dataclass(eq=False, repr=False)
class Augmentation(ParameterObject):
    """Random changes of training images, each with its own strength.

    An attribute that a change destroys cannot be learned: mirrored images do not tell left from
    right, images with a shifted hue do not tell colors. :meth:`changes` describes what the
    enabled changes do.

    Parameters
    ----------
    flip : bool, default=False
        Mirror half of the images left to right.
    shift : float in [0, 0.5], default=0.0
        Largest translation, as a share of the sides; border pixels are repeated.
    zoom : float in [0, 1), default=0.0
        Enlarge or reduce by a factor in [1 / (1 + zoom), 1 + zoom].
    rotation : float in [0, 180], default=0.0
        Largest angle, in degrees.
    brightness : float in [0, 1), default=0.0
        Multiply by a factor in [1 - brightness, 1 + brightness].
    contrast : float in [0, 1), default=0.0
        Multiply the difference from the mean gray level by a factor in
        [1 - contrast, 1 + contrast].
    saturation : float in [0, 1), default=0.0
        Multiply the difference from the gray level of each pixel by a factor in
        [1 - saturation, 1 + saturation].
    hue : float in [0, 0.5], default=0.0
        Largest rotation of the hue, as a share of the color circle.
    erase : float in [0, 1), default=0.0
        Paint a gray rectangle with sides of up to this share of the image's sides.
    mixup : float, default=0.0
        Mix each row of a batch with another row, and the losses of their labels likewise, by a
        share drawn from Beta(mixup, mixup) for each batch [1]_. If the label of one of the two
        rows is missing, only the other counts, with its share. Mixup also works on 2-D features;
        0 disables it.
    test_flip : bool, default=False
        Average the logits (or features) of an image and its mirror image in prediction.

    See Also
    --------
    AttributeClassifier : Takes the object, or the name of a preset, as `augment`.

    Notes
    -----
    A string as `augment` names one of these presets:

    ============ ======================================== ====================================
    preset       enabled changes                          may destroy
    ============ ======================================== ====================================
    "flip"       flip                                     left and right, writing
    "shift"      shift=1/16                               position, content at the border
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
        "rotation": [Number(Real, 0, 180, closed="both")],
        "brightness": [_FACTOR],
        "contrast": [_FACTOR],
        "saturation": [_FACTOR],
        "hue": [_SHARE],
        "erase": [_FACTOR],
        "mixup": [Number(Real, 0, None, closed="left")],
        "test_flip": ["boolean"],
    }

    _: KW_ONLY
    flip: bool = False
    shift: float = 0.0
    zoom: float = 0.0
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    test_flip: bool = False

    def changes(self) -> list[str]:
        """Describe the enabled changes, and thereby the attributes they may destroy.

        Returns
        -------
        list of str
            One line per enabled change, which begins with the name of its parameter.
        """
        return [f"{name}: {effect}" for name, effect in _EFFECTS.items() if getattr(self, name)]


_EFFECTS = {
    "flip": "swaps left and right, mirrors writing",
    "shift": "moves the image, and cuts off its border",
    "zoom": "changes sizes, and cuts off the border",
    "rotation": "tilts the image, and cuts off its corners",
    "brightness": "changes the brightness",
    "contrast": "changes the contrast of bright and dark",
    "saturation": "changes how pale or vivid the image is",
    "hue": "changes colors",
    "erase": "hides part of the image",
    "mixup": "blends two rows with the labels of both",
    "test_flip": "gives an image and its mirror image the same prediction",
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


def as_augmentation(augment: Any) -> Any:
    """Return the object of a preset, a new one for None, and anything else unchanged."""
    if augment is None:
        return Augmentation()
    # A copy: setting its parameters must not change the preset.
    is_preset = isinstance(augment, str) and augment in AUGMENTATION_PRESETS
    return clone(AUGMENTATION_PRESETS[augment]) if is_preset else augment


def augmentation_settings(augment: Any) -> Any:
    """Return the checked settings of a preset or an :class:`Augmentation`.

    None and other callables are returned unchanged.

    Raises
    ------
    ValueError
        If `augment` is none of them, or a setting is invalid.
    """
    if augment is None:
        return None
    augment = as_augmentation(augment)
    if isinstance(augment, Augmentation):
        return augment.settings()
    if isinstance(augment, type):
        raise ValueError(
            f"augment is the class {augment.__name__}; pass an object, {augment.__name__}(...)."
        )
    if callable(augment):
        return augment
    names = ", ".join(map(repr, AUGMENTATION_PRESETS))
    raise ValueError(
        f"augment must be one of {names}, an Augmentation, a transform of torchvision, a callable "
        f"or None; got {augment!r}."
    )
