"""Errors and warnings of the package, each also a builtin or scikit-learn one."""


class SkattrError(Exception):
    """Parent of every error that only this package raises."""


class ImageReadError(SkattrError, OSError):
    """An image could not be read; the message names its path and its row in X."""


class InvalidBoxError(SkattrError, ValueError):
    """A crop box is malformed, empty or leaves its image; the message names the row."""


class UnseenLabelError(SkattrError, ValueError):
    """A label does not belong to the classes of its attribute; the message names both."""


class DatasetFormatError(SkattrError, ValueError):
    """A file of annotations breaks its format; the message names the file and the line."""


class DivergedError(SkattrError, ArithmeticError):
    """The training loss stopped being a finite number."""


class SkattrWarning(UserWarning):
    """Parent of every warning of this package."""


class MissingLabelWarning(SkattrWarning):
    """An attribute has no known label to learn from."""


class InSampleWarning(SkattrWarning):
    """Scores were returned for the very rows the network was trained on."""


class ThresholdNotTunedWarning(SkattrWarning):
    """An attribute's threshold could not be found, or not be guaranteed."""


class ClassOrderWarning(SkattrWarning):
    """Scores seem to come with an attribute's classes in another order than its labels."""


class DatasetWarning(SkattrWarning):
    """A dataset was read as it stands, although some of its rows are doubtful."""


class UnseenCategoryWarning(SkattrWarning):
    """An object's category was not seen in training and counts as unknown."""


class BadImageWarning(SkattrWarning):
    """Images that cannot be read were left out; the message counts and names them."""
