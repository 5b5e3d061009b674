"""The network: backbones, branches and losses in plain torch, without scikit-learn or skorch."""

from skattr.nn._branches import FusedBranches as FusedBranches
from skattr.nn._cross_entropy import SummedCrossEntropy as SummedCrossEntropy
from skattr.nn._focal_losses import SummedAsymmetric as SummedAsymmetric
from skattr.nn._focal_losses import SummedFocal as SummedFocal
from skattr.nn._focal_losses import SummedPartialAsymmetric as SummedPartialAsymmetric
from skattr.nn._layout import BranchLayout as BranchLayout
from skattr.nn._model import MultiBranchNetwork as MultiBranchNetwork
from skattr.nn._model import MultiBranchResNet as MultiBranchResNet

__all__ = [
    "BranchLayout",
    "FusedBranches",
    "MultiBranchNetwork",
    "MultiBranchResNet",
    "SummedAsymmetric",
    "SummedCrossEntropy",
    "SummedFocal",
    "SummedPartialAsymmetric",
]
