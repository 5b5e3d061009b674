"""Training through skorch and inference: the only room that turns arrays into tensors and back."""

from skattr.training.inference import predict_rows as predict_rows
from skattr.training.recipe import Recipe as Recipe
from skattr.training.recipe import fit_net as fit_net

__all__ = ["Recipe", "fit_net", "predict_rows"]
