"""Errors and warnings, each of which is also a builtin one."""


class SkattrError(Exception):
    """Base class of the errors defined by this package."""


class ImageReadError(SkattrError, OSError):
    """An image is unreadable. The message names its path and its row in X."""


class InvalidBoxError(SkattrError, ValueError):
    """A crop box is malformed, empty or outside its image. The message names the row."""


class UnseenLabelError(SkattrError, ValueError):
    """A label is not among the classes of its attribute. The message names both."""


class DatasetFormatError(SkattrError, ValueError):
    """An annotation file violates its format. The message names the file and the line."""


class DivergedError(SkattrError, ArithmeticError):
    """A loss, weight, feature or output of a network is not finite."""


class SkattrWarning(UserWarning):
    """Base class of the warnings of this package."""


class MissingLabelWarning(SkattrWarning):
    """All labels of an attribute are missing, so nothing can be learned for it."""


class LabelWarning(SkattrWarning):
    """Labels look like mistakes that became classes. The message lists columns and remedies."""


class PositiveLevelWarning(SkattrWarning):
    """The positive one of two strings was chosen by sorting. The message says how to declare it."""


class InSampleWarning(SkattrWarning):
    """Scores are returned for rows that the network was trained on."""


class ThresholdNotTunedWarning(SkattrWarning):
    """The threshold of an attribute cannot be tuned, or not be guaranteed."""


class AssumptionWarning(SkattrWarning):
    """A guarantee holds only under assumptions that the data cannot confirm."""


class ClassOrderWarning(SkattrWarning):
    """The scores of an attribute seem to have its classes in another order than its labels."""


class RowIndexWarning(SkattrWarning):
    """Two pandas objects whose rows are matched by position have different row labels."""


class DatasetWarning(SkattrWarning):
    """A dataset or an image was read, but it is doubtful. The message names the rows."""


class UnseenCategoryWarning(SkattrWarning):
    """The category of an object was not seen in training and counts as unknown."""


class BadImageWarning(SkattrWarning):
    """Unreadable images were skipped. The message counts and names them."""
