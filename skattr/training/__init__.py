"""Training through skorch and inference: the only room that turns arrays into tensors and back."""

from skattr.training.augmentation import PictureChanges as PictureChanges
from skattr.training.batches import find_unreadable as find_unreadable
from skattr.training.inference import predict_rows as predict_rows
from skattr.training.recipe import Recipe as Recipe
from skattr.training.recipe import Task as Task
from skattr.training.recipe import fit_net as fit_net
from skattr.training.recipe import make_net as make_net
from skattr.training.recipe import train_net as train_net

__all__ = [
    "PictureChanges",
    "Recipe",
    "Task",
    "find_unreadable",
    "fit_net",
    "make_net",
    "predict_rows",
    "train_net",
]
